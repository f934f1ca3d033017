"""Settings of the whole suite."""

import os

# The models under test are tiny: compiling them without optimisation is faster.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras  # noqa: E402
import pytest  # noqa: E402


def pytest_collection_modifyitems(items):
    """Slow tests of what no backend does in its own way run on one of them.

    `once` is on PyTorch, which compiles nothing and is the fastest with small models;
    `once("jax")` says on which.
    """
    for item in items:
        if once := item.get_closest_marker("once"):
            (backend,) = once.args or ("torch",)
            if backend != keras.backend.backend():
                item.add_marker(pytest.mark.skip(reason=f"runs on {backend} only"))


@pytest.fixture(autouse=True)
def seeded():
    """What fails once fails again."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy():
    """Sets the dtype policy of what is made after it, for the length of one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
