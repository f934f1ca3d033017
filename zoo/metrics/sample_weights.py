"""Sample weights of sequences or of their steps, for losses and metrics.

Outputs have shape `(batch, T, ...)`. Their losses and metrics take weights of shape
`(batch,)`, one for each sequence, or `(batch, T)`, one for each step. The number of
axes decides which, also where there are as many sequences as steps.
"""

import keras
from keras import ops, tree

from rladder_keras.validation import fits

register = keras.saving.register_keras_serializable("zoo")


def by_step(weight, outputs):
    """Weights of steps, 0 where Keras has a mask of the outputs (not on JAX).

    Args:
        weight: Tensor of shape `(batch,)`, `(batch, 1)` or `(batch, T)`, or `None`.
        outputs: Tensor of shape `(batch, T, ...)`.

    Returns:
        Tensor of shape `(batch, T)`; `None` where there are neither weights nor a mask.

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


def mask_of(outputs):
    """The mask that Keras' layers handed on with an output, or `None`."""
    return getattr(outputs, "_keras_mask", None)


def check_weight(weight, outputs):
    """Refuse weights that are neither of sequences nor of their steps."""
    if getattr(weight.shape, "rank", 0) is None:  # TensorFlow may not know
        return
    found, (rows, steps, *_) = tuple(weight.shape), outputs.shape
    allowed = [(rows,), (rows, 1), (rows, steps)]
    if not any(fits(found, shape) for shape in allowed):
        raise ValueError(
            "sample_weight must have shape (batch,) or (batch, T), a number for each "
            f"sequence or for each of its steps; got {found} for outputs of shape "
            f"{tuple(outputs.shape)}. Give weights of one of these shapes."
        )


def of_transitions(weight):
    """Weights of the transitions from a step to the next, shape `(batch, T - 1)`.

    The smaller one of the two steps: a transition counts if both of them do.
    """
    return None if weight is None else ops.minimum(weight[:, :-1], weight[:, 1:])


def at_step(step, weight, *values):
    """One step of each sequence.

    Args:
        step: Its index from 0. With -1 it is the last step that has weight, so that
            padding at the end of a sequence is left out.
        weight: Of the steps, shape `(batch, T)`, or `None`.
        *values: Tensors of shape `(batch, T, ...)`.

    Returns:
        The weight of that step, shape `(batch,)`, or `None`, and the values, each of
        shape `(batch, ...)`.
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
    """A loss with a value for each step, and its mean over the steps with weight."""

    def __init__(self, reduction="mean_with_sample_weight", name=None, **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def weights(self, weight, outputs):
        """Weights of the values that `call` returns."""
        return by_step(weight, outputs)

    def __call__(self, y_true, y_pred, sample_weight=None):
        weight = self.weights(sample_weight, y_pred)
        if mask_of(y_pred) is not None:
            y_pred = ops.copy(y_pred)  # without the mask, which the weights have
        return super().__call__(y_true, y_pred, weight)


class StepMean(keras.metrics.Mean):
    """A mean over steps with weight."""

    def update_state(self, values, sample_weight=None):
        """Values and weights of one shape; there may be none of them."""
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        return super().update_state(ops.reshape(values, (-1,)), sample_weight)


# Keras' own losses and metrics, for an output of classes, `(batch, T, classes)`, whose
# target is one label for each sequence


@register
class LastStepLoss(keras.losses.Loss):
    """A loss of Keras for classes, of the last step.

    Args:
        loss: Function or `keras.losses.Loss`.
        reduction: Default: that of the loss.
    """

    def __init__(self, loss, reduction=None, name=None, **kwargs):
        self.loss = loss
        reduction = reduction or getattr(loss, "reduction", "sum_over_batch_size")
        super().__init__(name=name, reduction=reduction, **kwargs)

    def __call__(self, y_true, y_pred, sample_weight=None):
        weight, y_pred = at_step(-1, by_step(sample_weight, y_pred), y_pred)
        return super().__call__(ops.reshape(y_true, (-1,)), y_pred, weight)

    def call(self, labels, probabilities):
        function = getattr(self.loss, "call", self.loss)
        return function(labels, probabilities)

    def get_config(self):
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss}

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


@register
class LastStepMetric(keras.metrics.Metric):
    """A metric of Keras for classes, of the last step.

    Args:
        metric: A `keras.metrics.Metric`.
    """

    def __init__(self, metric, name=None, **kwargs):
        super().__init__(name=name or metric.name, **kwargs)
        self.metric = metric

    def update_state(self, y_true, y_pred, sample_weight=None):
        weight, y_pred = at_step(-1, by_step(sample_weight, y_pred), y_pred)
        return self.metric.update_state(ops.reshape(y_true, (-1,)), y_pred, weight)

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        metric = keras.saving.serialize_keras_object(self.metric)
        return {**super().get_config(), "metric": metric}

    @classmethod
    def from_config(cls, config):
        metric = keras.saving.deserialize_keras_object(config["metric"])
        return cls(**{**config, "metric": metric})


def last_step_loss(loss):
    """The loss for classes that is meant, if it is Keras' own."""
    if not is_of_keras(loss):
        return loss
    if loss in ("crossentropy", "ce"):
        loss = "sparse_categorical_crossentropy"
    return LastStepLoss(keras.losses.get(loss))


def last_step_metric(metric):
    """The metric for classes that is meant, if it is Keras' own."""
    if not is_of_keras(metric) or type(metric) is keras.metrics.MeanMetricWrapper:
        return metric
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", None)
    if metric in ("accuracy", "acc"):
        return LastStepMetric(keras.metrics.SparseCategoricalAccuracy(name))
    if metric in ("crossentropy", "ce"):
        return LastStepMetric(keras.metrics.SparseCategoricalCrossentropy(name))
    metric = keras.metrics.get(metric)
    if not isinstance(metric, keras.metrics.Metric):
        metric = keras.metrics.MeanMetricWrapper(metric, name=name)
    return LastStepMetric(metric)


def is_of_keras(x):
    """Whether a loss or metric, given as `compile` takes it, comes with Keras."""
    if isinstance(x, str):
        return True
    module = getattr(x, "__module__", None) or type(x).__module__
    return x is not None and module.split(".")[0] == "keras"


# Functions


def stands_for(cls):
    """Mark a function that means this class where a model is compiled with it.

    Keras hands weights to a class, and to a function only values and predictions.
    """

    def mark(function):
        function.stands_for = cls
        return function

    return mark


def weighable(losses):
    """Losses or metrics as of `compile`, with classes instead of functions."""
    return tree.map_structure(
        lambda x: x.stands_for() if hasattr(x, "stands_for") else x, losses
    )
