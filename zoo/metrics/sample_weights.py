"""Sample weights of sequences or of time steps, for losses and metrics.

Outputs have shape `(batch, T, ...)`. Their losses and metrics take weights of shape
`(batch,)`, one for each sequence, or `(batch, T)`, one for each time step. The number
of axes decides which, even if there are as many sequences as time steps.
"""

from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops

from rladder_keras.typing import Config, Tensor
from rladder_keras.validation import fits

register = keras.saving.register_keras_serializable("zoo")


def by_step(weight: Tensor | None, outputs: Tensor) -> Tensor | None:
    """Return weights of time steps, 0 where Keras' mask of the outputs is `False`.

    Args:
        weight: Tensor of shape `(batch,)`, `(batch, 1)` or `(batch, T)`, or `None`.
        outputs: Tensor of shape `(batch, T, ...)`. On JAX Keras attaches no mask.

    Returns:
        Tensor of shape `(batch, T)`; `None` without weights and mask.

    Raises:
        ValueError: If the weights have another shape.

    Examples:
        >>> from zoo.metrics.sample_weights import by_step
        >>> ops.shape(by_step(ops.array([1.0, 2.0]), ops.zeros((2, 3, 8))))
        (2, 3)
    """
    mask = mask_of(outputs)
    if weight is not None:
        weight = ops.convert_to_tensor(weight)
        check_weight(weight, outputs)
        rows, steps = ops.shape(outputs)[:2]
        weight = ops.reshape(ops.cast(weight, keras.config.floatx()), (rows, -1))
        weight = ops.broadcast_to(weight, (rows, steps))
    if mask is None:
        return weight
    mask = ops.cast(mask, keras.config.floatx())
    return mask if weight is None else weight * mask


def mask_of(outputs: Tensor) -> Tensor | None:
    """Return the mask that Keras' layers attached to an output, or `None`."""
    return getattr(outputs, "_keras_mask", None)


def check_weight(weight: Tensor, outputs: Tensor) -> None:
    """Raise `ValueError` for weights of neither sequences nor time steps."""
    if getattr(weight.shape, "rank", 0) is None:  # TensorFlow may not know the rank
        return
    found, (rows, steps, *_) = tuple(weight.shape), outputs.shape
    allowed = [(rows,), (rows, 1), (rows, steps)]
    if not any(fits(found, shape) for shape in allowed):
        raise ValueError(
            "sample_weight must have shape (batch,) or (batch, T), one number for "
            f"each sequence or each time step; got {found} for outputs of shape "
            f"{tuple(outputs.shape)}. Pass weights of one of these shapes."
        )


def of_transitions(weight: Tensor | None) -> Tensor | None:
    """Return weights of the transitions between time steps, shape `(batch, T - 1)`.

    A transition has the smaller weight of its two steps.
    """
    return None if weight is None else ops.minimum(weight[:, :-1], weight[:, 1:])


def at_step(step: int, weight: Tensor | None, *values: Tensor) -> tuple[Tensor, ...]:
    """Select one time step of each sequence.

    Args:
        step: Index of the step, from 0. With -1, the last step with a weight above 0,
            so that padding at the end of a sequence is skipped.
        weight: Weights of the steps, shape `(batch, T)`, or `None`.
        *values: Tensors of shape `(batch, T, ...)`.

    Returns:
        The weight of the step, shape `(batch,)`, or `None`, and the values of the step,
        each of shape `(batch, ...)`.
    """
    if weight is None:
        return None, *(x[:, step] for x in values)
    if step != -1:
        return weight[:, step], *(x[:, step] for x in values)
    steps = ops.shape(weight)[1]
    last = ops.where(weight > 0, ops.arange(steps, dtype="int32"), -1)
    last = ops.max(last, axis=1)
    last = ops.where(last < 0, steps - 1, last)

    def pick(x):
        index = ops.reshape(last, (-1, *(1 for _ in x.shape[1:])))
        return ops.take_along_axis(x, index, axis=1)[:, 0]

    return pick(weight), *map(pick, values)


class StepLoss(keras.losses.Loss):
    """A loss with a value for each time step, and its mean over steps with weight.

    Args:
        reduction: See `keras.losses.Loss`.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, **kwargs)

    def weights(self, weight: Tensor | None, outputs: Tensor) -> Tensor | None:
        """Return the weights of the values that `call` returns."""
        return by_step(weight, outputs)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        weight = self.weights(sample_weight, y_pred)
        if mask_of(y_pred) is not None:
            y_pred = ops.copy(y_pred)  # drops the mask, which the weights include
        return super().__call__(y_true, y_pred, weight)


class StepMean(keras.metrics.Mean):
    """A mean over time steps with a weight above 0."""

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Update the mean with values and weights of the same shape, possibly empty."""
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        return super().update_state(ops.reshape(values, (-1,)), sample_weight)


# Losses and metrics of Keras. For an output of classes, `(batch, T, classes)`, they
# score the last time step, with one label for each sequence as target. For an output of
# predicted frames, they compare each prediction with the next frame.


