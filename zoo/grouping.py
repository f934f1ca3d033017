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
from zoo.checks import check_shape
from zoo.data.epochs import check_integer
from zoo.model import ZooModel, named
from zoo.sample_weights import (
    StepLoss,
    StepMean,
    at_step,
    by_step,
    of_transitions,
    stands_for,
)
from zoo.videos import ClassError

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
class KMeans(layers.Layer):
    """Clusters of the pixels of each image by their colour: K-means, no learning.

    The first means are pixels at equal distances in the order of brightness; each
    iteration is one of Lloyd's.

    Args:
        groups: Number of clusters, K.
        iterations: T.

    Call arguments:
        images: Shape `(batch, H, W, C)`.

    Returns:
        A dictionary of `"groups"`, `"reconstructions"` and `"cost"`, half the squared
        distance of a pixel from its mean.
    """

    def __init__(self, groups, iterations, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        check_integer("groups", groups, 1)
        check_integer("iterations", iterations, 1)
        self.groups = groups
        self.iterations = iterations

    def call(self, images):
        _, height, width, channels = images.shape
        x = ops.reshape(images, (-1, 1, height * width, channels))
        order = ops.argsort(ops.sum(x[:, 0], axis=-1), axis=-1)
        first = (np.arange(self.groups) + 0.5) / self.groups * height * width
        chosen = ops.take(order, first.astype("int32"), axis=1)[..., None]
        means = ops.take_along_axis(x[:, 0], chosen, axis=1)
        steps = []
        for _ in range(self.iterations):
            distance = ops.sum(ops.square(x - means[:, :, None]), axis=-1)
            nearest = ops.argmin(distance, axis=1)
            pi = ops.one_hot(nearest, self.groups, axis=1, dtype="float32")
            cost = ops.mean(ops.min(distance, axis=1), axis=-1) / 2
            steps.append((pi, means, cost))
            total = ops.sum(pi[..., None] * x, axis=2)
            count = ops.sum(pi, axis=2)[..., None]
            means = ops.where(count > 0, total / ops.maximum(count, 1), means)
        pi, means, cost = (ops.stack(s, axis=1) for s in zip(*steps, strict=True))
        shape = (-1, self.iterations, self.groups)
        mu = ops.reshape(means, (*shape, 1, 1, channels))
        grid = (height, width)
        return {
            "groups": ops.reshape(pi, (*shape, *grid)),
            "reconstructions": mu + ops.zeros((1, 1, 1, *grid, 1)),
            "cost": cost,
        }

    def compute_output_spec(self, images):
        batch, *grid, channels = images.shape
        shape = (batch, self.iterations, self.groups, *grid)
        shapes = {
            "groups": shape,
            "reconstructions": (*shape, channels),
            "cost": shape[:2],
        }
        return {k: keras.KerasTensor(v, "float32") for k, v in shapes.items()}

    def get_config(self):
        more = {"groups": self.groups, "iterations": self.iterations}
        return {**super().get_config(), **more}


@register
class FixedGroups(layers.Layer):
    """Two groups that are the same in all images: a baseline that sees nothing.

    Args:
        mask: Which pixels are of the second group, shape `(H, W)`.

    Call arguments:
        images: Shape `(batch, H, W, C)`, or films, `(batch, T, H, W, C)`.

    Returns:
        A dictionary of `"groups"`, `"reconstructions"`, the mean of each group, and
        `"cost"`, half the squared distance of a pixel from it. T is 1 for images.
    """

    def __init__(self, mask, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.mask = np.asarray(mask, bool)

    def call(self, images):
        if tuple(images.shape[-3:-1]) != self.mask.shape:
            raise ValueError(
                f"the mask has shape {self.mask.shape}, and the images "
                f"{tuple(images.shape[-3:-1])}: give a mask of the images' size."
            )
        x = images[:, None] if len(images.shape) == 4 else images
        x = x[:, :, None]
        pi = np.stack([~self.mask, self.mask])[None, None, ..., None]
        pi = ops.convert_to_tensor(pi.astype("float32"))
        pixels = ops.maximum(ops.sum(pi, axis=(3, 4), keepdims=True), 1)
        mu = ops.sum(pi * x, axis=(3, 4), keepdims=True) / pixels + ops.zeros_like(x)
        distance = ops.sum(pi * ops.square(x - mu), axis=(2, 5))
        return {
            "groups": (pi + ops.zeros_like(x))[..., 0],
            "reconstructions": mu,
            "cost": ops.mean(distance, axis=(2, 3)) / 2,
        }

    def get_config(self):
        return {**super().get_config(), "mask": self.mask.tolist()}


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


def unlearned(images, outputs, metrics):
    """The compiled model of what layers without weights make of images."""
    outputs = {name: full_precision(name)(x) for name, x in outputs.items()}
    model = GroupingModel(images, outputs)
    model.compile(loss={"cost": OwnCost()}, weighted_metrics=metrics)
    return model


@register
class OwnCost(StepLoss):
    """Loss of an output that is a cost already: its mean over steps with weight."""

    def __init__(self, reduction="mean_with_sample_weight", name="own_cost", **kwargs):
        super().__init__(reduction, name, **kwargs)

    def call(self, _, cost):
        return cost


@register
@stands_for(OwnCost)
def own_cost(_, cost):
    """Loss of an output that is a cost already: its mean over the iterations."""
    return ops.mean(cost, axis=-1)


@register
class CostAt(keras.metrics.Mean):
    """Mean of the cost at one iteration, from 0; -1 is the last that has weight."""

    def __init__(self, iteration, name=None, **kwargs):
        super().__init__(name=name or f"{iteration + 1}", **kwargs)
        self.iteration = iteration

    def update_state(self, _, cost, sample_weight=None):
        weight, cost = at_step(self.iteration, by_step(sample_weight, cost), cost)
        return super().update_state(cost, weight)

    def get_config(self):
        return {**super().get_config(), "iteration": self.iteration}


@register
class ClassErrorAt(ClassError):
    """Share of the labelled samples whose class is wrong at one iteration, from 0.

    Where none is labelled it is 0.
    """

    def __init__(self, iteration, name=None, **kwargs):
        super().__init__(iteration, name or f"error_{iteration + 1}", **kwargs)


@register
class AMI(StepMean):
    """Adjusted mutual information of groups and true segments: a mean over images.

    Of the pixels whose segment is not -1; images without such pixels are left out.
    Normalised by the larger of the two entropies, as papers of the time did.

    Args:
        segments: Number of true segments.
        iteration: The one that counts, from 0, -1 is the last that has weight; `None`:
            all of them.
        ahead: Whether the groups of an iteration are of the next frame.

    References:
        - Vinh et al., Information Theoretic Measures for Clusterings Comparison, 2010.

    Examples:
        >>> truth = np.array([[[0, 0], [1, 1]]])
        >>> groups = np.stack([truth == 1, truth == 0], axis=1)[:, None]
        >>> ami = zoo.grouping.AMI(segments=2, iteration=0)
        >>> round(float(ami(truth, groups.astype("float32"))), 3)
        1.0
    """

    def __init__(self, segments, iteration=None, ahead=False, name=None, **kwargs):
        place = "" if iteration is None else f"_{iteration + 1}"
        super().__init__(name=name or f"ami{place}", **kwargs)
        self.segments = segments
        self.iteration = iteration
        self.ahead = ahead

    def update_state(self, truth, groups, sample_weight=None):
        if tuple(truth.shape[-2:]) != tuple(groups.shape[-2:]):
            raise ValueError(
                f"the true segments have shape {tuple(truth.shape)}, and must have "
                f"(batch, H, W), for films (batch, T, H, W), with H and W those of the "
                f"groups, {tuple(groups.shape[-2:])}."
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

    def get_config(self):
        return {
            **super().get_config(),
            "segments": self.segments,
            "iteration": self.iteration,
            "ahead": self.ahead,
        }


def ami_of(table, pixels):
    """Adjusted mutual information from a table, shape `(n, I, J)`.

    Args:
        table: How many pixels of segment i are in group j.
        pixels: The most that an image can have.

    Returns:
        The values, shape `(n,)`, and 1 where there are pixels at all, else 0.
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
    # One segment and one group agree, and so do segments and groups of a pixel each.
    room = largest - chance
    values = (information - chance) / ops.maximum(room, 1e-5)
    return ops.where(room > 1e-5, values, 1.0) * some, some


def expected_information(a, b, m, pixels):
    """Expected mutual information of partitions with blocks of sizes `a` and `b`."""
    factorial = np.concatenate([[0], np.cumsum(np.log(np.arange(1, pixels + 1)))])
    factorial = ops.convert_to_tensor(factorial.astype("float32"))

    def log_factorial(x):
        x = ops.cast(ops.clip(x, 0, pixels), "int32")  # the others are impossible
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
