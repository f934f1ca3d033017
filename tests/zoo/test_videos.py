"""Ladders for videos of one's own, and their data."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image
from zoo.occluded_mnist import small_table, table_5

import zoo
from rladder_keras import G1, Conv, ConvG3, ConvLSTMCell, Level, LSTMCell, Softmax
from zoo import videos
from zoo.data.videos.arrays import Videos
from zoo.metrics import frames as frame_metrics

pytestmark = pytest.mark.once


@pytest.mark.everywhere
def test_class_is_scored_after_the_last_frame_only():
    probabilities = np.full((2, 3, 10), 0.05, "float32")
    probabilities[:, 2, 7] = 0.55
    labels, probabilities = map(ops.convert_to_tensor, ([7, 1], probabilities))
    np.testing.assert_allclose(frame_metrics.error(labels, probabilities), [0, 1])
    loss = videos.LastClass(reduction=None)(labels, probabilities)
    np.testing.assert_allclose(loss, -np.log([0.55, 0.05]), rtol=1e-5)


@pytest.mark.everywhere
def test_labels_may_have_an_axis_of_their_own():
    labels, p = np.array([0, 1, 1]), ops.array(np.eye(2)[[[0], [1], [0]]])
    for y in (labels, labels[:, None]):
        wrong = ops.convert_to_numpy(frame_metrics.error(ops.array(y), p))
        np.testing.assert_array_equal(wrong, [0, 0, 1])


@pytest.mark.everywhere
def test_a_prediction_is_compared_with_the_next_frame():
    rng = np.random.default_rng(0)
    frames, predicted = rng.random((2, 4, 5, 32, 32, 1)).astype("float32")
    squares = (frames[:, 1:] - predicted[:, :-1]) ** 2
    frames, predicted = map(ops.convert_to_tensor, (frames, predicted))
    loss, metric = frame_metrics.FrameLoss(), frame_metrics.FrameMSE()
    sums = squares.sum(axis=(2, 3, 4))
    assert float(loss(frames, predicted)) == pytest.approx(sums.mean(), rel=1e-5)
    metric.update_state(frames, predicted)
    assert float(metric.result()) == pytest.approx(squares.mean(), rel=1e-5)


@pytest.mark.everywhere
def test_a_single_frame_has_no_prediction_error():
    frames = ops.ones((2, 1, 32, 32, 1))
    assert float(frame_metrics.FrameLoss()(frames, frames * 0)) == 0
    metric = frame_metrics.FrameMSE()
    metric.update_state(frames, frames * 0)
    assert float(metric.result()) == 0


def levels(strides=1, classes=3):
    return [
        *([Level(Conv(4, 3, strides))] if strides > 1 else []),
        Level(ConvLSTMCell(4, 3), ConvG3(3)),
        Level(Conv(5, 3), ConvG3(3)),
        Level(layers.AveragePooling2D(2), G1()),
        Level(LSTMCell(6), G1()),
        Level(Softmax(classes)),
    ]


def films(n=6, length=5, shape=(8, 12, 3), seed=0):
    """A bright column that moves to the right, in one of three colours."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % 3
    films = rng.random((n, length, *shape)) * 0.2
    for i, label in enumerate(labels):
        for t in range(length):
            films[i, t, :, (t + i) % shape[1], label] = 1
    return films.astype("float32"), labels


