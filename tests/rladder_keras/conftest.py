"""What the tests share: how a layer is run, and how it is initialised."""

import os

# The layers under test are tiny: compiling them without optimisation is faster.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from keras import ops, tree  # noqa: E402


class Runner:
    """Calls layers on NumPy arrays; compiled on JAX, whose eager mode is slow."""

    def __init__(self):
        self.compiled = {}

    def __call__(self, layer, *inputs, training=False):
        inputs = tree.map_structure(ops.convert_to_tensor, inputs)
        if keras.backend.backend() == "jax" and layer.built:
            outputs = self.jitted(layer, inputs, training)
        else:
            outputs = layer(*inputs, training=training)
        return tree.map_structure(ops.convert_to_numpy, outputs)

    def jitted(self, layer, inputs, training):
        import jax

        def pure(values, inputs):
            mapping = zip(layer.variables, values, strict=True)
            with keras.StatelessScope(state_mapping=list(mapping)) as scope:
                outputs = layer(*inputs, training=training)
            moved = layer.non_trainable_variables
            return outputs, [scope.get_current_value(v) for v in moved]

        key = layer, training
        if key not in self.compiled:
            self.compiled[key] = jax.jit(pure)
        values = [v.value for v in layer.variables]
        outputs, moved = self.compiled[key](values, inputs)
        for variable, value in zip(layer.non_trainable_variables, moved, strict=True):
            variable.assign(value)
        return outputs


@pytest.fixture
def run():
    """`run(layer, *inputs, training=False)`: the outputs as NumPy arrays."""
    return Runner()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def initialised_by_numpy(monkeypatch):
    """Kernels from NumPy: the same on each backend, and nothing to compile on JAX."""
    rng = np.random.default_rng(1)

    def draw(self, shape, dtype=None):
        return rng.uniform(-0.3, 0.3, shape).astype(dtype or keras.config.floatx())

    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", draw)


@pytest.fixture
def policy():
    """Sets the dtype policy of what is made after it, for the length of one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
