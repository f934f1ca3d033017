"""One iteration of a recurrent ladder (Section 2): Equations 1 to 3."""

import contextlib
from functools import partial
from typing import NamedTuple

import keras
from keras import layers, ops, tree

from rladder_keras.cells.normalization import BatchStatistics
from rladder_keras.validation import (
    check_channels,
    check_integer,
    check_kind,
    check_one_tensor,
    check_rank,
)

FEEDBACK = ("recurrent", "all", "none")
SKIPS = ("diagonal", "recurrent")


class Level(NamedTuple):
    """One row of Table 5, 8 or 9: an encoder and the decoder beside it.

    A row without a decoder hands down what it receives from above; the top row hands
    down its own output.

    Examples:
        >>> Level(Conv(32, 3)).decoder is None
        True
    """

    encoder: layers.Layer
    decoder: layers.Layer | None = None


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
class LadderCell(layers.Layer):
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
    def levels(self):
        return [Level(*row) for row in zip(self.encoders, self.decoders, strict=True)]

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

    def shapes_up(self, x_shape):
        """Shape of each `e_l`."""
        e = [tuple(x_shape)]
        for l, encoder in enumerate(self.encoders):
            check_channels(l, encoder, e)
            with self.naming(l, f"its input has shape {e[-1]}"):
                check_rank(encoder, e[-1])
                shape = encoder.compute_output_shape(e[-1])
                check_one_tensor(encoder, shape)
                e.append(tuple(shape))
                if 0 in e[-1]:
                    raise ValueError("the grid is too small for its pool or kernel.")
        return e[1:]

    def shapes_down(self, x_shape):
        """Shape of each `d_l`, `None` for rows without a decoder."""
        v_top, d = self.e_shapes[-1], []
        for l in reversed(range(len(self.decoders))):
            if self.decoders[l] is None:
                d.insert(0, None)
                continue
            with self.naming(l, f"v_top has shape {v_top}, h {self.e_shapes[l]}"):
                shapes = self.decoder_shapes(l, x_shape, v_top)
                v_top = tuple(self.decoders[l].compute_output_shape(*shapes))
            d.insert(0, v_top)
        return d

    def decoder_shapes(self, l, x_shape, v_top):
        """Shapes of `v_top`, `h` and the row's input."""
        return v_top, self.e_shapes[l], self.e_shapes[l - 1] if l else tuple(x_shape)

    def build_level(self, l, x_shape):
        v_top = next((d for d in self.d_shapes[l + 1 :] if d), self.e_shapes[-1])
        shapes = self.decoder_shapes(l, x_shape, v_top)
        below = shapes[-1]
        with self.naming(l, f"its input has shape {below}, v_top {v_top}"):
            encoder, decoder = self.levels[l]
            plain = is_plain(encoder)
            ours = [decoder] if plain else [encoder, decoder]
            if any(row is not None and row.weights for row in ours):
                raise ValueError(
                    "It belongs to another ladder already: make new levels for each."
                )
            if self.receives_diagonal(l):
                below = joined_shape(below, self.d_shapes[l - 1])
            feedback = self.receives_feedback(l)
            if not (plain and encoder.built):  # it may come trained
                encoder.build([below, self.d_shapes[l]] if feedback else below)
            if self.receives_itself(l):
                shapes = joined_shape(v_top, self.d_shapes[l]), *shapes[1:]
                channels = self.d_shapes[l][-1:]
                self.gains[l] = self.add_weight(channels, "zeros", name=f"gain_{l}")
            if self.decoders[l] is not None:
                before = len(self.statistics.layers)
                self.decoders[l].build(*shapes)
                if len(self.statistics.layers) > before:
                    self.first_with_statistics = min(l, self.first_with_statistics)

    @contextlib.contextmanager
    def naming(self, l, what):
        """Say in which row of the table something does not fit."""
        try:
            yield
        except (ValueError, TypeError, ArithmeticError) as error:
            names = [
                "no decoder" if layer is None else type(layer).__name__
                for layer in self.levels[l]
            ]
            raise ValueError(
                f"level {l + 1} of {len(self.encoders)} ({' | '.join(names)}) does not "
                f"fit: {what}. {error}"
            ) from None

    def receives_feedback(self, l):
        """Whether encoder row `l` has `d_l(t-1)` among its inputs."""
        if self.feedback == "none" or self.decoders[l] is None:
            return False
        return self.may_receive(l)

    def may_receive(self, l):
        """Whether encoder row `l` is one that connections from decoders lead to."""
        encoder = self.encoders[l]
        recurrent = hasattr(encoder, "state_size")
        accepts = getattr(encoder, "accepts_feedback", False)
        return accepts and (recurrent or self.feedback == "all")

    def receives_diagonal(self, l):
        """Whether encoder row `l` has `d_{l-1}(t-1)` among its inputs."""
        if "diagonal" not in self.skip or l == 0 or not self.may_receive(l):
            return False
        return on_one_grid(self.e_shapes[l - 1], self.d_shapes[l - 1])

    def receives_itself(self, l):
        """Whether decoder row `l` has `d_l(t-1)` among its inputs."""
        if "recurrent" not in self.skip or self.decoders[l] is None:
            return False
        v_top = next((d for d in self.d_shapes[l + 1 :] if d), self.e_shapes[-1])
        return on_one_grid(v_top, self.d_shapes[l])

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


def is_plain(encoder):
    """Whether an encoder row is a layer that knows nothing of ladders."""
    return not hasattr(encoder, "state_size") and not hasattr(
        encoder, "accepts_feedback"
    )


def as_level(l, row):
    """Row `l` of a table as a `Level`; what is none is refused, with the remedy."""
    if not isinstance(row, (list, tuple)) or not 1 <= len(row) <= 2:
        raise ValueError(
            f"level {l + 1} must be Level(encoder) or Level(encoder, decoder), and is "
            f"{row!r}."
        )
    level = Level(*row)
    for layer in level:
        if isinstance(layer, type):
            raise ValueError(
                f"level {l + 1}: {layer.__name__} is a class, and a row is made of "
                f"layers: write {layer.__name__}(...)."
            )
    if not isinstance(level.encoder, layers.Layer) or not isinstance(
        level.decoder, layers.Layer | None
    ):
        raise ValueError(
            f"level {l + 1} must have a layer as encoder and a layer or None as "
            f"decoder, and has {level.encoder!r} and {level.decoder!r}."
        )
    check_kind(l, level.encoder)
    return level


def where(valid, state):
    """The state where `valid`, of shape `(batch,)`, is 1, and zeros where it is 0."""
    valid = ops.reshape(valid, (-1, *(1 for _ in state.shape[1:])))
    return ops.where(valid > 0, state, ops.zeros_like(state))


def on_one_grid(a, b):
    """Whether tensors of two shapes (`None`: there is none) differ in channels only."""
    return b is not None and tuple(a[1:-1]) == tuple(b[1:-1])


def joined_shape(a, b):
    """Shape of two tensors on one grid, their channels one behind the other."""
    return (*a[:-1], a[-1] + b[-1])


def serialize(layer):
    """Configuration of a layer inside a ladder, which is built by the ladder only."""
    if layer is None:
        return None
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config