@pytest.mark.parametrize("table", [small_table, table_5])
@pytest.mark.parametrize("side", [28, 30])
def test_tables_of_the_paper_take_frames_of_odd_maps(table, side):
    model = zoo.rladder(table(0.1), (side, side, 1), ("class", "frame"))
    sides = [shape[1] for shape in model.get_layer("ladder").cell.e_shapes[:-2]]
    for fine, coarse in zip(sides, sides[1:], strict=False):
        assert coarse in (fine, (fine + 1) // 2)
    assert model.output["frame"].shape[2:] == (side, side, 1)


@pytest.mark.parametrize("strides", [1, 2])
def test_a_ladder_for_videos_trains_and_goes_on_by_itself(strides, tmp_path):
    x, labels = films()
    train, valid = zoo.data.from_arrays(x, labels, frames=4, batch_size=2)
    model = zoo.rladder(levels(strides), train.frame_shape, ("class", "frame"))
    history = model.fit(train, validation_data=valid, epochs=2, verbose=0).history
    assert {"val_class_error", "val_frame_mse"} <= set(history)
    assert np.isfinite(history["loss"]).all()
    outputs = model.predict(x, verbose=0)
    assert outputs["class"].shape == (6, 5, 3) and outputs["frame"].shape == x.shape
    frames, _ = model.rollout(x[:, :2], 2)
    assert frames.shape == (6, 4, 8, 12, 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0)
    for name in outputs:
        np.testing.assert_allclose(again[name], outputs[name], atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 3], "3 classes; got labels from 0 to 3"),
        ([0, -1, 2], "from -1 to 2"),
        (np.eye(3, dtype=int), "one integer label for each"),
        (["a", "b", "c"], "one integer label for each"),
        ([0.7, 1, 2], "one integer label for each"),
    ],
)
def test_labels_of_no_class_are_refused(labels, message):
    x, _ = films(3)
    model = zoo.rladder(levels(), x.shape[2:], ("class", "frame"))
    y = {"class": np.asarray(labels), "frame": x}
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(x, y, verbose=0)


def test_a_data_set_with_labels_of_no_class_is_refused():
    x, _ = films(3)
    model = zoo.rladder(levels(), x.shape[2:], ("class", "frame"))
    data, _ = zoo.data.from_arrays(x, [3, 3, 3], frames=4, batch_size=1)
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="from 3 to 3"):
            method(data, verbose=0)


