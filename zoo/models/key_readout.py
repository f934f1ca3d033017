"""The read-out of a joint distribution of the keys of a chord."""

import keras
from keras import layers, ops

register = keras.saving.register_keras_serializable("zoo")


@register
class KeyReadout(layers.Layer):
    """Logits of the keys from `d_1`: a 1x1 convolution and a bias for each key.

    With `filters` it gives the joint distribution of a step: the logit of a key depends
    on the keys below it in the same step too, through causal convolutions up the keys.
    The first reaches an octave down, the others three and six more.

    Args:
        filters: Channels of the convolutions up the keys; `None`: marginals.

    Call arguments:
        d: Shape `(batch, T, keys, channels)`.
        following: The notes of the next step, shape `(batch, T, keys)`, for the joint
            distribution.

    Output shape:
        `(batch, T, keys)`.
    """

    REACH = ((12, 1), (4, 12), (4, 24))  # kernel size and dilation

    def __init__(self, filters=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.read = layers.Dense(1, use_bias=False, dtype=self.dtype_policy)
        self.up = self.across = None
        if filters is not None:
            self.across = layers.Dense(filters, dtype=self.dtype_policy)
            self.up = [
                layers.Conv1D(
                    filters,
                    size,
                    padding="causal",
                    dilation_rate=dilation,
                    dtype=self.dtype_policy,
                )
                for size, dilation in self.REACH
            ]

    def build(self, d_shape, following_shape=None):
        keys, channels = d_shape[-2:]
        inner = channels
        if self.filters is not None:
            inner = self.filters
            self.across.build((None, keys, channels))
            for i, convolution in enumerate(self.up):
                convolution.build((None, keys, inner if i else 1))
        self.read.build((None, keys, inner))
        self.bias = self.add_weight((keys,), "zeros", name="bias")

    def call(self, d, following=None):
        keys, channels = d.shape[-2:]
        x = ops.reshape(d, (-1, keys, channels))
        if self.filters is not None:
            x = self.joint(x, ops.reshape(following, (-1, keys, 1)))
        logits = self.read(x)[..., 0] + self.bias
        return ops.reshape(logits, (-1, ops.shape(d)[1], keys))

    def joint(self, x, notes):
        """Features of each key, from `d_1` and the keys below."""
        below = ops.pad(ops.cast(notes, x.dtype)[:, :-1], [[0, 0], [1, 0], [0, 0]])
        first, *others = self.up
        x = self.across(x) + first(below)
        for convolution in others:
            x = x + convolution(ops.relu(x))
        return ops.relu(x)

    def compute_output_shape(self, d_shape, following_shape=None):
        return tuple(d_shape[:-1])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
