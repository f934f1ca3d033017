"""Encoder rows: what stands in the left column of Tables 5, 8 and 9.

A recurrent row is a Keras RNN cell (`output, states = cell(inputs, states)`), any other
row is a layer. `inputs` is the output `e_{l-1}(t)` of the row below, or the list
`[e_{l-1}(t), d_l(t-1)]` in rows that receive the decoder's feedback. For MAX and
AVERAGE rows take `keras.layers.MaxPooling2D`, `keras.layers.AveragePooling1D`, ...
"""

import keras
from keras import layers, ops

from rladder_keras.cells.linear import Linear, check_normalization
from rladder_keras.cells.normalization import BatchNormalization
from rladder_keras.validation import check_integer, check_sizes

register = keras.saving.register_keras_serializable("rladder_keras")


class _Encoder(layers.Layer):
    """An encoder row with weights: one linear map for each of its inputs."""

    accepts_feedback = True
    leaves_out_zeros = True  # has `first=`: states and feedback are zeros

    def __init__(self, filters, kernel_size=None, strides=1, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.filters = check_integer(f"`filters` of {kind}", filters)
        self.kernel_size = kernel_size  # `None`: a matrix
        if kernel_size is not None:
            check_sizes(f"`kernel_size` of {kind}", kernel_size)
        self.strides = check_sizes(f"`strides` of {kind}", strides)

    def compute_output_shape(self, input_shape):
        row = Linear(self.filters, self.kernel_size, strides=self.strides)
        return row.compute_output_shape(shapes_of(input_shape)[0])

    def map(self, input_shape, filters, name, **kwargs):
        """A built map from one input to `filters` channels on the grid of this row.

        Its strides are those of the row where the input lies on the grid below, and 1
        where it is on the row's own grid (the state; a `d_l` of the size of `e_l`).
        """
        on_own_grid = tuple(input_shape[1:-1]) == self.state_shape[1:-1]
        strides = 1 if on_own_grid else self.strides
        kwargs.update(strides=strides, dtype=self.dtype_policy, name=name)
        linear = Linear(filters, self.kernel_size, **kwargs)
        linear.build(input_shape)
        return linear

    def get_config(self):
        config = {**super().get_config(), "filters": self.filters}
        if self.kernel_size is not None:
            config.update(kernel_size=self.kernel_size, strides=self.strides)
        return config


@register
class Conv(_Encoder):
    """Convolution, batch normalisation, rectifier: `relu(BN(W * e_{l-1}))` (A.4).

    With feedback it is `relu(BN(W * e_{l-1}(t) + W_d * d_l(t-1)))`, the convolution of
    the two concatenated.

    Args:
        filters: Output channels.
        kernel_size: Integer or tuple.
        strides: Integer or tuple.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, *grid, channels)`, or the list of it and
            `d_l(t-1)`.

    Examples:
        >>> ops.shape(Conv(8, 3, strides=2)(np.zeros((2, 15, 15, 1))))
        (2, 8, 8, 8)
    """

    def build(self, input_shape):
        shapes = shapes_of(input_shape)
        self.state_shape = tuple(self.compute_output_shape(shapes[0]))
        self.maps = [
            self.map(shape, self.filters, name)
            for shape, name in zip(shapes, ("below", "feedback"), strict=False)
        ]
        self.norm = BatchNormalization(dtype=self.dtype_policy, name="norm")
        self.norm.build(self.state_shape)

    def call(self, inputs, first=False):
        pairs = list(zip(self.maps, as_list(inputs), strict=True))
        x, *feedback = (w(x) for w, x in (pairs[:1] if first else pairs))
        return ops.relu(self.norm(sum(feedback, start=x)))


@register
class Softmax(layers.Layer):
    """The top row: probabilities of classes, `softmax(W e + b)`.

    Args:
        classes: Number of classes.
        normalization: `"batch"` normalises `W e` first (the letter of A.4), `None`
            does not.

    Call arguments:
        inputs: `e_{l-1}(t)`, shape `(batch, ...)`; it is flattened.

    Examples:
        >>> ops.shape(Softmax(10)(np.zeros((2, 4, 4, 32))))
        (2, 10)
    """

    accepts_feedback = False

    def __init__(self, classes, normalization=None, **kwargs):
        super().__init__(**kwargs)
        self.classes = check_integer("`classes` of Softmax", classes)
        self.normalization = check_normalization(normalization)

    def build(self, input_shape):
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

    def call(self, inputs):
        return ops.softmax(ops.cast(self.linear(inputs, self.bias), "float32"))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "normalization": self.normalization,
        }


def as_list(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def shapes_of(input_shape):
    """One shape or a list of shapes, as a list of shapes."""
    if isinstance(input_shape[0], (list, tuple)):
        return [tuple(shape) for shape in input_shape]
    return [tuple(input_shape)]
