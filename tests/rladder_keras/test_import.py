"""What is said when the backend cannot be had."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once


@pytest.mark.parametrize("package", ["rladder_keras", "zoo"])
def test_an_unknown_backend_is_answered_with_the_known_ones(package):
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"],
        env={**os.environ, "KERAS_BACKEND": "theano"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "set it to one of tensorflow, jax, torch" in done.stderr
    assert "keras" not in done.stderr.splitlines()[-3].replace("rladder_keras", "")


@pytest.fixture
def home(tmp_path):
    """A folder of Keras' settings that no other test or user writes to."""
    (tmp_path / "keras.json").write_text("{}")
    return tmp_path


def imported(package, home, missing, **settings):
    """What is written where these packages are not installed."""
    hidden = f"""
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in {missing!r} else found(name)
import {package}
"""
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", hidden],
        env={**env, "KERAS_HOME": str(home), **settings},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("package", ["rladder_keras", "zoo"])
def test_without_tensorflow_the_backend_that_is_there_is_named(package, home):
    done = imported(package, home, ["tensorflow", "jax"])
    assert done.returncode != 0
    assert "tensorflow is not installed. Set KERAS_BACKEND=torch" in done.stderr


def test_without_a_backend_all_are_named(home):
    done = imported("rladder_keras", home, ["tensorflow", "jax", "torch"])
    assert "pip install tensorflow, or another of tensorflow, jax" in done.stderr


def test_the_settings_of_keras_name_the_backend(home):
    (home / "keras.json").write_text('{"backend": "jax"}')
    done = imported("rladder_keras", home, ["jax"])
    assert "jax is not installed. Set KERAS_BACKEND=tensorflow" in done.stderr


def test_the_backend_that_is_set_is_enough(home):
    done = imported("rladder_keras", home, ["tensorflow"], KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr
