"""Recurrent encoder rows: LSTM and GRU cells, convolutional and fully connected.

The file is longer than others because of its four public cells and their docstrings.
"""

import math
from typing import Any, Self

import keras
from keras import layers, ops

from rladder_keras.cells.encoders import _Encoder, as_list, shapes_of
from rladder_keras.cells.gates import gate
from rladder_keras.cells.linear import check_normalization, flatten
from rladder_keras.typing import (
    Config,
    Normalization,
    Shape,
    Shapes,
    Size,
    State,
    Tensor,
)
from rladder_keras.validation import check_number

register = keras.saving.register_keras_serializable("rladder_keras")


class _RecurrentEncoder(_Encoder):
    """Base of the recurrent rows: gates from the row below, the decoder and the state.

    Each input has a separate linear map and normalisation (Appendix A.4: "after all the
    first convolutions of the inputs"). Their sum plus a bias gives the gates.
    """

    gates: int  # number of gates, set by a subclass
    states: int  # number of states, set by a subclass

    def __init__(
        self,
        filters: int,
        kernel_size: Size | None = None,
        strides: Size = 1,
        *,
        normalization: Normalization = "layer",
        forget_bias: float = -2.0,
        recurrent_gain: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.normalization = check_normalization(normalization)
        self.forget_bias = check_number("`forget_bias`", forget_bias)
        self.recurrent_gain = check_number("`recurrent_gain`", recurrent_gain)

    @property
    def state_size(self) -> list[int]:
        """Number of channels of each state; states have the grid of the output."""
        return [self.filters] * self.states

    @property
    def output_size(self) -> int:
        return self.filters

    def build(self, input_shape: Shapes) -> None:
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
        # The second gate is the forget gate.
        self.bias = self.add_weight((self.gates, self.filters), "zeros", name="bias")
        bias = [[0.0], [self.forget_bias], [0.0], [0.0]][: self.gates]
        self.bias.assign(ops.broadcast_to(ops.array(bias), self.bias.shape))

    def new_information(
        self, inputs: Tensor | list[Tensor], first: bool = False
    ) -> Tensor:
        """Return the part of the gates that depends on `e_{l-1}(t)` and `d_l(t-1)`."""
        inputs = as_list(inputs)
        gates = self.below(inputs[0], ops.reshape(self.bias, (-1,)))
        if self.feedback is None or self.maps_to_zeros(first):
            return gates
        return gates + self.feedback(inputs[1])

    def maps_to_zeros(self, first: bool) -> bool:
        """Return whether the maps of state and feedback are zeros in this iteration.

        With batch normalisation they are not: it adds an offset and updates its moving
        averages.
        """
        return first and self.normalization != "batch"

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        shape = (batch_size, *self.state_shape[1:])
        return [ops.zeros(shape, self.compute_dtype) for _ in range(self.states)]

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "normalization": self.normalization,
            "forget_bias": self.forget_bias,
            "recurrent_gain": self.recurrent_gain,
        }


