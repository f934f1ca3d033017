"""Decoder cells (Appendix A): `y = g(v_top, h)`, `v_top = d_{l+1}(t)`, `h = e_l(t)`.

The cells are stateless. The output of `G1`, `ConvG1` and `TopDown` has the shape of
`h`. `ConvG2` and `ConvG3` undo the strides or the pooling of their row: their output
has the channels of `h` on the grid of the row's input, `below`. The file is longer than
others because Appendix A has four cells, and each docstring states its equations.
"""

import math
from typing import Any

import keras
from keras import initializers, layers, ops

from rladder_keras.cells.gates import f, gate
from rladder_keras.cells.linear import (
    Linear,
    check_normalization,
    crop,
    stride_between,
    unpool,
)
from rladder_keras.typing import Config, Normalization, Shape, Size, Tensor
from rladder_keras.validation import check_sizes

register = keras.saving.register_keras_serializable("rladder_keras")


class _G1(layers.Layer):
    """Base of G1 and ConvG1, which share their equations; `A` is a matrix or a
    convolution.
    """

    def __init__(
        self, *, normalization: Normalization = "batch", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.normalization = check_normalization(normalization)

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        self.h_shape = tuple(h_shape)
        self.A = self.make_A(v_top_shape, h_shape)
        self.build_mixture((5, self.A.filters))
        self.b = None  # batch normalisation already has an offset
        if self.normalization != "batch":
            self.b = self.add_weight((self.A.filters,), "zeros", name="b")

    def build_mixture(self, shape: Shape) -> None:
        """Create the parameters `w_s` and `w` of the mixture."""
        # The initial values give s = sigmoid(u) and f(u, w) = u: a mixture of h and u.
        self.w_s = self.add_weight(shape, by_rows(1, 1, 0, 0, 0), name="w_s")
        self.w = self.add_weight(shape, by_rows(0, 1, 0, 1, 0), name="w")

    def mixture(self, u: Tensor, h: Tensor) -> Tensor:
        """Return `s h + (1 - s) f(u, w)`."""
        return gate(f(u, self.w_s), h, f(u, self.w))

    def compute_output_shape(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> Shape:
        return tuple(h_shape)

    def get_config(self) -> Config:
        return {**super().get_config(), "normalization": self.normalization}


@register
class G1(_G1):
    """Decoder cell of Appendix A.1, for vectors and tensors that can be flattened.

        u = BN(A v_top)
        s = f(u, w_s)
        y = s h + (1 - s) f(u, w)

    The paper's `b` is the offset of the batch normalisation.

    Args:
        normalization: `"batch"`, `"layer"` or `None`. Without `"batch"`, the cell has a
            separate bias `b`.

    Call arguments:
        v_top: Output of the decoder above, shape `(batch, ...)`.
        h: Output of the encoder in the same row, shape `(batch, ...)`.

    Output shape:
        The shape of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 10)), np.zeros((2, 4, 4, 32))
        >>> cell = G1()
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 4, 4, 32)
    """

    def make_A(self, v_top_shape: Shape, h_shape: Shape) -> Linear:
        """Return the matrix `A`, built."""
        units = math.prod(h_shape[1:])
        A = Linear(
            units, normalization=self.normalization, dtype=self.dtype_policy, name="A"
        )
        A.build(v_top_shape)
        return A

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        u = self.A(v_top, self.b)
        y = self.mixture(u, ops.reshape(h, ops.shape(u)))
        return ops.reshape(y, (-1, *self.h_shape[1:]))


@register
class ConvG1(_G1):
    """Convolutional decoder cell of Appendix A.1.

        u = BN(A * v_top)
        s = f(u, w_s)
        y = s h + (1 - s) f(u, w)

    If `v_top` has a coarser grid than `h`, `A` is a transposed convolution. If `v_top`
    is a vector, it is first copied to every position of the grid.

    Args:
        kernel_size: Integer or tuple: kernel size of `A`.
        normalization: `"batch"`, `"layer"` or `None`. Without `"batch"`, the cell has a
            separate bias `b`.

    Call arguments:
        v_top: Shape `(batch, *coarser_or_same_grid, channels)` or `(batch, channels)`.
        h: Shape `(batch, *grid, filters)`.

    Output shape:
        The shape of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 4, 4, 16)), np.zeros((2, 8, 8, 32))
        >>> cell = ConvG1(4)
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 8, 8, 32)
    """

    def __init__(self, kernel_size: Size, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = check_sizes(f"`kernel_size` of {kind}", kernel_size)

    def make_A(self, v_top_shape: Shape, h_shape: Shape) -> Linear:
        """Return the convolution `A`, built."""
        kind = type(self).__name__
        if len(h_shape) < 3:
            raise ValueError(
                f"`h` must be a feature map for {kind}; got shape {tuple(h_shape)}. "
                "Use G1 in this row."
            )
        v_top_shape = self.on_grid(v_top_shape, h_shape)
        if len(v_top_shape) != len(h_shape):
            raise ValueError(
                f"`v_top` must be a vector, or a map like `h`, for {kind}; got shape "
                f"{tuple(v_top_shape)}. Use G1 in the row above."
            )
        strides = stride_between(h_shape, v_top_shape)
        A = Linear(
            h_shape[-1],
            self.kernel_size,
            strides=strides,
            transpose=max(strides) > 1,
            normalization=self.normalization,
            dtype=self.dtype_policy,
            name="A",
        )
        A.build(v_top_shape)
        return A

    @staticmethod
    def on_grid(v_top_shape: Shape, h_shape: Shape) -> Shape:
        """Return the shape of `v_top`, with a vector copied to the grid of `h`."""
        if len(v_top_shape) == 2:
            return (v_top_shape[0], *h_shape[1:-1], v_top_shape[-1])
        return tuple(v_top_shape)

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        grid = self.h_shape[1:-1]
        if len(v_top.shape) == 2:
            ones = (1,) * len(grid)
            v_top = unpool(ops.reshape(v_top, (-1, *ones, v_top.shape[-1])), grid)
        return self.mixture(crop(self.A(v_top, self.b), grid), h)

    def get_config(self) -> Config:
        return {**super().get_config(), "kernel_size": self.kernel_size}


@register
class TopDown(ConvG1):
    """Decoder cell that ignores the values of `h`: the mirror image of a `Conv` row.

        y = relu(BN(A * v_top))

    Not in the paper. A ladder of such rows is an auto-encoder: all information passes
    through its narrowest row, while a decoder that mixes in `h` bypasses it.

    Args:
        kernel_size: Integer or tuple: kernel size of `A`.
        normalization: `"batch"`, `"layer"` or `None`. Without `"batch"`, the cell has a
            separate bias `b`.

    Call arguments:
        v_top: Shape `(batch, *coarser_or_same_grid, channels)` or `(batch, channels)`.
        h: Shape `(batch, *grid, filters)`. Only its shape is used.

    Output shape:
        The shape of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 1, 1, 64)), np.zeros((2, 5, 5, 32))
        >>> cell = TopDown(5)
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 5, 5, 32)
    """

    def build_mixture(self, shape: Shape) -> None:
        pass

    def mixture(self, u: Tensor, h: Tensor) -> Tensor:
        return ops.relu(u)


class _UpsamplingCell(layers.Layer):
    """Base of ConvG2 and ConvG3: the first convolutions, of `v_top` and `h`."""

    maps = 1  # number of pairs of A and B

    def __init__(
        self,
        kernel_size: Size,
        *,
        normalization: Normalization = "layer",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = check_sizes(f"`kernel_size` of {kind}", kernel_size)
        self.normalization = check_normalization(normalization)

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        check_grids(v_top_shape, h_shape)
        below_shape = below_shape or h_shape
        self.h_grid, self.grid = h_shape[1:-1], below_shape[1:-1]
        self.filters = h_shape[-1]
        strides = stride_between(below_shape, h_shape)
        stride_between(h_shape, v_top_shape)  # checks that a coarser map can be copied
        self.A, self.B = (
            Linear(
                self.maps * self.filters,
                self.kernel_size,
                strides=strides,
                transpose=max(strides) > 1,
                normalization=self.normalization,
                groups=self.maps,
                dtype=self.dtype_policy,
                name=name,
            )
            for name in "AB"
        )
        self.A.build((v_top_shape[0], *self.h_grid, v_top_shape[-1]))
        self.B.build(h_shape)
        self.c = self.add_weight((self.maps * self.filters,), "zeros", name="c")

    def first(self, v_top: Tensor, h: Tensor) -> Tensor:
        """Return `N(A * v_top) + N(B * h) + c` on the grid of the row's input."""
        v_top = unpool(v_top, self.h_grid)
        return crop(self.A(v_top, self.c) + self.B(h), self.grid)

    def compute_output_shape(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> Shape:
        below_shape = below_shape or h_shape
        return (h_shape[0], *below_shape[1:-1], h_shape[-1])

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "normalization": self.normalization,
        }


@register
class ConvG2(_UpsamplingCell):
    """Decoder cell of Appendix A.2.

        mu_1 = f(LN(A_1 * v_top) + LN(B_1 * h) + c_1, w_1)
        mu_2 = f(LN(A_2 * v_top) + LN(B_2 * h) + c_2, w_2)
        s    = f(LN(A_s * v_top) + LN(B_s * h) + c_s, w_s)
        y    = s mu_1 + (1 - s) mu_2

    The three convolutions of each input are computed as one convolution.

    Args:
        kernel_size: Integer or tuple: kernel size of all its convolutions.
        normalization: `"layer"` (RLadder), `"batch"` (RTagger) or `None`.

    Call arguments:
        v_top: Shape `(batch, *grid, any)`. A coarser grid is copied to the grid of `h`.
        h: Shape `(batch, *grid, filters)`.

    Output shape:
        `(batch, *grid_of_the_row's_input, filters)`.

    Examples:
        >>> cell = ConvG2(3)
        >>> v_top, h = np.zeros((2, 22, 16)), np.zeros((2, 44, 32))
        >>> cell.build(v_top.shape, h.shape, below_shape=(2, 88, 1))
        >>> ops.shape(cell(v_top, h))
        (2, 88, 32)
    """

    maps = 3

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        super().build(v_top_shape, h_shape, below_shape)
        # The initial values give mu_i = u_i and s = sigmoid(u_s).
        mu, s = by_rows(0, 1, 0, 1, 0), by_rows(1, 1, 0, 0, 0)
        shape = (5, self.filters)
        self.w_1 = self.add_weight(shape, mu, name="w_1")
        self.w_2 = self.add_weight(shape, mu, name="w_2")
        self.w_s = self.add_weight(shape, s, name="w_s")

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        u_1, u_2, u_s = ops.split(self.first(v_top, h), 3, axis=-1)
        mu_1, mu_2, s = f(u_1, self.w_1), f(u_2, self.w_2), f(u_s, self.w_s)
        return gate(s, mu_1, mu_2)


@register
class ConvG3(_UpsamplingCell):
    """Decoder cell of Appendix A.3.

        u = relu(LN(A * v_top) + LN(B * h) + c)
        s = sigmoid(W_s * u)
        y = s (D * u) + (1 - s) (E * u)

    The convolutions `W_s`, `D` and `E` are computed as one convolution.

    Args:
        kernel_size: Integer or tuple: kernel size of the first convolutions, `A` and
            `B`.
        inner_kernel_size: Kernel size of `W_s`, `D` and `E`. The paper prints one size
            for the whole cell: `inner_kernel_size=kernel_size` follows it literally.
        normalization: `"layer"` (RLadder), `"batch"` (RTagger) or `None`.

    Call arguments:
        v_top: Shape `(batch, *grid, any)`. A coarser grid is copied to the grid of `h`.
        h: Shape `(batch, *grid, filters)`.

    Output shape:
        `(batch, *grid_of_the_row's_input, filters)`.

    Examples:
        >>> cell = ConvG3(6)
        >>> v_top, h = np.zeros((2, 8, 8, 64)), np.zeros((2, 8, 8, 32))
        >>> cell.build(v_top.shape, h.shape, below_shape=(2, 16, 16, 32))
        >>> ops.shape(cell(v_top, h))
        (2, 16, 16, 32)
    """

    def __init__(
        self, kernel_size: Size, inner_kernel_size: Size = 1, **kwargs: Any
    ) -> None:
        super().__init__(kernel_size, **kwargs)
        self.inner_kernel_size = check_sizes(
            "`inner_kernel_size` of ConvG3", inner_kernel_size
        )

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        super().build(v_top_shape, h_shape, below_shape)
        self.W_s_D_E = Linear(
            3 * self.filters,
            self.inner_kernel_size,
            dtype=self.dtype_policy,
            name="W_s_D_E",
        )
        self.W_s_D_E.build((h_shape[0], *self.grid, self.filters))

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        u = ops.relu(self.first(v_top, h))
        W_s_u, D_u, E_u = ops.split(self.W_s_D_E(u), 3, axis=-1)
        return gate(ops.sigmoid(W_s_u), D_u, E_u)

    def get_config(self) -> Config:
        return {**super().get_config(), "inner_kernel_size": self.inner_kernel_size}


@register
class Identity(layers.Layer):
    """The decoder "Identity" of Table 8: returns `h` unchanged.

    Call arguments:
        v_top: Ignored; accepted because all decoder cells have the same signature.
        h: Shape `(batch, ...)`.

    Output shape:
        The shape of `h`.

    Examples:
        >>> cell, v_top, h = Identity(), np.zeros((2, 10)), np.zeros((2, 19))
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 19)
    """

    def build(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> None:
        pass

    def call(self, v_top: Tensor, h: Tensor) -> Tensor:
        return h

    def compute_output_shape(
        self, v_top_shape: Shape, h_shape: Shape, below_shape: Shape | None = None
    ) -> Shape:
        return tuple(h_shape)


def by_rows(*rows: float) -> initializers.Initializer:
    """Return an initialiser of the `w` of Equation 6.

    Args:
        *rows: One constant for each of `w0..w4`.
    """
    return initializers.Constant([[float(value)] for value in rows])


def check_grids(v_top_shape: Shape, h_shape: Shape) -> None:
    """Raise `ValueError` if the inputs of a cell are not maps of the same rank."""
    if len(v_top_shape) != len(h_shape) or len(h_shape) < 3:
        raise ValueError(
            "`v_top` and `h` must be feature maps for ConvG2 and ConvG3; got v_top of "
            f"shape {tuple(v_top_shape)} and h of shape {tuple(h_shape)}. Use G1 or "
            "ConvG1 here, or give one of them to a row above."
        )
