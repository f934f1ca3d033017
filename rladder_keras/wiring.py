"""The rows of a ladder: their shapes, and the connections between them."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from keras import layers

from rladder_keras.cells.normalization import BatchStatistics
from rladder_keras.typing import Shape
from rladder_keras.validation import (
    check_channels,
    check_kind,
    check_one_tensor,
    check_rank,
)


class Level(NamedTuple):
    """One row of Table 5, 8 or 9: an encoder and the decoder beside it.

    A row without a decoder passes down the tensor that it receives from above; without
    a decoder, the top row passes down the output of its encoder.

    Args:
        encoder: An encoder of this library, or a stock Keras layer or model.
        decoder: A decoder cell, or `None` for no decoder.

    Examples:
        >>> Level(Conv(32, 3)).decoder is None
        True
    """

    encoder: layers.Layer
    decoder: layers.Layer | None = None


class Wiring(layers.Layer):
    """Base class of `LadderCell`: shapes of the rows, and connections between them.

    A subclass sets `encoders`, `decoders`, `feedback`, `skip`, `statistics`, `gains`
    and `first_with_statistics`.
    """

    encoders: list[layers.Layer]
    decoders: list[Any]  # a layer or `None`
    feedback: str
    skip: tuple[str, ...]
    statistics: BatchStatistics
    gains: dict[int, Any]
    first_with_statistics: int
    e_shapes: list[Shape]
    d_shapes: list[Any]  # a shape or `None`

    @property
    def levels(self) -> list[Level]:
        """The rows as a list of `Level`, bottom row first."""
        return [Level(*row) for row in zip(self.encoders, self.decoders, strict=True)]

    def shapes_up(self, x_shape: Shape) -> list[Shape]:
        """Return the shape of each `e_l`."""
        e = [tuple(x_shape)]
        for l, encoder in enumerate(self.encoders):
            check_channels(l, encoder, e)
            with self.naming(l, f"its input has shape {e[-1]}"):
                check_rank(encoder, e[-1])
                shape = encoder.compute_output_shape(e[-1])
                check_one_tensor(encoder, shape)
                e.append(tuple(shape))
                if 0 in e[-1]:
                    raise ValueError(
                        "The grid of an encoder's output must have at least one cell; "
                        f"got shape {e[-1]}. Use a smaller pool, kernel or stride, or "
                        "larger frames."
                    )
        return e[1:]

    def shapes_down(self, x_shape: Shape) -> list[Shape | None]:
        """Return the shape of each `d_l`; `None` for rows without a decoder."""
        v_top = self.e_shapes[-1]
        d: list[Shape | None] = []
        for l in reversed(range(len(self.decoders))):
            if self.decoders[l] is None:
                d.insert(0, None)
                continue
            with self.naming(l, f"v_top has shape {v_top}, h {self.e_shapes[l]}"):
                shapes = self.decoder_shapes(l, x_shape, v_top)
                v_top = tuple(self.decoders[l].compute_output_shape(*shapes))
            d.insert(0, v_top)
        return d

    def shape_from_above(self, l: int) -> Shape:
        """Return the shape of `v_top` of row `l`."""
        return next((d for d in self.d_shapes[l + 1 :] if d), self.e_shapes[-1])

    def decoder_shapes(
        self, l: int, x_shape: Shape, v_top: Shape
    ) -> tuple[Shape, Shape, Shape]:
        """Return the shapes of `v_top`, `h` and the input of the row."""
        return v_top, self.e_shapes[l], self.e_shapes[l - 1] if l else tuple(x_shape)

    def build_level(self, l: int, x_shape: Shape) -> None:
        """Build the encoder and the decoder of row `l`."""
        v_top = self.shape_from_above(l)
        shapes = self.decoder_shapes(l, x_shape, v_top)
        below = shapes[-1]
        with self.naming(l, f"its input has shape {below}, v_top {v_top}"):
            encoder, decoder = self.levels[l]
            plain = is_plain(encoder)
            ours = [decoder] if plain else [encoder, decoder]
            if any(row is not None and row.weights for row in ours):
                raise ValueError(
                    "The layers of a level must be new; got layers that already have "
                    "weights, of another row or ladder. Make new layers for each row "
                    "and each ladder."
                )
            if self.receives_diagonal(l):
                below = joined_shape(below, self.d_shapes[l - 1])
            feedback = self.receives_feedback(l)
            if not (plain and encoder.built):  # it may be a trained layer
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
    def naming(self, l: int, what: str) -> Iterator[None]:
        """Context that adds the row of the table to error messages."""
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
            ) from error

    def receives_feedback(self, l: int) -> bool:
        """Return whether encoder row `l` has `d_l(t-1)` as an input."""
        if self.feedback == "none" or self.decoders[l] is None:
            return False
        return self.may_receive(l)

    def may_receive(self, l: int) -> bool:
        """Return whether encoder row `l` accepts connections from decoders."""
        encoder = self.encoders[l]
        recurrent = hasattr(encoder, "state_size")
        accepts = getattr(encoder, "accepts_feedback", False)
        return accepts and (recurrent or self.feedback == "all")

    def receives_diagonal(self, l: int) -> bool:
        """Return whether encoder row `l` has `d_{l-1}(t-1)` as an input."""
        if "diagonal" not in self.skip or l == 0 or not self.may_receive(l):
            return False
        return on_one_grid(self.e_shapes[l - 1], self.d_shapes[l - 1])

    def receives_itself(self, l: int) -> bool:
        """Return whether decoder row `l` has `d_l(t-1)` as an input."""
        if "recurrent" not in self.skip or self.decoders[l] is None:
            return False
        v_top = self.shape_from_above(l)
        return on_one_grid(v_top, self.d_shapes[l])


def is_plain(encoder: layers.Layer) -> bool:
    """Return whether an encoder row is a stock layer, without feedback or state."""
    return not hasattr(encoder, "state_size") and not hasattr(
        encoder, "accepts_feedback"
    )


def as_level(l: int, row: Any) -> Level:
    """Return row `l` of a table as a `Level`; raise `ValueError` if it is not a row."""
    if not isinstance(row, (list, tuple)) or not 1 <= len(row) <= 2:
        raise ValueError(
            f"level {l + 1} must be Level(encoder) or Level(encoder, decoder); got "
            f"{row!r}. Write Level(encoder) for a row without a decoder."
        )
    level = Level(*row)
    for layer in level:
        if isinstance(layer, type):
            raise ValueError(
                f"level {l + 1} must contain layers; got the class {layer.__name__}. "
                f"Write {layer.__name__}(...)."
            )
    if not isinstance(level.encoder, layers.Layer) or not isinstance(
        level.decoder, layers.Layer | None
    ):
        raise ValueError(
            f"level {l + 1} must have a layer as encoder, and a layer or None as "
            f"decoder; got {level.encoder!r} and {level.decoder!r}. Pass Keras layers."
        )
    check_kind(l, level.encoder)
    return level


def on_one_grid(a: Shape, b: Shape | None) -> bool:
    """Return whether two shapes differ in their channels only.

    The second shape is `None` if there is no such tensor.
    """
    return b is not None and tuple(a[1:-1]) == tuple(b[1:-1])


def joined_shape(a: Shape, b: Shape) -> Shape:
    """Return the shape of two tensors on the same grid, concatenated by channels."""
    return (*a[:-1], a[-1] + b[-1])


def draws_numbers(row: layers.Layer) -> bool:
    """Return whether a row draws random numbers.

    The state of a seed generator is a variable, but not a weight.
    """
    return getattr(row, "draws_numbers", len(row.variables) > len(row.weights))


def moves_averages(layer: layers.Layer) -> bool:
    """Return whether a stock layer has moving statistics that are not frozen."""
    parts = getattr(layer, "layers", None) or getattr(layer, "cells", None)
    if parts:
        return any(map(moves_averages, parts))
    return layer.trainable and bool(layer.non_trainable_weights)
