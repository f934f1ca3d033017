"""Weights of sequences and of steps, padding, and what Keras' own metrics see."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import zoo
from rladder_keras import (
    G1,
    Conv,
    ConvG1,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    Softmax,
)
from zoo import gaussian_chain, moving_mnist, music, videos
from zoo.data.chains import Chain
from zoo.metrics import groups as group_metrics
from zoo.metrics.sample_weights import at_step, by_step, of_transitions

ONCE = pytest.mark.once
SHAPE = (4, 4, 1)


def ladder(heads=("class", "frame"), **kwargs):
    keras.utils.set_random_seed(0)
    levels = [
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
        Level(layers.AveragePooling2D(4), G1()),
        Level(LSTMCell(3), G1()),
        Level(Softmax(3)),
    ]
    # One iteration compiles in a fraction of the time of all.
    return zoo.rladder(levels, SHAPE, heads, iterations=5, unroll=False, **kwargs)


def films(n, length=4, seed=0):
    x = np.random.default_rng(seed).random((n, length, *SHAPE)).astype("float32")
    return x, {"class": np.arange(n) % 3, "frame": x}


def cut(y, steps):
    return {"class": y["class"], "frame": y["frame"][:, :steps]}


def test_shapes_of_weights():
    outputs = ops.zeros((3, 3, 2))
    for weight in ([1.0, 2.0, 0.0], [[1.0], [2.0], [0.0]]):
        found = ops.convert_to_numpy(by_step(np.array(weight), outputs))
        np.testing.assert_array_equal(found, [[1] * 3, [2] * 3, [0] * 3])
    for shape in ((4,), (3, 2), (3, 3, 1), (2, 3), ()):
        with pytest.raises(ValueError, match=r"must have shape \(batch,\) or \(batch"):
            by_step(np.ones(shape), outputs)


def test_a_transition_counts_if_both_frames_do():
    weight = ops.array([[1.0, 2.0, 0.0, 3.0]])
    found = ops.convert_to_numpy(of_transitions(weight))
    np.testing.assert_array_equal(found, [[1, 0, 0]])


def test_the_last_step_is_the_last_with_weight():
    weight = ops.array([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    x = np.arange(18.0).reshape(3, 3, 2)
    weight, found = at_step(-1, weight, ops.array(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(weight), [0.5, 0, 2])
    expected = np.stack([x[0, 1], x[1, 2], x[2, 2]])
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)


def cases(n, steps, rng):
    """Losses and metrics, and examples of targets and outputs."""
    frames = rng.random((2, n, steps, *SHAPE))
    p = rng.dirichlet(np.ones(3), (n, steps))
    labels, cost = rng.integers(0, 3, n), rng.random((n, steps))
    notes, chance = rng.integers(0, 2, (n, steps, 88)), rng.random((n, steps, 88))
    segments = rng.integers(0, 2, (n, steps, 4, 4))
    groups = rng.random((n, steps, 2, 4, 4))
    return {
        "FrameLoss": (videos.FrameLoss(), *frames),
        "FrameMSE": (videos.FrameMSE(), *frames),
        "LastClass": (videos.LastClass(), labels, p),
        "ClassError": (videos.ClassError(), labels, p),
        "ClassErrorAt": (group_metrics.ClassErrorAt(-1), labels, p),
        "OwnCost": (group_metrics.OwnCost(), cost, cost),
        "CostAt": (group_metrics.CostAt(-1), cost, cost),
        "AMI": (group_metrics.AMI(2), segments, groups),
        "AMI of the last": (group_metrics.AMI(2, -1), segments, groups),
        "AMI ahead": (group_metrics.AMI(2, ahead=True), segments, groups),
        "NLL": (music.NegativeLogLikelihood(), notes, chance),
        "FrameAccuracy": (music.FrameAccuracy(), notes, chance),
    }


@pytest.mark.parametrize("name", cases(1, 2, np.random.default_rng(0)))
@pytest.mark.parametrize("steps", [3, pytest.param(5, marks=ONCE)])
def test_losses_and_metrics_take_weights_of_sequences_and_of_steps(name, steps):
    """Also where there are as many sequences as steps; padding may hold anything."""

    def score(x, y, weight):
        x, y = (ops.array(a, "float32") for a in (x, y))
        function, _, _ = cases(n, steps, np.random.default_rng(0))[name]
        return float(function(x, y, sample_weight=weight))

    n = 3
    _, x, y = cases(n, steps, np.random.default_rng(0))[name]
    weight = np.float32([1, 0, 2])
    each = np.repeat(weight[:, None], steps, axis=1)
    expected = score(x[[0, 2, 2]], y[[0, 2, 2]], None)
    for given in (weight, weight[:, None], each):
        assert score(x, y, given) == pytest.approx(expected, rel=1e-4)

    each = np.ones((n, steps), "float32")
    each[:, 2:] = 0
    other = [a.copy() for a in (x, y)]
    for a in other:
        if a.ndim > 1:
            a[:, 2:] = a[:, 2:][::-1]
    short = [a[:, :2] if a.ndim > 1 else a for a in (x, y)]
    expected = score(*short, None)
    for targets, outputs in ((x, y), other):
        assert score(targets, outputs, each) == pytest.approx(expected, rel=1e-4)
    for wrong in (np.ones(steps + 1), np.ones((n, steps + 1)), np.ones((n, steps, 4))):
        with pytest.raises(ValueError, match="sample_weight must have shape"):
            score(x, y, wrong)


@pytest.mark.parametrize(
    ("n", "teacher"),
    [
        (3, True),
        pytest.param(4, False, marks=ONCE),
        pytest.param(3, False, marks=ONCE),
        pytest.param(4, True, marks=ONCE),
    ],
)
def test_a_model_leaves_out_frames_without_weight(n, teacher):
    model = ladder()
    x, y = films(n)
    model = zoo.MeanTeacher(model, noise=0) if teacher else model
    evaluate = partial(model.evaluate, verbose=0, return_dict=True)
    expected = evaluate(x[:, :3], cut(y, 3))
    weight = np.ones((n, 4))
    weight[:, 3] = 0
    other = x.copy()
    other[:, 3] = 0.5
    for films_ in (x, other):
        targets = {**y, "frame": films_}
        for given in (weight, {"class": weight, "frame": weight}):
            found = evaluate(films_, targets, sample_weight=given)
            for name in set(expected) - {"consistency", "loss"}:
                assert found[name] == pytest.approx(expected[name], rel=1e-4)
    model.fit(x, y, sample_weight={"frame": weight}, verbose=0)
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        evaluate(x, y, sample_weight={"frame": np.ones((n, 3))})


def test_weights_in_batches_of_data():
    x, y = films(4)
    model = ladder(feedback="none")
    weight = np.ones((4, 4), "float32")
    weight[:, 3] = 0
    expected = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    for given in (weight, {"class": weight, "frame": weight}):
        found = model.test_on_batch(x, y, given, return_dict=True)
        assert found == pytest.approx(expected, rel=1e-4)
    with pytest.raises(
        ValueError, match=r"keys of `sample_weight` must .* got \['klass'\]"
    ):
        model.test_on_batch(x, y, {"klass": weight})


@pytest.mark.skipif(
    keras.backend.backend() == "jax",
    reason="Keras cannot attach a mask to a traced output of JAX",
)
def test_masks_of_keras_are_weights():
    x, y = films(3, 3)
    frames = keras.Input((None, *SHAPE))
    flat = layers.Reshape((-1, 16))(frames)
    p = layers.Dense(3, "softmax")(layers.Masking(-1.0)(flat))
    model = keras.Model(frames, p)
    model.compile("adam", videos.LastClass(), weighted_metrics=[videos.ClassError()])
    x[:, 2] = -1
    found = model.test_on_batch(x, y["class"], return_dict=True)
    expected = model.test_on_batch(x[:, :2], y["class"], return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_films_of_groups_leave_out_frames_without_weight():
    levels = [Level(Conv(3, 4, 2), ConvG1(3)), Level(Conv(4, 3), ConvG1(3))]
    model = moving_mnist.moving_mnist_rtagger(
        0.1, table=lambda width: levels, size=8, frames=4, unroll=False
    )
    rng = np.random.default_rng(0)
    x = rng.random((4, 4, 8, 8, 1), dtype="float32")
    y = {"groups": rng.integers(0, 2, (4, 4, 8, 8), dtype="int32")}
    outputs = model.predict(x, verbose=0)
    weight = np.ones((4, 4), "float32")
    weight[:, 3] = 0
    targets, weights = model.arranged(y, {"groups": weight}, outputs)
    assert weights["groups"].shape == (4, 4)
    for name in ("cost", "posterior"):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(weights[name]), weight[:, 1:]
        )
    loss = model.compute_loss(x, y, outputs, {"groups": weight})
    assert float(loss) == pytest.approx(outputs["cost"][:, :2].mean(), rel=1e-4)
    model.reset_metrics()
    logs = model.compute_metrics(x, y, outputs, {"groups": weight})
    last = float(logs["cost_last"])
    assert last == pytest.approx(outputs["cost"][:, 1].mean(), rel=1e-4)
    model.evaluate(x, y, sample_weight={"groups": weight}, verbose=0)
    model.evaluate(x, y, sample_weight=np.ones(4), verbose=0)


def test_chains_take_weights_of_steps():
    chain = Chain((1.0, 1.0), (0.5,), sites=4, coupling=0.1)
    model = gaussian_chain.gaussian_chain_rladder(chain=chain, output="x", units=1)
    x, y = np.random.default_rng(0).random((2, 4, 4, 4, 1)).astype("float32")
    p = model.predict(x, verbose=0)["x"]
    squares = ((p - y) ** 2).mean(axis=(2, 3))
    weight = np.arange(16.0).reshape(4, 4)
    for given, expected in ((weight, weight), (weight[0], weight[0][:, None])):
        loss = model.evaluate(x, {"x": y}, sample_weight={"x": given}, verbose=0)[0]
        assert loss == pytest.approx((squares * expected).mean(), rel=1e-4)


@pytest.mark.once
def test_the_loss_is_that_of_both_heads():
    x, y = films(3)
    for weight in (0.0, 0.3):
        model = ladder(frame_weight=weight)
        logs = model.evaluate(x, y, verbose=0, return_dict=True)
        assert logs["frame_loss"] > 0.1
        expected = logs["class_loss"] + weight * logs["frame_loss"]
        assert logs["loss"] == pytest.approx(expected, rel=1e-5)


# Keras' own metrics of the class


@pytest.mark.parametrize(
    ("n", "heads"),
    [
        (3, ("class", "frame")),
        pytest.param(4, "class", marks=ONCE),
        pytest.param(3, "class", marks=ONCE),
        pytest.param(4, ("class", "frame"), marks=ONCE),
    ],
)
def test_keras_metrics_score_the_class_of_the_last_step(n, heads, tmp_path):
    x, y = films(n)
    model = ladder(heads)
    losses = {"class": "sparse_categorical_crossentropy", "frame": videos.FrameLoss()}
    own = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")]
    model.compile(
        "adam",
        {name: losses[name] for name in model.output_names},
        metrics={"class": own},
        weighted_metrics={"class": ["sparse_categorical_accuracy"]},
    )
    model.fit(x, y, verbose=0)
    p = model.predict(x, verbose=0)["class"][:, -1]
    weight = np.arange(n) < 2
    model.save(tmp_path / "model.keras")
    for m in (model, keras.saving.load_model(tmp_path / "model.keras")):
        logs = m.evaluate(
            x, y, sample_weight={"class": weight * 1.0}, verbose=0, return_dict=True
        )
        right = p.argmax(axis=1) == y["class"]
        assert logs["class_accuracy"] == pytest.approx(right.mean())
        assert logs["class_sparse_categorical_accuracy"] == pytest.approx(
            right[:2].mean()
        )
        best = (-p).argsort(axis=1)[:, :2]
        top = [label in row for label, row in zip(y["class"], best, strict=True)]
        assert logs["class_top"] == pytest.approx(np.mean(top))
        loss = -np.log(p[np.arange(n), y["class"]])
        expected = (loss * weight).mean()
        found = logs["class_loss" if "frame" in heads else "loss"]
        assert found == pytest.approx(expected, rel=1e-4)


@ONCE
@pytest.mark.parametrize("weights", ["films", "frames"])
def test_keras_losses_and_metrics_compare_predictions_with_next_frames(
    weights, tmp_path
):
    """There are as many films as rows of pixels, and as many frames as columns."""
    x, y = films(4)
    model = ladder("frame")
    model.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mse"])
    assert model.last_is_unread
    model.fit(x, {"frame": x}, verbose=0)
    p = model.predict(x, verbose=0)["frame"]
    weight = np.arange(16.0).reshape(4, 4) if weights == "frames" else np.arange(4.0)
    by_frame = np.broadcast_to(weight.reshape(4, -1), (4, 4))
    by_transition = np.minimum(by_frame[:, :-1], by_frame[:, 1:])
    errors = p[:, :-1] - x[:, 1:]
    squares = (errors**2).mean(axis=(2, 3, 4))
    expected = {
        "loss": (squares * by_transition).mean(),
        "frame_mae": np.abs(errors).mean(),
        "frame_mse": np.average(squares, weights=by_transition),
    }
    model.save(tmp_path / "model.keras")
    for m in (model, keras.saving.load_model(tmp_path / "model.keras")):
        logs = m.evaluate(
            x, {"frame": x}, sample_weight=weight, verbose=0, return_dict=True
        )
        assert logs == pytest.approx(expected, rel=1e-4)


@ONCE
def test_keras_losses_of_frames_leave_padding_out():
    x, y = padded()
    model = ladder(mask_value=-1)
    kinds = {"class": videos.LastClass(), "frame": keras.losses.Huber()}
    own = [videos.FrameMSE(name="own"), keras.metrics.MeanSquaredError("of_keras")]
    model.compile("adam", kinds, weighted_metrics={"frame": own})
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["frame_of_keras"] == pytest.approx(logs["frame_own"], rel=1e-5)
    weight = {"class": np.ones(3), "frame": np.array([0.0, 0.0, 1.0])}
    short = cut(y, 3)["frame"][2:], model.predict(x[2:, :3], verbose=0)["frame"]
    errors = short[1][:, :-1] - short[0][:, 1:]
    logs = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    assert logs["frame_own"] == pytest.approx((errors**2).mean(), rel=1e-4)
    expected = (errors**2 / 2).mean() * 2 / 9  # two of nine transitions
    assert logs["frame_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.once
def test_a_list_of_metrics():
    x, y = films(4)
    model = ladder("class")
    model.compile("adam", videos.LastClass(), metrics=["acc"])
    p = model.predict(x, verbose=0)["class"][:, -1]
    found = model.evaluate(x, y, verbose=0, return_dict=True)["class_acc"]
    assert found == pytest.approx((p.argmax(axis=1) == y["class"]).mean())


def test_a_mean_teacher_scores_the_last_step_too():
    x, y = films(4)
    model = ladder()
    losses = {"class": videos.LastClass(), "frame": videos.FrameLoss()}
    model.compile("adam", losses, metrics={"class": ["accuracy"]})
    model = zoo.MeanTeacher(model, noise=0)
    model.compile("adam", losses, metrics={"class": ["accuracy"]})
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    p = model.predict(x, verbose=0)["class"][:, -1]
    right = (p.argmax(axis=1) == y["class"]).mean()
    assert logs["teacher_class_accuracy"] == pytest.approx(right)


@pytest.mark.once
@pytest.mark.parametrize("teacher", [False, True])
def test_class_weights_are_given_as_sample_weights(teacher):
    x, y = films(3)
    model = ladder()
    model = zoo.MeanTeacher(model) if teacher else model
    with pytest.raises(ValueError, match=r'sample_weight={"class": weights}'):
        model.fit(x, y, class_weight={0: 1.0, 1: 2.0, 2: 1.0}, verbose=0)


# Padding


def padded(lengths=(4, 2, 3), fill=-1.0):
    x, y = films(len(lengths))
    for film, length in zip(x, lengths, strict=True):
        film[length:] = fill
    return x, y


@pytest.fixture(scope="module")
def trained():
    """A ladder with padding whose batch statistics are not those of the beginning."""
    model = ladder(mask_value=-1)
    x, y = padded((4, 4, 4))
    model.fit(x, y, epochs=2, verbose=0)
    return model


def test_padding_counts_nowhere(trained, tmp_path):
    model, (x, y) = trained, padded()
    outputs = model.predict(x, verbose=0)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    classes, squares = [], []
    for i, length in enumerate((4, 2, 3)):
        alone = model.predict(x[i : i + 1, :length], verbose=0)
        for name in outputs:
            np.testing.assert_allclose(
                outputs[name][i, :length], alone[name][0], atol=1e-5
            )
        held = outputs["class"][i, length - 1 :]
        np.testing.assert_allclose(held, np.repeat(held[:1], len(held), 0), atol=1e-6)
        classes.append(-np.log(alone["class"][0, -1, y["class"][i]]))
        error = x[i, 1:length] - alone["frame"][0, :-1]
        squares.extend((error**2).sum(axis=(1, 2, 3)))
    assert logs["class_loss"] == pytest.approx(np.mean(classes), rel=1e-3)
    assert logs["frame_loss"] == pytest.approx(np.mean(squares), rel=1e-3)
    assert logs["frame_mse"] == pytest.approx(np.mean(squares) / 16, rel=1e-3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert again == pytest.approx(logs, rel=1e-4)


def test_weights_and_padding_together(trained):
    model, (x, y) = trained, padded()
    weight = np.float32([1, 0, 1])
    found = model.test_on_batch(x, y, {"class": weight}, return_dict=True)
    rest = {name: target[[0, 2]] for name, target in y.items()}
    expected = model.test_on_batch(x[[0, 2]], rest, return_dict=True)
    assert found["class_loss"] == pytest.approx(expected["class_loss"], rel=1e-4)
    whole = model.test_on_batch(x, y, return_dict=True)
    assert found["frame_loss"] == pytest.approx(whole["frame_loss"], rel=1e-4)


def test_padding_in_steps_and_rollouts(trained):
    model, (x, _) = trained, padded()
    expected, state = model.predict(x, verbose=0), model.init_state(3)
    for t in range(4):
        outputs, state = model.step(x[:, t], state)
        for i, length in enumerate((4, 2, 3)):
            for name in outputs if t < length else ():
                np.testing.assert_allclose(
                    outputs[name][i], expected[name][i, t], atol=1e-5
                )
    frames, _ = model.rollout(x, 2)
    assert frames.shape == (3, 6, *SHAPE)
    for i, length in enumerate((4, 2, 3)):
        alone, _ = model.rollout(x[i : i + 1, :length], 6 - length)
        np.testing.assert_allclose(frames[i], alone[0], atol=1e-5)
    with pytest.raises(ValueError, match="`context` must begin with a frame"):
        model.rollout(x[:, ::-1], 1)


@ONCE
def test_a_mean_teacher_sees_padding():
    """Its noise leaves it as it is."""
    x, y = padded()
    model = zoo.MeanTeacher(ladder(mask_value=-1), noise=0.1, ramp=0)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()
    noisy = model(x, training=True)["teacher"]["class"]
    noisy = ops.convert_to_numpy(noisy)
    np.testing.assert_allclose(noisy[1, 1], noisy[1, 3], atol=1e-6)
    alone = zoo.MeanTeacher(ladder(mask_value=-1), noise=0)
    logs = alone.evaluate(x, y, verbose=0, return_dict=True)
    p = alone.predict(x, verbose=0)["class"][[0, 1, 2], [3, 1, 2]]
    wrong = (p.argmax(axis=1) != y["class"]).mean()
    assert logs["teacher_class_error"] == pytest.approx(wrong)


@pytest.mark.once
def test_what_padding_may_be():
    for wrong in (0, 0.5, 1, np.nan, "-1", True):
        with pytest.raises(ValueError, match="`mask_value` must be a number outside"):
            ladder(mask_value=wrong)
    x, y = padded()
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]; got -1"):
        ladder().evaluate(x, y, verbose=0)
    x[0, 3, 0] = -1  # part of a frame
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]; got -1"):
        ladder(mask_value=-1).predict(x, verbose=0)
    assert ladder(mask_value=np.float32(-1)).frame_mask().mask_value == -1
    x, _ = padded(fill=-0.1)
    with pytest.raises(ValueError, match="got -0.09"):  # -0.09998 in float32
        ladder(mask_value=-0.1).predict(x.astype("float16"), verbose=0)
