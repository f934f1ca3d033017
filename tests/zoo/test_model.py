"""What a model of the zoo asks of its targets."""

import os
import signal
from functools import partial

import keras
import numpy as np
import pytest
from keras.layers import Dense
from zoo.textured_mnist import small_table_9

import zoo
from zoo.models.base import ZooModel

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
    with pytest.raises(ValueError, match=r"\['b'\]; got .* \['a', 'b'\]"):
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
    """Stops the user's program once, while it is compiled or while it runs."""

    stop = None

    def interrupt(self):
        if self.stop:
            self.stop = None
            os.kill(os.getpid(), signal.SIGINT)

    def call(self, x):
        import jax

        if self.stop == "compiling":
            self.interrupt()
        jax.debug.callback(self.interrupt)
        return x


@pytest.fixture
def interruptible():
    """In the background programs may begin without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stoppable_model(x):
    inputs, stoppable = keras.Input((3, 4)), Stoppable()
    model = ZooModel(inputs, {"a": Dense(2, name="a")(stoppable(inputs))})
    model.compile("adam", {"a": "mse"})
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    return model, stoppable


ON_JAX = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="elsewhere Keras does it"
)


@ON_JAX
@pytest.mark.parametrize("when", ["compiling", "running", "loading"])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_a_model_that_was_stopped_goes_on(interruptible, x, use, when):
    model, stoppable = stoppable_model(x)
    before = model.get_weights()

    def until_stopped():
        """Batches of another size than before, so that it compiles once more."""
        stoppable.stop = when if when == "compiling" else None
        yield from [(x[:1], {"a": x[:1, :, :2]})] * 9
        stoppable.stop = when if when == "running" else None
        if when != "loading":
            yield from [(x[:1], {"a": x[:1, :, :2]})] * 90
            raise AssertionError("nothing stopped it")
        raise KeyboardInterrupt

    shuffle = {"shuffle": False} if use == "fit" else {}
    with pytest.raises(KeyboardInterrupt):
        getattr(model, use)(until_stopped(), verbose=0, **shuffle)
    steps = int(model.optimizer.iterations.value)
    assert (1 < steps < 50) == (use == "fit" and when != "compiling")
    if steps == 1:
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
    model.fit(x, {"a": x[..., :2]}, verbose=0)
    assert int(model.optimizer.iterations.value) == steps + 1
    assert np.isfinite(model.predict(x, verbose=0)["a"]).all()


@ON_JAX
@pytest.mark.parametrize("use", ["train", "test", "predict"])
def test_a_single_batch_is_not_interrupted(interruptible, x, use):
    model, stoppable = stoppable_model(x)
    targets = () if use == "predict" else ({"a": x[..., :2]},)
    getattr(model, f"{use}_on_batch")(x, *targets)
    stoppable.stop = "running"
    with pytest.raises(KeyboardInterrupt):
        for _ in range(50):
            getattr(model, f"{use}_on_batch")(x, *targets)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.once
def test_channels_are_last_whatever_keras_is_set_to():
    builders = [
        partial(zoo.occluded_mnist_rladder, 0.1),
        partial(zoo.polyphonic_music_rladder, 0.05),
        partial(zoo.polyphonic_music_rladder, 0.05, joint=True),
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
