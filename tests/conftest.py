"""Settings of the whole suite."""

import os

# The models under test are tiny: compiling them without optimisation is faster.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras  # noqa: E402
import pytest  # noqa: E402
from run import BACKENDS  # noqa: E402


def pytest_collection_modifyitems(items):
    """Slow tests of what no backend does in its own way run on one of them.

    `turns("torch")` says on which; with `turns` the parameters take turns.
    """
    for item in items:
        if turns := item.get_closest_marker("turns"):
            if turns.args:
                (turn,) = turns.args
            else:
                turn = BACKENDS[sum(item.callspec.indices.values()) % len(BACKENDS)]
            if turn != keras.backend.backend():
                item.add_marker(pytest.mark.skip(reason=f"its turn is on {turn}"))


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
