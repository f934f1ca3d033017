"""The paper's models, a file for each section, and what they share."""

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
