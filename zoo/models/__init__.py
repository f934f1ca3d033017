"""Models of the paper, one module per section, and the modules that they share."""

from zoo.models import (
    gaussian_chain,
    grouping,
    mean_teacher,
    moving_mnist,
    music,
    occluded_mnist,
    textured_mnist,
    videos,
)

__all__ = [
    "gaussian_chain",
    "grouping",
    "mean_teacher",
    "moving_mnist",
    "music",
    "occluded_mnist",
    "textured_mnist",
    "videos",
]