def last_step(
    labels: Tensor, probabilities: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return labels, `(batch,)`, and the values and weights of the last time step."""
    weight, last = at_step(-1, by_step(weight, probabilities), probabilities)
    return ops.reshape(labels, (-1,)), last, weight


def transitions(
    frames: Tensor, predicted: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the next frames, their predictions, and the weights of the transitions."""
    weight = of_transitions(by_step(weight, predicted))
    return frames[:, 1:], predicted[:, :-1], weight


class _OfKeras:
    """A loss or metric of Keras, applied to the time steps that `select` returns."""

    select: Callable[..., tuple[Tensor, Tensor, Tensor | None]]
    wrapped: str  # name of the attribute and argument that holds the loss or metric

    def get_config(self) -> Config:
        inner = keras.saving.serialize_keras_object(getattr(self, self.wrapped))
        return {**super().get_config(), self.wrapped: inner}  # type: ignore[misc]

    @classmethod
    def from_config(cls, config: Config) -> Self:
        inner = keras.saving.deserialize_keras_object(config[cls.wrapped])
        return cls(**{**config, cls.wrapped: inner})


class _KerasLoss(_OfKeras, keras.losses.Loss):
    """A loss of Keras for some time steps.

    Args:
        loss: Function or `keras.losses.Loss`.
        reduction: Defaults to the reduction of the loss.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.
    """

    wrapped = "loss"

    def __init__(
        self,
        loss: Any,
        reduction: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.loss = loss
        reduction = reduction or getattr(loss, "reduction", "sum_over_batch_size")
        super().__init__(name=name, reduction=reduction, **kwargs)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        return super().__call__(*self.select(y_true, y_pred, sample_weight))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        function = getattr(self.loss, "call", self.loss)
        return function(y_true, y_pred)


@register
class LastStepLoss(_KerasLoss):
    """A loss of Keras for classes, applied to the last time step."""

    select = staticmethod(last_step)


@register
class NextStepLoss(_KerasLoss):
    """A loss of Keras for predicted frames, compared with the next frames."""

    ignores_last_step = True
    select = staticmethod(transitions)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = super().call(y_true, y_pred)  # (batch, T - 1, height, width)
        return ops.mean(values, axis=tuple(range(2, len(values.shape))))


class _KerasMetric(_OfKeras, keras.metrics.Metric):
    """A metric of Keras for some time steps.

    Args:
        metric: A `keras.metrics.Metric`.
        name: Name of the metric. Defaults to the name of `metric`.
        **kwargs: Arguments of `keras.metrics.Metric`.
    """

    wrapped = "metric"

    def __init__(self, metric: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or metric.name, **kwargs)
        self.metric = metric

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        return self.metric.update_state(*self.select(y_true, y_pred, sample_weight))

    def result(self) -> Tensor:
        return self.metric.result()

    def reset_state(self) -> None:
        self.metric.reset_state()


@register
class LastStepMetric(_KerasMetric):
    """A metric of Keras for classes, applied to the last time step."""

    select = staticmethod(last_step)


@register
class NextStepMetric(_KerasMetric):
    """A metric of Keras for predicted frames, compared with the next frames."""

    ignores_last_step = True
    select = staticmethod(transitions)


def last_step_loss(loss: Any) -> Any:
    """Return the loss of Keras applied to the last step; others are unchanged."""
    if loss in ("crossentropy", "ce"):
        loss = "sparse_categorical_crossentropy"
    return LastStepLoss(keras.losses.get(loss)) if is_of_keras(loss) else loss


def next_step_loss(loss: Any) -> Any:
    """Return the loss of Keras applied to transitions; others are unchanged."""
    return NextStepLoss(keras.losses.get(loss)) if is_of_keras(loss) else loss


def last_step_metric(metric: Any) -> Any:
    """Return the metric of Keras applied to the last step; others are unchanged."""
    if metric in ("accuracy", "acc"):
        metric = keras.metrics.SparseCategoricalAccuracy(metric)
    if metric in ("crossentropy", "ce"):
        metric = keras.metrics.SparseCategoricalCrossentropy(metric)
    return _applied(LastStepMetric, metric)


def next_step_metric(metric: Any) -> Any:
    """Return the metric of Keras applied to transitions; others are unchanged."""
    return _applied(NextStepMetric, metric)


def _applied(kind: type[_KerasMetric], metric: Any) -> Any:
    if not is_of_keras(metric) or type(metric) is keras.metrics.MeanMetricWrapper:
        return metric
    name = metric if isinstance(metric, str) else None
    metric = keras.metrics.get(metric)
    if not isinstance(metric, keras.metrics.Metric):
        metric = keras.metrics.MeanMetricWrapper(metric, name=metric.__name__)
    return kind(metric, name)


def is_of_keras(x: Any) -> bool:
    """Return whether a loss or metric, as given to `compile`, is part of Keras."""
    if isinstance(x, str):
        return True
    module = getattr(x, "__module__", None) or type(x).__module__
    return x is not None and module.split(".")[0] == "keras"
