"""Losses and metrics of predicted notes (Table 3)."""

from typing import Any

import keras
from keras import ops

from rladder_keras.typing import Tensor
from zoo.metrics.sample_weights import StepLoss, by_step

register = keras.saving.register_keras_serializable("zoo")


@register
class NegativeLogLikelihood(StepLoss):
    """Loss `nll`: mean over the time steps of a batch with a weight above 0.

    Keras reports the mean over batches; the metric `nll` is the mean over all time
    steps.

    Args:
        reduction: See `keras.losses.Loss`.
        name: Name of the loss.
        **k: Arguments of `keras.losses.Loss`.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "negative_log_likelihood",
        **k: Any,
    ) -> None:
        super().__init__(reduction, name, **k)

    def call(self, notes: Tensor, probabilities: Tensor) -> Tensor:
        return nll(notes, probabilities)


@register
def nll(notes: Tensor, probabilities: Tensor) -> Tensor:
    """Return the negative log-likelihood of each step, summed over the keys (Table 3).

    The unit is nats.

    Args:
        notes: 0 or 1, shape `(batch, T, 88)`.
        probabilities: Probabilities of the keys, of the same shape.

    Returns:
        Tensor of shape `(batch, T)`.
    """
    notes = ops.cast(notes, probabilities.dtype)
    crossentropy = ops.binary_crossentropy(notes, probabilities)
    return ops.sum(crossentropy, axis=-1)


@register
class FrameAccuracy(keras.metrics.Metric):
    """Accuracy of Bay et al. (2009): TP / (TP + FP + FN), over all time steps.

    Args:
        name: Name of the metric.
        **kwargs: Arguments of `keras.metrics.Metric`.
    """

    def __init__(self, name: str = "frame_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.all = self.add_weight(name="all", initializer="zeros")

    def update_state(
        self, notes: Tensor, probabilities: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        notes = ops.cast(notes, probabilities.dtype)
        notes, sounding = notes > 0.5, probabilities > 0.5
        both = ops.cast(ops.logical_and(notes, sounding), "float32")
        either = ops.cast(ops.logical_or(notes, sounding), "float32")
        weight = by_step(sample_weight, probabilities)
        if weight is not None:
            weight = ops.cast(weight, "float32")[..., None]
            both, either = both * weight, either * weight
        self.hits.assign_add(ops.sum(both))
        self.all.assign_add(ops.sum(either))

    def result(self) -> Tensor:
        return self.hits / ops.maximum(self.all, 1)
