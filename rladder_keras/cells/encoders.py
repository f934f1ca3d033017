"""Encoder rows without a state: `Conv`, `Softmax`, and the base class of all rows.

`cells/recurrent.py` has the rows with a state, such as `ConvLSTMCell`. Together they
are the left columns of Tables 5, 8 and 9.

A recurrent row is a Keras RNN cell (`output, states = cell(inputs, states)`); every
other row is a layer. `inputs` is the output `e_{l-1}(t)` of the row below, or, in rows
that receive feedback from the decoder, the list `[e_{l-1}(t), d_l(t-1)]`. For MAX and
AVERAGE rows use `keras.layers.MaxPooling2D`, `keras.layers.AveragePooling1D`, ...
"""

from typing import Any

import keras
from keras import layers, ops

from rladder_keras.cells.linear import Linear, check_normalization
from rladder_keras.cells.normalization import BatchNormalization
from rladder_keras.typing import Config, Normalization, Shape, Shapes, Size, Tensor
from rladder_keras.validation import check_integer, check_sizes

register = keras.saving.register_keras_serializable("rladder_keras")


class _Encoder(layers.Layer):
    """An encoder row with weights: one linear map for each of its inputs."""

    accepts_feedback = True
    state_shape: Shape  # set by `build` of a subclass
    leaves_out_zeros = True  # `call` takes `first`, to skip maps of zeros

    def __init__(
        self,
        filters: int,
        kernel_size: Size | None = None,
        strides: Size = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.filters = check_integer(f"`filters` of {kind}", filters)
        self.kernel_size = kernel_size  # `None` for a matrix
        if kernel_size is not None:
            check_sizes(f"`kernel_size` of {kind}", kernel_size)
        self.strides = check_sizes(f"`strides` of {kind}", strides)

    def compute_output_shape(self, input_shape: Shapes) -> Shape:
        row = Linear(self.filters, self.kernel_size, strides=self.strides)
        return row.compute_output_shape(shapes_of(input_shape)[0])

    def map(self, input_shape: Shape, filters: int, name: str, **kwargs: Any) -> Linear:
        """Return a built map from one input to `filters` channels on this row's grid.

        The map has the strides of the row if its input has the grid of the row below,
        and strides of 1 if its input has the grid of the row itself: the state, or a
        `d_l` of the size of `e_l`.
        """
        on_own_grid = tuple(input_shape[1:-1]) == self.state_shape[1:-1]
        strides = 1 if on_own_grid else self.strides
        kwargs.update(strides=strides, dtype=self.dtype_policy, name=name)
        linear = Linear(filters, self.kernel_size, **kwargs)
        linear.build(input_shape)
        return linear

    def get_config(self) -> Config:
        config = {**super().get_config(), "filters": self.filters}
        if self.kernel_size is not None:
            config.update(kernel_size=self.kernel_size, strides=self.strides)
        return config


@register
class Conv(_Encoder):
    """Convolution, batch normalisation and rectifier: `relu(BN(W * e_{l-1}))` (A.4).

    With feedback it is `relu(BN(W * e_{l-1}(t) + W_d * d_l(t-1)))`, the same as a
    convolution of both inputs, concatenated.

    Args:
        filters: Number of output channels.
        kernel_size: Integer or tuple.
        strides: Integer or tuple.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list
            `[e_{l-1}(t), d_l(t-1)]`.
        first: Whether the feedback is zeros, so that its convolution can be skipped.

    Output shape:
        `(batch, *grid / strides, filters)`.

    Examples:
        >>> ops.shape(Conv(8, 3, strides=2)(np.zeros((2, 15, 15, 1))))
        (2, 8, 8, 8)
    """

    def build(self, input_shape: Shapes) -> None:
        shapes = shapes_of(input_shape)
        self.state_shape = tuple(self.compute_output_shape(shapes[0]))
        self.maps = [
            self.map(shape, self.filters, name)
            for shape, name in zip(shapes, ("below", "feedback"), strict=False)
        ]
        self.norm = BatchNormalization(dtype=self.dtype_policy, name="norm")
        self.norm.build(self.state_shape)

    def call(self, inputs: Tensor | list[Tensor], first: bool = False) -> Tensor:
        pairs = list(zip(self.maps, as_list(inputs), strict=True))
        x, *feedback = (w(x) for w, x in (pairs[:1] if first else pairs))
        return ops.relu(self.norm(sum(feedback, start=x)))


@register
class Softmax(layers.Layer):
    """The top row: class probabilities, `softmax(W e + b)`.

    Args:
        classes: Number of classes.
        normalization: `"batch"` normalises `W e` first, as A.4 says literally.
            `"layer"` normalises each sample. Defaults to `None`: no normalisation.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`. It is flattened.

    Output shape:
        `(batch, classes)`.

    Examples:
        >>> ops.shape(Softmax(10)(np.zeros((2, 4, 4, 32))))
        (2, 10)
    """

    accepts_feedback = False
    output_dtype = "float32"  # with any dtype policy

    def __init__(
        self, classes: int, normalization: Normalization = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.classes = check_integer("`classes` of Softmax", classes)
        self.normalization = check_normalization(normalization)

    def build(self, input_shape: Shape) -> None:
        self.linear = Linear(
            self.classes,
            normalization=self.normalization,
            dtype=self.dtype_policy,
            name="linear",
        )
        self.linear.build(input_shape)
        self.bias = None
        if self.normalization is None:
            self.bias = self.add_weight((self.classes,), "zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.softmax(ops.cast(self.linear(inputs, self.bias), self.output_dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.classes)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "classes": self.classes,
            "normalization": self.normalization,
        }


def as_list(x: Tensor | list[Tensor]) -> list[Tensor]:
    """Return one tensor or a list of tensors as a list."""
    return list(x) if isinstance(x, (list, tuple)) else [x]


def shapes_of(input_shape: Shapes) -> list[Shape]:
    """Return one shape or a list of shapes as a list of shapes."""
    if isinstance(input_shape[0], (list, tuple)):
        return [tuple(shape) for shape in input_shape]
    return [tuple(input_shape)]
