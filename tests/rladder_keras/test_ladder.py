"""Tests of the ladder: its equations over time, its arrows, its loops and contracts."""

import copy
import inspect
import json

import keras
import numpy as np
import pytest
import reference
from keras import layers, ops

import rladder_keras
from rladder_keras import (
    G1,
    Conv,
    ConvG1,
    ConvG2,
    ConvG3,
    ConvGRUCell,
    ConvLSTMCell,
    GRUCell,
    Identity,
    LadderCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
    StockCell,
    TopDown,
)
from rladder_keras.cells.linear import convolve

ATOL = 5e-5
ONCE = pytest.mark.once


# Tables: the shape of a frame, and a function that makes the levels


def images():
    """The kinds of rows of Table 5."""
    return [
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
        Level(Conv(3, 3), ConvG3(3)),
        Level(layers.MaxPooling2D(2), ConvG3(4)),
        Level(layers.AveragePooling2D((2, 1)), G1()),
        Level(LSTMCell(3), G1()),
        Level(Softmax(3)),
    ]


def series():
    """The kinds of rows of Table 8, with the uneven halving from 11 to 6."""
    return [
        Level(ConvLSTMCell(2, 3), ConvG2(3)),
        Level(ConvLSTMCell(3, 3, 2), ConvG2(3)),
        Level(layers.AveragePooling1D(2), G1()),
        Level(GRUCell(3), G1()),
        Level(Softmax(2, "batch")),
    ]


def batch_normalised():
    """The kinds of rows of Table 9, and whatever else takes batch normalisation."""
    return [
        Level(ConvLSTMCell(2, 3, 2, normalization="batch"), ConvG1(3)),
        Level(Conv(3, 3), ConvG2(3, normalization="batch")),
        Level(ConvGRUCell(2, 3, (2, 1), normalization="batch"), ConvG1((2, 1))),
        Level(LSTMCell(2, normalization="batch"), G1()),
    ]


def gaps():
    """No decoder at the bottom and at the top; ConvG1 from a coarser grid."""
    return [
        Level(Conv(2, 3)),
        Level(ConvGRUCell(2, 3, normalization=None), ConvG1(3)),
        Level(ConvLSTMCell(2, 3, 2), ConvG1(3)),
        Level(LSTMCell(3)),
    ]


def bottleneck():
    """What is drawn has passed the vector in the middle."""
    return [
        Level(Conv(2, 3, 2), TopDown(3)),
        Level(ConvLSTMCell(2, 2, 2, normalization="batch")),
        Level(Conv(2, 1), ConvG1(1)),
    ]


def encoder_only():
    """A hierarchical RNN."""
    return [
        Level(ConvLSTMCell(2, 3)),
        Level(layers.AveragePooling2D(2)),
        Level(GRUCell(3)),
    ]


def small():
    """The least with a recurrent row, a pool, layer and batch normalisation."""
    return [
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
        Level(layers.AveragePooling2D(2), G1()),
        Level(LSTMCell(2), G1()),
    ]


def statistics():
    """Three batch normalisations."""
    return [Level(Conv(2, 3), ConvG1(3)), Level(LSTMCell(2), G1())]


IMAGE, SERIES, UNEVEN = (4, 4, 1), (11, 1), (5, 4, 2)


def frames(shape, steps=3, batch=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (batch, steps, *shape)).astype("float32")


def built(levels, frame=IMAGE, steps=3, **kwargs):
    """A ladder with random weights, the same for each ladder of the same table."""
    ladder = RecurrentLadder(levels, **kwargs)
    ladder.build((None, steps, *frame))
    return reference.randomise(ladder)


BOTH = ("diagonal", "recurrent")


def assert_like_twin(ladder, outputs, expected, atol=ATOL):
    assert set(outputs) == set(expected) - {"moments"}
    for name in outputs:
        assert outputs[name].shape == expected[name].shape
        np.testing.assert_allclose(outputs[name], expected[name], atol=atol)


def assert_moved_as_twin(ladder, before, moments, loops=1):
    """The moving statistics are those of `before` after loops that met `moments`."""
    after = reference.moving_statistics(ladder)
    assert set(after) == set(before) == set(moments)
    for name, rows in after.items():
        for i in range(2):
            expected = before[name][i]
            for _ in range(loops):
                values = [m[i] for m in moments[name]]
                expected = reference.moving_average(expected, values)
            np.testing.assert_allclose(rows[i], expected, atol=ATOL)


# Equations 1 to 3


INFERENCE, TRAINING, BOTH_MODES = (False,), (True,), (False, True)


@pytest.mark.parametrize(
    ("table", "frame", "feedback", "unroll", "training"),
    [
        pytest.param(*case, training, marks=marks)
        for *case, modes, marks in (
            (images, IMAGE, "recurrent", True, TRAINING, ()),
            (images, IMAGE, "recurrent", True, INFERENCE, ONCE),
            (images, IMAGE, "all", False, INFERENCE, ()),
            (series, SERIES, "recurrent", True, TRAINING, ()),
            (series, SERIES, "recurrent", True, INFERENCE, ONCE),
            (series, SERIES, "none", False, INFERENCE, ()),
            (batch_normalised, UNEVEN, "all", True, TRAINING, ()),
            (batch_normalised, UNEVEN, "all", True, INFERENCE, ONCE),
            (batch_normalised, UNEVEN, "all", False, BOTH_MODES, ()),
            (gaps, UNEVEN, "recurrent", True, BOTH_MODES, ()),
            (encoder_only, IMAGE, "recurrent", True, INFERENCE, ()),
            (bottleneck, IMAGE, "recurrent", True, TRAINING, ()),
            (bottleneck, IMAGE, "recurrent", True, INFERENCE, ONCE),
        )
        for training in modes
    ],
)
def test_whole_ladder_against_its_twin(run, table, frame, feedback, unroll, training):
    """Three iterations; batch moments in training, a moving row each in inference."""
    ladder = built(table(), frame, feedback=feedback, unroll=unroll)
    x = frames(frame)
    before = reference.moving_statistics(ladder)
    expected = reference.ladder(ladder, x, training)
    assert_like_twin(ladder, run(ladder, x, training=training), expected)
    if training:
        assert_moved_as_twin(ladder, before, expected["moments"])
    shapes = ladder.compute_output_shape((None, 3, *frame))
    assert shapes == {
        name: (None, *value.shape[1:])
        for name, value in expected.items()
        if name != "moments"
    }


def vectors():
    """The kinds of rows of the Gaussian chains."""
    return [
        Level(GRUCell(2, normalization=None), G1(normalization=None)),
        Level(LSTMCell(3), G1(normalization="layer")),
        Level(GRUCell(2), G1()),
    ]


@pytest.mark.parametrize(
    ("table", "frame", "feedback", "unroll", "skip", "joined"),
    [
        (vectors, (2,), "recurrent", True, BOTH, ([1, 2], [0, 1, 2])),
        (vectors, (2,), "none", False, ("diagonal",), ([1, 2], [])),
        (images, IMAGE, "all", True, BOTH, ([1, 4], [0, 1, 4])),
        (images, IMAGE, "recurrent", False, ("recurrent",), ([], [0, 1, 4])),
        (batch_normalised, UNEVEN, "all", False, BOTH, ([1, 2, 3], [0, 3])),
        (gaps, UNEVEN, "recurrent", True, BOTH, ([2, 3], [])),
    ],
)
def test_skip_connections_against_the_twin(
    run, table, frame, feedback, unroll, skip, joined
):
    """Rows where two grids differ, such as those of a pool, have none."""
    ladder = built(table(), frame, feedback=feedback, unroll=unroll, skip=skip)
    rows = range(len(ladder.cell.encoders))
    assert joined == (
        [l for l in rows if ladder.cell.receives_diagonal(l)],
        [l for l in rows if ladder.cell.receives_itself(l)],
    )
    x = frames(frame)
    expected = reference.ladder(ladder, x)
    assert_like_twin(ladder, run(ladder, x), expected)


