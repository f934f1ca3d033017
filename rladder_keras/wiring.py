"""The rows of a ladder: what fits together, and which row receives what."""

import contextlib
from typing import NamedTuple

from keras import layers

from rladder_keras.validation import (
    check_channels,
    check_kind,
    check_one_tensor,
    check_rank,
)


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


class Wiring(layers.Layer):
    """Base of `LadderCell`: the shapes of its rows and the connections between them.

    A subclass sets `encoders`, `decoders`, `feedback`, `skip`, `statistics`, `gains`
    and `first_with_statistics`.
    """

    @property
    def levels(self):
        return [Level(*row) for row in zip(self.encoders, self.decoders, strict=True)]

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


def on_one_grid(a, b):
    """Whether tensors of two shapes (`None`: there is none) differ in channels only."""
    return b is not None and tuple(a[1:-1]) == tuple(b[1:-1])


def joined_shape(a, b):
    """Shape of two tensors on one grid, their channels one behind the other."""
    return (*a[:-1], a[-1] + b[-1])


def draws_numbers(row):
    """Whether it has random numbers, whose state is a variable and no weight."""
    return getattr(row, "draws_numbers", len(row.variables) > len(row.weights))


def moves_averages(layer):
    """Whether a layer of the user's has moving statistics that are not frozen."""
    parts = getattr(layer, "layers", None) or getattr(layer, "cells", None)
    if parts:
        return any(map(moves_averages, parts))
    return layer.trainable and bool(layer.non_trainable_weights)