def test_labels_of_a_data_set_of_the_users_are_their_own():
    x, labels = films(2)

    class Films(keras.utils.PyDataset):
        labels = ["red", "green"]
        num_batches = 1

        def __getitem__(self, index):
            return x, {"class": labels}

    model = zoo.rladder(levels(), x.shape[2:], ("class",))
    assert np.isfinite(model.fit(Films(), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("videos", [None, "videos.npy", Path("videos.npy")])
def test_videos_are_arrays(videos):
    with pytest.raises(ValueError, match="`videos` must be an array or a list of"):
        zoo.data.from_arrays(videos)


def test_the_share_for_validation_is_a_number():
    with pytest.raises(ValueError, match="`validation` must be between 0 and 1; got '"):
        zoo.data.from_arrays(np.zeros((4, 10, 8, 8)), validation="0.1")


def test_frames_to_be_predicted_are_those_of_the_input():
    x, _ = films(3)
    model = zoo.rladder(levels(), x.shape[2:])
    for y, message in (
        (x[:, :1], r"y\['frame'\] must have shape \(3, 5.* got shape \(3, 1, "),
        (x[..., :1], r"must have shape \(batch, T, 8, 12, 3\)"),
        (x[..., 0], r"must have shape \(batch, T, 8, 12, 3\)"),
        (
            (255 * x).astype("uint8"),
            r"y\['frame'\] must be .* type uint8.*divide 8-bit",
        ),
        (np.roll(x, -1, axis=1), "one step later. Pass the same frames as x"),
    ):
        for method in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                method(x, {"frame": y}, verbose=0)
    for nothing in (x[:0], x[:, :0]):
        with pytest.raises(ValueError, match="is empty"):
            model.predict(nothing)


@pytest.mark.everywhere
def test_sequences_of_one_frame_are_no_reason_to_fail():
    x, labels = films(3)
    model = zoo.rladder(levels(), x.shape[2:], ("class", "frame"), unroll=False)
    model.fit(x, {"class": labels, "frame": x}, verbose=0)
    x = x[:, :1]
    logs = model.fit(x, {"class": labels, "frame": x}, verbose=0).history
    assert logs["frame_mse"] == [0] and np.isfinite(logs["loss"]).all()


def test_some_labels_may_weigh_nothing():
    """Their frames are predicted all the same."""
    x, labels = films()
    model = zoo.rladder(levels(), x.shape[2:], ("class", "frame"), unroll=False)
    evaluate = partial(model.evaluate, verbose=0, return_dict=True)
    whole = evaluate(x, {"class": labels, "frame": x})
    wrong = {"class": np.where(np.arange(6) < 3, labels, 0), "frame": x}
    weights = np.arange(6) < 3
    some = evaluate(x, wrong, sample_weight={"class": weights.astype("float32")})
    few = evaluate(x[:3], {"class": labels[:3], "frame": x[:3]})
    assert some["class_loss"] == pytest.approx(few["class_loss"], rel=1e-4)
    assert some["frame_loss"] == pytest.approx(whole["frame_loss"], rel=1e-4)
    few_of_all = (x, wrong, {"class": weights})
    logs = model.fit(*few_of_all[:2], 2, 1, 0, validation_data=few_of_all).history
    assert np.isfinite(logs["val_class_loss"]).all()
    model.evaluate(x, wrong, 2, 0, {"class": weights})
    model.fit(x, wrong, sample_weight={"class": weights}, verbose=0)
    with pytest.raises(
        ValueError, match=r"keys of `sample_weight` must .* got \['klass'\]"
    ):
        model.fit(x, wrong, sample_weight={"klass": weights})


def test_a_step_needs_no_losses():
    """Those of one's own, which Keras could not copy."""
    x, _ = films(2)
    model = zoo.rladder(levels(), x.shape[2:])
    model.compile("adam", loss={"frame": lambda a, b: ops.mean(ops.abs(a - b))})
    assert model.rollout(x, 1)[0].shape[1] == 6


def test_what_a_rollout_takes():
    x, _ = films(2, 3)
    model = zoo.rladder(levels(), (8, 12, 3))
    expected, _ = model.rollout(x, 2)
    found, _ = model.rollout(x.tolist(), np.int64(2))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    alone, outputs = model.rollout(x, 0)
    np.testing.assert_array_equal(alone, x)
    np.testing.assert_allclose(outputs["frame"][:, -1], expected[:, 3], atol=1e-6)
    for steps in (-1, 1.5, "2"):
        with pytest.raises(ValueError, match="`steps` must be an integer"):
            model.rollout(x, steps)
    with pytest.raises(ValueError, match="`context` must contain at least one frame"):
        model.rollout([], 2)


@pytest.mark.everywhere
def test_pixels_keep_their_precision(policy):
    policy("mixed_bfloat16")
    for table in (small_table, lambda width: table_5(width)[:1]):
        model = zoo.occluded_mnist_rladder(0.1, table=table, classification=False)
        assert {x.dtype for x in model.output.values()} == {"float32"}


@pytest.mark.parametrize("mask_value", [None, -1])
def test_small_probabilities_keep_their_precision(policy, mask_value):
    """In float16, those below 6e-8 would be 0."""
    policy("mixed_float16")
    x, _ = films()
    model = zoo.rladder(levels(), x.shape[2:], "class", mask_value=mask_value)
    top = model.get_layer("ladder").cell.encoders[-1]
    (bias,) = (w for w in top.weights if w.name == "bias")
    bias.assign([0.0, -12.0, -24.0])
    p = model.predict(x, verbose=0)["class"]
    assert 0 < p.min() < 1e-9


def test_a_coarse_grid_gives_the_pixels_of_its_cells():
    """Weights that tell rows, columns and channels of a cell apart."""
    d = keras.Input((None, 2, 3, 1))
    model = keras.Model(d, videos.pixels(d, (4, 9, 2), "frame"))
    weights = np.arange(12, dtype="float32") / 10
    model.get_layer("frame_readout").set_weights([np.zeros((1, 12)), weights])
    frame = model.predict(np.zeros((1, 1, 2, 3, 1)), verbose=0)[0, 0]
    logits = np.tile(weights.reshape(2, 3, 2), (2, 3, 1))
    np.testing.assert_allclose(frame, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_heads_have_the_outputs_they_need():
    assert zoo.rladder(levels(), (8, 8, 1)).output_names == ["frame"]
    assert zoo.rladder(levels(), (8, 8, 1), "class").output_names == ["class"]
    with pytest.raises(ValueError, match=r"Level\(Softmax\(classes\)\)"):
        zoo.rladder(levels()[:-1], (8, 8, 1), "class")
    with pytest.raises(ValueError, match=r"level 1 must be Level\(encoder\)"):
        zoo.rladder([Conv(3, 3), Softmax(3)], (8, 8, 1), "class")
    with pytest.raises(ValueError, match="at least one Level"):
        zoo.rladder([], (8, 8, 1), "class")
    with pytest.raises(ValueError, match="`heads` must be some of"):
        zoo.rladder(levels(), (8, 8, 1), "boxes")
    with pytest.raises(ValueError, match="no decoder"):
        zoo.rladder([Level(Conv(3, 3))], (8, 8, 1))
    with pytest.raises(ValueError, match="`input_shape` must be"):
        zoo.rladder(levels(), (8, 8))
    with pytest.raises(ValueError, match="level 3 of 5"):
        rows = levels()
        rows[2] = Level(layers.AveragePooling2D(16), G1())
        zoo.rladder(rows, (8, 8, 1))
    with pytest.raises(ValueError, match="got 9 x 9 pixels"):
        zoo.rladder(levels(strides=2), (9, 9, 1))


def test_sequences_are_cut_out_of_videos():
    long = np.arange(20, dtype="uint8")[:, None, None] * np.ones((1, 2, 2), "uint8")
    data = Videos([long, long[:7]], [1, 0], frames=3, batch_size=2, fresh=True)
    firsts = set()
    for epoch in range(30):
        data.epoch = epoch
        x, y = data[0]
        assert x.dtype == np.float32 and x.shape == (2, 3, 2, 2, 1)
        assert sorted(y["class"]) == [0, 1] and y["frame"] is x
        steps = np.diff(x[..., 0, 0, 0], axis=1)
        np.testing.assert_allclose(steps, 1 / 255, rtol=1e-4)
        firsts.add(round(float(x[list(y["class"]).index(1), 0, 0, 0, 0]) * 255))
    assert min(firsts) < 4 and max(firsts) > 13 and max(firsts) <= 17
    fixed = Videos([long, long[:7]], frames=3, batch_size=1)
    assert len(fixed) == 2 and set(fixed[0][1]) == {"frame"}
    np.testing.assert_array_equal(fixed[1][0][0, :, 0, 0, 0] * 255, [0, 1, 2])


def test_booleans_are_black_and_white():
    films = np.random.default_rng(0).random((2, 3, 4, 5)) > 0.5
    x, y = Videos(films, frames=3, batch_size=2)[0]
    np.testing.assert_array_equal(x, films[..., None].astype("float32"))
    assert x.dtype == np.float32


def test_training_and_validation_share_no_video():
    x = np.arange(20)[:, None, None, None] * np.ones((1, 2, 2, 2)) / 20
    train, valid = zoo.data.from_arrays(x, frames=2, batch_size=3, validation=0.25)
    assert train.num_sequences == 15 and valid.num_sequences == 5
    values = [{float(v[0, 0, 0, 0]) for v in data.videos} for data in (train, valid)]
    assert len(values[0] | values[1]) == 20


def pictures(folder, n, side=6):
    folder.mkdir(parents=True)
    for i in range(n):
        grey = np.full((side, side), 20 * i, "uint8")
        Image.fromarray(grey).save(folder / f"frame{i}.png")


def test_videos_are_read_from_a_folder(tmp_path):
    pictures(tmp_path / "a" / "one", 12)
    pictures(tmp_path / "b" / "two", 4)
    frames = [Image.fromarray(np.full((6, 6), 60 * i, "uint8")) for i in range(4)]
    frames[0].save(tmp_path / "b" / "x.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "b" / "notes.txt").write_text("not a video")
    with pytest.warns(UserWarning, match="not read: b/notes.txt"):
        train, valid, names = zoo.data.from_folder(
            tmp_path, (3, 4), labels="folders", frames=4, batch_size=2, validation=0.3
        )
    assert names == ["a", "b"] and train.frame_shape == (3, 4, 1)
    by_length = {len(v): v for v in [*train.videos, *valid.videos]}
    found = by_length[12][:, 0, 0, 0]
    np.testing.assert_array_equal(found, 20 * np.arange(12))
    assert sorted([*train.labels, *valid.labels]) == [0, 1, 1]
    with pytest.warns(UserWarning, match="not read: notes.txt"):
        train, _ = zoo.data.from_folder(
            tmp_path / "b", (3, 4), colour=True, frames=2, batch_size=1
        )
    assert train.frame_shape == (3, 4, 3)


def test_hidden_files_and_folders_are_no_videos(tmp_path):
    for name in "ab":
        pictures(tmp_path / name / "one", 4)
        (tmp_path / name / "one" / "._frame0.png").write_bytes(b"Mac OS X")
        (tmp_path / name / ".ipynb_checkpoints").mkdir()
        (tmp_path / name / "._x.gif").write_bytes(b"Mac OS X")
    pictures(tmp_path / ".hidden" / "one", 4)
    train, valid, names = zoo.data.from_folder(
        tmp_path, [4, 4], labels="folders", frames=4, batch_size=1
    )
    assert names == ["a", "b"]
    assert [len(v) for v in (*train.videos, *valid.videos)] == [4, 4]


def test_videos_that_are_none_are_named(tmp_path):
    good, _ = films()
    cases = [
        ([good[0], good[1, :2]], "Video 1 must have at least 3 frames.* got 2"),
        ([good[0], good[1, :, :4]], "Video 1 must have frames of shape"),
        ([good[0], good[1] * 2], "Video 1 must have pixels in"),
        ([good[0], good[1] * np.nan], "Video 1 must have finite pixels"),
        ([good[0], good[1].astype(int)], "Video 1 must have 8-bit .*got type int64"),
        ([good[0], good[1, 0, 0]], "Video 1 must have shape"),
        (np.moveaxis(good, -1, 2), "video 0 .* 'NTCHW' if it has 3 channels first"),
        ([good[0], (good[1] > 0.5).astype("uint8")], "Video 1 .* as booleans"),
        ([good[0][:, :0]], "Video 0 must have at least one pixel"),
        ([], "`videos` must contain at least one video"),
    ]
    for some, message in cases:
        with pytest.raises(ValueError, match=message):
            Videos(some, frames=3)
    bright = (255 * good[0]).astype("uint8")
    Videos([bright, bright // 255], frames=3)  # all but black, beside one that is not
    with pytest.raises(ValueError, match="`batch_size` must be at most .*; got 16"):
        Videos(good, frames=3, fresh=True)
    with pytest.raises(ValueError, match="one integer label for each of the 6"):
        zoo.data.from_arrays(good, [0, 1], frames=3)
    with pytest.raises(ValueError, match="0 or above"):
        Videos(good, [-1, 0, 1, 2, 3, 4], frames=3)
    with pytest.raises(ValueError, match="at least two videos"):
        zoo.data.from_arrays(good[:1])
    bad = [*good[:3], good[3] * np.nan, *good[4:]]
    with pytest.raises(ValueError, match="Video 3 must have finite pixels; got NaN"):
        zoo.data.from_arrays(bad, frames=3)
    with pytest.raises(
        ValueError, match="3 pixels wide.* add the axis that is missing"
    ):
        zoo.data.from_arrays(np.zeros((50, 32, 32, 3), "uint8"))
    with pytest.raises(ValueError, match="`validation` must be between"):
        zoo.data.from_arrays(good, validation=10)
    with pytest.raises(ValueError, match="is not a folder"):
        zoo.data.from_folder(tmp_path / "none", (4, 4))
    for size in (8, (8,), (8, 8, 1), (8, 0), (8, 8.5)):
        with pytest.raises(ValueError, match="`size` must be"):
            zoo.data.from_folder(tmp_path, size)
    with pytest.raises(ValueError, match="has no videos"):
        zoo.data.from_folder(tmp_path, (4, 4))
    (tmp_path / "bad.gif").write_bytes(b"GIF89a, nearly")
    with pytest.raises(ValueError, match="bad.gif must be an image"):
        zoo.data.from_folder(tmp_path, (4, 4))
    for name in ("bad.gif", "worse.gif"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    with pytest.raises(ValueError, match="bad.gif must have at least .* got 1"):
        zoo.data.from_folder(tmp_path, (4, 4))
    (tmp_path / "bad.gif").unlink()
    (tmp_path / "worse.gif").unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty must contain .* it has no images"):
        zoo.data.from_folder(tmp_path, (4, 4))


def test_pictures_of_more_than_eight_bits_are_refused(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    ramp = np.linspace(0, 60_000, 64).reshape(8, 8).astype("uint16")
    Image.fromarray(ramp).save(folder / "deep.png")
    with pytest.raises(ValueError, match="deep.png must have 8 bits per channel"):
        zoo.data.from_folder(tmp_path, (8, 8), frames=1)
