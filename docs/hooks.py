"""What the site is built with: files of the repository as pages, headings, signatures.

A page that reads `{{ README.md }}` is that file. Its links into `docs/` are made
relative to it, those to notebooks and benchmarks lead to the repository, others to
pages of the same name.
"""

import re
import textwrap
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
    """Shows "Call arguments", "Output shape", ... as headings of a docstring.

    Builders that `zoo.weights.takes_weights` decorates get the argument `weights`.
    """

    def on_instance(self, *, obj, **kwargs):
        if obj.is_function and "takes_weights" in [
            str(d.value) for d in obj.decorators
        ]:
            add_weights(obj)
        if obj.docstring:
            text = ARGUMENTS.sub(r"\1Other Args: Call arguments:", obj.docstring.value)
            obj.docstring.value = OTHERS.sub(as_paragraph, text)


def add_weights(function):
    """What `zoo.weights.takes_weights` adds at run time, which Griffe does not see."""
    source = (ROOT / "zoo" / "weights" / "cards.py").read_text(encoding="utf-8")
    text = re.search(r'WEIGHTS_DOC = """\\\n(.*?)"""', source, re.DOTALL)[1]
    own = griffe.Parameter(
        "weights", kind=griffe.ParameterKind.keyword_only, default="None"
    )
    variadic = griffe.ParameterKind.var_keyword
    parameters = list(function.parameters)
    at = next((i for i, p in enumerate(parameters) if p.kind is variadic), None)
    parameters.insert(len(parameters) if at is None else at, own)
    function.parameters = griffe.Parameters(*parameters)
    documented = textwrap.indent(textwrap.dedent(text), "    ")
    before, returns, after = function.docstring.value.partition("\nReturns:")
    before = before.rstrip("\n") + "\n" + documented
    function.docstring.value = before + returns + after


def as_paragraph(match):
    heading, text = match.groups()
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    return "\n".join([f"**{heading}:**", "", *lines, "", ""])
