"""Tests of Moving MNIST, ten frames to ten."""

import csv

import keras
import numpy as np
import pytest

import zoo
from zoo import reproduce
from zoo.data.digits.moving import MovingMNIST
from zoo.data.digits.prediction import StandardTestSet, moving_mnist_prediction
from zoo.experiments.run import size as size_of
from zoo.metrics.pictures import picture_quality
from zoo.models.frame_prediction import moving_mnist_copy

pytestmark = pytest.mark.once
TINY = {"size": 20, "sequences": 8, "evaluation_sequences": 6, "verbose": False}


@pytest.fixture(scope="module")
def sets():
    return moving_mnist_prediction("sklearn", 4, **TINY)


def test_generated_and_published_test_sequences_are_not_one_result():
    command = ["moving-mnist", "--row", "ladder"]
    published = reproduce.arguments([*command, "--test-file", "mnist_test_seq.npy"])
    assert size_of(published) == "full"
    own = size_of(reproduce.arguments(command))
    assert own == "reduced: generated test sequences"


def test_hidden_frames_are_black_and_the_targets_are_those_of_moving_mnist(sets):
    for data in sets:
        x, y, _ = data[0]
        usual = MovingMNIST.batch(data, 0)[0]
        np.testing.assert_array_equal(y["frame"], usual)
        np.testing.assert_array_equal(x[:, :10], usual[:, :10])
        assert not x[:, 10:].any() and usual[:, 10:].any()
        assert x.shape == (4, 20, 20, 20, 1)


def test_training_scores_all_predictions_and_the_evaluation_those_of_hidden_frames(
    sets,
):
    train, valid, test = (data[0][2]["frame"] for data in sets)
    assert (train == 1).all() and train.shape == (4, 20)
    for weights in (valid, test):
        np.testing.assert_array_equal(weights, [[0] * 9 + [1] * 11] * 4)


def test_the_metric_is_the_mean_over_the_hidden_frames(sets):
    model = zoo.moving_mnist_predictor(0.05, size=20)
    predicted, errors = [], []
    for i in range(len(sets[1])):
        x, y, _ = sets[1][i]
        predicted = model.predict(x, verbose=0)["frame"][:, 9:-1]
        errors += list(((predicted - y["frame"][:, 10:]) ** 2).mean(axis=(1, 2, 3, 4)))
    found = model.evaluate(sets[1], verbose=0, return_dict=True)
    assert found["frame_mse"] == pytest.approx(np.mean(errors), rel=1e-4)


@pytest.mark.parametrize(("name", "rate"), [("predictor", 0.003), ("convlstm", 0.03)])
def test_the_models_learn(sets, name, rate):
    x = sets[0][0][0][:, 4:14]
    model = getattr(zoo, f"moving_mnist_{name}")(0.1, size=20, learning_rate=rate)
    history = model.fit(x, {"frame": x}, epochs=10, verbose=0).history
    assert history["frame_mse"][-1] < 0.9 * history["frame_mse"][0]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_copy_is_the_last_frame_that_was_given(sets, policy, precision):
    policy(precision)
    x, y, _ = sets[2][0]
    predicted = moving_mnist_copy(size=20).predict(x, verbose=0)["frame"]
    np.testing.assert_array_equal(predicted[:, :10], x[:, :10])
    last = np.broadcast_to(x[:, 9:10], x[:, 10:].shape)
    np.testing.assert_array_equal(predicted[:, 10:], last)


@pytest.mark.parametrize("width", [0.5, 0.25])
def test_the_stack_costs_as_much_as_the_ladder(width):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    found = []
    for build in (zoo.moving_mnist_predictor, zoo.moving_mnist_convlstm):
        model = build(width, size=32)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(np.zeros((1, 20, 32, 32, 1), "float32"))
        found.append(counter.get_total_flops())
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_the_published_test_set_is_read(tmp_path):
    films = np.random.default_rng(0).integers(0, 256, (20, 5, 64, 64), np.uint8)
    path = tmp_path / "mnist_test_seq.npy"
    np.save(path, films)
    data = StandardTestSet(path, 2)
    assert len(data) == 3 and data.num_sequences == 5
    x, y, weights = data[2]
    np.testing.assert_allclose(y["frame"][0, 7, ..., 0], films[7, 4] / 255, rtol=1e-6)
    assert x.shape == (1, 20, 64, 64, 1) and not x[:, 10:].any()
    assert weights["frame"].sum() == 11
    _, _, test = moving_mnist_prediction(
        "sklearn", 2, evaluation_sequences=3, test_file=path, verbose=False
    )
    assert test.num_sequences == 3


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "films.npy"
    np.save(path, np.zeros((5, 20, 64, 64), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(20, n, 64, 64\); got uint8 of"):
        StandardTestSet(path)
    np.save(path, np.ones((20, 2, 64, 64), np.uint8))
    with pytest.raises(ValueError, match="pixels of 0 and 1 only"):
        StandardTestSet(path)
    np.savez(tmp_path / "films.npz", films=np.zeros((20, 2, 64, 64), np.uint8))
    with pytest.raises(ValueError, match=r"must be a \.npy file"):
        StandardTestSet(tmp_path / "films.npz")
    path.write_bytes(b"no array")
    with pytest.raises(ValueError, match="must be a NumPy file; it cannot be read"):
        StandardTestSet(path)
    few = tmp_path / "few.npy"
    np.save(few, np.full((20, 3, 64, 64), 9, np.uint8))
    with pytest.raises(ValueError, match="`evaluation_sequences` must be .* 1 to 3"):
        moving_mnist_prediction("sklearn", 4, test_file=few)
    with pytest.raises(ValueError, match="`size` must be 64"):
        moving_mnist_prediction("sklearn", 4, size=32, test_file=path)


def test_quality_of_pictures():
    rng = np.random.default_rng(0)
    frames = rng.random((2, 3, 16, 12, 1))
    predicted = np.clip(frames + rng.normal(0, 0.1, frames.shape), 0, 1)
    found = picture_quality(frames, predicted)
    off = predicted - frames
    assert found["MSE"] == pytest.approx((off**2).mean() * 16 * 12)
    assert found["MAE"] == pytest.approx(np.abs(off).mean() * 16 * 12)
    ratios = -10 * np.log10((off**2).mean(axis=(2, 3, 4)))
    assert found["PSNR"] == pytest.approx(ratios.mean())
    assert 0.5 < found["SSIM"] < 1
    equal = {"MSE": 0.0, "MAE": 0.0, "SSIM": 1.0, "PSNR": 100.0}
    assert picture_quality(frames, frames) == pytest.approx(equal)


@pytest.mark.parametrize(
    "row", ["ladder", "ConvLSTM2D stack", "copy of the last frame"]
)
def test_it_is_reproduced(row, tmp_path):
    command = (
        f"moving-mnist --size 20 --digits sklearn --sequences 8 --validation 4 "
        f"--epochs 1 --batch-size 4 --width 0.05 --out {tmp_path / 'run'} "
        f"--runs {tmp_path / 'runs.csv'} --row"
    )
    load = zoo.data.moving_mnist_prediction
    few = lambda *args, **kwargs: load(*args, **{"evaluation_sequences": 5, **kwargs})  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.data.moving_mnist_prediction", few)
        reproduce.main([*command.split(), row])
    keras.backend.clear_session()
    with open(tmp_path / "runs.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["metric"] for line in lines] == ["MSE", "MAE", "SSIM", "PSNR"]
    assert lines[0]["size"].startswith("reduced: size 20, width 0.05, 1 epochs of 8")
