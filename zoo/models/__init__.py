"""Models of the paper, one module per section, and the modules that they share."""

from zoo.models import (
    frame_prediction,
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
    "frame_prediction",
    "gaussian_chain",
    "grouping",
    "mean_teacher",
    "moving_mnist",
    "music",
    "occluded_mnist",
    "textured_mnist",
    "videos",
]