def test_a_recurrent_decoder_begins_without_itself(run):
    """What it gave last counts for nothing until the gains are learned."""
    ladder = RecurrentLadder(images(), feedback="none", skip=("recurrent",))
    ladder.build((None, 1, *IMAGE))
    shapes = [tuple(gain.shape) for gain in ladder.cell.gains.values()]
    assert sorted(ladder.cell.gains) == [0, 1, 4]
    assert shapes == [ladder.cell.d_shapes[l][-1:] for l in ladder.cell.gains]
    x = frames(IMAGE, steps=1)
    t, s, d = ladder.cell.get_initial_state(len(x))
    states = [t, s, d], [t, s, keras.tree.map_structure(ops.ones_like, d)]

    def bottoms():
        return [run(ladder, x, state)["bottom"] for state in states]

    np.testing.assert_array_equal(*bottoms())
    for gain in ladder.cell.gains.values():
        gain.assign(np.ones(gain.shape))
    before, after = bottoms()
    assert np.abs(after - before).max() > 1e-3


def test_a_top_row_without_a_decoder_is_one_with_identity(run):
    def table(decoder):
        return [Level(ConvLSTMCell(2, 3), ConvG3(3)), Level(Conv(2, 3), decoder)]

    x = frames(IMAGE, steps=2)
    outputs = [run(built(table(d), steps=2), x) for d in (None, Identity())]
    for name in ("top", "bottom"):
        np.testing.assert_array_equal(outputs[0][name], outputs[1][name])


def test_a_stock_keras_cell_can_be_a_row(run):
    ladder = built(
        [
            Level(Conv(2, 3), ConvG3(3)),
            Level(layers.AveragePooling2D(2), G1()),
            Level(StockCell(layers.SimpleRNNCell(3)), G1()),
        ],
        steps=2,
    )
    outputs = run(ladder, frames(IMAGE, steps=2))
    assert outputs["top"].shape == (3, 2, 3)
    assert outputs["bottom"].shape == (3, 2, 4, 4, 2)
    assert np.isfinite(outputs["bottom"]).all()


# The arrows of Figure 1a


def differs(a, b):
    """For each iteration and output, whether anything differs at all."""
    return {
        name: [bool((a[name][:, t] != b[name][:, t]).any()) for t in range(3)]
        for name in a
    }


def two_convolutions():
    return [Level(Conv(4, 3), ConvG3(3)), Level(Conv(4, 3), ConvG3(3))]


def one_recurrent():
    return [Level(ConvLSTMCell(4, 3), ConvG3(3)), Level(Conv(4, 3), ConvG3(3))]


@pytest.mark.once
@pytest.mark.parametrize(
    ("table", "feedback", "remembers"),
    [
        (two_convolutions, "none", False),
        (two_convolutions, "recurrent", False),
        (two_convolutions, "all", True),
        (one_recurrent, "none", True),
    ],
)
def test_a_frame_changes_its_own_iteration_and_later_ones_only_through_memory(
    run, table, feedback, remembers
):
    ladder = built(table(), feedback=feedback)
    x = frames(IMAGE)
    before = run(ladder, x)
    for t in range(3):
        changed = x.copy()
        changed[:, t] += 1
        expected = [i == t or (i > t and remembers) for i in range(3)]
        found = differs(before, run(ladder, changed))
        assert found == {"top": expected, "bottom": expected}


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_no_influence_on_earlier_iterations_nor_in_inference_on_other_samples(
    run, training
):
    ladder = built(statistics(), feedback="all")
    x = frames(IMAGE)
    before = run(ladder, x, training=training)
    x[0, 1] += 1
    after = run(ladder, x, training=training)
    for name in before:
        np.testing.assert_array_equal(before[name][:, 0], after[name][:, 0])
        same = (before[name][1:] == after[name][1:]).all()
        assert same == (not training)


@pytest.mark.once
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize(
    ("table", "feedback", "reached"),
    [
        (one_recurrent, "none", [False, False]),
        (one_recurrent, "recurrent", [True, True]),
        (two_convolutions, "recurrent", [False, False]),
        (two_convolutions, "all", [True, True]),
    ],
)
def test_the_encoder_sees_the_decoder_an_iteration_later_and_only_by_feedback(
    run, table, feedback, reached, row
):
    """The weights of a decoder cell change `bottom`, and `top` where there is a way."""
    ladder = built(table(), feedback=feedback)
    x = frames(IMAGE)
    before = run(ladder, x)
    weight = ladder.cell.decoders[row].W_s_D_E.kernel
    weight.assign(weight.value * 1.5)
    found = differs(before, run(ladder, x))
    assert found == {"top": [False, *reached], "bottom": [True] * 3}


@pytest.mark.once
@pytest.mark.parametrize(
    ("feedback", "rows"), [("none", []), ("recurrent", [1, 5]), ("all", [1, 2, 5])]
)
def test_rows_that_have_weights_for_the_feedback(feedback, rows):
    ladder = built(images(), feedback=feedback)
    found = [
        n
        for n, encoder in enumerate(ladder.cell.encoders, 1)
        if any("/feedback/" in weight.path for weight in encoder.weights)
    ]
    assert found == rows


# Statistics of each iteration


@pytest.mark.parametrize(
    ("iterations", "steps", "unroll"),
    [
        (3, 3, True),
        (2, 4, False),
        (3, 2, False),
        (1, 2, True),
        pytest.param(3, 3, False, marks=ONCE),
        pytest.param(2, 4, True, marks=ONCE),
        pytest.param(3, 2, True, marks=ONCE),
        pytest.param(1, 2, False, marks=ONCE),
    ],
)
def test_one_update_of_the_moving_statistics_for_each_iteration(
    run, iterations, steps, unroll
):
    """Later iterations update the last row; a shorter sequence leaves rows alone."""
    ladder = built(statistics(), iterations=iterations, unroll=unroll)
    x = frames(IMAGE, steps)
    before = reference.moving_statistics(ladder)
    expected = reference.ladder(ladder, x, training=True)
    assert {len(moments) for moments in expected["moments"].values()} == {steps}
    assert_like_twin(ladder, run(ladder, x, training=True), expected)
    assert_moved_as_twin(ladder, before, expected["moments"])
    moved = reference.moving_statistics(ladder)
    for name, rows in moved.items():
        assert len(rows[0]) == iterations
        changed = [(rows[0][i] != before[name][0][i]).any() for i in range(iterations)]
        assert changed == [i < steps for i in range(iterations)]


def test_inference_leaves_the_moving_statistics_alone(run):
    ladder = built(statistics())
    before = [reference.numpy_of(w) for w in ladder.weights]
    run(ladder, frames(IMAGE))
    for weight, value in zip(ladder.weights, before, strict=True):
        np.testing.assert_array_equal(reference.numpy_of(weight), value)


