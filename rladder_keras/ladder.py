"""One iteration of a recurrent ladder (Section 2): Equations 1 to 3."""

from functools import partial
from typing import NamedTuple

import keras
from keras import ops, tree

from rladder_keras.cells.normalization import BatchStatistics
from rladder_keras.validation import (
    check_integer,
)
from rladder_keras.wiring import Wiring, as_level

FEEDBACK = ("recurrent", "all", "none")
SKIPS = ("diagonal", "recurrent")


class LadderOutput(NamedTuple):
    """What one iteration gives, and with an axis of time what a sequence gives.

    Attributes:
        top: `e_L`, the output of the highest encoder row.
        bottom: `d_1`, the output of the lowest decoder cell; `()` without a decoder.
        moments: Batch statistics of this iteration, for the moving averages.
    """

    top: object
    bottom: object
    moments: list


@keras.saving.register_keras_serializable("rladder_keras")
class LadderCell(Wiring):
    """One iteration of a recurrent ladder: up the encoder, then down the decoder.

    Args:
        levels: List of `Level`, bottom row first.
        feedback: Which encoder rows receive their decoder's last output `d_l(t-1)`:
            `"recurrent"` ones, `"all"` that can (`Conv` rows too), or `"none"`.
        iterations: Rows of moving batch statistics (see `BatchNormalization`).
        skip: Skip connections of Fig. 9c, which the paper leaves out: any of
            `"diagonal"`, from the decoder of the row below, `d_{l-1}(t-1)`, to the
            encoder rows that may receive feedback, and `"recurrent"`, from `d_l(t-1)`
            to the decoder of the same row. They join, as more channels, `e_{l-1}(t)`
            and `d_{l+1}(t)`, where these lie on the same grid. The recurrent ones have
            a gain for each channel that starts at 0.

    Call arguments:
        x: The input of this iteration, shape `(batch, ...)`.
        states: `[t, s, d]`: the iteration's index, shape `(1,)`, the states of the
            encoder rows, and the last outputs of the decoder cells. With a mask
            `[t, s, d, mask]`, of shape `(batch, T)`: this iteration's and the later
            ones'. Where it is 0, nothing counts in the batch statistics, and `s` and
            `d` are zero afterwards.
        first: Whether `s` and `d` are zeros, so that maps of them may be left out.
        unread: Whether nothing reads the decoders. Only rows that keep batch statistics
            are then computed, and those above them. `bottom` is zeros, and the new
            state must not be used.

    Returns:
        A `LadderOutput` and the new states.

    References:
        - Premont-Schwarz et al., Recurrent Ladder Networks, 2017, Section 2.

    Examples:
        >>> levels = [Level(LSTMCell(8), G1()), Level(Softmax(10))]
        >>> cell = LadderCell(levels, iterations=5)
        >>> cell.build((2, 6))
        >>> output, states = cell(np.zeros((2, 6)), cell.get_initial_state(2))
        >>> ops.shape(output.top), ops.shape(output.bottom)
        ((2, 10), (2, 8))
    """

    starts_from_zeros = True  # its state; only so can it be carried

    def __init__(
        self, levels, feedback="recurrent", iterations=None, skip=(), **kwargs
    ):
        super().__init__(**kwargs)
        if isinstance(skip, str) or not set(skip) <= set(SKIPS):
            raise ValueError(f"skip must be a tuple of some of {SKIPS}, not {skip!r}.")
        if feedback not in FEEDBACK:
            raise ValueError(f"feedback must be one of {FEEDBACK}, not {feedback!r}.")
        if not levels:
            raise ValueError("a ladder needs at least one Level.")
        if iterations is not None:
            check_integer("`iterations`", iterations)
        levels = [as_level(l, level) for l, level in enumerate(levels)]
        self.encoders = [level.encoder for level in levels]
        self.decoders = [level.decoder for level in levels]
        self.feedback = feedback
        self.skip = tuple(sorted(skip))
        self.gains = {}  # of `d_l(t-1)` in decoder row l
        self.first_with_statistics = len(levels)  # lowest decoder with moving averages
        self.iterations = iterations
        self.statistics = BatchStatistics(iterations or 1)

    def resolve_iterations(self, steps):
        """Take the length of the sequences where `iterations` was not given."""
        if self.iterations is None and steps is not None:
            self.iterations = self.statistics.iterations = steps

    @property
    def state_size(self):
        return [getattr(encoder, "state_size", []) for encoder in self.encoders]

    def build(self, x_shape, states_shape=None):
        if None in x_shape[1:]:
            raise ValueError(
                "a ladder needs frames of a fixed size, but one iteration's input has "
                f"shape {tuple(x_shape)}: give Input the height, width and channels."
            )
        self.e_shapes = self.shapes_up(x_shape)
        self.d_shapes = self.shapes_down(x_shape)
        with self.statistics.building():
            for l in range(len(self.encoders)):
                self.build_level(l, x_shape)
        if self.iterations is None and self.statistics.layers:
            raise ValueError(
                "this ladder has batch normalisation, whose moving statistics belong "
                "to one iteration each, and the length of the sequences is unknown: "
                "give iterations=T (or iterations=1 to share them, for long sequences)."
            )

    def call(self, x, states, training=None, first=False, unread=False):
        # Keras hands `training` on to the rows.
        t, s, d, *mask = states
        valid = mask[0][:, 0] if mask else None
        with self.statistics.iteration(t, valid) as statistics:
            e, s = self.encode(x, s, d, first)
            d = self.decode(e, d, self.first_with_statistics if unread else 0)
            moments = statistics.collect()
        bottom = next((d_l for d_l in d if not isinstance(d_l, list)), ())
        if unread:
            shape = next((shape for shape in self.d_shapes if shape), None)
            bottom = self.zeros(ops.shape(x)[0], shape) if shape else ()
        output = LadderOutput(e[-1], bottom, moments)
        if mask:
            s, d = tree.map_structure(partial(where, valid), (s, d))
            mask = [ops.roll(mask[0], -1, axis=1)]
        return output, [t + 1, s, d, *mask]

    def encode(self, x, s, d, first=False):
        """Equations 1 and 2. The `d` that comes in is the last iteration's."""
        e, s_new = [], []
        for l, encoder in enumerate(self.encoders):
            if self.receives_diagonal(l):
                x = ops.concatenate([x, d[l - 1]], axis=-1)
            inputs = [x, d[l]] if self.receives_feedback(l) else x
            zeros = first and getattr(encoder, "leaves_out_zeros", False)
            options = {"first": True} if zeros else {}
            if hasattr(encoder, "state_size"):
                x, s_l = encoder(inputs, s[l], **options)
            else:
                x, s_l = encoder(inputs, **options), s[l]
            e.append(x)
            s_new.append(s_l)
        return e, s_new

    def decode(self, e, d, lowest=0):
        """Equation 3, from the top level down. The `d` is the last iteration's."""
        v_top, d_new = e[-1], [[] for _ in self.decoders]
        for l in reversed(range(lowest, len(self.decoders))):
            if self.receives_itself(l):
                own = d[l] * ops.cast(self.gains[l], d[l].dtype)
                v_top = ops.concatenate([v_top, own], axis=-1)
            if self.decoders[l] is not None:
                v_top = d_new[l] = self.decoders[l](v_top, e[l])
        return d_new

    def get_initial_state(self, batch_size=None):
        """`t = 0`, and zeros for every `s_l(0)` and `d_l(0)`."""
        s = [
            encoder.get_initial_state(batch_size)
            if hasattr(encoder, "state_size")
            else []
            for encoder in self.encoders
        ]
        d = [self.zeros(batch_size, shape) if shape else [] for shape in self.d_shapes]
        return [ops.zeros((1,), "int32"), s, d]

    def zeros(self, batch_size, shape):
        """A `d_l` of zeros."""
        return ops.zeros((batch_size, *shape[1:]), self.compute_dtype)

    def compute_output_shape(self, x_shape, states_shape=None):
        """Shapes of `top` and `bottom`."""
        if not self.built:
            self.e_shapes = self.shapes_up(x_shape)
            self.d_shapes = self.shapes_down(x_shape)
        bottom = next((shape for shape in self.d_shapes if shape), ())
        return LadderOutput(self.e_shapes[-1], bottom, [])

    def get_config(self):
        return {
            **super().get_config(),
            "levels": [[serialize(layer) for layer in level] for level in self.levels],
            "feedback": self.feedback,
            "iterations": self.iterations,
            "skip": list(self.skip),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        levels = [
            [keras.saving.deserialize_keras_object(layer) for layer in level]
            for level in config.pop("levels")
        ]
        return cls(levels, **config)


def where(valid, state):
    """The state where `valid`, of shape `(batch,)`, is 1, and zeros where it is 0."""
    valid = ops.reshape(valid, (-1, *(1 for _ in state.shape[1:])))
    return ops.where(valid > 0, state, ops.zeros_like(state))


def serialize(layer):
    """Configuration of a layer inside a ladder, which is built by the ladder only."""
    if layer is None:
        return None
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config
