"""One iteration of a recurrent ladder: Equations 1 to 3 (Section 2)."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import keras
from keras import ops, tree

from rladder_keras.cells.normalization import BatchStatistics
from rladder_keras.typing import Config, Feedback, Shape, Shapes, State, Tensor
from rladder_keras.validation import check_integer
from rladder_keras.wiring import Level, Wiring, as_level

FEEDBACK = ("recurrent", "all", "none")
SKIPS = ("diagonal", "recurrent")


class LadderOutput(NamedTuple):
    """Output of one iteration; with a time axis, the output for a sequence.

    Attributes:
        top: `e_L`, the output of the highest encoder row, shape `(batch, ...)`.
        bottom: `d_1`, the output of the lowest decoder cell, shape `(batch, *grid,
            channels)`, or `(batch, units)` for a vector; `()` without a decoder.
        moments: Batch statistics of this iteration, for the moving averages. List of
            tensors, see `BatchStatistics.collect`.
    """

    top: Tensor
    bottom: Tensor
    moments: list[Tensor]


@keras.saving.register_keras_serializable("rladder_keras")
class LadderCell(Wiring):
    """One iteration of a recurrent ladder: up the encoder, then down the decoder.

    Args:
        levels: List of `Level`, bottom row first.
        feedback: Which encoder rows receive the last output of their decoder,
            `d_l(t-1)`: `"recurrent"` for recurrent rows, `"all"` for every row that
            accepts feedback (`Conv` rows too), or `"none"`.
        iterations: Number of iterations with separate moving statistics of batch
            normalisation. Later iterations use those of the last one.
        skip: Skip connections of Fig. 9c, which the paper's models do not have, any of:

            - `"diagonal"`: `d_{l-1}(t-1)` is concatenated with `e_{l-1}(t)`, the input
              of encoder row l, for the rows that can receive feedback.
            - `"recurrent"`: `d_l(t-1)`, times a gain per channel that starts at 0, is
              concatenated with `d_{l+1}(t)`, the input of decoder row l.

            Tensors are concatenated as channels. A connection between tensors of
            different grids is left out.

    Call arguments:
        x: Input of this iteration, shape `(batch, ...)`.
        states: `[t, s, d]`: the index of the iteration, shape `(1,)`, the states of the
            encoder rows, and the last outputs of the decoder cells. With a mask, `[t,
            s, d, mask]`: `mask` has shape `(batch, T)`, and its first column is for
            this iteration.
            Where the mask is 0, the sample is excluded from the batch statistics, and
            its `s` and `d` are zeros afterwards.
        first: Whether `s` and `d` are zeros, so that linear maps of them can be
            skipped.
        unread: Whether the outputs of the decoders are ignored. Only the decoders with
            batch statistics, and those above them, are then computed. `bottom` is
            zeros, and the new state must not be used.

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

    starts_from_zeros = True  # the initial state; `carry` needs this

    def __init__(
        self,
        levels: Sequence[Level],
        feedback: Feedback = "recurrent",
        iterations: int | None = None,
        skip: Iterable[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        names = isinstance(skip, Iterable) and not isinstance(skip, str)
        skips: tuple[Any, ...] = tuple(skip) if names else (skip,)
        if not names or not all(name in SKIPS for name in skips):
            raise ValueError(
                f"`skip` must be a tuple of some of {SKIPS}; got {skip!r}. Use () for "
                "no skip connections."
            )
        if feedback not in FEEDBACK:
            raise ValueError(
                f"`feedback` must be one of {FEEDBACK}; got {feedback!r}. Choose one "
                "of these."
            )
        if not levels:
            raise ValueError(
                f"`levels` must contain at least one Level; got {levels!r}. Add a row."
            )
        if iterations is not None:
            iterations = check_integer("`iterations`", iterations)
        levels = [as_level(l, level) for l, level in enumerate(levels)]
        self.encoders = [level.encoder for level in levels]
        self.decoders = [level.decoder for level in levels]
        self.feedback = feedback
        self.skip = tuple(sorted(skips))
        self.gains: dict[int, Any] = {}  # decoder row l -> gain of its `d_l(t-1)`
        self.first_with_statistics = len(levels)  # lowest decoder with moving averages
        self.iterations = iterations
        self.statistics = BatchStatistics(iterations or 1)

    def resolve_iterations(self, steps: int | None) -> None:
        """Set `iterations` to the length of the sequences if it was not given."""
        if self.iterations is None and steps is not None:
            self.iterations = self.statistics.iterations = steps

    @property
    def state_size(self) -> list[Any]:
        return [getattr(encoder, "state_size", []) for encoder in self.encoders]

    def build(self, x_shape: Shape, states_shape: Shapes = None) -> None:
        if None in x_shape[1:]:
            raise ValueError(
                "Frames must have a fixed size; got an input of shape "
                f"{tuple(x_shape)} for one iteration. Give Input the height, width and "
                "channels."
            )
        self.e_shapes = self.shapes_up(x_shape)
        self.d_shapes = self.shapes_down(x_shape)
        with self.statistics.building():
            for l in range(len(self.encoders)):
                self.build_level(l, x_shape)
        self.check_iterations()

    def check_iterations(self) -> None:
        """Raise `ValueError` if batch statistics need `iterations`."""
        if self.iterations is None and self.statistics.layers:
            raise ValueError(
                "`iterations` must be given for a ladder with batch normalisation, "
                "whose moving statistics are separate for each iteration; got None "
                "and sequences of unknown length. Pass iterations=T, or iterations=1 "
                "to share the statistics, for long sequences."
            )

    def call(
        self,
        x: Tensor,
        states: State,
        training: bool | None = None,
        first: bool = False,
        unread: bool = False,
    ) -> tuple[LadderOutput, State]:
        # `training` is not passed on by hand: Keras' call context gives it to the rows.
        t, s, d, *mask = states
        valid = mask[0][:, 0] if mask else None
        with self.statistics.iteration(t, valid) as statistics:
            e, s = self.encode(x, s, d, first)
            d = self.decode(e, d, self.first_with_statistics if unread else 0)
            moments = statistics.collect()
        bottom = next((d_l for d_l in d if not isinstance(d_l, list)), ())
        if unread and self.bottom_shape:
            bottom = self.zeros(ops.shape(x)[0], self.bottom_shape)
        output = LadderOutput(e[-1], bottom, moments)
        if mask:
            s, d = tree.map_structure(partial(zero_padding, valid), (s, d))
            mask = [ops.roll(mask[0], -1, axis=1)]
        return output, [t + 1, s, d, *mask]

    def encode(
        self, x: Tensor, s: State, d: State, first: bool = False
    ) -> tuple[list[Tensor], State]:
        """Compute Equations 1 and 2.

        Args:
            x: Input of this iteration, shape `(batch, ...)`.
            s: States of the encoder rows, bottom row first; `[]` for rows without a
                state.
            d: Outputs of the last iteration's decoders, bottom row first, each of shape
                `(batch, ...)`; `[]` for rows without a decoder.
            first: Whether `s` and `d` are zeros.

        Returns:
            List of `e_l`, bottom row first, each of shape `(batch, ...)`, and the new
            states, with the structure of `s`.
        """
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

    def decode(self, e: list[Tensor], d: State, lowest: int = 0) -> State:
        """Compute Equation 3 from the top level down.

        Args:
            e: Outputs of the encoder rows, bottom row first, each of shape `(batch,
                ...)`.
            d: Outputs of the last iteration's decoders, as for `encode`.
            lowest: Index of the lowest decoder to compute.

        Returns:
            List of `d_l`, bottom row first, each of shape `(batch, ...)`; `[]` for rows
            without a decoder and for rows below `lowest`.
        """
        v_top = e[-1]
        d_new: State = [[] for _ in self.decoders]
        for l in reversed(range(lowest, len(self.decoders))):
            if self.receives_itself(l):
                own = d[l] * ops.cast(self.gains[l], d[l].dtype)
                v_top = ops.concatenate([v_top, own], axis=-1)
            if self.decoders[l] is not None:
                v_top = d_new[l] = self.decoders[l](v_top, e[l])
        return d_new

    def get_initial_state(self, batch_size: int | None = None) -> State:
        """Return `t = 0`, and zeros for every `s_l(0)` and `d_l(0)`."""
        s = [
            encoder.get_initial_state(batch_size)
            if hasattr(encoder, "state_size")
            else []
            for encoder in self.encoders
        ]
        d = [self.zeros(batch_size, shape) if shape else [] for shape in self.d_shapes]
        return [ops.zeros((1,), "int32"), s, d]

    def zeros(self, batch_size: int | None, shape: Shape) -> Tensor:
        """Return zeros in the shape of a `d_l`."""
        return ops.zeros((batch_size, *shape[1:]), self.compute_dtype)

    def compute_output_shape(
        self, x_shape: Shape, states_shape: Shapes = None
    ) -> LadderOutput:
        """Return the shapes of `top` and `bottom`."""
        if not self.built:
            self.e_shapes = self.shapes_up(x_shape)
            self.d_shapes = self.shapes_down(x_shape)
        return LadderOutput(self.e_shapes[-1], self.bottom_shape, [])

    @property
    def output_dtypes(self) -> dict[str, str]:
        """Dtypes of the outputs that do not have the compute dtype of the ladder."""
        top = self.encoders[-1]
        return {"top": top.output_dtype} if hasattr(top, "output_dtype") else {}

    @property
    def bottom_shape(self) -> Shape:
        """Shape of the output of the lowest decoder, `()` without a decoder."""
        return next((shape for shape in self.d_shapes if shape), ())

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "levels": [[serialize(layer) for layer in level] for level in self.levels],
            "feedback": self.feedback,
            "iterations": self.iterations,
            "skip": list(self.skip),
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        levels: Any = [
            [keras.saving.deserialize_keras_object(layer) for layer in level]
            for level in config.pop("levels")
        ]
        return cls(levels, **config)


def zero_padding(valid: Tensor, state: Tensor) -> Tensor:
    """Return the state where `valid` is 1, and zeros where it is 0.

    Args:
        valid: Tensor of shape `(batch,)`.
        state: Tensor of shape `(batch, ...)`.
    """
    valid = ops.reshape(valid, (-1, *(1 for _ in state.shape[1:])))
    return ops.where(valid > 0, state, ops.zeros_like(state))


def serialize(layer: keras.layers.Layer | None) -> Config | None:
    """Return the configuration of a layer inside a ladder, without `build_config`.

    The ladder builds its layers, so Keras must not build them first.
    """
    if layer is None:
        return None
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config