@register
class ConvLSTMCell(_RecurrentEncoder):
    """Convolutional LSTM with normalised, optionally strided convolutions (A.4).

        i, f, g, o = N(W_e * e_{l-1}(t)) + N(W_d * d_l(t-1)) + N(W_h * h(t-1)) + b
        c = sigmoid(f) c(t-1) + sigmoid(i) tanh(g)
        h = sigmoid(o) tanh(c)

    Works on time series, images and volumes. With the defaults of `forget_bias` and
    `recurrent_gain` the untrained cell hardly uses its memory: a moving object is at
    another position one frame later, so that the memory of an untrained low row only
    disturbs (docs/lab-notebook.md has measurements).

    Args:
        filters: Number of channels of the output and of both states.
        kernel_size: Integer or tuple: kernel size of all its convolutions.
        strides: Integer or tuple. The convolution of the state has no strides.
        normalization: `"layer"` (RLadder), `"batch"` (RTagger) or `None`.
        forget_bias: Initial bias of the forget gate.
        recurrent_gain: Initial gain of the normalisation after the convolutions of the
            state and of the feedback. For the input the initial gain is 1.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list
            `[e_{l-1}(t), d_l(t-1)]`.
        states: `[h(t-1), c(t-1)]`, each `(batch, *grid / strides, filters)`.
        first: Whether states and feedback are zeros, so that their convolutions can be
            skipped.

    Returns:
        The output `h` and the new states `[h, c]`.

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

    def call(
        self, inputs: Tensor | list[Tensor], states: State, first: bool = False
    ) -> tuple[Tensor, State]:
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
    """Convolutional GRU with normalised, optionally strided convolutions.

        r, z, n = N(W_e * e_{l-1}(t)) + N(W_d * d_l(t-1)) + b
        r', z', n' = N(W_h * h(t-1))
        h = gate(sigmoid(z + z'), h(t-1), tanh(n + sigmoid(r + r') n'))

    The reset gate multiplies the convolved state, as in cuDNN and `keras.layers.GRU`.

    Args:
        filters: Number of channels of the output and of the state.
        kernel_size: Integer or tuple: kernel size of all its convolutions.
        strides: Integer or tuple. The convolution of the state has no strides.
        normalization: `"layer"`, `"batch"` or `None`.
        forget_bias: Initial bias of the gate `z`, which keeps the state.
        recurrent_gain: Initial gain of the normalisation after the convolutions of the
            state and of the feedback. For the input the initial gain is 1.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list
            `[e_{l-1}(t), d_l(t-1)]`.
        states: `[h(t-1)]`, shape `(batch, *grid / strides, filters)`.
        first: Whether states and feedback are zeros, so that their convolutions can be
            skipped.

    Returns:
        The output `h` and the new states `[h]`.

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

    def call(
        self, inputs: Tensor | list[Tensor], states: State, first: bool = False
    ) -> tuple[Tensor, State]:
        (h,) = states
        r, z, n = ops.split(self.new_information(inputs, first), 3, axis=-1)
        if not self.maps_to_zeros(first):
            r_h, z_h, n_h = ops.split(self.recurrent(h), 3, axis=-1)
            z, n = z + z_h, n + ops.sigmoid(r + r_h) * n_h
        h = gate(ops.sigmoid(z), h, ops.tanh(n))
        return h, [h]


@register
class LSTMCell(ConvLSTMCell):
    """Fully connected LSTM with normalised maps. Inputs are flattened.

    Args:
        filters: Number of units of the output and of both states.
        **kwargs: Arguments of `ConvLSTMCell` except `kernel_size` and `strides`.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`, or the list `[e_{l-1}(t),
            d_l(t-1)]`.
        states: `[h(t-1), c(t-1)]`, each `(batch, units)`.
        first: Whether states and feedback are zeros, so that their maps can be skipped.

    Returns:
        The output `h` and the new states `[h, c]`.

    Examples:
        >>> cell = LSTMCell(16)
        >>> cell.build((2, 4, 4, 32))
        >>> e, (h, c) = cell(np.zeros((2, 4, 4, 32)), cell.get_initial_state(2))
        >>> ops.shape(e), ops.shape(c)
        ((2, 16), (2, 16))
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, None, **kwargs)


@register
class GRUCell(ConvGRUCell):
    """Fully connected GRU with normalised maps. Inputs are flattened.

    Args:
        filters: Number of units of the output and of the state.
        **kwargs: Arguments of `ConvGRUCell` except `kernel_size` and `strides`.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`, or the list `[e_{l-1}(t),
            d_l(t-1)]`.
        states: `[h(t-1)]`, shape `(batch, units)`.
        first: Whether states and feedback are zeros, so that their maps can be skipped.

    Returns:
        The output `h` and the new states `[h]`.

    Examples:
        >>> cell = GRUCell(16)
        >>> cell.build((2, 32))
        >>> e, (h,) = cell(np.zeros((2, 32)), cell.get_initial_state(2))
        >>> ops.shape(e)
        (2, 16)
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, None, **kwargs)


@register
class StockCell(layers.Layer):
    """A stock Keras cell as encoder row: `StockCell(keras.layers.GRUCell(16))`.

    Its inputs are flattened and concatenated.

    Args:
        cell: `keras.layers.LSTMCell`, `GRUCell`, `SimpleRNNCell`, or another cell whose
            input, output and states are vectors.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`, or the list `[e_{l-1}(t),
            d_l(t-1)]`.
        states: List of the states of the cell, each `(batch, units)`.

    Returns:
        The output of the cell, shape `(batch, units)`, and its new states.

    Examples:
        >>> cell = StockCell(keras.layers.GRUCell(16))
        >>> below, feedback = np.zeros((2, 4, 4, 3)), np.zeros((2, 16))
        >>> cell.build([below.shape, feedback.shape])
        >>> e, (h,) = cell([below, feedback], cell.get_initial_state(2))
        >>> ops.shape(e)
        (2, 16)
    """

    accepts_feedback = True

    def __init__(self, cell: layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, (type, layers.RNN)) or not hasattr(cell, "output_size"):
            raise ValueError(
                "`cell` must be a cell without a loop over time, such as "
                f"keras.layers.GRUCell(16); got {cell!r}. Pass the cell instead of an "
                "RNN layer or a class."
            )
        self.cell = cell
        self.state_size = cell.state_size

    def build(self, input_shape: Shapes) -> None:
        shapes = [flat_shape(shape) for shape in shapes_of(input_shape)]
        self.cell.build((shapes[0][0], sum(units for _, units in shapes)))

    def call(
        self, inputs: Tensor | list[Tensor], states: State
    ) -> tuple[Tensor, State]:
        x = ops.concatenate([flatten(x) for x in as_list(inputs)], axis=-1)
        output, states = self.cell(x, states)
        return output, list(states)

    @property
    def stock_cells(self) -> list[layers.Layer]:
        """The stock cells inside, of a `StackedRNNCells` too."""
        return getattr(self.cell, "cells", [self.cell])

    @property
    def draws_numbers(self) -> bool:
        """Whether the cell has dropout.

        The seed generator alone does not tell: stock cells create one without dropout
        too.
        """
        rates = ("dropout", "recurrent_dropout")
        return any(getattr(c, rate, 0) for c in self.stock_cells for rate in rates)

    def reset_dropout(self) -> None:
        """Discard the dropout masks; otherwise stock cells keep them across batches."""
        for cell in self.stock_cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()

    def get_initial_state(self, batch_size: int | None = None) -> State:
        state = self.cell.get_initial_state(batch_size)
        return list(state) if isinstance(state, (list, tuple)) else [state]

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        return (shapes_of(input_shape)[0][0], self.cell.output_size)

    def get_config(self) -> Config:
        # Without `build_config`, because the ladder builds the cell.
        cell = not_built(keras.saving.serialize_keras_object(self.cell))
        return {**super().get_config(), "cell": cell}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        cell = keras.saving.deserialize_keras_object(config.pop("cell"))
        return cls(cell, **config)


def not_built(config: Any) -> Any:
    """Return a serialised layer without the shapes that Keras builds its parts from."""
    if isinstance(config, dict):
        return {k: not_built(v) for k, v in config.items() if k != "build_config"}
    return [not_built(v) for v in config] if isinstance(config, list) else config


def flat_shape(shape: Shape) -> tuple[Any, int]:
    """Return the shape `(batch, units)` of a flattened tensor."""
    return (shape[0], math.prod(shape[1:]))
