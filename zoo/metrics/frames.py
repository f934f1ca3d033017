"""Losses and metrics of classes and of predicted frames (Table 1)."""

import math
from typing import Any

import keras
from keras import ops

from rladder_keras.typing import Config, Tensor
from zoo.metrics.sample_weights import (
    StepLoss,
    StepMean,
    at_step,
    by_step,
    last_step,
    of_transitions,
)

register = keras.saving.register_keras_serializable("zoo")


@register
class LastClass(keras.losses.Loss):
    """Cross-entropy of the class after the last frame or iteration with weight.

    The loss is the mean over the samples with a weight above 0, which are those with a
    label.

    Args:
        reduction: See `keras.losses.Loss`.
        name: Name of the loss.
        **k: Arguments of `keras.losses.Loss`.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "last_class",
        **k: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **k)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        return super().__call__(*last_step(y_true, y_pred, sample_weight))

    def call(self, labels: Tensor, probabilities: Tensor) -> Tensor:
        return ops.sparse_categorical_crossentropy(labels, probabilities)


@register
class ClassError(keras.metrics.Mean):
    """Share of the samples with a wrong class, among those with a weight above 0.

    It is 0 if no sample has such a weight.

    Args:
        iteration: The frame or iteration to score, from 0; -1 for the last one with a
            weight above 0.
        name: Name of the metric.
        **kwargs: Arguments of `keras.metrics.Mean`.

    Call arguments:
        labels: Classes, integers of shape `(batch,)` or `(batch, 1)`.
        probabilities: Tensor of shape `(batch, T, classes)`.
        sample_weight: Tensor of shape `(batch,)` or `(batch, T)`, or `None`.

    Returns:
        Fraction from 0 to 1. Tables 1 and 2 print it in %.
    """

    def __init__(self, iteration: int = -1, name: str = "error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.iteration = iteration

    def update_state(
        self, labels: Tensor, probabilities: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        weight = by_step(sample_weight, probabilities)
        weight, probabilities = at_step(self.iteration, weight, probabilities)
        return super().update_state(error(labels, probabilities[:, None]), weight)

    def get_config(self) -> Config:
        return {**super().get_config(), "iteration": self.iteration}


def error(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Return 1 where the most probable class after the last frame is wrong.

    Otherwise return 0.
    """
    predicted = ops.argmax(probabilities[:, -1], axis=-1)
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))  # (batch,) or (batch, 1)
    wrong = ops.not_equal(labels, ops.cast(predicted, "int32"))
    return ops.cast(wrong, "float32")


def squared_errors(frames: Tensor, predicted: Tensor) -> Tensor:
    """Return the mean squared error of each transition, `(batch, T - 1)`.

    The mean is over the pixels of the next frame.
    """
    squares = ops.square(predicted[:, :-1] - ops.cast(frames[:, 1:], predicted.dtype))
    return ops.mean(squares, axis=(2, 3, 4))


@register
class FrameLoss(StepLoss):
    """Squared error of the next frame, summed over the pixels.

    The loss is the mean over the transitions from a frame to the next with a weight
    above 0. A transition has the smaller weight of its two frames.

    Args:
        reduction: See `keras.losses.Loss`.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.

    Call arguments:
        frames: True frames, pixels in [0, 1], shape `(batch, T, H, W, C)`.
        predicted: Predictions of the next frames, same shape. The last one has no
            target.
        sample_weight: Tensor of shape `(batch,)` or `(batch, T)`, or `None`.
    """

    ignores_last_step = True

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "frame_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, name, **kwargs)

    def weights(self, weight: Tensor | None, outputs: Tensor) -> Tensor | None:
        """Return the weights of the transitions."""
        return of_transitions(by_step(weight, outputs))

    def call(self, frames: Tensor, predicted: Tensor) -> Tensor:
        return squared_errors(frames, predicted) * math.prod(predicted.shape[2:])


@register
class FrameMSE(StepMean):
    """Mean squared error of the next frame, over the transitions with weight.

    Args:
        name: Name of the metric.
        **kwargs: Arguments of `keras.metrics.Mean`.

    Call arguments:
        frames: True frames, pixels in [0, 1], shape `(batch, T, H, W, C)`.
        predicted: Predictions of the next frames, same shape. The last one has no
            target.
        sample_weight: Tensor of shape `(batch,)` or `(batch, T)`, or `None`.

    Returns:
        Mean over the pixels and the transitions. Table 1 prints it in units of 1e-5.
    """

    ignores_last_step = True

    def __init__(self, name: str = "mse", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def update_state(  # type: ignore[override]
        self, frames: Tensor, predicted: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        weight = of_transitions(by_step(sample_weight, predicted))
        return super().update_state(squared_errors(frames, predicted), weight)
