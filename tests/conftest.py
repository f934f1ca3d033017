"""Settings of the whole suite."""

import os

# The models under test are tiny: compiling them without optimisation is faster.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture
def policy():
    """Sets the dtype policy of what is made after it, for the length of one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
