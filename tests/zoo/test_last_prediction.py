"""The prediction after the last frame: not computed where nothing compares it."""

import keras
import numpy as np
import pytest
from keras import ops
from keras.layers import AveragePooling2D

import zoo
from rladder_keras import (
    G1,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
)
from rladder_keras.recurrence import last_unread
from zoo.models.base import ZooModel
from zoo.models.occluded_mnist import small_table


@keras.saving.register_keras_serializable("tests")
def of_all_steps(frames, predicted):
    return ops.mean(ops.square(frames - predicted), axis=-1)


@pytest.mark.parametrize("mask_value", [None, pytest.param(-1, marks=pytest.mark.once)])
def test_a_prediction_that_no_loss_compares_costs_nothing_and_changes_nothing(
    mask_value,
):
    x = np.random.default_rng(0).random((4, 3, 16, 16, 1), dtype="float32")
    if mask_value:
        x[2:, 2:] = mask_value
    y = {"frame": x, "class": np.arange(4)}

    def trained(reads):
        keras.utils.set_random_seed(0)
        rows = [
            Level(ConvLSTMCell(4, 3), ConvG3(3)),
            Level(AveragePooling2D(4), G1()),
            Level(LSTMCell(4), G1()),
            Level(Softmax(10)),
        ]
        model = zoo.rladder(
            rows, (16, 16, 1), ("class", "frame"), mask_value=mask_value
        )
        loss = {"class": zoo.videos.LastClass(), "frame": zoo.videos.FrameLoss()}
        metrics = {"frame": [zoo.videos.FrameMSE()]}
        sgd = keras.optimizers.SGD(0.01)
        model.compile(sgd, loss, weighted_metrics=metrics)
        assert model.last_is_unread
        model.last_is_unread = not reads
        logs = [model.train_on_batch(x, y, return_dict=True) for _ in range(2)]
        return logs, model

    (logs, model), (expected, twin) = trained(False), trained(True)
    for found, wanted in zip(logs, expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)
    for found, wanted in zip(model.weights, twin.weights, strict=True):
        wanted = ops.convert_to_numpy(wanted)
        np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, atol=1e-6)
    predicted = model.predict(x, verbose=0)["frame"]
    np.testing.assert_allclose(
        predicted, twin.predict(x, verbose=0)["frame"], atol=1e-5
    )
    assert np.ptp(predicted[:, -1]) > 0
    (ladder,) = (n for n in model.layers if isinstance(n, RecurrentLadder))
    with last_unread():
        d = ops.convert_to_numpy(ladder(x, training=True)["bottom"])
    assert np.ptp(d[:, -2]) > 0 and not d[:, -1].any()


@pytest.mark.once
def test_a_loss_that_reads_the_last_prediction_gets_it():
    model = zoo.occluded_mnist_rladder(0.1, table=small_table)
    assert model.last_is_unread
    model.compile("adam", {"class": "crossentropy", "frame": of_all_steps})
    assert not model.last_is_unread
    model.compile("adam", {"class": "crossentropy"}, metrics={"frame": [of_all_steps]})
    assert not model.last_is_unread
    for loss in ("mse", zoo.videos.FrameLoss()):
        model.compile("adam", {"class": "crossentropy", "frame": loss})
        assert model.last_is_unread


@pytest.mark.once
def test_a_class_that_a_decoder_computes_reads_the_last_step():
    x = keras.Input((None, 4, 4, 1))
    d = RecurrentLadder([Level(ConvLSTMCell(2, 3), ConvG3(3))])(x)["bottom"]
    classes = keras.layers.Dense(3, "softmax")(keras.layers.Reshape((-1, 32))(d))
    model = ZooModel(x, {"class": classes})
    model.compile("adam", {"class": zoo.videos.LastClass()})
    assert not model.last_is_unread


@pytest.mark.once
def test_a_loss_that_stays_when_only_the_optimizer_changes_is_heeded(tmp_path):
    model = zoo.occluded_mnist_rladder(0.1, table=small_table)
    weights = {"class": 1.0, "frame": 0.5}
    model.compile("sgd", {"class": "crossentropy", "frame": of_all_steps}, weights)
    model.compile("adam")
    assert not model.last_is_unread
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for other in (loaded, zoo.MeanTeacher(model)):
        config = other.get_compile_config()
        assert config["loss_weights"] == weights
        assert set(config["loss"]) == {"class", "frame"}
    model.compile("adam", metrics={"class": ["accuracy"]})
    assert model.scored == {"class", "frame"}
    x = np.zeros((2, 2, 32, 32, 1), "float32")
    with pytest.raises(ValueError, match="frame"):
        model.fit(x, {"class": np.zeros(2, int)}, verbose=0)
