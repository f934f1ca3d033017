"""Read-out of the keys of a chord, as marginals or as a joint distribution."""

from typing import Any

import keras
from keras import layers, ops

from rladder_keras.typing import Config, Shape, Tensor

register = keras.saving.register_keras_serializable("zoo")


@register
class KeyReadout(layers.Layer):
    """Logits of the keys from `d_1`: a 1x1 convolution, and a bias for each key.

    With `filters`, the read-out models the joint distribution of a time step: the logit
    of a key also depends on the keys below it in the same step, through causal
    convolutions along the keys. The receptive field of the first convolution is one
    octave; the others add three and six octaves.

    Args:
        filters: Number of channels of the convolutions along the keys; `None` for
            marginals.

    Call arguments:
        d: Shape `(batch, T, keys, channels)`.
        following: The notes of the next step, shape `(batch, T, keys)`. Required for
            the joint distribution.

    Output shape:
        `(batch, T, keys)`.
    """

    REACH = ((12, 1), (4, 12), (4, 24))  # kernel size and dilation

    def __init__(self, filters: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.read = layers.Dense(1, use_bias=False, dtype=self.dtype_policy)
        self.up: Any = None
        self.across: Any = None
        if filters is not None:
            self.across = layers.Dense(filters, dtype=self.dtype_policy)
            self.up = [
                layers.Conv1D(
                    filters,
                    size,
                    padding="causal",
                    dilation_rate=dilation,
                    data_format="channels_last",
                    dtype=self.dtype_policy,
                )
                for size, dilation in self.REACH
            ]

    def build(self, d_shape: Shape, following_shape: Shape | None = None) -> None:
        keys, channels = d_shape[-2:]
        inner = channels
        if self.filters is not None:
            inner = self.filters
            self.across.build((None, keys, channels))
            for i, convolution in enumerate(self.up):
                convolution.build((None, keys, inner if i else 1))
        self.read.build((None, keys, inner))
        self.bias = self.add_weight((keys,), "zeros", name="bias")

    def call(self, d: Tensor, following: Tensor | None = None) -> Tensor:
        keys, channels = d.shape[-2:]
        x = ops.reshape(d, (-1, keys, channels))
        if self.filters is not None:
            x = self.joint(x, ops.reshape(following, (-1, keys, 1)))
        logits = self.read(x)[..., 0] + self.bias
        return ops.reshape(logits, (-1, ops.shape(d)[1], keys))

    def joint(self, x: Tensor, notes: Tensor) -> Tensor:
        """Return features of each key, from `d_1` and the keys below."""
        below = ops.pad(ops.cast(notes, x.dtype)[:, :-1], [[0, 0], [1, 0], [0, 0]])
        first, *others = self.up
        x = self.across(x) + first(below)
        for convolution in others:
            x = x + convolution(ops.relu(x))
        return ops.relu(x)

    def compute_output_shape(
        self, d_shape: Shape, following_shape: Shape | None = None
    ) -> Shape:
        return tuple(d_shape[:-1])

    def get_config(self) -> Config:
        return {**super().get_config(), "filters": self.filters}
