"""Recurrent encoder rows: LSTM and GRU cells, convolutional or not."""

import keras
from keras import layers, ops

from rladder_keras.cells.encoders import _Encoder, as_list, shapes_of
from rladder_keras.cells.gates import gate
from rladder_keras.cells.linear import check_normalization, flatten
from rladder_keras.validation import check_number

register = keras.saving.register_keras_serializable("rladder_keras")


class _RecurrentEncoder(_Encoder):
    """Gates from what comes from below, from the decoder and from the past.

    Every input has a map and a normalisation of its own (Appendix A.4: "after all the
    first convolutions of the inputs"); their sum and a bias are the gates.
    """

    gates = None
    states = None

    def __init__(
        self,
        filters,
        kernel_size=None,
        strides=1,
        *,
        normalization="layer",
        forget_bias=-2.0,
        recurrent_gain=0.1,
        **kwargs,
    ):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.normalization = check_normalization(normalization)
        self.forget_bias = check_number("`forget_bias`", forget_bias)
        self.recurrent_gain = check_number("`recurrent_gain`", recurrent_gain)

    @property
    def state_size(self):
        """Channels of each state, whose grid is that of the output."""
        return [self.filters] * self.states

    @property
    def output_size(self):
        return self.filters

    def build(self, input_shape):
        shapes = shapes_of(input_shape)
        self.state_shape = tuple(self.compute_output_shape(shapes[0]))
        n, norm = self.gates * self.filters, self.normalization
        small = self.recurrent_gain
        self.below = self.map(shapes[0], n, "below", normalization=norm)
        self.feedback = None
        if len(shapes) > 1:
            self.feedback = self.map(
                shapes[1], n, "feedback", normalization=norm, gain=small
            )
        self.recurrent = self.map(
            self.state_shape, n, "recurrent", normalization=norm, gain=small
        )
        # The second gate is the one that keeps the past.
        self.bias = self.add_weight((self.gates, self.filters), "zeros", name="bias")
        bias = [[0.0], [self.forget_bias], [0.0], [0.0]][: self.gates]
        self.bias.assign(ops.broadcast_to(ops.array(bias), self.bias.shape))

    def new_information(self, inputs, first=False):
        """The gates' part that comes from `e_{l-1}(t)` and `d_l(t-1)`."""
        inputs = as_list(inputs)
        gates = self.below(inputs[0], ops.reshape(self.bias, (-1,)))
        if self.feedback is None or self.maps_to_zeros(first):
            return gates
        return gates + self.feedback(inputs[1])

    def maps_to_zeros(self, first):
        """Whether maps of the state and of feedback are zeros in this iteration.

        Batch normalisation has an offset and moving averages of what it maps.
        """
        return first and self.normalization != "batch"

    def get_initial_state(self, batch_size=None):
        shape = (batch_size, *self.state_shape[1:])
        return [ops.zeros(shape, self.compute_dtype) for _ in range(self.states)]

    def get_config(self):
        return {
            **super().get_config(),
            "normalization": self.normalization,
            "forget_bias": self.forget_bias,
            "recurrent_gain": self.recurrent_gain,
        }


@register
class ConvLSTMCell(_RecurrentEncoder):
    """Convolutional LSTM with normalised, possibly strided convolutions (A.4).

        i, f, g, o = N(W_e * e_{l-1}(t)) + N(W_d * d_l(t-1)) + N(W_h * h(t-1)) + b
        c = sigmoid(f) c(t-1) + sigmoid(i) tanh(g)
        h = sigmoid(o) tanh(c)

    Works on time series, images and volumes. The defaults start the cell without memory
    (`forget_bias`, `recurrent_gain`): what moves lies elsewhere a frame later, so that
    an untrained memory low in the hierarchy only disturbs (docs/lab-notebook.md has
    measurements).

    Args:
        filters: Channels of the output and of both states.
        kernel_size: Integer or tuple, for all its convolutions.
        strides: Integer or tuple. The convolution of the state is never strided.
        normalization: `"layer"` (RLadder), `"batch"` (RTagger) or `None`.
        forget_bias: Initial bias of the forget gate.
        recurrent_gain: Initial gain of the normalisation of the state's and the
            feedback's convolution. That of the input's starts at 1.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list of it and
            `d_l(t-1)`.
        states: `[h(t-1), c(t-1)]`, each `(batch, *grid / strides, filters)`.
        first: Whether states and feedback are zeros, so that their convolutions may be
            left out.

    References:
        - Shi et al., Convolutional LSTM Network, 2015.
        - Ba et al., Layer Normalization, 2016.

    Examples:
        >>> cell = ConvLSTMCell(8, 3, strides=2)
        >>> below, feedback = np.zeros((2, 16, 16, 1)), np.zeros((2, 16, 16, 8))
        >>> cell.build([below.shape, feedback.shape])
        >>> e, (h, c) = cell([below, feedback], cell.get_initial_state(2))
        >>> ops.shape(e), ops.shape(c)
        ((2, 8, 8, 8), (2, 8, 8, 8))
    """

    gates, states = 4, 2

    def call(self, inputs, states, first=False):
        h, c = states
        gates = self.new_information(inputs, first)
        if not self.maps_to_zeros(first):
            gates = gates + self.recurrent(h)
        i, f, g, o = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, [h, c]


