"""The beat: position in bars of several lengths, as input of a network for music."""

import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import layers, ops

from rladder_keras.typing import Config, Shape, State, Tensor
from zoo.data.epochs import check_integer

PERIODS = 2, 3, 4, 6, 8, 12, 16  # time steps of bars, of half bars and of pairs of bars
MOST = 256  # counts of time steps below it are exact in bfloat16


@keras.saving.register_keras_serializable("zoo")
class Beat(layers.Layer):
    """Row of a ladder that appends the position in bars of several lengths.

    The row counts time steps from the start of a piece. For each period `p` it appends
    `sin(2 pi t / p)` and `cos(2 pi t / p)`. The network learns which of the periods is
    the bar of a piece, and where the bar begins. The RLadder of the paper does not have
    this input; the network of the reference does.

    Args:
        periods: Lengths of bars in time steps, integers of at least 2. Their least
            common multiple is at most 256.

    Call arguments:
        inputs: Shape `(batch, *grid, channels)`.
        states: `[t]`, the number of the time step, shape `(batch, 1)`. It starts again
            at 0 after the least common multiple of the periods.

    Returns:
        The input with two more channels for each period, and the new states.

    References:
        - Johnson, Generating Polyphonic Music Using Tied Parallel Networks, EvoMUSART
          2017.

    Examples:
        >>> from zoo.models.beat import Beat
        >>> beat = Beat([2, 4])
        >>> e, (t,) = beat(ops.ones((1, 88, 1)), beat.get_initial_state(1))
        >>> ops.shape(e), int(t[0, 0])
        ((1, 88, 5), 1)
    """

    state_size = (1,)

    def __init__(self, periods: Iterable[int] = PERIODS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.periods = [check_integer("periods", p, 2) for p in periods]
        self.cycle = math.lcm(*self.periods)
        if self.cycle > MOST or not self.periods:
            raise ValueError(
                f"`periods` must be integers with a least common multiple of at most "
                f"{MOST}; got {self.periods}. Leave some out."
            )

    def call(self, inputs: Tensor, states: State) -> tuple[Tensor, State]:
        (t,) = states
        # In float32 and below one turn, where 16-bit numbers would shift the beat.
        periods = ops.convert_to_tensor(self.periods, "float32")
        angle = 2 * math.pi * ops.mod(ops.cast(t, "float32"), periods) / periods
        wave = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
        wave = everywhere(ops.cast(wave, inputs.dtype), inputs)
        return ops.concatenate([inputs, wave], axis=-1), [ops.mod(t + 1, self.cycle)]

    def get_initial_state(self, batch_size: int | None = None) -> State:
        return [ops.zeros((batch_size, 1), self.compute_dtype)]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], inputs_shape[-1] + 2 * len(self.periods))

    def get_config(self) -> Config:
        return {**super().get_config(), "periods": self.periods}


def everywhere(vector: Tensor, inputs: Tensor) -> Tensor:
    """Return a vector for each sample as channels, the same in every place of a grid.

    Args:
        vector: Shape `(batch, n)`.
        inputs: Tensor on the grid, shape `(batch, *grid, channels)`.

    Returns:
        Shape `(batch, *grid, n)`.
    """
    *grid, _ = inputs.shape[1:]
    n = vector.shape[-1]
    vector = ops.reshape(vector, (-1, *(1 for _ in grid), n))
    return ops.broadcast_to(vector, (ops.shape(inputs)[0], *grid, n))
