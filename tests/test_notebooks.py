"""The notebooks run: as they are, but with narrow models, few data and few epochs."""

import json
import re
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data.music.corpora import Corpus
from zoo.data.music.rolls import piano_rolls

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPOSITORY = re.search(
    r'Repository = "https://github.com/([\w/-]+)"',
    (ROOT / "pyproject.toml").read_text(),
)[1]


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


def code_of(path):
    """The code, without what only IPython can do and shorter than it is."""
    code = "\n\n".join(cells(path, "code"))
    code = re.sub(r"^( *)%.*", r"\1pass", code, flags=re.MULTILINE)
    for long, short in (
        (r"epochs=\d+", "epochs=1"),
        (r"max_trials=\d+", "max_trials=1"),
        (r"balls\(1_000\)", "balls(24)"),
        (r"(Conv|ConvLSTMCell)\((16|24), ", r"\1(2, "),
        (r"steps=48", "steps=24"),
        (r"(sequences|evaluation)=\d+_\d+", r"\1=200"),
    ):
        code = re.sub(long, short, code)
    return code


def from_sklearn(build):
    """Return `build` with the digits of scikit-learn in place of its first argument."""
    return lambda source, *args, **kwargs: build("sklearn", *args, **kwargs)


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """Data and models of the zoo in small."""
    monkeypatch.chdir(tmp_path)
    ladder = zoo.occluded_mnist_rladder

    def narrow(weights=None, **kwargs):
        return ladder(weights=weights, **kwargs) if weights else ladder(0.1, **kwargs)

    sets = partial(zoo.data.occluded_mnist, "sklearn", 10)
    sizes = {"sequences": 20, "evaluation_sequences": 20, "verbose": False}
    monkeypatch.setattr(zoo, "occluded_mnist_rladder", narrow)
    monkeypatch.setattr(zoo.data, "occluded_mnist", lambda *_, **__: sets(**sizes))
    for name in ("moving_mnist", "textured_mnist"):  # without a download
        monkeypatch.setattr(zoo.data, name, from_sklearn(getattr(zoo.data, name)))
    rng = np.random.default_rng(0)
    pieces = [(rng.random((30, 88)) < 0.05).astype("uint8") for _ in range(3)]
    # The weights of the notebook were trained on this corpus.
    corpus = Corpus("JSB Chorales", *((piece,) for piece in pieces))
    monkeypatch.setattr(zoo.data, "piano_rolls", lambda name: piano_rolls(corpus))
    music = zoo.polyphonic_music_rladder

    def narrow_music(width=None, **kwargs):
        return music(**kwargs) if width is None else music(0.07, unroll=False, **kwargs)

    monkeypatch.setattr(zoo, "polyphonic_music_rladder", narrow_music)
    search = zoo.hypermodel
    monkeypatch.setattr(
        zoo, "hypermodel", lambda *a, **k: search(*a, **{**k, "width": 0.1})
    )
    display = types.ModuleType("IPython.display")
    display.Image = Path
    display.Audio = lambda samples, rate: samples.shape
    monkeypatch.setitem(sys.modules, "IPython.display", display)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, toys):
    exec(compile(code_of(path), path.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_open_in_colab_and_show_their_outputs(path):
    """A badge that leads to this file, the backend before Keras, no errors."""
    first = cells(path, "markdown")[0]
    assert f"/github/{REPOSITORY}/blob/main/notebooks/{path.name})" in first
    setup = cells(path, "code")[0]
    assert "KERAS_BACKEND" in setup and "%pip install" in setup
    assert f"git+https://github.com/{REPOSITORY}" in setup
    assert "import keras" not in setup and "import zoo" not in setup
    notebook = json.loads(path.read_text(encoding="utf-8"))
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    assert len(outputs) >= 3
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert path.stat().st_size < 2 * 2**20
    assert f"notebooks/{path.name}" in (ROOT / "README.md").read_text()
