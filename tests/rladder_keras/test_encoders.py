"""Tests of the encoder rows, first of all against their NumPy twins."""

import keras
import numpy as np
import pytest
import reference
from keras import ops

from rladder_keras import (
    Conv,
    ConvGRUCell,
    ConvLSTMCell,
    GRUCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
    StockCell,
)

RECURRENT = {ConvLSTMCell: reference.lstm, ConvGRUCell: reference.gru}
DENSE = {LSTMCell: reference.lstm, GRUCell: reference.gru}
ATOL = 2e-5


def draws(rng, *shapes):
    return [rng.normal(0, 1, shape).astype("float32") for shape in shapes]


def double(arrays):
    return [a.astype("float64") for a in arrays]


def iteration(training):
    return reference.Iteration(None if training else 0)


def compare_cell(run, rng, cell, twin, inputs, strides=1):
    """Output and states of one step, in inference and in training."""
    cell.build([x.shape for x in inputs] if len(inputs) > 1 else inputs[0].shape)
    reference.randomise(cell)
    shapes = [tuple(s.shape) for s in cell.get_initial_state(len(inputs[0]))]
    states = draws(rng, *shapes)
    w = reference.weights_of(cell)
    for training in (False, True) if cell.normalization == "batch" else (False,):
        output, new = run(
            cell, inputs if len(inputs) > 1 else inputs[0], states, training=training
        )
        expected, expected_states = twin(
            w,
            double(inputs),
            double(states),
            iteration(training),
            strides,
            cell.normalization,
        )
        np.testing.assert_allclose(output, expected, atol=ATOL)
        assert len(new) == len(expected_states)
        for state, value in zip(new, expected_states, strict=True):
            np.testing.assert_allclose(state, value, atol=ATOL)


# Recurrent rows


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
@pytest.mark.parametrize("cls", list(RECURRENT))
def test_strided_recurrent_convolutions_with_feedback_from_the_grid_below(
    run, rng, cls, normalization
):
    """5 x 4 -> 3 x 2; the feedback of a ConvG2 or ConvG3 has the grid of the input."""
    inputs = draws(rng, (3, 5, 4, 2), (3, 5, 4, 4))
    cell = cls(4, 3, 2, normalization=normalization)
    compare_cell(run, rng, cell, RECURRENT[cls], inputs, strides=2)


@pytest.mark.parametrize("cls", list(RECURRENT))
def test_feedback_on_the_rows_own_grid_is_not_strided(run, rng, cls):
    """The feedback of a ConvG1 has the size of the row's own output."""
    inputs = draws(rng, (2, 5, 4, 2), (2, 3, 2, 4))
    compare_cell(run, rng, cls(4, 3, 2), RECURRENT[cls], inputs, strides=2)


@pytest.mark.parametrize(
    ("shape", "kernel", "strides"),
    [
        ((2, 4, 4, 2), 3, 1),
        ((2, 4, 4, 2), 2, 1),
        ((2, 11, 2), 3, 2),
        ((2, 1, 11, 2), (1, 3), (1, 2)),
        ((2, 3, 2, 2, 1), 2, 2),
    ],
)
@pytest.mark.parametrize("cls", list(RECURRENT))
def test_recurrent_convolutions_in_one_two_and_three_dimensions(
    run, rng, cls, shape, kernel, strides
):
    cell = cls(3, kernel, strides)
    compare_cell(run, rng, cell, RECURRENT[cls], draws(rng, shape), strides)


@pytest.mark.parametrize("strides", [3, 4])
def test_strides_that_do_not_divide_the_grid_are_kept(run, rng, strides):
    inputs = draws(rng, (2, 4, 5, 2))
    cell = ConvLSTMCell(2, 3, strides)
    compare_cell(run, rng, cell, reference.lstm, inputs, strides)


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
@pytest.mark.parametrize("cls", list(DENSE))
def test_dense_recurrent_rows_flatten_their_inputs(run, rng, cls, normalization):
    inputs = draws(rng, (4, 2, 1, 3), (4, 5))
    cell = cls(5, normalization=normalization)
    compare_cell(run, rng, cell, DENSE[cls], inputs)


