"""The examples in the docstrings: those of the library run on each backend."""

import doctest
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

import rladder_keras
import zoo

ROOT = Path(__file__).parent.parent
MODULES = [
    pytest.param(".".join(path.relative_to(ROOT).with_suffix("").parts), marks=marks)
    for package, marks in (("rladder_keras", ()), ("zoo", pytest.mark.once))
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]
# What the examples take as imported; `docs/api/ladder.md` says so.
NAMES = {
    "keras": keras,
    "np": np,
    "ops": keras.ops,
    "zoo": zoo,
    **{name: getattr(rladder_keras, name) for name in rladder_keras.__all__},
}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    module = importlib.import_module(module)
    result = doctest.testmod(module, globs=NAMES, optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


def test_what_is_public_has_an_example():
    missing = [
        name
        for name in rladder_keras.__all__
        if ">>>" not in (getattr(rladder_keras, name).__doc__ or "")
    ]
    assert not missing
