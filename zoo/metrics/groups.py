"""Costs of groups, and agreement of groups with the true segments (Section 4)."""

from typing import Any

import keras
import numpy as np
from keras import ops

from rladder_keras.typing import Config, Tensor
from zoo.metrics.frames import ClassError
from zoo.metrics.sample_weights import (
    StepLoss,
    StepMean,
    at_step,
    by_step,
    of_transitions,
)

register = keras.saving.register_keras_serializable("zoo")


@register
class OwnCost(StepLoss):
    """Loss for an output that already is a cost: its mean over steps with weight.

    Args:
        reduction: See `keras.losses.Loss`.
        name: Name of the loss.
        **kwargs: Arguments of `keras.losses.Loss`.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "own_cost",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, name, **kwargs)

    def call(self, _: Tensor, cost: Tensor) -> Tensor:
        return cost


def number(iteration: int) -> str:
    """Return the number of an iteration in the name of a metric, from 1."""
    return "last" if iteration == -1 else str(iteration + 1)


@register
class CostAt(keras.metrics.Mean):
    """Mean of the cost at one iteration.

    Args:
        iteration: The iteration, from 0; -1 for the last one with a weight above 0.
        name: Name of the metric. Defaults to the number of the iteration, from 1, or
            "last".
        **kwargs: Arguments of `keras.metrics.Mean`.
    """

    def __init__(self, iteration: int, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or number(iteration), **kwargs)
        self.iteration = iteration

    def update_state(
        self, _: Tensor, cost: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        weight, cost = at_step(self.iteration, by_step(sample_weight, cost), cost)
        return super().update_state(cost, weight)

    def get_config(self) -> Config:
        return {**super().get_config(), "iteration": self.iteration}


@register
class ClassErrorAt(ClassError):
    """Share of the labelled samples with a wrong class at one iteration.

    It is 0 if no sample is labelled.

    Args:
        iteration: The iteration, from 0; -1 for the last one with a weight above 0.
        name: Name of the metric. Defaults to `error_` and the number of the iteration,
            from 1, or "last".
        **kwargs: Arguments of `keras.metrics.Mean`.

    Call arguments:
        labels: Classes, integers of shape `(batch,)` or `(batch, 1)`.
        probabilities: Tensor of shape `(batch, T, classes)`.
        sample_weight: Tensor of shape `(batch,)` or `(batch, T)`, or `None`.

    Returns:
        Fraction from 0 to 1. Table 4 prints it in %.
    """

    def __init__(self, iteration: int, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(iteration, name or f"error_{number(iteration)}", **kwargs)


@register
class AMI(StepMean):
    """Adjusted mutual information of groups and true segments: a mean over images.

    Pixels with a segment of -1 are ignored, and images with such pixels only are left
    out. The mutual information is normalised by the larger of the two entropies, as in
    papers of the time.

    Args:
        segments: Number of true segments.
        iteration: The iteration to score, from 0; -1 for the last one with a weight
            above 0. By default all iterations are scored.
        ahead: Whether the groups of an iteration are for the next frame.
        name: Name of the metric. Defaults to `ami`, and with `iteration` its number,
            from 1, or "last".
        **kwargs: Arguments of `keras.metrics.Mean`.

    Call arguments:
        truth: True segments, integers of shape `(batch, H, W)`, or `(batch, T, H, W)`
            for videos.
        groups: Probabilities of the groups, shape `(batch, T, K, H, W)`.
        sample_weight: Tensor of shape `(batch,)` or `(batch, T)`, or `None`.

    Returns:
        Mean over the images: 1 for groups equal to the segments, about 0 for random
        groups.

    References:
        - Vinh et al., Information Theoretic Measures for Clusterings Comparison, 2010.

    Examples:
        >>> truth = np.array([[[0, 0], [1, 1]]])
        >>> groups = np.stack([truth == 1, truth == 0], axis=1)[:, None]
        >>> ami = zoo.grouping.AMI(segments=2, iteration=0)
        >>> round(float(ami(truth, groups.astype("float32"))), 3)
        1.0
    """

    def __init__(
        self,
        segments: int,
        iteration: int | None = None,
        ahead: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        place = "" if iteration is None else f"_{number(iteration)}"
        super().__init__(name=name or f"ami{place}", **kwargs)
        self.segments = segments
        self.iteration = iteration
        self.ahead = ahead

    def update_state(  # type: ignore[override]
        self, truth: Tensor, groups: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        if tuple(truth.shape[-2:]) != tuple(groups.shape[-2:]):
            raise ValueError(
                "The true segments must have shape (batch, H, W), or (batch, T, H, W) "
                f"for videos, with H and W of the groups, {tuple(groups.shape[-2:])}; "
                f"got shape {tuple(truth.shape)}. Resize the segments."
            )
        weight = by_step(sample_weight, groups)
        if self.ahead:
            groups, truth = groups[:, :-1], truth[:, 1:]
            weight = of_transitions(weight)
        if self.iteration is not None:
            films = [truth] if len(truth.shape) == 4 else []
            weight, groups, *films = at_step(self.iteration, weight, groups, *films)
            truth = films[0] if films else truth
        elif len(truth.shape) == 3:
            truth = ops.repeat(truth[:, None], ops.shape(groups)[1], axis=1)
        k = groups.shape[-3]
        pixels = int(np.prod(truth.shape[-2:]))
        found = ops.reshape(ops.argmax(groups, axis=-3), (-1, pixels, 1))
        truth = ops.reshape(ops.cast(truth, found.dtype), (-1, pixels, 1))
        truth = ops.cast(ops.equal(truth, np.arange(self.segments)), "float32")
        found = ops.cast(ops.equal(found, np.arange(k)), "float32")
        table = ops.einsum("npi,npj->nij", truth, found)
        values, counts = ami_of(table, pixels)
        if weight is not None:
            counts = counts * ops.reshape(ops.cast(weight, counts.dtype), (-1,))
        return super().update_state(values, counts)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "segments": self.segments,
            "iteration": self.iteration,
            "ahead": self.ahead,
        }


def ami_of(table: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """Return the adjusted mutual information of contingency tables.

    Args:
        table: Number of pixels of segment i in group j, shape `(n, I, J)`.
        pixels: Maximum number of pixels of an image.

    Returns:
        The values, shape `(n,)`, and 1 for each image with pixels, otherwise 0.
    """
    a, b = ops.sum(table, axis=2), ops.sum(table, axis=1)
    n = ops.sum(a, axis=1)
    some = ops.cast(n > 0, "float32")
    n = ops.maximum(n, 1)

    def entropy(counts):
        p = counts / n[:, None]
        return -ops.sum(p * ops.log(ops.maximum(p, 1e-30)), axis=1)

    a, b, m = a[:, :, None], b[:, None, :], n[:, None, None]
    information = table / m * ops.log(ops.maximum(m * table / (a * b + 1e-30), 1e-30))
    information = ops.sum(information, axis=(1, 2))
    chance = expected_information(a, b, m, pixels)
    largest = ops.maximum(entropy(a[:, :, 0]), entropy(b[:, 0, :]))
    # If the normaliser equals the expectation, the value is 1: for one segment and one
    # group, and for segments and groups of one pixel each.
    room = largest - chance
    values = (information - chance) / ops.maximum(room, 1e-5)
    return ops.where(room > 1e-5, values, 1.0) * some, some


def expected_information(a: Tensor, b: Tensor, m: Tensor, pixels: int) -> Tensor:
    """Return the expected mutual information of blocks of sizes `a` and `b`."""
    factorial = np.concatenate([[0], np.cumsum(np.log(np.arange(1, pixels + 1)))])
    factorial = ops.convert_to_tensor(factorial.astype("float32"))

    def log_factorial(x):
        x = ops.cast(ops.clip(x, 0, pixels), "int32")  # other arguments are impossible
        return ops.take(factorial, x, axis=0)

    a, b, m = a[..., None], b[..., None], m[..., None]
    x = ops.cast(ops.arange(1, pixels + 1), "float32")
    log_p = log_factorial(a) + log_factorial(b)
    log_p = log_p + log_factorial(m - a) + log_factorial(m - b) - log_factorial(m)
    log_p = log_p - log_factorial(x) - log_factorial(a - x) - log_factorial(b - x)
    log_p = log_p - log_factorial(m - a - b + x)
    possible = (x <= a) & (x <= b) & (m - a - b + x >= 0)
    terms = x / m * ops.log(m * x / (a * b + 1e-30)) * ops.exp(log_p)
    return ops.sum(ops.where(possible, terms, 0.0), axis=(1, 2, 3))
