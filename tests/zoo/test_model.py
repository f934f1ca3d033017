"""What a model of the zoo asks of its targets."""

import keras
import numpy as np
import pytest
from keras.layers import Dense

from zoo.model import ZooModel

pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


@pytest.fixture
def model():
    x = keras.Input((3, 4))
    return ZooModel(x, {name: Dense(2, name=name)(x) for name in "abc"})


@pytest.fixture
def x():
    return np.random.default_rng(0).random((2, 3, 4)).astype("float32")


def test_outputs_without_loss_and_metrics_need_no_targets(model, x):
    model.compile("adam", {"a": "mse"}, metrics={"b": ["mae"], "c": None})
    y = x[..., :2]
    logs = model.fit(x, {"a": y, "b": y}, verbose=0).history
    outputs = model.predict(x, verbose=0)
    assert np.isfinite(logs["loss"]).all()
    found = model.evaluate(x, {"a": y, "b": y}, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(np.mean((outputs["a"] - y) ** 2), rel=1e-4)
    assert found["b_mae"] == pytest.approx(np.mean(abs(outputs["b"] - y)), rel=1e-4)
    with pytest.raises(ValueError, match=r"\['b'\]: .* \['a', 'b'\]"):
        model.fit(x, {"a": y}, verbose=0)


def test_one_loss_for_all_outputs_needs_all_targets(model, x):
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"\['b', 'c'\]"):
        model.fit(x, {"a": x[..., :2]}, verbose=0)


def test_a_loaded_model_needs_the_same_targets(model, x, tmp_path):
    model.compile("adam", {"a": "mse"})
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    logs = loaded.fit(x, {"a": x[..., :2]}, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
