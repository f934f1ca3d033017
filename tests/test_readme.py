"""README: its Python blocks run, its links lead somewhere, its commands exist."""

import math
import re
from functools import partial
from pathlib import Path

import pytest

import zoo
from zoo.occluded_mnist import small_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run(monkeypatch):
    """As printed, but for one epoch of a narrow model on few sequences."""
    few = partial(
        zoo.data.occluded_mnist, "sklearn", 10, sequences=20, evaluation_sequences=10
    )
    narrow = partial(zoo.occluded_mnist_rladder, 0.1, table=small_table)
    monkeypatch.setattr(zoo.data, "occluded_mnist", few)
    monkeypatch.setattr(zoo, "occluded_mnist_rladder", narrow)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    for block in blocks:
        exec(block.replace("epochs=10", "epochs=1, verbose=0"), names)
    assert names["model"].built
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
