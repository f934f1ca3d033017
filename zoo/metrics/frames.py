"""Losses and metrics of classes and of predicted frames (Table 1)."""

import math

import keras
from keras import ops

from zoo.metrics.sample_weights import (
    StepLoss,
    StepMean,
    at_step,
    by_step,
    of_transitions,
    stands_for,
)

register = keras.saving.register_keras_serializable("zoo")


@register
class LastClass(keras.losses.Loss):
    """Cross-entropy of the class after the last frame or iteration that has weight.

    Its mean is over the samples whose weight is not 0: those with a label.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="last_class", **k):
        super().__init__(name=name, reduction=reduction, **k)

    def __call__(self, y_true, y_pred, sample_weight=None):
        weight, last = at_step(-1, by_step(sample_weight, y_pred), y_pred)
        return super().__call__(y_true, last[:, None], weight)

    def call(self, labels, probabilities):
        labels = ops.reshape(labels, (-1,))
        return ops.sparse_categorical_crossentropy(labels, probabilities[:, -1])


@register
class ClassError(keras.metrics.Mean):
    """Share of the samples with weight whose class is wrong.

    Where none has weight it is 0.

    Args:
        iteration: The frame or iteration that is scored, from 0; -1 is the last one
            that has weight.
    """

    def __init__(self, iteration=-1, name="error", **kwargs):
        super().__init__(name=name, **kwargs)
        self.iteration = iteration

    def update_state(self, labels, probabilities, sample_weight=None):
        weight = by_step(sample_weight, probabilities)
        weight, probabilities = at_step(self.iteration, weight, probabilities)
        return super().update_state(error(labels, probabilities[:, None]), weight)

    def get_config(self):
        return {**super().get_config(), "iteration": self.iteration}


@register
@stands_for(ClassError)
def error(labels, probabilities):
    """1 where the most probable class after the last frame is wrong, else 0."""
    predicted = ops.argmax(probabilities[:, -1], axis=-1)
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))  # also where they are (B, 1)
    wrong = ops.not_equal(labels, ops.cast(predicted, "int32"))
    return ops.cast(wrong, "float32")


def squared_errors(frames, predicted):
    """Mean over the pixels of the next frame, for each transition, `(batch, T - 1)`."""
    squares = ops.square(predicted[:, :-1] - ops.cast(frames[:, 1:], predicted.dtype))
    return ops.mean(squares, axis=(2, 3, 4))


@register
class FrameLoss(StepLoss):
    """Squared error of the next frame, summed over pixels.

    Its mean is over the transitions, from a frame to the next, that have weight: the
    smaller weight of the two frames.
    """

    ignores_last_step = True

    def __init__(
        self, reduction="mean_with_sample_weight", name="frame_loss", **kwargs
    ):
        super().__init__(reduction, name, **kwargs)

    def weights(self, weight, outputs):
        return of_transitions(by_step(weight, outputs))

    def call(self, frames, predicted):
        return squared_errors(frames, predicted) * math.prod(predicted.shape[2:])


@register
class FrameMSE(StepMean):
    """Mean squared error of the next frame, over the transitions that have weight."""

    ignores_last_step = True

    def __init__(self, name="mse", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, frames, predicted, sample_weight=None):
        weight = of_transitions(by_step(sample_weight, predicted))
        return super().update_state(squared_errors(frames, predicted), weight)


@register
@stands_for(FrameLoss)
def frame_loss(frames, predicted):
    """Squared error of the next frame, summed over pixels, mean over transitions."""
    return mse(frames, predicted) * math.prod(predicted.shape[2:])


@register
@stands_for(FrameMSE)
def mse(frames, predicted):
    """Mean squared error of the next frame, shape `(batch,)`: Table 1 has it in 1e-5.

    The prediction made after frame t is compared with frame t + 1; the last one has
    nothing to be compared with. A sequence of one frame has no transition and no error.
    """
    transitions = ops.cast(ops.maximum(ops.shape(frames)[1] - 1, 1), predicted.dtype)
    return ops.sum(squared_errors(frames, predicted), axis=1) / transitions