@pytest.mark.parametrize("cls", list(DENSE))
def test_dense_recurrent_rows_without_feedback(run, rng, cls):
    compare_cell(run, rng, cls(4), DENSE[cls], draws(rng, (3, 6)))


@pytest.mark.parametrize("cls", [ConvLSTMCell, ConvGRUCell])
def test_cells_start_without_memory_and_with_quiet_branches(cls):
    cell = cls(3, 3, forget_bias=-1.5, recurrent_gain=0.2)
    cell.build([(None, 4, 4, 1), (None, 4, 4, 3)])
    w = reference.weights_of(cell)
    expected = np.zeros((cell.gates, 3))
    expected[1] = -1.5
    np.testing.assert_array_equal(w["bias"], expected)
    for name, gain in (("below", 1.0), ("feedback", 0.2), ("recurrent", 0.2)):
        np.testing.assert_allclose(w[f"{name}/gain"], gain, atol=1e-7)


@pytest.mark.parametrize("cls", [ConvLSTMCell, ConvGRUCell, LSTMCell, GRUCell])
def test_by_default_cells_start_almost_without_memory(cls):
    """The numbers of PAPER.md, as keyword arguments and in the weights."""
    cell = cls(3, 3) if cls in RECURRENT else cls(3)
    config = cell.get_config()
    assert (config["forget_bias"], config["recurrent_gain"]) == (-2.0, 0.1)
    cell.build([(None, 4, 4, 1), (None, 4, 4, 3)])
    w = reference.weights_of(cell)
    expected = np.zeros((cell.gates, 3))
    expected[1] = -2
    np.testing.assert_array_equal(w["bias"], expected)
    for name, gain in (("below", 1.0), ("feedback", 0.1), ("recurrent", 0.1)):
        np.testing.assert_allclose(w[f"{name}/gain"], gain, atol=1e-7)


def test_initial_states_are_zeros_on_the_grid_of_the_output():
    cell = ConvLSTMCell(3, (3, 3), (2, 1))
    cell.build((None, 5, 4, 1))
    states = cell.get_initial_state(6)
    assert len(states) == len(cell.state_size) == 2
    for state in states:
        assert tuple(state.shape) == (6, 3, 4, 3)
        assert not ops.convert_to_numpy(state).any()
    assert cell.output_size == 3


@pytest.mark.parametrize("cls", [ConvLSTMCell, ConvGRUCell, LSTMCell, GRUCell])
def test_an_unknown_normalization_is_refused(cls):
    with pytest.raises(ValueError, match="'layer', 'batch' or None"):
        cls(*(3, 3)[: 2 if cls in RECURRENT else 1], normalization="instance")


# Stock Keras cells


