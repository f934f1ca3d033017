"""The linear map with its normalisation, a part of every cell."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from rladder_keras.cells.normalization import BatchNormalization, layer_normalization
from rladder_keras.typing import Normalization, Shape, Size, Tensor


class Linear(layers.Layer):
    """Linear map with normalisation, `N(W * x)`: convolution, transposed convolution or
    matrix.

    A separate layer, because each of the paper's cells consists of a few of these. The
    rank of the convolution (time series, image, volume) is the rank of the input. The
    map has no bias: a cell passes its own as `offset` if its equation has one.

    Args:
        filters: Number of output channels, or of units for a matrix.
        kernel_size: Integer, or a tuple with one integer for each spatial axis. `None`
            for a matrix; the input is then flattened.
        strides: Integer or tuple: factor of down-sampling, or of up-sampling if
            `transpose`.
        transpose: Whether the convolution is transposed.
        normalization: `"layer"` (with a gain for each channel), `"batch"` or `None`.
        groups: Number of groups of channels that layer normalisation treats separately.
            Used when one convolution computes several.
        gain: Initial value of the gain of the normalisation.

    Call arguments:
        x: Shape `(batch, *grid, channels)`.
        offset: Tensor of shape `(filters,)` that is added after the normalisation, or
            `None`.

    Output shape:
        `(batch, *grid, filters)`, with the grid divided (rounded up) or multiplied by
        the strides; `(batch, filters)` for a matrix.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Size | None = None,
        *,
        strides: Size = 1,
        transpose: bool = False,
        normalization: Normalization = None,
        groups: int = 1,
        gain: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.transpose = transpose
        self.normalization = check_normalization(normalization)
        self.groups = groups
        self.gain = gain
        self.norm: Any = None
        if normalization == "batch":
            self.norm = BatchNormalization(
                initial_gain=gain, dtype=self.dtype_policy, name="norm"
            )

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if self.kernel_size is None:
            shape = (math.prod(input_shape[1:]), self.filters)
        else:
            ends = (channels, self.filters)
            grid = per_axis(self.kernel_size, input_shape)
            shape = grid + (ends[::-1] if self.transpose else ends)
        self.kernel = self.add_weight(shape, glorot_uniform, name="kernel")
        if self.normalization == "layer":
            gain = initializers.Constant(self.gain)
            self.norm_gain = self.add_weight((self.filters,), gain, name="gain")
        elif self.normalization == "batch":
            self.norm.build(self.compute_output_shape(input_shape))

    def __call__(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        # Skips `keras.layers.Layer.__call__`, because only built cells call this layer,
        # inside their own `call`: Keras has already cast the input and set the training
        # phase for the cell. Calling Keras again took a tenth of a training step on
        # torch.
        return self.call(x, offset)

    def call(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        if self.kernel_size is None:
            x = ops.matmul(flatten(x), self.kernel)
        else:
            strides = per_axis(self.strides, x.shape)
            x = convolve(x, self.kernel, strides, self.transpose)
        if self.normalization == "layer":
            return layer_normalization(x, self.norm_gain, offset, self.groups)
        if self.normalization == "batch":
            x = self.norm(x)
        return x if offset is None else x + offset

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.kernel_size is None:
            return (input_shape[0], self.filters)
        strides = per_axis(self.strides, input_shape)
        grid = tuple(
            n * k if self.transpose else -(-n // k)
            for n, k in zip(input_shape[1:-1], strides, strict=True)
        )
        return (input_shape[0], *grid, self.filters)


def convolve(
    x: Tensor, kernel: Tensor, strides: tuple[int, ...], transpose: bool = False
) -> Tensor:
    """Return the convolution, or transposed convolution, of channels-last maps.

    The padding is "same".
    """
    *size, a, b = kernel.shape
    whole = [1] * len(size) if transpose else size
    if list(strides) == size and list(x.shape[1:-1]) == whole:
        # The filter covers the map exactly once, so the map is a matrix. TensorFlow
        # computes a matrix product faster.
        if transpose:
            kernel = ops.transpose(ops.reshape(kernel, (-1, b)))
            return ops.reshape(ops.matmul(flatten(x), kernel), (-1, *size, a))
        x = ops.matmul(flatten(x), ops.reshape(kernel, (-1, b)))
        return ops.reshape(x, (-1, *(1 for _ in size), b))
    operation = ops.conv_transpose if transpose else ops.conv
    options = {"strides": strides, "padding": "same"}
    if keras.backend.backend() != "torch":
        return operation(x, kernel, data_format="channels_last", **options)
    # Keras would copy channels-last maps to channels-first and, for a convolution, back
    # again. This transposed view needs no copy: it is the memory format that torch
    # calls channels-last.
    batch, *grid, channels = range(len(x.shape))
    x = ops.transpose(x, (batch, channels, *grid))
    x = operation(x, kernel, data_format="channels_first", **options)
    return ops.transpose(x, (0, *(axis + 1 for axis in grid), 1))


def glorot_uniform(shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
    """Draw Glorot's uniform initial weights with NumPy.

    With NumPy, `keras.utils.set_random_seed` gives the same weights on all backends.
    Keras' initialisers differ between backends, and on JAX they compile a program for
    each new shape.
    """
    *grid, _, _ = shape
    fans = math.prod(grid) * (shape[-2] + shape[-1])
    limit = math.sqrt(6 / fans)
    return ops.convert_to_tensor(np.random.uniform(-limit, limit, shape), dtype)


def check_normalization(normalization: Any) -> Any:
    """Return `normalization`; raise `ValueError` if it is unknown."""
    if normalization not in ("layer", "batch", None):
        raise ValueError(
            f"`normalization` must be 'layer', 'batch' or None; got {normalization!r}. "
            "Choose one of these."
        )
    return normalization


def per_axis(n: Size, shape: Shape) -> tuple[int, ...]:
    """Return a kernel size or strides as a tuple: one integer per grid axis."""
    rank = len(shape) - 2
    if rank < 1:
        raise ValueError(
            "The input of a convolution must have shape (batch, *grid, channels); got "
            f"shape {tuple(shape)}. Use a fully connected row for vectors, or a row "
            "with feature maps below."
        )
    n = (n,) * rank if isinstance(n, int | np.integer) else tuple(n)
    if len(n) != rank:
        raise ValueError(
            "A kernel size or stride must have one integer for each spatial axis; got "
            f"{len(n)} integers, {n}, for an input of shape {tuple(shape)} with {rank} "
            f"spatial axes. Give {rank} integers, or frames with a channels axis."
        )
    return n


def flatten(x: Tensor) -> Tensor:
    """Reshape `(batch, ...)` to `(batch, units)`."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:]))) if len(x.shape) > 2 else x


def unpool(x: Tensor, grid: Sequence[int]) -> Tensor:
    """Copy each value of a coarse grid to its block of cells on a finer grid.

    Args:
        x: Tensor of shape `(batch, *coarse_grid, channels)`.
        grid: Sizes of the finer grid. Blocks that extend beyond it are cropped.

    Returns:
        Tensor of shape `(batch, *grid, channels)`.
    """
    for axis, (coarse, fine) in enumerate(zip(x.shape[1:-1], grid, strict=True), 1):
        if fine != coarse:
            copies = -(-fine // coarse)
            before, after = x.shape[1:axis], x.shape[axis + 1 :]
            # Not `ops.repeat`, which XLA cannot compile in a loop of TensorFlow.
            x = ops.stack([x] * copies, axis=axis + 1)
            x = ops.reshape(x, (-1, *before, coarse * copies, *after))
    return crop(x, grid)


def crop(x: Tensor, grid: Sequence[int]) -> Tensor:
    """Crop `x` of shape `(batch, *larger_grid, channels)` at the end of each axis."""
    if tuple(x.shape[1:-1]) == tuple(grid):
        return x
    return x[(slice(None), *(slice(n) for n in grid))]


def stride_between(fine: Shape, coarse: Shape) -> tuple[int, ...]:
    """Return the strides that lead from the shape `fine` to the shape `coarse`."""
    strides = []
    for a, b in zip(fine[1:-1], coarse[1:-1], strict=True):
        stride = -(-a // b)
        if -(-a // stride) != b:
            raise ValueError(
                "The sides of two grids must differ by a whole stride; got a change "
                f"from a side of {a} to one of {b}, which leaves pixels out. Use "
                "padding='same' in the encoder."
            )
        strides.append(stride)
    return tuple(strides)
