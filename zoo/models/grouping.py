"""Perceptual grouping (Section 4): models of groups, their classes and metrics.

What `zoo.textured_mnist` and `zoo.moving_mnist` have in common. All builders return a
compiled `keras.Model` whose outputs are

- `"groups"`: `pi`, which pixel belongs to which group, `(batch, T, K, H, W)`;
- `"reconstructions"`: `mu`, each group's picture of the whole,
  `(batch, T, K, H, W, C)`;
- `"cost"`: what is minimised of it, nats per pixel, `(batch, T)`;
- `"posterior"`: in films, which pixel belongs to which group once the frame is seen,
  `(batch, T - 1, K, H, W)`, from the second frame on;
- `"class"`: probabilities of the classes, `(batch, T, 10)`, where there are any.

T counts the iterations: for a still image those of the inference, for a film the
frames. The groups begin at random, so that they change places from call to call; a
model that is built after `keras.utils.set_random_seed` gives the same answers to the
same calls. Images of which no segments are known have segments of -1, those without a
class a `sample_weight` of 0 for it: `fit(..., sample_weight={"class": weights})`.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from rladder_keras import (
    ConvLSTMCell,
    MixtureCost,
    MixturePosterior,
    RecurrentLadder,
)
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


@register
class GroupClasses(layers.Layer):
    """Classes of an image from those of its groups.

    The last unit of a group's softmax says "none" and is left out; the other units are
    summed over the groups and divided by their sum.

    Call arguments:
        top: Shape `(batch, T, K, classes + 1)`.

    Output shape:
        `(batch, T, classes)`.

    Examples:
        >>> ops.shape(zoo.grouping.GroupClasses()(np.zeros((2, 5, 3, 11))))
        (2, 5, 10)
    """

    def call(self, top):
        votes = ops.sum(ops.cast(top, "float32")[..., :-1], axis=2)
        return votes / (ops.sum(votes, axis=-1, keepdims=True) + 1e-7)

    def compute_output_shape(self, top_shape):
        batch, steps, _, units = top_shape
        return (batch, steps, units - 1)


@register
class GroupingModel(ZooModel):
    """A `ZooModel` that explains its input: `"groups"` and `"class"` have targets."""

    def check_keys(self, y, names=None):
        """The other outputs need no targets, or have those of the groups."""
        names = self.output_names if names is None else names
        super().check_keys(y, {"groups", "class"} & set(names))

    def _targets(self, y, y_pred):
        needed = {k: x for k, x in y_pred.items() if k in ("groups", "class")}
        targets = {**y_pred, **super()._targets(y, needed)}
        if "posterior" in y_pred:
            targets["posterior"] = targets["groups"][:, 1:]
        return targets

    @staticmethod
    def _weights(sample_weight, y_pred):
        """Those of steps, `(batch, T)`; in films, for some outputs, of transitions.

        `"cost"` and `"posterior"` have the weight of `"groups"`, unless it is given.
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

    def check_labels(self, x, y):
        """Refuse segments of other images, or more than the metrics count."""
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
                    f"the images have {segments} segments, and the metric AMI of this "
                    f"model counts fewer: compile it with zoo.grouping.AMI({segments})"
                    f"{f', or build it with digits={segments}' if films else ''}."
                )

    def metrics_of_groups(self):
        """Configurations of the metrics that compare groups with segments."""
        config = self.get_compile_config()
        for kind in (config["metrics"], config["weighted_metrics"]):
            if isinstance(kind, dict):
                yield from kind.get("groups") or ()

    @staticmethod
    def check_segments(x, y):
        """Refuse segments that have not one number for each pixel."""
        truth = y.get("groups") if isinstance(y, dict) else None
        if not isinstance(x, np.ndarray) or not isinstance(truth, np.ndarray):
            return
        check_shape(truth.shape, x.shape[:-1], "segments of y['groups']")
        if len(x.shape) == 5 and x.shape[1] == 1:
            raise ValueError("films of one frame have nothing to be scored on.")

    def of_steps(self):
        """Without what needs the frame that comes."""
        later = ("cost", "posterior")
        outputs = {k: x for k, x in self.output.items() if k not in later}
        return keras.Model(self.input, outputs)

    def next_frame(self, outputs):
        """The mean of the mixture, in [0, 1] as all frames are."""
        pi, mu = outputs["groups"][..., None], outputs["reconstructions"]
        return np.clip(np.sum(pi * mu, axis=1), 0, 1)


def explained(cell, seen, target, ahead=False, **loop):
    """The outputs that all these models have, and `e_L` of each group.

    Args:
        cell: A `TaggerCell`.
        seen: Frames that the ladder gets, `(batch, T, H, W, C)`.
        target: Frames to explain, of the same shape or with a single one.
        ahead: Whether an explanation is of the next frame: then the target begins with
            the second, and there is the output `"posterior"`.
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


def full_precision(name):
    """A layer that names an output; Keras would round it under mixed precision."""
    return layers.Identity(dtype="float32", name=name)
