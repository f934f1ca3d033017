"""What the site is built with: files of the repository as pages, and headings.

A page that reads `{{ README.md }}` is that file. Its links into `docs/` are made
relative to it, those to notebooks and benchmarks lead to the repository, others to
pages of the same name.
"""

import re
from pathlib import Path

import griffe

ROOT = Path(__file__).parent.parent
# Keras' headings beside those that Google's style has.
ARGUMENTS = re.compile(r"^( *)Call arguments:$", re.MULTILINE)
OTHERS = re.compile(
    r"^(Input shape|Output shape|References):\n((?: {4}.*\n?|\n)+)", re.MULTILINE
)


def on_page_markdown(markdown, config, **kwargs):
    included = re.fullmatch(r"\{\{ (\S+) \}\}", markdown.strip())
    if not included:
        return markdown
    text = (ROOT / included[1]).read_text(encoding="utf-8")
    text = text.replace("](docs/", "](")
    here = f"]({config.repo_url}/blob/main/"
    return re.sub(r"\]\((?=(notebooks|benchmarks)/)", here, text)


class KerasHeadings(griffe.Extension):
    """Shows "Call arguments", "Output shape", ... as headings of a docstring."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            text = ARGUMENTS.sub(r"\1Other Args: Call arguments:", obj.docstring.value)
            obj.docstring.value = OTHERS.sub(as_paragraph, text)


def as_paragraph(match):
    heading, text = match.groups()
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    return "\n".join([f"**{heading}:**", "", *lines, "", ""])
