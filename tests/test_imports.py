"""The arrows between the packages: what may import what."""

import ast
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path.relative_to(ROOT)
    for package in ("rladder_keras", "zoo")
    for path in (ROOT / package).rglob("*.py")
)


def imported(path):
    """Dotted names of all modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def starts(name, *packages):
    return any(name == p or name.startswith(f"{p}.") for p in packages)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_one_way(path):
    names = list(imported(path))
    backends = {"tensorflow", "jax", "torch"}
    if path == Path("zoo/data/tfds/base.py"):  # `tf.data`, on demand
        backends.remove("tensorflow")
    if path == Path("zoo/training/together.py"):  # `jax.jit` of `jax.vmap`, on demand
        backends.remove("jax")
    assert not [n for n in names if starts(n, "keras.src", *backends)]
    if path.parts[0] == "rladder_keras":
        assert not [n for n in names if starts(n, "zoo", "sklearn")]
    if path.parts[:2] == ("zoo", "data") and path.name not in (
        "epochs.py",  # `keras.utils.PyDataset`, what `fit` takes on all backends
        "sources.py",  # the download of MNIST, on demand
    ):
        assert not [n for n in names if starts(n, "keras", "rladder_keras")]
    if path == Path("rladder_keras/ladder.py"):
        cells = ("rladder_keras.cells.encoders", "rladder_keras.cells.decoders")
        assert not [n for n in names if starts(n, *cells)]


def test_all_packages_are_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {".".join(path.parent.parts) for path in FILES}
    assert sorted(settings["tool"]["setuptools"]["packages"]) == sorted(folders)
