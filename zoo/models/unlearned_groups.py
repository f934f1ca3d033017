"""Baselines of grouping without training: K-means of the pixels, and a fixed mask."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from rladder_keras.typing import Config, Tensor
from zoo.data.epochs import check_integer
from zoo.metrics.groups import OwnCost
from zoo.models.grouping import GroupingModel, full_precision

register = keras.saving.register_keras_serializable("zoo")


@register
class KMeans(layers.Layer):
    """K-means clustering of the pixels of each image by colour.

    The first means are pixels at equal distances in the order of brightness. Each
    iteration is an iteration of Lloyd's algorithm.

    Args:
        groups: Number of clusters, K.
        iterations: Number of iterations, T.

    Call arguments:
        images: Shape `(batch, H, W, C)`.

    Returns:
        A dictionary of `"groups"`, `"reconstructions"` and `"cost"`: half the squared
        distance of a pixel from its mean.
    """

    def __init__(
        self, groups: int, iterations: int, dtype: Any = "float32", **kwargs: Any
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        check_integer("groups", groups, 1)
        check_integer("iterations", iterations, 1)
        self.groups = groups
        self.iterations = iterations

    def call(self, images: Tensor) -> dict[str, Tensor]:
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

    def compute_output_spec(self, images: Tensor) -> dict[str, Any]:
        batch, *grid, channels = images.shape
        shape = (batch, self.iterations, self.groups, *grid)
        shapes = {
            "groups": shape,
            "reconstructions": (*shape, channels),
            "cost": shape[:2],
        }
        return {k: keras.KerasTensor(v, "float32") for k, v in shapes.items()}

    def get_config(self) -> Config:
        more = {"groups": self.groups, "iterations": self.iterations}
        return {**super().get_config(), **more}


@register
class FixedGroups(layers.Layer):
    """Two groups that are the same for all images.

    Args:
        mask: Pixels of the second group, shape `(H, W)`.

    Call arguments:
        images: Shape `(batch, H, W, C)`, or videos, `(batch, T, H, W, C)`.

    Returns:
        A dictionary of `"groups"`, `"reconstructions"`: the mean of each group, and
        `"cost"`: half the squared distance of a pixel from this mean. T is 1 for
        images.
    """

    def __init__(self, mask: Any, dtype: Any = "float32", **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.mask = np.asarray(mask, bool)

    def call(self, images: Tensor) -> dict[str, Tensor]:
        if tuple(images.shape[-3:-1]) != self.mask.shape:
            raise ValueError(
                "`mask` must have the shape of the images, "
                f"{tuple(images.shape[-3:-1])}; got shape {self.mask.shape}. Pass a "
                "mask of the images' size."
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

    def get_config(self) -> Config:
        return {**super().get_config(), "mask": self.mask.tolist()}


def unlearned(
    images: Tensor, outputs: dict[str, Tensor], metrics: dict[str, list[Any]]
) -> GroupingModel:
    """Return the compiled model of layers without weights."""
    outputs = {name: full_precision(name)(x) for name, x in outputs.items()}
    model = GroupingModel(images, outputs)
    model.compile(loss={"cost": OwnCost()}, weighted_metrics=metrics)
    return model