@register
class ConvGRUCell(_RecurrentEncoder):
    """Convolutional GRU with normalised, possibly strided convolutions.

        r, z, n = N(W_e * e_{l-1}(t)) + N(W_d * d_l(t-1)) + b
        r', z', n' = N(W_h * h(t-1))
        h = gate(sigmoid(z + z'), h(t-1), tanh(n + sigmoid(r + r') n'))

    The reset gate acts on the convolved state, as in cuDNN and `keras.layers.GRU`.

    Args:
        filters: Channels of the output and of the state.
        kernel_size: Integer or tuple, for all its convolutions.
        strides: Integer or tuple. The convolution of the state is never strided.
        normalization: `"layer"`, `"batch"` or `None`.
        forget_bias: Initial bias of the gate `z`, which keeps the past.
        recurrent_gain: As in `ConvLSTMCell`.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list of it and
            `d_l(t-1)`.
        states: `[h(t-1)]`, shape `(batch, *grid / strides, filters)`.
        first: As in `ConvLSTMCell`.

    References:
        - Ballas et al., Delving Deeper into Convolutional Networks for Learning Video
          Representations, 2016.

    Examples:
        >>> cell = ConvGRUCell(8, 3)
        >>> cell.build((2, 88, 1))
        >>> e, (h,) = cell(np.zeros((2, 88, 1)), cell.get_initial_state(2))
        >>> ops.shape(e)
        (2, 88, 8)
    """

    gates, states = 3, 1

    def call(self, inputs, states, first=False):
        (h,) = states
        r, z, n = ops.split(self.new_information(inputs, first), 3, axis=-1)
        if not self.maps_to_zeros(first):
            r_h, z_h, n_h = ops.split(self.recurrent(h), 3, axis=-1)
            z, n = z + z_h, n + ops.sigmoid(r + r_h) * n_h
        h = gate(ops.sigmoid(z), h, ops.tanh(n))
        return h, [h]


@register
class LSTMCell(ConvLSTMCell):
    """Fully connected LSTM with normalised maps; inputs are flattened.

    Args:
        filters: Units: size of the output and of both states.
        **kwargs: As in `ConvLSTMCell`, without `kernel_size` and `strides`.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`, or a list with `d_l(t-1)`.
        states: `[h(t-1), c(t-1)]`, each `(batch, units)`.

    Examples:
        >>> cell = LSTMCell(16)
        >>> cell.build((2, 4, 4, 32))
        >>> e, (h, c) = cell(np.zeros((2, 4, 4, 32)), cell.get_initial_state(2))
        >>> ops.shape(e), ops.shape(c)
        ((2, 16), (2, 16))
    """

    def __init__(self, filters, **kwargs):
        super().__init__(filters, None, **kwargs)


@register
class GRUCell(ConvGRUCell):
    """Fully connected GRU with normalised maps; inputs are flattened.

    Args:
        filters: Units: size of the output and of the state.
        **kwargs: As in `ConvGRUCell`, without `kernel_size` and `strides`.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`, or a list with `d_l(t-1)`.
        states: `[h(t-1)]`, shape `(batch, units)`.

    Examples:
        >>> cell = GRUCell(16)
        >>> cell.build((2, 32))
        >>> e, (h,) = cell(np.zeros((2, 32)), cell.get_initial_state(2))
        >>> ops.shape(e)
        (2, 16)
    """

    def __init__(self, filters, **kwargs):
        super().__init__(filters, None, **kwargs)


@register
class StockCell(layers.Layer):
    """A stock Keras cell as encoder row: `StockCell(keras.layers.GRUCell(16))`.

    Its inputs are flattened and concatenated.

    Args:
        cell: `keras.layers.LSTMCell`, `GRUCell`, `SimpleRNNCell` or another cell with
            vector input, output and states.

    Examples:
        >>> cell = StockCell(keras.layers.GRUCell(16))
        >>> below, feedback = np.zeros((2, 4, 4, 3)), np.zeros((2, 16))
        >>> cell.build([below.shape, feedback.shape])
        >>> e, (h,) = cell([below, feedback], cell.get_initial_state(2))
        >>> ops.shape(e)
        (2, 16)
    """

    accepts_feedback = True

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        if isinstance(cell, (type, layers.RNN)) or not hasattr(cell, "output_size"):
            raise ValueError(
                "StockCell takes a cell without a loop over time, such as "
                f"keras.layers.GRUCell(16), not {cell!r}."
            )
        self.cell = cell
        self.state_size = cell.state_size

    def build(self, input_shape):
        shapes = [flat_shape(shape) for shape in shapes_of(input_shape)]
        self.cell.build((shapes[0][0], sum(units for _, units in shapes)))

    def call(self, inputs, states):
        x = ops.concatenate([flatten(x) for x in as_list(inputs)], axis=-1)
        output, states = self.cell(x, states)
        return output, list(states)

    @property
    def stock_cells(self):
        return getattr(self.cell, "cells", [self.cell])

    @property
    def draws_numbers(self):
        """Whether it has dropout; a stock cell has random numbers in any case."""
        rates = ("dropout", "recurrent_dropout")
        return any(getattr(c, rate, 0) for c in self.stock_cells for rate in rates)

    def reset_dropout(self):
        """Forget the masks of dropout, which a stock cell keeps until it is told so."""
        for cell in self.stock_cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()

    def get_initial_state(self, batch_size=None):
        state = self.cell.get_initial_state(batch_size)
        return list(state) if isinstance(state, (list, tuple)) else [state]

    def compute_output_shape(self, input_shape):
        return (shapes_of(input_shape)[0][0], self.cell.output_size)

    def get_config(self):
        # It is built with the ladder, not before.
        cell = not_built(keras.saving.serialize_keras_object(self.cell))
        return {**super().get_config(), "cell": cell}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        return cls(cell, **config)


def not_built(config):
    """A serialised layer without the shapes of which Keras would build its parts."""
    if isinstance(config, dict):
        return {k: not_built(v) for k, v in config.items() if k != "build_config"}
    return [not_built(v) for v in config] if isinstance(config, list) else config


def flat_shape(shape):
    units = 1
    for n in shape[1:]:
        units *= n
    return (shape[0], units)
