"""Perceptual grouping (Section 4): models of groups, their classes and metrics.

This module is shared by `zoo.textured_mnist` and `zoo.moving_mnist`. All builders
return a compiled `keras.Model` whose outputs are

- `"groups"`: `pi`, the probability that a pixel belongs to a group, `(batch, T, K, H,
  W)`;
- `"reconstructions"`: `mu`, the reconstruction of each group, `(batch, T, K, H, W, C)`;
- `"cost"`: the training loss, in nats per pixel, `(batch, T)`; for videos `(batch, T -
  1)`, from the second frame on;
- `"posterior"`, for videos: the probability of each group once the frame is seen,
  `(batch, T - 1, K, H, W)`, from the second frame on;
- `"class"`: class probabilities, `(batch, T, 10)`, if the model has classes.

T is the number of iterations: of the inference for a still image, of the frames for a
video. The initial groups are random, so that the order of the groups differs from call
to call. Call `keras.utils.set_random_seed` before the model is built for reproducible
outputs. Images without known segments have segments of -1. Images without a class have
a `sample_weight` of 0 for it: `fit(..., sample_weight={"class": weights})`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from rladder_keras import (
    ConvLSTMCell,
    Level,
    MixtureCost,
    MixturePosterior,
    RecurrentLadder,
    TaggerCell,
)
from rladder_keras.typing import Shape, Size, Tensor
from zoo.metrics.groups import AMI as AMI
from zoo.metrics.sample_weights import (
    by_step,
    of_transitions,
)
from zoo.models.base import ZooModel
from zoo.models.checks import check_shape
from zoo.models.fitting import named

register = keras.saving.register_keras_serializable("zoo")
# The recurrent row of an RTagger.
BatchLSTMCell = partial(ConvLSTMCell, normalization="batch", recurrent_gain=1.0)


def lowest_kernel(levels: list[Level]) -> Size:
    """Return the kernel size of the lowest row, with which groups are read out."""
    kernel_size = getattr(levels[0].encoder, "kernel_size", None)
    if kernel_size is None:
        raise ValueError(
            "The lowest level must be a convolution, whose kernel size the read-out of "
            f"the groups shares; got {levels[0].encoder!r}. Begin the table with Conv "
            "or ConvLSTMCell."
        )
    return kernel_size


@register
class GroupClasses(layers.Layer):
    """Class probabilities of an image, from those of its groups.

    The last unit of a group's softmax means "none" and is left out. The other units are
    summed over the groups and divided by their sum.

    Call arguments:
        top: Shape `(batch, T, K, classes + 1)`.

    Output shape:
        `(batch, T, classes)`.

    Examples:
        >>> ops.shape(zoo.grouping.GroupClasses()(np.zeros((2, 5, 3, 11))))
        (2, 5, 10)
    """

    def call(self, top: Tensor) -> Tensor:
        votes = ops.sum(ops.cast(top, "float32")[..., :-1], axis=2)
        return votes / (ops.sum(votes, axis=-1, keepdims=True) + 1e-7)

    def compute_output_shape(self, top_shape: Shape) -> Shape:
        batch, steps, _, units = top_shape
        return (batch, steps, units - 1)


@register
class GroupingModel(ZooModel):
    """A `ZooModel` that reconstructs its input as a mixture of K groups.

    Only the outputs `"groups"` and `"class"` need targets.
    """

    def check_keys(self, y: Any, names: Any = None) -> None:
        """Check the targets of `"groups"` and `"class"`; other outputs need none."""
        names = self.output_names if names is None else names
        super().check_keys(y, {"groups", "class"} & set(names))

    def _targets(self, y: Any, y_pred: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the targets; those of `"posterior"` are the segments."""
        needed = {k: x for k, x in y_pred.items() if k in ("groups", "class")}
        targets = {**y_pred, **super()._targets(y, needed)}
        if "posterior" in y_pred:
            targets["posterior"] = targets["groups"][:, 1:]
        return targets

    @staticmethod
    def _weights(sample_weight: Any, y_pred: dict[str, Tensor]) -> Any:
        """Return weights of time steps, or of transitions for some outputs of videos.

        `"cost"` and `"posterior"` have the weights of `"groups"`.
        """
        if sample_weight is None:
            return None
        if isinstance(sample_weight, dict) and sample_weight.get("groups") is not None:
            groups = sample_weight["groups"]
            sample_weight = {"cost": groups, "posterior": groups, **sample_weight}
        weights = ZooModel._weights(sample_weight, y_pred)
        steps = y_pred["groups"]
        weights = {name: by_step(named(weights, name), steps) for name in y_pred}
        for name in {"cost", "posterior"} & set(weights):
            if "posterior" in y_pred:
                weights[name] = of_transitions(weights[name])
        return weights

    def check_labels(self, x: Any, y: Any) -> None:
        """Raise `ValueError` for segments that do not fit the images or the metrics."""
        super().check_labels(x, y)
        self.check_segments(x, y)
        truth = y.get("groups") if isinstance(y, dict) else None
        if not isinstance(truth, np.ndarray):
            return
        segments = int(truth.max(initial=-1)) + 1
        films = "posterior" in self.output_names
        for metric in self.metrics_of_groups():
            own = metric.get("config") if isinstance(metric, dict) else None
            if isinstance(own, dict) and segments > own.get("segments", segments):
                raise ValueError(
                    "The metric AMI must count as many segments as the images have; "
                    f"got images that have {segments} segments, more than it counts. "
                    "To score them, compile it with "
                    f"zoo.grouping.AMI({segments})"
                    f"{f', or build it with digits={segments}' if films else ''}."
                )

    def metrics_of_groups(self) -> Iterator[Any]:
        """Yield the configurations of the metrics that compare groups with segments."""
        if not self.compiled:
            return
        config = self.get_compile_config()
        for kind in (config["metrics"], config["weighted_metrics"]):
            found = kind.get("groups") if isinstance(kind, dict) else None
            yield from found if isinstance(found, list) else [found]

    @staticmethod
    def check_segments(x: Any, y: Any) -> None:
        """Raise `ValueError` unless there is one segment for each pixel."""
        truth = y.get("groups") if isinstance(y, dict) else None
        if not isinstance(x, np.ndarray) or not isinstance(truth, np.ndarray):
            return
        check_shape(truth.shape, x.shape[:-1], "segments of y['groups']")
        if len(x.shape) == 5 and x.shape[1] == 1:
            raise ValueError(
                "Videos must have at least two frames to be scored; got videos of one "
                "frame. Use predict, or pass longer videos."
            )

    def of_steps(self) -> keras.Model:
        """Return this model without the outputs that need the next frame."""
        later = ("cost", "posterior")
        outputs = {k: x for k, x in self.output.items() if k not in later}
        return keras.Model(self.input, outputs)

    def next_frame(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return the mean of the mixture, clipped to [0, 1] like all frames."""
        pi, mu = outputs["groups"][..., None], outputs["reconstructions"]
        return np.clip(np.sum(pi * mu, axis=1), 0, 1)


def explained(
    cell: TaggerCell, seen: Tensor, target: Tensor, ahead: bool = False, **loop: Any
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the outputs that all grouping models share, and `e_L` of each group.

    Args:
        cell: A `TaggerCell`.
        seen: Input frames of the ladder, `(batch, T, H, W, C)`.
        target: Frames to explain, of the same shape or with a time axis of length 1.
        ahead: Whether an explanation is for the next frame. The target then begins with
            the second frame, and there is the output `"posterior"`.
        **loop: `unroll` and `remat`, see `rladder_keras.RecurrentLadder`.
    """
    ladder = RecurrentLadder(cell, **loop, name="ladder")(seen)
    names = ("groups", "reconstructions", "variance")
    mixture = [ladder[name] for name in names if name in ladder]
    outputs = {name: full_precision(name)(ladder[name]) for name in names[:2]}
    if ahead:
        mixture = [x[:, :-1] for x in mixture]
        posterior = MixturePosterior(cell.pixels, dtype="float32", name="posterior")
        outputs["posterior"] = posterior(target, *mixture)
    cost = MixtureCost(cell.pixels, dtype="float32", name="cost")
    outputs["cost"] = cost(target, *mixture)
    return outputs, ladder["top"]


def full_precision(name: str) -> layers.Layer:
    """Return a layer that names an output and keeps it in float32.

    Keras would otherwise round the output under mixed precision.
    """
    return layers.Identity(dtype="float32", name=name)
