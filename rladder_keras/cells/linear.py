"""The linear map with its normalisation, of which all cells are made."""

import math

import keras
import numpy as np
from keras import initializers, layers, ops

from rladder_keras.cells.normalization import BatchNormalization, layer_normalization


class Linear(layers.Layer):
    """`N(W * x)`: a convolution, a transposed convolution or a matrix, normalised.

    Written as layer of its own because each of the paper's cells is a handful of
    these. The rank of the convolution (time series, image, volume) is that of the
    input. Maps have no bias: a cell gives its own, where its equation has one.

    Args:
        filters: Output channels, or units of a matrix.
        kernel_size: Integer, or tuple with one for each spatial axis. `None` makes
            a matrix, for which the input is flattened.
        strides: Integer or tuple: down-sampling, or up-sampling if `transpose`.
        transpose: Whether the convolution is a transposed one.
        normalization: `"layer"` (with a gain for each channel), `"batch"` or `None`.
        groups: Groups of channels that layer normalisation treats separately, where
            one convolution does the work of several.
        gain: Initial value of the normalisation's gain.

    Call arguments:
        x: Shape `(batch, *grid, channels)`.
        offset: What is added after the normalisation, shape `(filters,)`, if given.

    Output shape:
        `(batch, *grid, filters)` with the grid divided (rounded up) or multiplied
        by the strides; `(batch, filters)` for a matrix.
    """

    def __init__(
        self,
        filters,
        kernel_size=None,
        *,
        strides=1,
        transpose=False,
        normalization=None,
        groups=1,
        gain=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.transpose = transpose
        self.normalization = check_normalization(normalization)
        self.groups = groups
        self.gain = gain
        self.norm = None
        if normalization == "batch":
            self.norm = BatchNormalization(
                initial_gain=gain, dtype=self.dtype_policy, name="norm"
            )

    def build(self, input_shape):
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

    def __call__(self, x, offset=None):
        # Only a built cell calls this, from its own `call`: Keras has cast the input
        # and knows the training phase. Doing so again took torch a tenth of a step.
        return self.call(x, offset)

    def call(self, x, offset=None):
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

    def compute_output_shape(self, input_shape):
        if self.kernel_size is None:
            return (input_shape[0], self.filters)
        strides = per_axis(self.strides, input_shape)
        grid = tuple(
            n * k if self.transpose else -(-n // k)
            for n, k in zip(input_shape[1:-1], strides, strict=True)
        )
        return (input_shape[0], *grid, self.filters)


def convolve(x, kernel, strides, transpose=False):
    """Convolution, or transposed one, of channels-last maps with padding "same"."""
    *size, a, b = kernel.shape
    whole = [1] * len(size) if transpose else size
    if list(strides) == size and list(x.shape[1:-1]) == whole:
        # The filter covers the map once: a matrix, with which TensorFlow is faster.
        if transpose:
            kernel = ops.transpose(ops.reshape(kernel, (-1, b)))
            return ops.reshape(ops.matmul(flatten(x), kernel), (-1, *size, a))
        x = ops.matmul(flatten(x), ops.reshape(kernel, (-1, b)))
        return ops.reshape(x, (-1, *(1 for _ in size), b))
    operation = ops.conv_transpose if transpose else ops.conv
    options = {"strides": strides, "padding": "same"}
    if keras.backend.backend() != "torch":
        return operation(x, kernel, data_format="channels_last", **options)
    # Keras copies channels-last maps to channels-first and, for a convolution, back
    # again. What torch calls channels-last in memory is this view of them: no copy.
    batch, *grid, channels = range(len(x.shape))
    x = ops.transpose(x, (batch, channels, *grid))
    x = operation(x, kernel, data_format="channels_first", **options)
    return ops.transpose(x, (0, *(axis + 1 for axis in grid), 1))


def glorot_uniform(shape, dtype=None):
    """Glorot's uniform initial weights, drawn by NumPy.

    After `keras.utils.set_random_seed` they are thus the same on all backends. (Keras'
    own initialisers are not; on JAX they also compile a program for each new shape.)
    """
    *grid, _, _ = shape
    fans = math.prod(grid) * (shape[-2] + shape[-1])
    limit = math.sqrt(6 / fans)
    return ops.convert_to_tensor(np.random.uniform(-limit, limit, shape), dtype)


def check_normalization(normalization):
    if normalization not in ("layer", "batch", None):
        raise ValueError(
            f"normalization must be 'layer', 'batch' or None, but is {normalization!r}."
        )
    return normalization


def per_axis(n, shape):
    """Kernel size or strides `n` as a tuple with one integer for each grid axis."""
    rank = len(shape) - 2
    if rank < 1:
        raise ValueError(
            "a convolution needs an input of shape (batch, *grid, channels), but its "
            f"input has shape {tuple(shape)}."
        )
    n = (n,) * rank if isinstance(n, int | np.integer) else tuple(n)
    if len(n) != rank:
        raise ValueError(
            f"a kernel size or stride of {len(n)} axes, {n}, does not fit an input "
            f"of shape {tuple(shape)}, which has {rank} spatial axes. Give {rank}, or "
            "frames with an axis for the channels."
        )
    return n


def flatten(x):
    """`(batch, ...)` -> `(batch, units)`."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:]))) if len(x.shape) > 2 else x


def unpool(x, grid):
    """Copy each value to the block of finer cells that it stands for.

    Args:
        x: Tensor of shape `(batch, *coarse_grid, channels)`.
        grid: Sizes of the finer grid; blocks that stick out are cropped.

    Returns:
        Tensor of shape `(batch, *grid, channels)`.
    """
    for axis, (coarse, fine) in enumerate(zip(x.shape[1:-1], grid, strict=True), 1):
        if fine != coarse:
            copies = -(-fine // coarse)
            before, after = x.shape[1:axis], x.shape[axis + 1 :]
            # `ops.repeat` does not compile in a loop of TensorFlow with XLA.
            x = ops.stack([x] * copies, axis=axis + 1)
            x = ops.reshape(x, (-1, *before, coarse * copies, *after))
    return crop(x, grid)


def crop(x, grid):
    """Cut `x` of shape `(batch, *larger_grid, channels)` at the end of each axis."""
    if tuple(x.shape[1:-1]) == tuple(grid):
        return x
    return x[(slice(None), *(slice(n) for n in grid))]


def stride_between(fine, coarse):
    """Strides that lead from the grid of shape `fine` to that of shape `coarse`."""
    strides = []
    for a, b in zip(fine[1:-1], coarse[1:-1], strict=True):
        stride = -(-a // b)
        if -(-a // stride) != b:
            raise ValueError(
                f"No stride leads from a side of {a} to one of {b} without leaving "
                "pixels out: use padding='same' in the encoder."
            )
        strides.append(stride)
    return tuple(strides)