@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("cls", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_a_stock_cell_gets_its_inputs_flattened_and_concatenated(
    run, rng, cls, feedback
):
    inputs = draws(rng, (2, 2, 3, 1), (2, 4))[: 1 + feedback]
    zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    stock = getattr(keras.layers, cls)(4, **zeros)
    row = StockCell(stock)
    row.build([x.shape for x in inputs] if feedback else inputs[0].shape)
    reference.randomise(row)
    start = row.get_initial_state(2)
    assert isinstance(start, list)
    states = draws(rng, *(tuple(s.shape) for s in start))
    output, new = run(row, inputs if feedback else inputs[0], states)
    flat = np.concatenate([x.reshape(2, -1) for x in inputs], axis=-1)
    expected, expected_states = run(stock, flat, states)
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert isinstance(new, list) and len(new) == len(start)
    for state, value in zip(new, expected_states, strict=True):
        np.testing.assert_allclose(state, value, atol=1e-6)
    assert row.compute_output_shape(inputs[0].shape) == (2, 4)


@pytest.mark.parametrize(
    "cell", [keras.layers.GRUCell, keras.layers.GRU(2), keras.layers.Dense(2)]
)
def test_what_is_no_stock_cell_is_refused(cell):
    with pytest.raises(ValueError, match="`cell` must be a cell without a loop"):
        StockCell(cell)


# Rows without a state


@pytest.mark.parametrize(
    ("shape", "kernel", "strides"),
    [
        ((3, 5, 4, 2), 3, 1),
        ((3, 5, 4, 2), 3, 2),
        ((3, 4, 4, 2), 2, 1),
        ((3, 11, 2), 3, 2),
        ((3, 1, 6, 2), (1, 3), (1, 2)),
        ((3, 4, 5, 2), 3, 3),
    ],
)
def test_conv_is_relu_of_batch_normalised_convolution(run, rng, shape, kernel, strides):
    (x,) = draws(rng, shape)
    row = Conv(4, kernel, strides)
    row.build(shape)
    w = reference.weights_of(reference.randomise(row))
    for training in (False, True):
        y = run(row, x, training=training)
        expected = reference.conv_bn_relu(w, double([x]), iteration(training), strides)
        assert (expected == 0).any() and (expected > 0).any()
        np.testing.assert_allclose(y, expected, atol=ATOL)
    assert row.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


@pytest.mark.parametrize("grid", [(5, 4), (3, 2)], ids=["below", "own"])
def test_conv_with_feedback_is_a_convolution_of_the_concatenation(run, rng, grid):
    inputs = draws(rng, (3, 5, 4, 2), (3, *grid, 4))
    row = Conv(4, 3, 2)
    row.build([x.shape for x in inputs])
    w = reference.weights_of(reference.randomise(row))
    for training in (False, True):
        y = run(row, inputs, training=training)
        expected = reference.conv_bn_relu(w, double(inputs), iteration(training), 2)
        np.testing.assert_allclose(y, expected, atol=ATOL)
    if grid == (5, 4):
        joint = np.concatenate([w["below/kernel"], w["feedback/kernel"]], axis=-2)
        x = np.concatenate(double(inputs), axis=-1)
        w = {**w, "below/kernel": joint}
        expected = reference.conv_bn_relu(w, [x], iteration(True), 2)
        np.testing.assert_allclose(y, expected, atol=ATOL)


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_softmax_gives_probabilities_of_what_is_flattened(run, rng, normalization):
    (x,) = draws(rng, (4, 2, 1, 3))
    row = Softmax(5, normalization)
    row.build(x.shape)
    w = reference.weights_of(reference.randomise(row))
    assert ("bias" in w) == (normalization is None)
    for training in (False, True):
        y = run(row, x, training=training)
        expected = reference.softmax_row(
            w, x.astype("float64"), iteration(training), normalization
        )
        np.testing.assert_allclose(y, expected, atol=ATOL)
        np.testing.assert_allclose(y.sum(-1), 1, atol=1e-5)
    assert row.compute_output_shape((None, 2, 1, 3)) == (None, 5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_softmax_is_computed_in_float32(dtype):
    row = Softmax(5, dtype=dtype)
    y = row(np.ones((2, 3), "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(y).sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True])
def test_sizes_are_refused_where_a_row_is_made(value):
    for row, name in (
        (lambda: Conv(value, 3), "filters"),
        (lambda: ConvLSTMCell(value, 3), "filters"),
        (lambda: GRUCell(value), "filters"),
        (lambda: Softmax(value), "classes"),
        (lambda: Conv(3, value), "kernel_size"),
        (lambda: ConvGRUCell(3, (3, value)), "kernel_size"),
        (lambda: Conv(3, 3, value), "strides"),
        (lambda: ConvLSTMCell(3, 3, strides=[1, value]), "strides"),
    ):
        with pytest.raises(
            ValueError, match=f"^`{name}` of .* must be .*; got .*{value}"
        ):
            row()


def test_sizes_of_numpy_and_of_json_are_taken():
    n = np.int64(3)
    levels = [
        Level(ConvLSTMCell(n, np.int32(3))),
        Level(Conv(n, [n, np.int32(3)], [1, np.int8(2)])),
        Level(LSTMCell(n)),
        Level(Softmax(n)),
    ]
    outputs = RecurrentLadder(levels, iterations=n)(keras.Input((2, 4, 4, 1)))
    assert outputs["top"].shape == (None, 2, 3)


@pytest.mark.parametrize("name", ["forget_bias", "recurrent_gain"])
def test_initial_values_are_finite(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a finite number; got nan"):
        LSTMCell(3, **{name: float("nan")})
