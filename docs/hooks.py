"""Hooks of the site: pages from files of the repository, notebooks, docstrings.

`docs/live/build.py` writes files of the page "Try it" into `build/live`. If they are
there, they become files of the site. The MIDI files of the gallery also become sound.

A page that reads `{{ README.md }}` shows that file. Links in all pages are written for
the repository. Here they become links to pages of the site, or to the repository on the
web if the site has no such page.
"""

import os
import re
import sys
import textwrap
from pathlib import Path

import griffe
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
INCLUDED = re.compile(r"\{\{ (\S+) \}\}")
# mkdocstrings puts a dash between the type and the description of what a function
# returns, also if the function has no annotation and there is no type.
DASH = re.compile(r'(<li class="doc-section-item field-body">)\s*–')
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
# Keras' headings beside those that Google's style has.
ARGUMENTS = re.compile(r"^( *)Call arguments:$", re.MULTILINE)
OTHERS = re.compile(
    r"^(Input shape|Output shape|References):\n((?: {4}.*\n?|\n)+)", re.MULTILINE
)


@event_priority(100)  # before the plugin that renders notebooks
def on_files(files, config):
    directories = config.site_dir, config.use_directory_urls
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = f"notebooks/{path.name}"
        files.append(File(name, str(ROOT), *directories))
    for sound in sounds(config):
        files.append(sound)
    for path in sorted((ROOT / "build" / "live").glob("*")):
        files.append(File(f"live/{path.name}", str(ROOT / "build"), *directories))
    return files


def sounds(config):
    """Return the files of sound of the gallery's pieces."""
    sys.path.insert(0, str(ROOT))  # MkDocs has undone such changes made at import
    from zoo.data.music import read_midi, sound_of
    from zoo.data.music.sound import as_wav

    for path in sorted((DOCS / "gallery").glob("*.mid")):
        wav = as_wav(sound_of(read_midi(path, step=0.25), step=0.25))
        yield File.generated(config, f"gallery/{path.stem}.wav", content=wav)


def on_page_markdown(markdown, page, config, files):
    source = DOCS / page.file.src_uri
    if included := INCLUDED.fullmatch(markdown.strip()):
        source = ROOT / included[1]
        markdown = source.read_text(encoding="utf-8")
    pages = {page_source(file): file.src_uri for file in files}

    def link(match):
        target, fragment = match.groups()
        path = Path(os.path.normpath(source.parent / target))
        if path in pages:
            start = Path(page.file.src_uri).parent
            target = Path(os.path.relpath(pages[path], start)).as_posix()
        elif path.exists():
            kind = "tree" if path.is_dir() else "blob"
            target = f"{config.repo_url}/{kind}/main/{path.relative_to(ROOT)}"
        return f"]({target}{fragment or ''})"

    return LINK.sub(link, markdown)


def on_page_content(html, **kwargs):
    return DASH.sub(r"\1", html)


def page_source(file):
    """The file of the repository that a page of the site shows."""
    path = Path(file.abs_src_path or DOCS / file.src_uri)
    if path.suffix == ".md" and path.parent == DOCS:
        if included := INCLUDED.fullmatch(path.read_text(encoding="utf-8").strip()):
            return ROOT / included[1]
    return path


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