@pytest.mark.parametrize("steps", [1, 4])
def test_sequences_shorter_and_longer_than_trained_for(run, steps):
    """What goes beyond uses the last row of the moving statistics."""
    ladder = built(statistics(), iterations=2)
    x = frames(IMAGE, steps)
    assert_like_twin(ladder, run(ladder, x), reference.ladder(ladder, x))


def test_iterations_that_no_sequence_has_reached_are_like_the_last_that_one_has(run):
    x = frames(IMAGE, 4)
    two, four = (built(statistics(), iterations=n) for n in (2, 4))
    for ladder in (two, four):
        for of, to in zip(two.trainable_weights, ladder.trainable_weights, strict=True):
            to.assign(of)
        for norm in ladder.cell.statistics.layers:
            norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
            norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
        for _ in range(2):
            run(ladder, x[:, :2], training=True)
    assert_like_twin(four, run(four, x), run(two, x), atol=1e-6)
    run(four, x, training=True)
    before = reference.moving_statistics(four)
    run(four, x[:, :2], training=True)
    for name, (mean, _) in reference.moving_statistics(four).items():
        changed = [bool(row.any()) for row in mean != before[name][0]]
        assert changed == [True, True, False, False]


def test_iterations_that_were_padding_only_are_like_the_last_that_was_not(run):
    x = frames(IMAGE, 4)
    padded, shorter = (built(statistics(), iterations=4) for _ in range(2))
    for ladder in (padded, shorter):
        for norm in ladder.cell.statistics.layers:
            norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
            norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
    mask = np.tile(np.arange(4) < 2, (len(x), 1))
    run(masked(padded, 4), [x, mask], training=True)
    run(shorter, x[:, :2], training=True)
    assert_like_twin(padded, run(padded, x), run(shorter, x), atol=1e-5)


@pytest.mark.once
def test_iterations_are_the_length_of_the_sequences_where_not_given():
    ladder = built(statistics(), steps=3)
    assert ladder.cell.iterations == 3
    rows = {len(w[0]) for w in reference.moving_statistics(ladder).values()}
    assert rows == {3}


# The two loops over time


def twins_loss(ladder, x, y):
    outputs = reference.ladder(ladder, x, training=True)
    return sum(((outputs[name] - y[name]) ** 2).mean() for name in y)


def twins_slope(ladder, x, y, directions, epsilon=1e-3):
    """Central difference of the twin's loss along a direction in weight space."""
    weights = ladder.trainable_weights
    start = [reference.numpy_of(w) for w in weights]
    ends = []
    for sign in (1, -1):
        for weight, value, way in zip(weights, start, directions, strict=True):
            weight.assign((value + sign * epsilon * way).astype("float32"))
        ends.append(twins_loss(ladder, x, y))
    for weight, value in zip(weights, start, strict=True):
        weight.assign(value.astype("float32"))
    return (ends[0] - ends[1]) / (2 * epsilon)


def test_fit_gives_the_same_losses_weights_and_statistics_in_all_loops(rng):
    """The first step has the twin's loss, gradient and statistics; two more follow."""
    x = frames(IMAGE, steps=2, batch=4)
    y = {
        "top": frames((4, 4, 2), steps=2, batch=4, seed=1),
        "bottom": frames((4, 4, 2), steps=2, batch=4, seed=2),
    }
    losses, weights = [], []
    for loop in ({"unroll": True}, {"unroll": False}, {"remat": True}):
        table = [Level(ConvLSTMCell(2, 3), ConvG1(3))]  # tracing takes its time
        ladder = built(table, steps=2, **loop)
        inputs = keras.Input((2, *IMAGE))
        model = keras.Model(inputs, ladder(inputs))
        model.compile(keras.optimizers.SGD(0.1), loss="mean_squared_error")
        model.optimizer.build(model.trainable_variables)  # spares a second tracing
        start = [reference.numpy_of(w) for w in ladder.trainable_weights]
        before = reference.moving_statistics(ladder)
        moments = reference.ladder(ladder, x, training=True)["moments"]
        loss = twins_loss(ladder, x, y)
        directions = [rng.normal(size=value.shape) for value in start]
        slope = twins_slope(ladder, x, y, directions)
        fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
        history = model.fit(x, y, epochs=1, **fit).history["loss"]
        assert history[0] == pytest.approx(loss, rel=1e-4)
        assert_moved_as_twin(ladder, before, moments)
        found = 0
        for n, weight in enumerate(ladder.trainable_weights):
            gradient = (start[n] - reference.numpy_of(weight)) / 0.1
            assert gradient.any(), weight.path
            found += (gradient * directions[n]).sum()
        assert found == pytest.approx(slope, rel=1e-2)
        history += model.fit(x, y, epochs=2, **fit).history["loss"]
        losses.append(history)
        weights.append([reference.numpy_of(w) for w in ladder.weights])
    assert losses[0][-1] < losses[0][0]
    for other in (1, 2):
        np.testing.assert_allclose(losses[0], losses[other], rtol=1e-5)
        for a, b in zip(weights[0], weights[other], strict=True):
            np.testing.assert_allclose(a, b, atol=ATOL)


@pytest.mark.once
@pytest.mark.parametrize("whole", [True, False], ids=["ladder", "rows"])
def test_what_is_frozen_stays_so_when_it_is_loaded_or_cloned(tmp_path, whole):
    inputs = keras.Input((3, *IMAGE))
    ladder = RecurrentLadder(small())
    model = keras.Model(inputs, layers.Dense(1)(ladder(inputs)["top"]))
    (first, *_) = ladder.cell.levels
    for layer in [ladder] if whole else first:
        layer.trainable = False
    found = [w.path for w in model.trainable_variables]
    assert len(found) == 2 if whole else 2 < len(found) < len(model.variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for other in (loaded, keras.models.clone_model(model)):
        assert len(other.trainable_variables) == len(found)


def test_batch_statistics_are_the_same_where_iterations_are_computed_twice():
    x = frames(IMAGE, steps=2, batch=4)
    weights = []
    for remat in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((2, *IMAGE))
        ladder = RecurrentLadder(batch_normalised()[::3], remat=remat)
        model = keras.Model(inputs, ladder(inputs)["bottom"])
        model.compile(keras.optimizers.SGD(0.1), loss="mean_squared_error")
        model.train_on_batch(x, np.zeros((4, *model.output_shape[1:]), "float32"))
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL)


@pytest.mark.parametrize(
    "row",
    [
        lambda: layers.Dropout(0.5, seed=1),
        lambda: keras.Sequential([keras.Input((6,)), layers.BatchNormalization()]),
    ],
    ids=["dropout", "moving averages"],
)
def test_iterations_that_change_variables_are_not_computed_twice(row):
    levels = [Level(row()), Level(LSTMCell(4, normalization=None))]
    ladder = RecurrentLadder(levels, iterations=1, remat=True)
    x = np.ones((2, 3, 6), "float32")
    ladder(x)
    with pytest.raises(ValueError, match="`remat` must be False to train this ladder"):
        ladder(x, training=True)


