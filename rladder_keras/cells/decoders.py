"""Decoder cells (Appendix A): `y = g(v_top, h)`, `v_top = d_{l+1}(t)`, `h = e_l(t)`.

They are stateless. `G1`, `ConvG1` and `TopDown` give an output of the shape of `h`.
`ConvG2` and `ConvG3` undo the strides or the pooling of their row: their output has the
channels of `h` on the grid of the row's input, `below`.
"""

import math

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
from rladder_keras.validation import check_sizes

register = keras.saving.register_keras_serializable("rladder_keras")


class _G1(layers.Layer):
    """The equations that G1 and ConvG1 share; `A` is a matrix or a convolution."""

    def __init__(self, *, normalization="batch", **kwargs):
        super().__init__(**kwargs)
        self.normalization = check_normalization(normalization)

    def build(self, v_top_shape, h_shape, below_shape=None):
        self.h_shape = tuple(h_shape)
        self.A = self.make_A(v_top_shape, h_shape)
        self.build_mixture((5, self.A.filters))
        self.b = None  # batch normalisation has an offset of its own
        if self.normalization != "batch":
            self.b = self.add_weight((self.A.filters,), "zeros", name="b")

    def build_mixture(self, shape):
        # Starts as an even mixture of h and u: s = sigmoid(u), f(u, w) = u.
        self.w_s = self.add_weight(shape, by_rows(1, 1, 0, 0, 0), name="w_s")
        self.w = self.add_weight(shape, by_rows(0, 1, 0, 1, 0), name="w")

    def mixture(self, u, h):
        return gate(f(u, self.w_s), h, f(u, self.w))

    def compute_output_shape(self, v_top_shape, h_shape, below_shape=None):
        return tuple(h_shape)

    def get_config(self):
        return {**super().get_config(), "normalization": self.normalization}


@register
class G1(_G1):
    """Decoder cell of Appendix A.1, for vectors and whatever else can be flattened.

        u = BN(A v_top)
        s = f(u, w_s)
        y = s h + (1 - s) f(u, w)

    `b` of the paper is left to the offset of the batch normalisation.

    Args:
        normalization: `"batch"`, `"layer"` or `None`; without `"batch"` there is a `b`.

    Call arguments:
        v_top: Shape `(batch, ...)`.
        h: Shape `(batch, ...)`.

    Output shape:
        That of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 10)), np.zeros((2, 4, 4, 32))
        >>> cell = G1()
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 4, 4, 32)
    """

    def make_A(self, v_top_shape, h_shape):
        units = math.prod(h_shape[1:])
        A = Linear(
            units, normalization=self.normalization, dtype=self.dtype_policy, name="A"
        )
        A.build(v_top_shape)
        return A

    def call(self, v_top, h):
        u = self.A(v_top, self.b)
        y = self.mixture(u, ops.reshape(h, ops.shape(u)))
        return ops.reshape(y, (-1, *self.h_shape[1:]))


@register
class ConvG1(_G1):
    """Convolutional decoder cell of Appendix A.1.

        u = BN(A * v_top)
        s = f(u, w_s)
        y = s h + (1 - s) f(u, w)

    Where `v_top` lies on a coarser grid than `h`, `A` is a transposed convolution;
    where it is a vector, it is copied to the whole grid first.

    Args:
        kernel_size: Integer or tuple.
        normalization: As in `G1`.

    Call arguments:
        v_top: Shape `(batch, *coarser_or_same_grid, channels)` or `(batch, channels)`.
        h: Shape `(batch, *grid, filters)`.

    Output shape:
        That of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 4, 4, 16)), np.zeros((2, 8, 8, 32))
        >>> cell = ConvG1(4)
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 8, 8, 32)
    """

    def __init__(self, kernel_size, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = check_sizes(f"`kernel_size` of {kind}", kernel_size)

    def make_A(self, v_top_shape, h_shape):
        v_top_shape = self.on_grid(v_top_shape, h_shape)
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
    def on_grid(v_top_shape, h_shape):
        """Shape of `v_top` with a vector copied to the grid of `h`."""
        if len(v_top_shape) == 2:
            return (v_top_shape[0], *h_shape[1:-1], v_top_shape[-1])
        return tuple(v_top_shape)

    def call(self, v_top, h):
        grid = self.h_shape[1:-1]
        if len(v_top.shape) == 2:
            ones = (1,) * len(grid)
            v_top = unpool(ops.reshape(v_top, (-1, *ones, v_top.shape[-1])), grid)
        return self.mixture(crop(self.A(v_top, self.b), grid), h)

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}


@register
class TopDown(ConvG1):
    """Decoder cell that does not look at `h`: the mirror image of a `Conv` row.

        y = relu(BN(A * v_top))

    Not in the paper. A ladder of such rows is an auto-encoder: all that it says has
    passed its narrowest row, where a decoder that mixes `h` in leads past it.

    Args:
        kernel_size: Integer or tuple.
        normalization: As in `G1`.

    Call arguments:
        v_top, h: As in `ConvG1`; of `h` only the shape matters.

    Output shape:
        That of `h`.

    Examples:
        >>> v_top, h = np.zeros((2, 1, 1, 64)), np.zeros((2, 5, 5, 32))
        >>> cell = TopDown(5)
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 5, 5, 32)
    """

    def build_mixture(self, shape):
        pass

    def mixture(self, u, h):
        return ops.relu(u)


