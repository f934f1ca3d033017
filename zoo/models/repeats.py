"""Repeated passages, as input of a network for music."""

import math
from typing import Any

import keras
from keras import layers, ops

from rladder_keras.typing import Config, Shape, State, Tensor
from zoo.data.epochs import check_integer
from zoo.models.beat import everywhere

MOST = 256  # lengths of passages up to it are exact in bfloat16


@keras.saving.register_keras_serializable("zoo")
class Repeats(layers.Layer):
    """Row of a ladder that appends what followed earlier, after the same passage.

    The row remembers the last `memory` time steps of a piece. In them it looks for the
    longest passage that is equal to the last time steps of the piece so far, and
    appends:

    - the notes that followed this passage: 1 where a note sounded, -1 where it did not,
      0 if no passage was found. If several passages have this length, it is the mean
      over them;
    - one channel, `log(1 + n) / log(257)`, for the length `n` of the passage in time
      steps, which is counted up to 256.

    Folk tunes and movements repeat whole sections, and a network that is trained on 25
    time steps at once does not learn to remember them. The row has no weights. The
    RLadder of the paper does not have this input. The "short-term model" of the
    reference predicts music from repeated passages.

    Args:
        memory: Number of time steps to remember, at least 1.

    Call arguments:
        inputs: 1 where a note sounds and 0 where it does not, shape `(batch, *grid,
            channels)`.
        states: `[past, lengths]`: `past` has shape `(batch, memory, notes)`, most
            recent time step first: 1 where a note sounds, -1 where it does not, and 0
            before the piece. `lengths` has shape `(batch, memory)`: for each lag from 1
            to `memory`, for how many time steps the piece has been equal to itself at
            this lag.

    Returns:
        The input with `channels + 1` more channels, and the new states.

    References:
        - Conklin and Witten, Multiple Viewpoint Systems for Music Prediction, Journal
          of New Music Research 24 (1), 1995.

    Examples:
        >>> from zoo.models.repeats import Repeats
        >>> repeats = Repeats(memory=16)
        >>> repeats.build((None, 88, 1))
        >>> e, states = repeats(ops.ones((2, 88, 1)), repeats.get_initial_state(2))
        >>> ops.shape(e), [ops.shape(s) for s in states]
        ((2, 88, 3), [(2, 16, 88), (2, 16)])
    """

    def __init__(self, memory: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.memory = check_integer("memory", memory, 1)

    def build(self, inputs_shape: Shape) -> None:
        self.notes = math.prod(inputs_shape[1:])

    @property
    def state_size(self) -> list[tuple[int, ...]]:
        return [(self.memory, self.notes), (self.memory,)]

    def call(self, inputs: Tensor, states: State) -> tuple[Tensor, State]:
        past, lengths = states
        now = 2 * ops.reshape(inputs, (-1, 1, self.notes)) - 1
        same = ops.cast(ops.all(ops.equal(past, now), axis=-1), lengths.dtype)
        lengths = ops.minimum(lengths + 1, MOST) * same
        past = ops.concatenate([now, past[:, :-1]], axis=1)
        longest = ops.max(lengths, axis=1, keepdims=True)
        found = ops.cast((lengths == longest) & (longest > 0), past.dtype)
        found = found / ops.maximum(ops.sum(found, axis=1, keepdims=True), 1)
        followed = ops.einsum("bm,bmn->bn", found, past)
        size = ops.log(1 + longest) / math.log1p(MOST)  # ONNX has no log1p
        followed = ops.reshape(followed, (-1, *inputs.shape[1:]))
        size = everywhere(size, inputs)
        # Nothing learns from a gradient of the past, which the loop would have to keep.
        context = ops.stop_gradient(ops.concatenate([followed, size], axis=-1))
        return ops.concatenate([inputs, context], axis=-1), [past, lengths]

    def get_initial_state(self, batch_size: int | None = None) -> State:
        shapes = self.state_size
        return [ops.zeros((batch_size, *s), self.compute_dtype) for s in shapes]

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], 2 * inputs_shape[-1] + 1)

    def get_config(self) -> Config:
        return {**super().get_config(), "memory": self.memory}
