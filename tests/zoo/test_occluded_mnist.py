"""Tasks of the models: what they are scored on, and what reaches what."""

import keras
import numpy as np
import pytest
from keras import ops
from short_tables import short

import zoo
from zoo.models import occluded_mnist as om

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return om.occluded_mnist_rladder(0.1, table=short(om.small_table))


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(1).random((4, 5, 32, 32, 1)).astype("float32")


@pytest.mark.everywhere
def test_outputs_are_probabilities_and_frames(model, frames):
    outputs = model.predict(frames, verbose=0)
    assert outputs["class"].shape == (4, 5, 10)
    np.testing.assert_allclose(outputs["class"].sum(axis=-1), 1, atol=1e-5)
    for name in ("frame", "probe"):
        assert outputs[name].shape == frames.shape
        assert 0 <= outputs[name].min() and outputs[name].max() <= 1


def test_any_batch_size_and_length(model, frames):
    for batch, steps in ((1, 1), (3, 2), (2, 5)):
        outputs = model.predict(frames[:batch, :steps], verbose=0)
        assert outputs["class"].shape == (batch, steps, 10)
    longer = np.concatenate([frames, frames[:, :1]], axis=1)
    first = model.predict(longer, verbose=0)["class"][:, :5]
    np.testing.assert_allclose(
        first, model.predict(frames, verbose=0)["class"], atol=1e-5
    )


@pytest.mark.everywhere
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_the_probe_trains_nothing_but_itself(frames):
    """With the two tasks switched off, the probe's loss moves only its own weights."""
    model = om.occluded_mnist_rladder(0.1, table=short(om.small_table), unroll=False)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={"class": None, "frame": None, "probe": om.ProbeLoss()},
    )
    before = [ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    y = {"class": np.zeros(4), "frame": frames, "probe": frames}
    model.fit(frames, y, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(v.value) - old).max() > 0
        assert moved == v.path.startswith("probe"), v.path


@pytest.mark.parametrize(
    ("weight", "probe"),
    [pytest.param(0.5, 0.5, marks=pytest.mark.everywhere), (0.0, 1.0)],
)
def test_the_probe_is_trained_with_and_without_a_prediction_task(weight, probe, frames):
    table = short(om.small_table)
    model = om.occluded_mnist_rladder(
        0.1, table=table, frame_weight=weight, unroll=False
    )
    y = {"class": np.zeros(4), "frame": frames, "probe": frames}
    found = model.evaluate(frames, y, verbose=0, return_dict=True)
    tasks = found["class_loss"] + weight * found["frame_loss"]
    assert found["loss"] == pytest.approx(tasks + probe * found["probe_loss"], rel=1e-5)
    assert found["probe_loss"] > 1


def test_targets_that_are_missing_are_named(model, frames):
    with pytest.raises(ValueError, match="frame"):
        model.train_on_batch(frames, {"class": np.zeros(4), "probe": frames})


@pytest.mark.parametrize(
    "spoil, message", [(np.nan, "NaN"), (255.0, "255"), (-1.0, r"\[0, 1\]")]
)
def test_frames_that_are_none_are_refused(model, frames, spoil, message):
    frames = frames.copy()
    frames[0, 0, 0, 0, 0] = spoil
    with pytest.raises(ValueError, match=message):
        model.predict(frames)


def test_frames_of_a_data_set_of_the_users_are_looked_at(model, frames):
    class Bytes(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (frames * 255).astype("uint8"), {}

    with pytest.raises(ValueError, match="divide 8-bit images by 255"):
        model.fit(Bytes())


@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_are_refused_whatever_loads_them(model, frames, use, dtype):
    def batches(x, y):
        yield x, {"class": np.zeros(2, "int32"), "frame": y, "probe": frames[:2]}

    x = (frames[:2] * 255).astype(dtype)
    shuffle = {"shuffle": False} if use == "fit" else {}
    for batch in ((x, x),) if use == "predict" else ((x, x), (frames[:2], x)):
        with pytest.raises(ValueError, match=f"of type {dtype}.*divide 8-bit images"):
            getattr(model, use)(batches(*batch), verbose=0, **shuffle)


@pytest.mark.everywhere
def test_binary_frames_are_booleans(model, frames):
    binary, state = frames > 0.5, model.init_state(len(frames))
    expected = model.predict(binary.astype("float32"), verbose=0)
    found = model.predict(binary, verbose=0)
    np.testing.assert_allclose(found["frame"], expected["frame"], atol=1e-6)
    for refuse in (
        lambda: model.predict(binary.astype("uint8"), verbose=0),
        lambda: model.step(binary[:, 0].astype("uint8"), state),
        lambda: model.rollout(binary.astype("uint8"), 1),
    ):
        with pytest.raises(ValueError, match="of type uint8.* as booleans"):
            refuse()


@pytest.mark.everywhere
def test_tensors_are_looked_at(model, frames):
    tensor = ops.convert_to_tensor(frames)
    outputs = model.predict(tensor, verbose=0)
    model.step(tensor[:, 0], model.init_state(len(frames)))
    for refuse in (
        lambda: model.fit(255 * tensor, outputs),
        lambda: model.predict(255 * tensor),
        lambda: model.step(255 * tensor[:, 0], model.init_state(len(frames))),
    ):
        with pytest.raises(ValueError, match="Divide 8-bit images by 255"):
            refuse()
    y = {"class": ops.convert_to_tensor(np.full(len(frames), 10))}
    with pytest.raises(ValueError, match="10 classes; got labels from 10 to 10"):
        model.evaluate(tensor, {**outputs, **y})


@pytest.mark.everywhere
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_what_a_tf_data_set_says_of_its_frames_is_heeded(model, frames):
    import tensorflow as tf

    films = tf.data.Dataset.from_tensor_slices(frames)
    assert set(model.predict(films.batch(2), verbose=0)) == {"class", "frame", "probe"}
    with pytest.raises(
        ValueError, match=r"must have shape \(batch, T.* got shape \(5, "
    ):
        model.predict(films)
    films = films.batch(2).map(lambda x: (tf.cast(255 * x, "uint8"), {"frame": x}))
    with pytest.raises(ValueError, match="of the dataset must be .* of type uint8"):
        model.fit(films)
    binary = tf.data.Dataset.from_tensor_slices(frames > 0.5).batch(2)
    model.predict(binary, verbose=0)


def test_frames_of_another_size_are_refused(model):
    with pytest.raises(ValueError, match="32, 32, 1"):
        model.predict(np.zeros((1, 5, 28, 28, 1), "float32"), verbose=0)


def test_a_small_ladder_learns_a_handful_of_sequences():
    """Overfits eight sequences: the class is learned, frames are predicted better."""
    train, _, _ = zoo.data.occluded_mnist("sklearn", 8, sequences=8, verbose=False)
    frames, y = train[0]
    model = om.occluded_mnist_rladder(0.5, table=om.small_table, learning_rate=5e-3)
    losses = [model.train_on_batch(frames, y, return_dict=True) for _ in range(40)]
    assert losses[-1]["class_error"] <= 0.25
    assert losses[-1]["frame_mse"] < 0.7 * losses[0]["frame_mse"]