class _UpsamplingCell(layers.Layer):
    """The first two convolutions, of `v_top` and `h`, of both ConvG2 and ConvG3."""

    maps = 1  # how many sets of A and B

    def __init__(self, kernel_size, *, normalization="layer", **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.kernel_size = check_sizes(f"`kernel_size` of {kind}", kernel_size)
        self.normalization = check_normalization(normalization)

    def build(self, v_top_shape, h_shape, below_shape=None):
        check_grids(v_top_shape, h_shape)
        below_shape = below_shape or h_shape
        self.h_grid, self.grid = h_shape[1:-1], below_shape[1:-1]
        self.filters = h_shape[-1]
        strides = stride_between(below_shape, h_shape)
        stride_between(h_shape, v_top_shape)  # for the copies of a coarser map
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

    def first(self, v_top, h):
        """`N(A * v_top) + N(B * h) + c` on the grid of the row's input."""
        v_top = unpool(v_top, self.h_grid)
        return crop(self.A(v_top, self.c) + self.B(h), self.grid)

    def compute_output_shape(self, v_top_shape, h_shape, below_shape=None):
        below_shape = below_shape or h_shape
        return (h_shape[0], *below_shape[1:-1], h_shape[-1])

    def get_config(self):
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

    The three convolutions of each input are computed as one.

    Args:
        kernel_size: Integer or tuple.
        normalization: `"layer"` or, in the RTagger, `"batch"`.

    Call arguments:
        v_top: Shape `(batch, *grid, any)`; a coarser grid is copied to that of `h`.
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

    def build(self, v_top_shape, h_shape, below_shape=None):
        super().build(v_top_shape, h_shape, below_shape)
        # Starts with mu_i = u_i and s = sigmoid(u_s).
        mu, s = by_rows(0, 1, 0, 1, 0), by_rows(1, 1, 0, 0, 0)
        shape = (5, self.filters)
        self.w_1 = self.add_weight(shape, mu, name="w_1")
        self.w_2 = self.add_weight(shape, mu, name="w_2")
        self.w_s = self.add_weight(shape, s, name="w_s")

    def call(self, v_top, h):
        u_1, u_2, u_s = ops.split(self.first(v_top, h), 3, axis=-1)
        mu_1, mu_2, s = f(u_1, self.w_1), f(u_2, self.w_2), f(u_s, self.w_s)
        return gate(s, mu_1, mu_2)


@register
class ConvG3(_UpsamplingCell):
    """Decoder cell of Appendix A.3.

        u = relu(LN(A * v_top) + LN(B * h) + c)
        s = sigmoid(W_s * u)
        y = s (D * u) + (1 - s) (E * u)

    The convolutions `W_s`, `D` and `E` are computed as one.

    Args:
        kernel_size: Integer or tuple, of the first convolutions `A` and `B`.
        inner_kernel_size: Kernel of `W_s`, `D` and `E`. The paper gives one size for
            the whole cell: `inner_kernel_size=kernel_size` is its letter.
        normalization: `"layer"` or, in the RTagger, `"batch"`.

    Call arguments:
        v_top: Shape `(batch, *grid, any)`; a coarser grid is copied to that of `h`.
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

    def __init__(self, kernel_size, inner_kernel_size=1, **kwargs):
        super().__init__(kernel_size, **kwargs)
        self.inner_kernel_size = check_sizes(
            "`inner_kernel_size` of ConvG3", inner_kernel_size
        )

    def build(self, v_top_shape, h_shape, below_shape=None):
        super().build(v_top_shape, h_shape, below_shape)
        self.W_s_D_E = Linear(
            3 * self.filters,
            self.inner_kernel_size,
            dtype=self.dtype_policy,
            name="W_s_D_E",
        )
        self.W_s_D_E.build((h_shape[0], *self.grid, self.filters))

    def call(self, v_top, h):
        u = ops.relu(self.first(v_top, h))
        W_s_u, D_u, E_u = ops.split(self.W_s_D_E(u), 3, axis=-1)
        return gate(ops.sigmoid(W_s_u), D_u, E_u)

    def get_config(self):
        return {**super().get_config(), "inner_kernel_size": self.inner_kernel_size}


@register
class Identity(layers.Layer):
    """The decoder "Identity" of Table 8: hands `h` down as it is.

    Examples:
        >>> cell, v_top, h = Identity(), np.zeros((2, 10)), np.zeros((2, 19))
        >>> cell.build(v_top.shape, h.shape)
        >>> ops.shape(cell(v_top, h))
        (2, 19)
    """

    def build(self, v_top_shape, h_shape, below_shape=None):
        pass

    def call(self, v_top, h):
        return h

    def compute_output_shape(self, v_top_shape, h_shape, below_shape=None):
        return tuple(h_shape)


def by_rows(*rows):
    """Initialiser of the `w` of Equation 6: a constant for each of `w0..w4`."""
    return initializers.Constant([[float(value)] for value in rows])


def check_grids(v_top_shape, h_shape):
    if len(v_top_shape) != len(h_shape) or len(h_shape) < 3:
        raise ValueError(
            "ConvG2 and ConvG3 need feature maps from above and from the encoder, but "
            f"v_top has shape {tuple(v_top_shape)} and h has shape {tuple(h_shape)}: "
            "take G1 or ConvG1 here, or give a row above one of these."
        )
