"""Losses and metrics of predicted notes (Table 3)."""

import keras
from keras import ops

from zoo.metrics.sample_weights import StepLoss, by_step

register = keras.saving.register_keras_serializable("zoo")


@register
class NegativeLogLikelihood(StepLoss):
    """`nll`, its mean over the steps of a batch that have weight.

    Keras gives the mean of the batches; over all steps the mean is the metric `nll`.
    """

    def __init__(
        self, reduction="mean_with_sample_weight", name="negative_log_likelihood", **k
    ):
        super().__init__(reduction, name, **k)

    def call(self, notes, probabilities):
        return nll(notes, probabilities)


@register
def nll(notes, probabilities):
    """Negative log-likelihood of a step in nats: a sum over the keys (Table 3).

    Args:
        notes: 0 or 1, shape `(batch, T, 88)`.
        probabilities: Of the same shape.

    Returns:
        Tensor of shape `(batch, T)`.
    """
    notes = ops.cast(notes, probabilities.dtype)
    crossentropy = ops.binary_crossentropy(notes, probabilities)
    return ops.sum(crossentropy, axis=-1)


@register
class FrameAccuracy(keras.metrics.Metric):
    """Accuracy of Bay et al. (2009): TP / (TP + FP + FN) of all steps together."""

    def __init__(self, name="frame_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.all = self.add_weight(name="all", initializer="zeros")

    def update_state(self, notes, probabilities, sample_weight=None):
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

    def result(self):
        return self.hits / ops.maximum(self.all, 1)
