"""README: its Python blocks run, its links lead somewhere, its commands exist."""

import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from zoo.occluded_mnist import small_table

import zoo
from zoo.data.music.corpora import Corpus
from zoo.data.music.rolls import piano_rolls
from zoo.data.tfds import OccludedMNISTBuilder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.once
def test_python_blocks_run(monkeypatch, tmp_path):
    """As printed, but for one epoch of narrow models on little data."""
    sets, sizes = zoo.data.occluded_mnist, {"sequences": 20, "evaluation_sequences": 10}
    ladder = zoo.occluded_mnist_rladder

    def few(digits=None, batch_size=10, **labels):
        return sets("sklearn", 10, **sizes, **labels)

    def narrow(weights=None, table=None):
        return ladder(weights=weights) if weights else ladder(0.1, table=small_table)

    rng = np.random.default_rng(0)
    pieces = [(rng.random((20, 88)) < 0.05).astype("uint8") for _ in range(3)]
    corpus = Corpus("noise", *((piece,) for piece in pieces))
    composer = zoo.polyphonic_music_rladder

    def music(weights=None, **kwargs):
        own = [0.07] if weights is None else []
        return composer(*own, weights=weights, unroll=False, **kwargs)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo.data, "piano_rolls", lambda name: piano_rolls(corpus))
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
    baseline = partial(zoo.occluded_mnist_temporal_baseline, 0.1, table=small_table)
    monkeypatch.setattr(zoo, "occluded_mnist_temporal_baseline", baseline)
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    little = {"frames": 2, "sequences": 20, "evaluation_sequences": 1}
    monkeypatch.setattr(OccludedMNISTBuilder, "ARGUMENTS", little)
    monkeypatch.setattr(zoo, "occluded_mnist_rladder", narrow)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    for block in blocks:
        short = block.replace("epochs=10", "epochs=1, verbose=0")
        short = short.replace("steps=64", "steps=3")
        exec(short.replace("max_trials=10", "max_trials=1"), names)
    assert names["model"].built
    for name in ("chorale.mid", "chorale.png", "groups.png", "film.gif", "own.gif"):
        assert (tmp_path / name).exists()
    assert names["continued"].shape[1:] == (20, 16, 16, 1)
    shapes = {name: tuple(x.shape) for name, x in names["outputs"].items()}
    assert shapes == {"top": (10, 5, 10), "bottom": (10, 5, 32, 32, 16)}


def test_links_to_files_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)", README)
    files = re.findall(r"`((?:rladder_keras|zoo|tests)/[\w/.]+)`", README)
    assert links and files
    assert not [path for path in links + files if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", re.findall(r"`zoo\.(\w+)\(.*?\)`", README))
def test_models_that_are_listed_exist(name):
    assert callable(getattr(zoo, name, None)) or name == "data"


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