def test_statistics_of_a_model_that_was_built_before_the_ladder_move():
    row = keras.Sequential([keras.Input((6, 6, 1)), Conv(3, 3)])
    ladder = RecurrentLadder([Level(row), Level(LSTMCell(4))], iterations=2)
    x = np.random.default_rng(0).normal(3, 1, (8, 2, 6, 6, 1)).astype("float32")
    inputs = keras.Input((2, 6, 6, 1))
    model = keras.Model(inputs, ladder(inputs)["top"])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.train_on_batch(x, np.zeros((8, 2, 4), "float32"))
    kernel = row.layers[0].maps[0].kernel
    maps = [convolve(ops.convert_to_tensor(x[:, t]), kernel, (1, 1)) for t in (0, 1)]
    first, second = (ops.convert_to_numpy(m).mean(axis=(0, 1, 2)) for m in maps)
    found = ops.convert_to_numpy(row.layers[0].norm.moving_mean)
    np.testing.assert_allclose(found, [0.09 * first + 0.1 * second], atol=1e-5)


def test_sequences_of_a_length_unknown_when_the_model_is_made():
    ladder = built(small(), steps=None, iterations=2)
    inputs = keras.Input((None, *IMAGE))
    outputs = ladder(inputs)
    assert outputs["bottom"].shape == (None, None, 4, 4, 2)
    model = keras.Model(inputs, outputs)
    for steps in (1, 3):
        x = frames(IMAGE, steps)
        found = model.predict(x, verbose=0)
        assert_like_twin(ladder, found, reference.ladder(ladder, x))


def test_the_choice_of_the_loop():
    torch = keras.backend.backend() == "torch"
    auto = RecurrentLadder(small())
    assert auto.unrolls(5)
    assert auto.unrolls(500) == torch
    assert not auto.unrolls(None)
    for unroll in (True, False):
        assert RecurrentLadder(small(), unroll=unroll).unrolls(5) is unroll


def test_a_long_sequence_trains_with_batch_normalisation_inside_a_row():
    row = keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
    x = keras.Input((21, 3))
    model = keras.Model(x, RecurrentLadder([Level(row), Level(Softmax(2))])(x)["top"])
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((2, 21, 3)), np.ones((2, 21, 2)))
    assert np.abs(reference.numpy_of(row.layers[-1].moving_mean)).max() > 1e-3


def test_what_is_frozen_inside_a_row_is_no_reason_to_unroll():
    frozen = [layers.BatchNormalization(), layers.Dense(3)]
    for layer in frozen:
        layer.trainable = False
    row = keras.Sequential([*frozen, layers.Dense(3)])
    x = keras.Input((21, 3))
    ladder = RecurrentLadder([Level(row), Level(Softmax(2))], unroll=False)
    model = keras.Model(x, ladder(x)["top"])
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((2, 21, 3)), np.ones((2, 21, 2)))
    assert not ladder.changes_variables()


@pytest.mark.once
def test_a_cell_of_your_own_needs_no_more_arguments_than_a_cell_of_keras():
    class Plain(LadderCell):
        def call(self, x, states, training=None):
            return super().call(x, states, training=training)

    x = np.ones((2, 3, 4), "float32")
    keras.utils.set_random_seed(0)
    expected = RecurrentLadder([Level(LSTMCell(3))], iterations=1)(x)["top"]
    keras.utils.set_random_seed(0)
    found = RecurrentLadder(Plain([Level(LSTMCell(3))], iterations=1))(x)["top"]
    found, expected = map(ops.convert_to_numpy, (found, expected))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_stock_cell_may_have_moving_statistics():
    class Normalised(layers.SimpleRNNCell):
        def build(self, input_shape):
            super().build(input_shape)
            self.norm = layers.BatchNormalization()
            self.norm.build((None, self.units))

        def call(self, x, states, training=False):
            h, states = super().call(x, states, training)
            return self.norm(h, training=training), states

    x = keras.Input((21, 3))
    cell = Normalised(2)
    model = keras.Model(x, RecurrentLadder([Level(StockCell(cell))])(x)["top"])
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((2, 21, 3)), np.ones((2, 21, 2)))
    assert np.abs(reference.numpy_of(cell.norm.moving_mean)).max() > 1e-3


@pytest.mark.parametrize("unroll", ["auto", False])
def test_a_long_sequence_trains_with_dropout(unroll):
    levels = [Level(layers.Dropout(0.5)), Level(LSTMCell(2, normalization=None))]
    x = keras.Input((21, 3))
    ladder = RecurrentLadder(levels, unroll=unroll)
    model = keras.Model(x, ladder(x)["top"])
    model.compile("sgd", "mse")
    x, y = np.ones((2, 21, 3)), np.ones((2, 21, 2))
    if keras.backend.backend() == "jax" and unroll is False:
        with pytest.raises(ValueError, match="draws random numbers.*Omit `unroll`"):
            model.train_on_batch(x, y)
    else:
        losses = [float(model.train_on_batch(x, y)) for _ in range(2)]
        assert losses[0] != losses[1]
        np.testing.assert_array_equal(*(model.predict(x, verbose=0) for _ in range(2)))


def test_a_stock_cell_draws_a_mask_of_dropout_for_each_batch():
    """Of any size, in one and the same `fit` and in the next, as in Keras' RNN."""
    cell = StockCell(layers.LSTMCell(64, dropout=0.5))
    x = keras.Input((2, 6))
    model = keras.Model(x, RecurrentLadder([Level(cell)])(x)["top"])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = np.ones((5, 2, 6)), np.ones((5, 2, 64))
    losses = model.fit(x, y, batch_size=2, epochs=3, verbose=0).history["loss"]
    model.compile(keras.optimizers.SGD(0.0), "mse")
    losses += model.fit(x, y, batch_size=2, verbose=0).history["loss"]
    assert len(set(losses)) == 4
    without = RecurrentLadder([Level(StockCell(layers.LSTMCell(2)))])
    assert without.changes_variables() is False


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA of TF")
def test_a_scanned_ladder_trains_with_xla():
    levels = [
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
        Level(layers.AveragePooling2D(2), ConvG1(1)),
        Level(Conv(2, 1), ConvG3(1)),
    ]
    x = keras.Input((3, *IMAGE))
    ladder = RecurrentLadder(levels, unroll=False)
    model = keras.Model(x, ladder(x)["bottom"])
    model.compile("sgd", "mse", jit_compile=True)
    x = frames(IMAGE)
    before = model.predict(x, verbose=0)
    loss = model.train_on_batch(x, np.zeros_like(before))
    assert loss > model.train_on_batch(x, np.zeros_like(before))


# States


def test_frame_by_frame_with_the_cells_own_state_is_the_whole_sequence(run):
    ladder = built(images())
    x = frames(IMAGE)
    whole = reference.ladder(ladder, x)
    state = ladder.cell.get_initial_state(len(x))
    for t in range(3):
        outputs, state = run(ladder.cell, x[:, t], state)
        np.testing.assert_allclose(outputs.top, whole["top"][:, t], atol=ATOL)
        np.testing.assert_allclose(outputs.bottom, whole["bottom"][:, t], atol=ATOL)
        assert state[0].tolist() == [t + 1]


@pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "scanned"])
def test_a_sequence_goes_on_from_an_initial_state(run, unroll):
    ladder = built(small(), unroll=unroll)
    x = frames(IMAGE)
    whole = reference.ladder(ladder, x)
    _, state = run(ladder.cell, x[:, 0], ladder.cell.get_initial_state(len(x)))
    rest = run(ladder, x[:, 1:], state)
    for name in rest:
        np.testing.assert_allclose(rest[name], whole[name][:, 1:], atol=ATOL)


def test_a_state_of_another_ladder_or_batch_is_refused():
    ladder = built(small())
    x = frames(IMAGE)
    good = ladder.cell.get_initial_state(len(x))
    for state in (good[:-1], ladder.cell.get_initial_state(len(x) + 1), [None]):
        with pytest.raises(ValueError, match="`initial_state` must have tensors of"):
            ladder(x, initial_state=state)


def test_masks_of_numbers_are_true_where_they_are_not_0():
    ladder = built(small())
    x = frames(IMAGE)
    mask = np.ones(x.shape[:2], bool)
    mask[0, 1:] = False
    expected = ladder(x, mask=mask)
    for numbers in (np.where(mask, -1.0, 0.0), np.where(mask, np.nan, 0.0)):
        for name, found in ladder(x, mask=numbers.astype("float32")).items():
            found, wanted = map(ops.convert_to_numpy, (found, expected[name]))
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_training_from_an_initial_state_updates_the_rows_of_its_iterations(run):
    ladder = built(statistics())
    x = frames(IMAGE)
    state = ladder.cell.get_initial_state(len(x))
    state[0] = state[0] + 2
    before = reference.moving_statistics(ladder)
    run(ladder, x[:, 2:], state, training=True)
    for name, (mean, _) in reference.moving_statistics(ladder).items():
        changed = [bool(row.any()) for row in mean != before[name][0]]
        assert changed == [False, False, True]


def test_the_initial_state_is_zero_and_of_the_shapes_that_come_out(run):
    ladder = built(batch_normalised(), UNEVEN, feedback="all")
    state = ladder.cell.get_initial_state(3)
    _, after = run(ladder.cell, frames(UNEVEN)[:, 0], state)
    keras.tree.assert_same_structure(state, after)
    pairs = zip(keras.tree.flatten(state), keras.tree.flatten(after), strict=True)
    for before, new in pairs:
        assert tuple(before.shape) == new.shape
        assert keras.backend.standardize_dtype(before.dtype) == new.dtype.name
        assert not ops.convert_to_numpy(before).any()


# Batches


def test_batches_of_any_size(run):
    ladder = built(statistics(), steps=2)
    x = frames(IMAGE, steps=2, batch=5)
    whole = reference.ladder(ladder, x)
    for part in (slice(0, 1), slice(0, 5)):
        outputs = run(ladder, x[part])
        for name in outputs:
            np.testing.assert_allclose(outputs[name], whole[name][part], atol=ATOL)


# Saving


def test_a_saved_model_gives_the_same_output_after_loading(run, tmp_path):
    inputs = keras.Input((2, *IMAGE))
    ladder = built(statistics(), steps=2, feedback="all", unroll=True)
    model = keras.Model(inputs, ladder(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = frames(IMAGE, steps=2)
    before, after = run(model, x), run(loaded, x)
    for name in before:
        np.testing.assert_allclose(before[name], after[name], atol=1e-6)
    assert len(loaded.weights) == len(model.weights)
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(reference.numpy_of(a), reference.numpy_of(b))


def stacked(units):
    return layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(units)])


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(layers.LSTMCell, marks=ONCE),
        pytest.param(layers.GRUCell, marks=ONCE),
        stacked,
    ],
)
def test_a_stock_cell_is_saved_and_loaded(run, tmp_path, cell):
    inputs = keras.Input((2, 3))
    ladder = RecurrentLadder([Level(StockCell(cell(2))), Level(Softmax(2))])
    model = keras.Model(inputs, ladder(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = frames((3,), steps=2)
    np.testing.assert_allclose(run(model, x)["top"], run(loaded, x)["top"], atol=1e-6)


@pytest.mark.parametrize(
    "table",
    [images, pytest.param(series, marks=ONCE), pytest.param(gaps, marks=ONCE)],
)
def test_a_weights_file_restores_every_weight(tmp_path, table):
    frame = {images: IMAGE, series: SERIES, gaps: UNEVEN}[table]
    saved, other = built(table(), frame), built(table(), frame)
    reference.randomise(other, seed=1)
    for ladder, name in ((saved, "save"), (other, "load")):
        inputs = keras.Input((3, *frame))
        model = keras.Model(inputs, ladder(inputs))
        getattr(model, f"{name}_weights")(tmp_path / "ladder.weights.h5")
    for a, b in zip(saved.weights, other.weights, strict=True):
        np.testing.assert_array_equal(reference.numpy_of(a), reference.numpy_of(b))


NO_CONFIG = {"export_step", "f", "gate", "initial_state", "Level", "step_model"}
FEATURES, VECTOR = (2, 5, 4, 2), (3, 4)
UP = [(2, 3, 2, 3), (2, 3, 2, 2), (2, 5, 4, 1)]  # v_top, h and the row's input
CELL = {"normalization": "batch", "forget_bias": 0.5, "recurrent_gain": 0.7}
# class: (all arguments, by values that are no defaults; shapes to build for)
CASES = {
    "BatchNormalization": (
        {
            "momentum": 0.8,
            "epsilon": 0.01,
            "initial_gain": 0.5,
            "initial_offset": 0.1,
            "learned_gain": False,
        },
        [VECTOR],
    ),
    "Conv": ({"filters": 3, "kernel_size": (3, 1), "strides": (2, 1)}, [FEATURES]),
    "ConvG1": ({"kernel_size": (3, 2), "normalization": "layer"}, UP),
    "ConvG2": ({"kernel_size": (3, 2), "normalization": "batch"}, UP),
    "ConvG3": (
        {"kernel_size": 4, "inner_kernel_size": 3, "normalization": "batch"},
        UP,
    ),
    "ConvGRUCell": ({"filters": 2, "kernel_size": 3, "strides": 2, **CELL}, [FEATURES]),
    "ConvLSTMCell": (
        {"filters": 2, "kernel_size": (3, 2), "strides": (2, 1), **CELL},
        [FEATURES],
    ),
    "G1": ({"normalization": None}, UP),
    "GRUCell": ({"filters": 2, **CELL}, [VECTOR]),
    "Identity": ({}, UP),
    "LSTMCell": ({"filters": 2, **CELL}, [VECTOR]),
    "LadderCell": (
        {"levels": statistics, "feedback": "all", "iterations": 2, "skip": list(BOTH)},
        [(2, *IMAGE)],
    ),
    "RecurrentLadder": (
        {
            "levels": statistics,
            "feedback": "all",
            "iterations": 2,
            "unroll": True,
            "carry": 2,
            "remat": True,
            "skip": ["diagonal"],
        },
        [(2, 3, *IMAGE)],
    ),
    "MixtureCost": (
        {"pixels": "binary"},
        [(2, 1, 4, 4, 1), (2, 3, 2, 4, 4), (2, 3, 2, 4, 4, 1), (2, 3, 1)],
    ),
    "MixturePosterior": (
        {"pixels": "binary"},
        [(2, 3, 4, 4, 1), (2, 3, 2, 4, 4), (2, 3, 2, 4, 4, 1), (2, 3, 1)],
    ),
    "Softmax": ({"classes": 3, "normalization": "batch"}, [VECTOR]),
    "TaggerCell": (
        {
            "levels": statistics,
            "groups": 2,
            "kernel_size": 4,
            "pixels": "binary",
            "noise": 0.1,
            "start": 0.4,
            "mu_gain": 0.7,
            "pi_gain": 0.2,
            "learned_pi_gain": False,
            "variance": 0.3,
            "feedback": "all",
            "iterations": 2,
            "seed": 3,
            "skip": ["recurrent"],
        },
        [(2, *IMAGE)],
    ),
    "TopDown": ({"kernel_size": (3, 2), "normalization": "layer"}, UP),
    "StockCell": (
        {"cell": lambda: layers.GRUCell(3, recurrent_initializer="zeros")},
        [VECTOR],
    ),
}


def arguments(cls):
    """Names of the constructor's own arguments, along the classes of this library."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.startswith("rladder_keras") and "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            names |= {p.name for p in parameters if p.kind != p.VAR_KEYWORD}
    dense = {"kernel_size", "strides"} if cls in (LSTMCell, GRUCell) else set()
    return names - {"self"} - dense


def lookup(config, name):
    """The entries called `name`, at whatever depth."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key == name:
                yield value
            yield from lookup(value, name)


@pytest.mark.once
@pytest.mark.parametrize("name", sorted(set(rladder_keras.__all__) - NO_CONFIG))
def test_config_round_trip_of_every_public_class(run, rng, name):
    assert name in CASES, f"add a case for the new class {name}"
    cls = getattr(rladder_keras, name)
    kwargs, shapes = CASES[name]
    assert set(kwargs) == arguments(cls), "the case must give every argument"
    kwargs = {k: v() if callable(v) else v for k, v in kwargs.items()}
    layer = cls(**kwargs, name="called")
    config = json.loads(json.dumps(layer.get_config()))
    for key, value in kwargs.items():
        if key not in ("levels", "cell"):
            assert json.loads(json.dumps(value)) in list(lookup(config, key)), key
    assert config["name"] == "called"
    clones = [
        cls.from_config(copy.deepcopy(config)),
        keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        ),
    ]
    has_weights = type(layer).build is not layers.Layer.build
    if has_weights:
        layer.build(*shapes)
        reference.randomise(layer)
    inputs = [rng.normal(0, 1, shape).astype("float32") for shape in shapes]
    if shapes is UP:  # a decoder does not see the row's input
        inputs = inputs[:2]
    if hasattr(layer, "get_initial_state") and name != "RecurrentLadder":
        inputs.append(layer.get_initial_state(len(inputs[0])))
    outputs = keras.tree.flatten(run(layer, *inputs))
    for clone in clones:
        again = json.loads(json.dumps(clone.get_config()))
        assert again == config
        if has_weights:
            clone.build(*shapes)
        assert list(reference.weights_of(clone)) == list(reference.weights_of(layer))
        clone.set_weights(layer.get_weights())
    same = keras.tree.flatten(run(clones[1], *inputs))
    for a, b in zip(outputs, same, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.once
def test_what_the_package_exports_exists_and_is_documented():
    for name in rladder_keras.__all__:
        assert inspect.getdoc(getattr(rladder_keras, name)), name


# Precision


@pytest.mark.parametrize(
    ("name", "unroll", "training", "atol"),
    [
        ("mixed_bfloat16", True, False, 0.3),
        ("mixed_bfloat16", False, True, 0.3),
        ("mixed_float16", True, True, 0.06),
    ],
)
def test_mixed_precision_is_close_to_float32(run, policy, name, unroll, training, atol):
    x = frames(IMAGE, steps=2)
    full = built(images(), steps=2)
    expected = reference.ladder(full, x, training)
    policy(name)
    ladder = built(images(), steps=2, unroll=unroll)
    outputs = run(ladder, x, training=training)
    assert all(w.dtype == "float32" for w in ladder.weights)
    assert outputs["top"].dtype == "float32"  # probabilities
    np.testing.assert_allclose(outputs["top"].sum(-1), 1, atol=1e-5)
    assert outputs["bottom"].dtype.name == name.removeprefix("mixed_")
    for key in outputs:
        value = outputs[key].astype("float32")
        assert np.isfinite(value).all()
        assert np.abs(value - expected[key]).mean() < atol / 10
        np.testing.assert_allclose(value, expected[key], atol=atol)


def test_a_blank_film_gives_finite_outputs(run):
    ladder = RecurrentLadder(images())
    ladder.build((None, 1, *IMAGE))
    outputs = run(ladder, np.zeros((2, 1, *IMAGE), "float32"), training=True)
    assert all(np.isfinite(value).all() for value in outputs.values())


# Masks


@pytest.mark.once
@pytest.mark.parametrize("shape", [(3, 2), (3, 4), (3, 3, 1), (3,), (1, 3)])
def test_a_mask_of_another_shape_is_refused(shape):
    ladder = RecurrentLadder(images(), iterations=3)
    with pytest.raises(ValueError, match=r"shape \(3, 3\); got shape"):
        ladder(frames(IMAGE), mask=np.ones(shape, bool).tolist())


def masked(ladder, steps, frame=IMAGE):
    """A model of two inputs, sequences and mask."""
    x, mask = keras.Input((steps, *frame)), keras.Input((steps,), dtype="bool")
    return keras.Model([x, mask], ladder(x, mask=mask))


LOOPS = pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "scanned"])
# On all backends, unrolled ladders have few rows: they take long to compile.
MASKED = pytest.mark.parametrize(
    ("table", "unroll"),
    [(small, True), (images, False), pytest.param(images, True, marks=ONCE)],
)


@MASKED
def test_a_mask_in_mixed_precision_is_that_in_float32(run, policy, table, unroll):
    x, mask = frames(IMAGE), np.arange(3) < np.array([[3], [1], [2]])
    runs = []
    for name in ("float32", "mixed_bfloat16"):
        policy(name)
        ladder = built(table(), unroll=unroll, carry=3)
        runs.append(run(masked(ladder, 3), [x, mask], training=True))
    for key in runs[0]:
        expected, value = (o[key][mask].astype("float32") for o in runs)
        np.testing.assert_allclose(value, expected, atol=0.3)


@MASKED
def test_a_mask_of_nothing_but_frames_changes_nothing(run, table, unroll):
    ladders = [built(table(), unroll=unroll) for _ in range(2)]
    x, mask = frames(IMAGE), np.ones((3, 3), bool)
    expected = run(ladders[0], x, training=True)
    outputs = run(masked(ladders[1], 3), [x, mask], training=True)
    assert_like_twin(ladders[1], outputs, expected)
    for one, other in zip(ladders[0].weights, ladders[1].weights, strict=True):
        np.testing.assert_allclose(
            reference.numpy_of(one), reference.numpy_of(other), atol=1e-6
        )


@MASKED
def test_what_stands_in_the_padding_counts_nowhere(run, table, unroll):
    mask = np.arange(3) < np.array([[3], [1], [2]])
    outputs, weights = [], []
    for padding in (0.0, 100.0):
        ladder = built(table(), unroll=unroll)
        x = frames(IMAGE)
        x[~mask] = padding
        outputs.append(run(masked(ladder, 3), [x, mask], training=True))
        weights.append([reference.numpy_of(w) for w in ladder.weights])
    for name in outputs[0]:
        one, other = (o[name][mask] for o in outputs)
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@MASKED
def test_a_sequence_after_padding_starts_anew(run, table, unroll):
    ladder = built(table(), iterations=1, steps=7, unroll=unroll)
    x = frames(IMAGE, 7)
    mask = np.arange(7) != 3
    outputs = run(masked(ladder, 7), [x, np.tile(mask, (3, 1))])
    for part in (slice(0, 3), slice(4, 7)):
        alone = reference.ladder(ladder, x[:, part])
        assert_like_twin(ladder, {k: v[:, part] for k, v in outputs.items()}, alone)


@pytest.mark.parametrize("stateful", [False, True])
def test_a_mask_from_below_is_used_and_goes_on_to_the_outputs(stateful):
    ladder = built([Level(LSTMCell(2), G1())], (4,), iterations=1)
    state = ladder.cell.get_initial_state(2) if stateful else None
    x = np.ones((2, 3, 4), "float32")
    x[0, 1] = 0
    mask = (x != 0).any(-1)
    outputs = ladder(layers.Masking()(x), initial_state=state)
    expected = ladder(x, initial_state=state, mask=mask)
    for name in ("top", "bottom"):
        np.testing.assert_allclose(
            ops.convert_to_numpy(outputs[name])[mask],
            ops.convert_to_numpy(expected[name])[mask],
            atol=1e-6,
        )
    assert ladder.compute_mask(x, mask) == {"top": mask, "bottom": mask}


# The state carried from batch to batch


@LOOPS
def test_two_batches_in_training_go_on_like_one(run, unroll):
    """With layer normalisation only, so that training is like inference."""

    def table():
        return [Level(ConvLSTMCell(2, 3), ConvG3(3)), Level(ConvGRUCell(3, 3))]

    ladder = built(table(), iterations=1, unroll=unroll, carry=3)
    plain = built(table(), iterations=1, unroll=unroll)
    for weight, other in zip(ladder.cell.weights, plain.cell.weights, strict=True):
        weight.assign(other)
    for state in ladder.carried:
        state.assign(np.zeros(state.shape, state.dtype))
    x = frames(IMAGE, 6)
    mask = np.ones((3, 6), bool)
    mask[1, 4] = False
    whole = run(masked(plain, 6), [x, mask])
    model = masked(ladder, 3)
    for part in (slice(0, 3), slice(3, 6)):
        outputs = run(model, [x[:, part], mask[:, part]], training=True)
        for name in outputs:
            np.testing.assert_allclose(
                outputs[name][mask[:, part]],
                whole[name][:, part][mask[:, part]],
                atol=ATOL,
            )
        again = run(model, [x[:, :3], mask[:, :3]])  # inference starts from zeros
        np.testing.assert_allclose(again["top"], whole["top"][:, :3], atol=ATOL)


def test_a_batch_that_does_not_fit_the_carried_state_is_refused():
    ladder = RecurrentLadder([Level(LSTMCell(2))], carry=3)
    with pytest.raises(ValueError, match="must have 3 rows .* got 2 rows"):
        ladder(frames((4,), batch=2), training=True)
    assert ladder(frames((4,), batch=2))["top"].shape == (2, 3, 2)


def test_a_last_batch_of_one_row_is_refused_where_the_state_is_carried():
    x = keras.Input((None, 4))
    model = keras.Model(x, RecurrentLadder([Level(LSTMCell(2))], carry=2)(x)["top"])
    model.compile("sgd", "mse")
    with pytest.raises(Exception, match="reshape|same size|carries its state"):
        model.fit(frames((4,), batch=3), np.ones((3, 3, 2)), batch_size=2, verbose=0)


@pytest.mark.once
def test_the_shape_of_the_output_is_known_before_building():
    ladder = RecurrentLadder(images())
    shapes = ladder.compute_output_shape((2, 5, *IMAGE))
    assert not ladder.built
    ladder.build((2, 5, *IMAGE))
    assert shapes == ladder.compute_output_shape((2, 5, *IMAGE))


# What is refused, and in which words


@pytest.mark.once
@pytest.mark.parametrize("decoder", [ConvG1(3), ConvG3(3), None])
def test_maps_that_no_stride_leads_to_are_refused(decoder):
    """A map of 6 x 6 is no coarser picture of one of 8 x 8."""
    levels = [
        Level(ConvLSTMCell(2, 3), decoder or ConvG2(3)),
        Level(layers.Conv2D(2, 3), ConvG1(3) if decoder else None),
        Level(Conv(2, 1)),
    ]
    with pytest.raises(ValueError, match="level 1 .*from a side of 8 to one of 6"):
        RecurrentLadder(levels, iterations=1).build((1, 1, 8, 8, 1))


@pytest.mark.once
def test_rows_with_channels_first_are_refused():
    pool = layers.MaxPooling2D(2, data_format="channels_first")
    with pytest.raises(ValueError, match='level 1 .*got MaxPool.*="channels_last"'):
        RecurrentLadder([Level(pool)])


@pytest.mark.once
@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        (layers.LSTMCell(2), "StockCell"),
        (layers.BatchNormalization(), "Conv"),
        (layers.LSTM(2), "without a loop"),
    ],
)
def test_stock_layers_that_are_no_rows_are_refused(row, remedy):
    with pytest.raises(
        ValueError, match=f"level 2 .*got {type(row).__name__}.*{remedy}"
    ):
        RecurrentLadder([Level(LSTMCell(2)), Level(row)])


@pytest.mark.once
def test_iterations_below_one_are_refused():
    for n in (0, -1, 2.5, "3", True):
        for name in ("iterations", "carry"):
            message = f"`{name}` must be an integer of at least 1; got {n!r}"
            with pytest.raises(ValueError, match=message):
                RecurrentLadder([Level(LSTMCell(2))], **{name: n})


@pytest.mark.once
def test_levels_that_are_no_list_are_refused():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3)])
    for levels in (model, None, Conv(2, 3), "table_5"):
        with pytest.raises(ValueError, match="`levels` must be a list of Level.*; got"):
            RecurrentLadder(levels)


@pytest.mark.once
def test_a_model_of_sequences_or_of_two_outputs_is_no_row():
    sequences, x = keras.Input((3, *IMAGE)), keras.Input(IMAGE)
    film = keras.Model(sequences, layers.Rescaling(2.0)(sequences))
    two = keras.Model(x, {"a": layers.Conv2D(2, 3)(x), "b": x})
    for model, message in (
        (film, "takes inputs of 5 axes.*without the axis of time"),
        (two, "must give one tensor for each frame; .* gives several"),
    ):
        with pytest.raises(ValueError, match=f"level 1 of 1 .*{message}"):
            RecurrentLadder([Level(model)])(frames(IMAGE))


@pytest.mark.once
def test_frames_without_channels_are_not_blamed_on_a_row_above():
    rows = [Level(Conv(2, 3)), Level(Conv(2, 3)), Level(layers.MaxPooling2D(2))]
    with pytest.raises(ValueError, match="^frames must have 3 axes.*level 3.*None]"):
        RecurrentLadder(rows)(np.zeros((2, 3, 8, 12), "float32"))


def test_dtype_reaches_the_levels():
    levels = [Level(Conv(2, 3), G1()), Level(LSTMCell(2), G1())]
    ladder = RecurrentLadder(levels, iterations=2, dtype="mixed_bfloat16", unroll=False)
    outputs = ladder(np.ones((2, 2, 4, 4, 1), "float32"))
    names = {
        name: keras.backend.standardize_dtype(x.dtype) for name, x in outputs.items()
    }
    assert names == {"top": "bfloat16", "bottom": "bfloat16"}
    assert levels[0].encoder.maps[0].compute_dtype == "bfloat16"
    stock = StockCell(layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)]))
    RecurrentLadder([Level(stock)], dtype="mixed_bfloat16")(np.ones((2, 2, 4)))
    assert [cell.compute_dtype for cell in stock.stock_cells] == ["bfloat16"] * 2


@pytest.mark.once
def test_probabilities_are_declared_with_the_precision_that_they_have():
    levels = [Level(LSTMCell(4), G1()), Level(Softmax(3))]
    ladder = RecurrentLadder(levels, iterations=2, dtype="mixed_bfloat16")
    outputs = ladder(keras.Input((2, 6)))
    assert (outputs["top"].dtype, outputs["bottom"].dtype) == ("float32", "bfloat16")
    found = ladder(np.ones((1, 2, 6), "float32"))
    assert keras.backend.standardize_dtype(found["top"].dtype) == "float32"


@pytest.mark.once
def test_skips_may_come_from_a_generator():
    cell = LadderCell([Level(LSTMCell(2), G1())], skip=(n for n in ["diagonal"]))
    assert cell.skip == ("diagonal",)


@pytest.mark.once
@pytest.mark.parametrize(
    ("levels", "row", "names"),
    [
        # a pool that is larger than its input
        ([Level(Conv(2, 3)), Level(layers.MaxPooling2D(8))], "2 of 2", "MaxPooling2D"),
        # ConvG3 beside a vector
        (
            [Level(layers.AveragePooling2D(2), G1()), Level(LSTMCell(2), ConvG3(3))],
            "2 of 2",
            r"LSTMCell \| ConvG3",
        ),
        # ConvG2 under a vector
        (
            [Level(Conv(2, 3), ConvG2(3)), Level(LSTMCell(2), G1())],
            "1 of 2",
            r"Conv \| ConvG2",
        ),
        # kernels of another rank
        ([Level(Conv(2, 3)), Level(Conv(2, (3, 3, 3)))], "2 of 2", "no decoder"),
        (
            [Level(Conv(2, 3), ConvG3((3,))), Level(Conv(2, 3))],
            "1 of 2",
            r"Conv \| ConvG3",
        ),
        # a pool of another rank
        ([Level(Conv(2, 3)), Level(layers.MaxPooling1D(2))], "2 of 2", "MaxPooling1D"),
        # a convolution over a vector
        ([Level(LSTMCell(2), G1()), Level(Conv(2, 3), G1())], "2 of 2", "Conv"),
    ],
)
def test_a_row_that_does_not_fit_is_named(levels, row, names):
    with pytest.raises(ValueError, match=f"(?s)level {row} .*{names}.*does not fit"):
        RecurrentLadder(levels)(frames(IMAGE))


@pytest.mark.once
@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"feedback": "some"}, "'recurrent', 'all', 'none'.*got 'some'"),
        ({"feedback": True}, "`feedback` must be one of"),
        ({"skip": "diagonal"}, "`skip` must be a tuple of some of .*got 'diagonal'"),
        ({"skip": ("up",)}, "`skip` must be a tuple of some of"),
        ({"skip": None}, "`skip` must be a tuple of some of .*got None"),
        ({"unroll": "yes"}, "`unroll` must be True, False or 'auto'; got 'yes'"),
        ({"unroll": 0}, "`unroll` must be True, False or 'auto'; got 0"),
        ({"unroll": False, "remat": True}, "Omit `unroll`"),
    ],
)
def test_unknown_options_are_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        RecurrentLadder(small(), **kwargs)


@pytest.mark.once
def test_a_ladder_needs_levels():
    with pytest.raises(ValueError, match="at least one Level"):
        RecurrentLadder([])


@pytest.mark.once
def test_a_still_image_must_be_repeated():
    with pytest.raises(ValueError, match="Add the time axis"):
        RecurrentLadder([Level(LSTMCell(2), G1())])(np.ones((2, 4), "float32"))


@pytest.mark.once
def test_frames_must_have_a_known_size():
    with pytest.raises(ValueError, match="must have a fixed size.*Give Input"):
        RecurrentLadder(small())(keras.Input((3, None, None, 1)))


@pytest.mark.once
def test_iterations_must_be_given_where_there_are_statistics_of_unknown_length():
    with pytest.raises(ValueError, match="iterations=T"):
        RecurrentLadder(small())(keras.Input((None, *IMAGE)))
    without = RecurrentLadder([Level(ConvLSTMCell(2, 3), ConvG3(3))])
    assert without(keras.Input((None, *IMAGE)))["top"].shape == (None, None, 4, 4, 2)


@pytest.mark.once
def test_a_row_may_be_a_model_and_come_trained(tmp_path):
    x = np.random.default_rng(0).random((2, 2, 8, 8, 1), dtype="float32")
    trained = layers.Conv2D(2, 3, padding="same")
    trained.build((None, 8, 8, 1))
    kernel = ops.convert_to_numpy(trained.kernel)
    rows = [
        Level(trained),
        Level(keras.Sequential([layers.Conv2D(2, 3, padding="same")]), ConvG3(3)),
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
    ]
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, RecurrentLadder(rows)(inputs))
    np.testing.assert_array_equal(ops.convert_to_numpy(trained.kernel), kernel)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected, found = model.predict(x, verbose=0), loaded.predict(x, verbose=0)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


@pytest.mark.once
def test_two_ladders_cannot_share_levels():
    levels = one_recurrent()
    built(levels)
    with pytest.raises(ValueError, match="level 1 of 2.*weights, of another row or"):
        built(levels)
    row = Level(Conv(4, 3))
    with pytest.raises(ValueError, match="level 2 of 2.*Make new layers for each row"):
        RecurrentLadder([row, row])(np.ones((1, 2, 4, 4, 4), "float32"))


@pytest.mark.once
def test_a_level_cannot_stand_in_two_rows():
    level = Level(Conv(2, 3), ConvG3(3))
    with pytest.raises(ValueError, match="level 2 of 2.*weights, of another"):
        built([level, level])


def test_a_cell_can_be_given_instead_of_levels(run):
    x = frames(IMAGE)
    cell = LadderCell(statistics(), feedback="all", iterations=3)
    ladder = built(cell)
    expected = reference.ladder(built(statistics(), feedback="all"), x)
    assert ladder.cell is cell
    assert_like_twin(ladder, run(ladder, x), expected)


@pytest.mark.once
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            lambda: Level(LSTMCell(4), G1),
            r"level 2 .* the class G1\. Write G1\(\.\.\.\)",
        ),
        (lambda: Level(Conv), "level 2 must .* got the class Conv"),
        (lambda: Conv(4, 3), r"level 2 must be Level\(encoder\)"),
        (lambda: Level(Conv(4, 3), "G1"), "level 2 must have a layer as encoder"),
        (lambda: Level(None, G1()), "level 2 must have a layer as encoder"),
        (lambda: Level(keras.layers.Softmax()), "level 2 .*rladder_keras.Softmax"),
    ],
)
def test_what_is_no_row_is_refused_by_number(row, message):
    with pytest.raises(ValueError, match=message):
        RecurrentLadder([Level(Conv(4, 3)), row()])


@pytest.mark.once
def test_frames_of_integers_are_refused():
    ladder = RecurrentLadder([Level(Conv(2, 3))])
    with pytest.raises(ValueError, match="type uint8.*divide 8-bit images by 255"):
        ladder(np.zeros((2, 3, 4, 4, 1), "uint8"))
