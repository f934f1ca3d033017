"""What a model of the zoo asks of its targets."""

from functools import partial

import keras
import numpy as np
import pytest
from keras.layers import Dense

import zoo
from zoo.model import ZooModel
from zoo.textured_mnist import small_table_9

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
    y = x[..., :2]
    with pytest.raises(ValueError, match=r"\['b', 'c'\]"):
        model.fit(x, {"a": y}, verbose=0)
    model.fit(x, {"a": y, "b": y, "c": y}, verbose=0)  # nothing is left behind


def test_metrics_of_before_are_forgotten(model, x):
    model.compile("adam", {"a": "mse"}, metrics={"b": ["mae"]})
    model.compile("adam", {"a": "mse"})
    logs = model.fit(x, {"a": x[..., :2]}, verbose=0).history
    assert set(logs) <= {"loss", "a_loss"}


def test_a_loaded_model_needs_the_same_targets(model, x, tmp_path):
    model.compile("adam", {"a": "mse"})
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    logs = loaded.fit(x, {"a": x[..., :2]}, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


def test_a_data_set_may_say_how_many_batches_it_has(model, x):
    class Batches(keras.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, index):
            return x, {"a": x[..., :2]}

    model.compile("adam", {"a": "mse"})
    assert np.isfinite(model.fit(Batches(), verbose=0).history["loss"]).all()


class Stoppable(keras.layers.Layer):
    """Stops the user's program, the next time that it is compiled, if it is told to."""

    stop = False

    def call(self, x):
        if self.stop:
            self.stop = False
            raise KeyboardInterrupt
        return x


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="elsewhere Keras does it")
@pytest.mark.parametrize("when", ["as it compiles", "after some steps"])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_a_model_that_was_stopped_goes_on(x, use, when):
    inputs, stoppable = keras.Input((3, 4)), Stoppable()
    model = ZooModel(inputs, {"a": Dense(2, name="a")(stoppable(inputs))})
    model.compile("adam", {"a": "mse"})
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    before = model.get_weights()

    def until_stopped():
        stoppable.stop = when == "as it compiles"
        for _ in range(5):
            yield x[:1], {"a": x[:1, :, :2]}
        raise KeyboardInterrupt

    shuffle = {"shuffle": False} if use == "fit" else {}
    with pytest.raises(KeyboardInterrupt):
        getattr(model, use)(until_stopped(), verbose=0, **shuffle)
    steps = int(model.optimizer.iterations.value)
    assert (steps > 1) == (use == "fit" and when == "after some steps")
    if steps == 1:
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    assert int(model.optimizer.iterations.value) == steps + 1
    assert np.isfinite(model.predict(x, verbose=0)["a"]).all()


@pytest.mark.once
def test_channels_are_last_whatever_keras_is_set_to():
    builders = [
        partial(zoo.occluded_mnist_rladder, 0.1),
        partial(zoo.polyphonic_music_rladder, 0.05),
        partial(zoo.textured_mnist_convnet, 0.1, size=32),
        partial(zoo.textured_mnist_rtagger, 0.05, size=32, table=small_table_9),
    ]
    last = [build() for build in builders]
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        first = [build() for build in builders]
    finally:
        keras.config.set_image_data_format(before)
    for a, b in zip(first, last, strict=True):
        assert [w.shape for w in a.weights] == [w.shape for w in b.weights]
