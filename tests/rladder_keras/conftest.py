"""What the tests of the library share: above all, how a layer is run."""

import keras
import numpy as np
import pytest
from keras import ops, tree


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
