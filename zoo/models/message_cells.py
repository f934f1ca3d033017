"""Cells that pass the messages derived in Appendices B and C."""

from typing import Any

import keras
from keras import layers, ops

from rladder_keras import gate
from rladder_keras.typing import Config, Shape, Shapes, State, Tensor

register = keras.saving.register_keras_serializable("zoo")


@register
class MeanUp(layers.Layer):
    """Encoder row: the mean of a level in the upward pass.

    Args:
        s: Gate, `s_l`.
        weight: `w_{l-1,l}`; `None` for the lowest level, whose input is the
            observation.
        past: `w_l`.
        sweeps: Number of iterations per time step.

    Call arguments:
        inputs: `[e_{l-1}(t), d_l(t-1)]`, shapes `(batch, sites, 3)`. The input of the
            lowest row has 1 channel.
        states: The number of iterations so far, `(batch, 1, 1)`, and `w_l m_{l,t-1}`,
            `(batch, sites, 1)`.

    Returns:
        The output, shape `(batch, sites, 3)`, and the new states.
    """

    accepts_feedback = True
    state_size = [1, 1]

    def __init__(
        self,
        s: float,
        weight: float | None = None,
        past: float = 0.0,
        sweeps: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s, self.weight, self.past, self.sweeps = s, weight, past, sweeps

    def build(self, input_shape: Shapes) -> None:
        self.sites = input_shape[0][1]

    def call(self, inputs: list[Tensor], states: State) -> tuple[Tensor, State]:
        e, d = inputs
        k, past = states
        below = e if self.weight is None else (e[..., :1] - e[..., 2:]) / self.weight
        m, predicted, above = ops.split(d, 3, axis=-1)
        first = ops.equal(ops.mod(k, self.sweeps), 0)  # first sweep of a time step
        past = ops.where(first, self.past * m, past)
        above = ops.where(first, predicted, past + above)
        m = gate(self.s, below, above)
        return ops.concatenate([m, below, past], axis=-1), [k + 1, past]

    def get_initial_state(self, batch_size: int | None = None) -> State:
        return [
            ops.zeros((batch_size, sites, 1), self.compute_dtype)
            for sites in (1, self.sites)
        ]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], 3)

    def get_config(self) -> Config:
        own = {"s": self.s, "weight": self.weight, "past": self.past}
        return {**super().get_config(), **own, "sweeps": self.sweeps}


@register
class MeanDown(layers.Layer):
    """Decoder row: the mean of a level in the downward pass, and its prediction.

    Args:
        s: Gate, `s_l`.
        weight: `w_{l,l+1}`.
        past: `w_l`.

    Call arguments:
        v_top: `d_{l+1}(t)`, shape `(batch, sites, 3)`.
        h: `e_l(t)`, shape `(batch, sites, 3)`.

    Output shape:
        `(batch, sites, 3)`.
    """

    def __init__(
        self, s: float, weight: float | None, past: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.s, self.weight, self.past = s, weight, past

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        pass

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        _, below, past = ops.split(h, 3, axis=-1)
        above = self.weight * v_top[..., :1]
        m = gate(self.s, below, past + above)
        predicted = self.past * m + self.weight * v_top[..., 1:2]  # Eq. 27
        return ops.concatenate([m, predicted, above], axis=-1)

    def compute_output_shape(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> Shape:
        return tuple(h_shape)

    def get_config(self) -> Config:
        own = {"s": self.s, "weight": self.weight, "past": self.past}
        return {**super().get_config(), **own}


@register
class HighestMean(layers.Layer):
    """Decoder of the highest row, which receives messages only from neighbouring sites.

    Args:
        past: `w_L`.
        mean: `mu`.
        coupling: Coupling of neighbouring sites.

    Call arguments:
        v_top: Ignored; accepted because all decoder cells have the same signature.
        h: `e_L(t)`, shape `(batch, sites, 3)`.

    Output shape:
        `(batch, sites, 3)`.
    """

    def __init__(
        self, past: float = 0.0, mean: float = 0.0, coupling: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.past, self.mean, self.coupling = past, mean, coupling

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        pass

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        m, _, past = ops.split(h, 3, axis=-1)
        padded = ops.pad(m - past - self.mean, [[0, 0], [1, 1], [0, 0]])
        neighbours = padded[:, :-2] + padded[:, 2:]
        above = self.mean + self.coupling * neighbours
        return ops.concatenate([m, self.past * m + self.mean, above], axis=-1)

    def compute_output_shape(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> Shape:
        return tuple(h_shape)

    def get_config(self) -> Config:
        own = {"past": self.past, "mean": self.mean, "coupling": self.coupling}
        return {**super().get_config(), **own}
