"""KernelMuon, against the optimisers of Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.training.muon import KernelMuon, orthogonal


def trained(optimizer, shape, name="kernel", steps=4):
    """A variable after some steps with the same random gradients."""
    rng = np.random.default_rng(0)
    variable = keras.Variable(rng.normal(size=shape), dtype="float32", name=name)
    for _ in range(steps):
        gradient = ops.convert_to_tensor(rng.normal(size=shape), "float32")
        optimizer.apply([gradient], [variable])
    return ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(12, 30), (40, 9)])
def test_matrices_are_trained_as_by_keras(shape):
    muon = keras.optimizers.Muon(5e-3, weight_decay=None, adam_weight_decay=None)
    np.testing.assert_allclose(
        trained(KernelMuon(5e-3), shape), trained(muon, shape), atol=2e-6
    )


def test_a_kernel_of_a_convolution_is_a_matrix():
    muon = keras.optimizers.Muon(5e-3, weight_decay=None, adam_weight_decay=None)
    found = trained(KernelMuon(5e-3), (3, 3, 8, 16))
    expected = trained(muon, (72, 16))
    np.testing.assert_allclose(found.reshape(72, 16), expected, atol=2e-6)


@pytest.mark.parametrize(
    "shape, name", [((16,), "bias"), ((5, 16), "w"), ((1, 1, 16, 4), "kernel")]
)
def test_other_weights_are_trained_by_adam(shape, name):
    np.testing.assert_allclose(
        trained(KernelMuon(5e-3), shape, name),
        trained(keras.optimizers.Adam(2e-3), shape, name),
        atol=1e-6,
    )


def test_updates_have_singular_values_of_about_1():
    x = np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
    y = ops.convert_to_numpy(orthogonal(ops.convert_to_tensor(x), 5))
    values = np.linalg.svd(y, compute_uv=False)
    assert 0.6 < values.min() and values.max() < 1.3
    u, _, v = np.linalg.svd(x, full_matrices=False)
    assert np.trace(y.T @ (u @ v)) > 0.9 * np.linalg.norm(y) * np.sqrt(10)


def test_it_is_saved_with_its_state(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 12)), rng.normal(size=(8, 9))

    def steps(model, n):
        return [model.train_on_batch(x, y) for _ in range(n)]

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(9)])
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 10)
    model.compile(KernelMuon(schedule, momentum=0.8, adam_ratio=0.5), "mse")
    steps(model, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    np.testing.assert_allclose(steps(loaded, 3), steps(model, 3), rtol=1e-5)
