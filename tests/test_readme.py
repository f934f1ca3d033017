"""README and guides: Python blocks run, links lead somewhere, names exist."""

import importlib.util
import math
import pkgutil
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data.music.corpora import Corpus
from zoo.data.music.rolls import piano_rolls
from zoo.data.tfds import OccludedMNISTBuilder
from zoo.models.occluded_mnist import small_table

ROOT = Path(__file__).parent.parent
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = {path.stem: path for path in (ROOT / "README.md", *GUIDES)}
# Pages that are only read: their links and names are checked, too.
READ = [ROOT / "PAPER.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "lab-notebook.md"]
READ += [ROOT / "docs" / "gallery.md"]
PAGES |= {path.stem: path for path in READ}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
README = TEXTS["README"]
BLOCKS = {
    name: re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    for name, text in TEXTS.items()
    if PAGES[name] not in READ
}
SHORTER = (
    ("epochs=10", "epochs=1, verbose=0"),
    ("steps=64", "steps=3"),
    ("max_trials=10", "max_trials=1"),
    (
        '"sequences": 1000, "evaluation_sequences": 100',
        '"sequences": 16, "evaluation_sequences": 2',
    ),
    ("build(0.25, ", "build(0.05, "),
)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Narrow models and little data, in an empty folder."""
    sets, sizes = zoo.data.occluded_mnist, {"sequences": 20, "evaluation_sequences": 10}
    films = zoo.data.moving_mnist
    ladder = zoo.occluded_mnist_rladder

    def few(digits=None, batch_size=10, **labels):
        return sets("sklearn", 10, **sizes, **labels)

    def narrow(weights=None, **kwargs):
        if weights:
            return ladder(weights=weights, **kwargs)
        return ladder(0.1, **{"table": small_table, **kwargs})

    rng = np.random.default_rng(0)
    pieces = [(rng.random((20, 88)) < 0.05).astype("uint8") for _ in range(3)]
    corpus = Corpus("noise", *((piece,) for piece in pieces))
    composer = zoo.polyphonic_music_rladder

    def rolls(name, **kwargs):
        return piano_rolls(corpus, **kwargs)

    def music(weights=None, **kwargs):
        own = [0.07] if weights is None else []
        return composer(*own, weights=weights, unroll=False, **kwargs)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo.data, "piano_rolls", rolls)
    monkeypatch.setattr(zoo, "polyphonic_music_rladder", music)
    textures = partial(
        zoo.data.textured_mnist, "sklearn", sequences=64, evaluation_sequences=4
    )
    narrow_tagger = partial(zoo.textured_mnist_rtagger, 0.1)
    monkeypatch.setattr(zoo.data, "textured_mnist", textures)
    monkeypatch.setattr(zoo, "textured_mnist_rtagger", narrow_tagger)
    chains = partial(
        zoo.data.gaussian_chain, batch_size=10, sequences=20, evaluation=20
    )
    monkeypatch.setattr(zoo.data, "gaussian_chain", chains)
    monkeypatch.setattr(zoo.data, "occluded_mnist", few)
    monkeypatch.setattr(
        zoo.data, "moving_mnist", lambda source=None, **k: films("sklearn", **k)
    )
    baseline = partial(zoo.occluded_mnist_temporal_baseline, 0.1)
    monkeypatch.setattr(
        zoo,
        "occluded_mnist_temporal_baseline",
        lambda table=small_table: baseline(table=table),
    )
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    little = {"frames": 2, "sequences": 20, "evaluation_sequences": 1}
    monkeypatch.setattr(OccludedMNISTBuilder, "ARGUMENTS", little)
    monkeypatch.setattr(zoo, "occluded_mnist_rladder", narrow)


def check_readme(names):
    assert names["model"].built
    shapes = {name: tuple(x.shape) for name, x in names["outputs"].items()}
    assert shapes == {"top": (10, 5, 10), "bottom": (10, 5, 32, 32, 16)}


def check_videos(names):
    assert names["continued"].shape[1:] == (20, 16, 16, 1)


CHECKS = {"README": check_readme, "videos": check_videos}
FILES = {
    "music": ("chorale.mid", "chorale.png"),
    "grouping": ("groups.png", "film.gif"),
    "videos": ("own.gif", "own.keras"),
    "datasets": ("dataset.png",),
}


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name, blocks in BLOCKS.items() if blocks])
def test_python_blocks_run(name, small, tmp_path):
    """As printed, but for one epoch of narrow models on little data."""
    names = {}
    for block in BLOCKS[name]:
        for long, short in SHORTER:
            block = block.replace(long, short)
        exec(compile(block, f"{name}.md", "exec"), names)
    CHECKS.get(name, lambda names: None)(names)
    for file in FILES.get(name, ()):
        assert (tmp_path / file).exists()


def test_pages_have_blocks_to_run():
    assert len(BLOCKS["README"]) == 3
    assert sum(map(len, BLOCKS.values())) > 20
    assert set(CHECKS) | set(FILES) <= {name for name, found in BLOCKS.items() if found}


@pytest.mark.parametrize("name", [path.stem for path in GUIDES])
def test_guides_begin_with_code_and_are_listed(name):
    assert re.match(r"# .+\n\n```", TEXTS[name])
    assert f"](docs/guides/{name}.md)" in README
    assert f"guides/{name}.md" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_links_to_files_lead_somewhere(name):
    links = re.findall(r"\]\((?!http)([^)]+)\)", TEXTS[name])
    files = re.findall(r"`((?:rladder_keras|zoo|tests|benchmarks)/[\w/.]+)`", README)
    assert files and (links or name == "CONTRIBUTING")
    assert not [path for path in files if not (ROOT / path).exists()]
    for link in links:
        path, _, fragment = link.partition("#")
        target = PAGES[name].parent / path if path else PAGES[name]
        assert target.exists(), link
        assert not fragment or fragment in headings(target), link


def test_map_from_paper_to_code_names_what_is_in_the_files():
    found = re.findall(r"((?:`[\w.]+`, )*`[\w.]+`)(?:, \.\.\.)? in `(\S+\.py)`", README)
    assert len(found) > 15
    for names, file in found:
        code = (ROOT / file).read_text(encoding="utf-8")
        for name in re.findall(r"(\w+)`", names):
            defined = rf"^ *(?:def |class ){name}\b|^{name}(?:: \w+)? = "
            assert re.search(defined, code, re.MULTILINE), (name, file)


def headings(path):
    """Anchors of the headings of a page."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in found]


@pytest.mark.parametrize("name", re.findall(r"`zoo\.(\w+)\(.*?\)`", README))
def test_models_that_are_listed_exist(name):
    assert callable(getattr(zoo, name, None)) or name == "data"


@pytest.mark.parametrize("page", TEXTS)
def test_names_in_the_text_exist(page):
    """Functions and classes in backticks, and programs that are started by `-m`."""
    names = re.findall(r"`((?:zoo|rladder_keras)\.[\w.]*\w)", TEXTS[page])
    assert not [name for name in names if not exists(name)]
    programs = re.findall(r"python3? -m ((?:zoo|benchmarks)[\w.]*)", TEXTS[page])
    assert not [name for name in programs if importlib.util.find_spec(name) is None]


def exists(name):
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_parameters_are_those_of_the_models():
    """The figures of the table of models, for those that are quickly built."""
    rows = re.findall(
        r"`zoo\.(\w*(?:rnn|baseline|classifier))\(\)` \| ([\d,]+)", README
    )
    assert len(rows) == 3
    for name, printed in rows:
        model = getattr(zoo, name)()
        count = sum(math.prod(v.shape) for v in model.trainable_variables)
        assert f"{count:,}" == printed


@pytest.mark.parametrize("model", zoo.list_models())
def test_weights_that_are_listed_exist(model, monkeypatch):
    """The tables of README and of the guide name all weights of the package."""
    monkeypatch.delenv("RLADDER_WEIGHTS_DIR", raising=False)
    names = set(zoo.list_weights(model))
    row = re.search(rf"`zoo\.{model}\(\)` \| [\d,]+ \|(.*)\|", README)
    assert names == set(re.findall(r'`"([\w-]+)"`', row[1] if row else ""))
    listed = re.findall(rf'`zoo\.{model}` \| `"([\w-]+)"`', TEXTS["weights"])
    assert names == set(listed)
