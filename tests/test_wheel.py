"""The wheel has all that a user needs: code, weights with their cards, and records."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo

ROOT = Path(__file__).parent.parent
PROGRAM = """
import numpy as np
import zoo

names = zoo.list_weights()
for model, of_model in names.items():
    for name in of_model:
        assert zoo.weights.card(model, name)["sha256"]
assert zoo.weights.__file__.startswith({folder!r}), zoo.weights.__file__
model = zoo.occluded_mnist_rladder(weights="small-sklearn")
train, _, test = zoo.data.occluded_mnist("sklearn", 4, sequences=8, verbose=False)
before = [np.array(w) for w in model.get_weights()]
model.fit(train, verbose=0)
assert any((a != b).any() for a, b in zip(before, model.get_weights()))
print(len(names), "models have weights")
"""


@pytest.mark.once
def test_a_wheel_that_is_installed_elsewhere_trains(tmp_path):
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    folder = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
    install = [*pip, "install", "--no-deps", "--no-index", "--target", folder, wheel]
    subprocess.run(install, check=True)
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(folder=str(folder))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == f"{len(zoo.list_weights())} models have weights"
