"""What is said when the backend cannot be had."""

import os
import subprocess
import sys

import pytest


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
