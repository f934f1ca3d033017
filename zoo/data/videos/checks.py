"""Checks of videos: shapes, pixels and labels."""

from typing import Any

import numpy as np


def check_videos(
    videos: list[np.ndarray], frames: int, names: list[str] | None = None
) -> list[np.ndarray]:
    """Check videos, and add an axis of channels where there is none.

    Args:
        videos: Arrays of shape `(n, height, width)` or `(n, height, width, channels)`.
        frames: Number of frames in a sequence.
        names: Names of the videos for error messages.

    Raises:
        ValueError: If a video is invalid. The message names it.
    """
    names = names or [f"Video {i}" for i in range(len(videos))]
    videos = [check_video(*n, frames) for n in zip(names, videos, strict=True)]
    if not videos:
        raise ValueError(
            "`videos` must contain at least one video; it is empty. Pass at least one."
        )
    for name, video in zip(names, videos, strict=True):
        if video.shape[1:] != videos[0].shape[1:]:
            raise ValueError(
                f"{name} must have frames of shape {videos[0].shape[1:]}, like "
                f"{names[0]}; got {video.shape[1:]}. Scale them to one size."
            )
    highest = {
        name: video.max()
        for name, video in zip(names, videos, strict=True)
        if video.dtype == np.uint8
    }
    if highest and max(highest.values()) == 1:
        binary = max(highest, key=lambda name: highest[name])
        raise ValueError(
            f"8-bit pixels must be from 0 to 255; {binary} has 8-bit pixels of 0 "
            "and 1 only. Pass binary videos as booleans, video.astype(bool)."
        )
    return videos


def check_video(name: str, video: np.ndarray, frames: int) -> np.ndarray:
    """Check a video, and add an axis of channels if there is none.

    Args:
        name: Name of the video for error messages.
        video: Array of shape `(n, height, width)` or `(n, height, width, channels)`.
        frames: Number of frames in a sequence.

    Raises:
        ValueError: If the video is invalid.
    """
    video = np.asarray(video)
    if video.ndim == 3:
        video = video[..., None]
    if video.ndim != 4:
        raise ValueError(
            f"{name} must have shape (frames, height, width) or (frames, height, "
            f"width, channels); got {video.shape}. Reshape it."
        )
    if 0 in video.shape[1:]:
        raise ValueError(
            f"{name} must have at least one pixel; got shape {video.shape}. Remove it."
        )
    if len(video) < frames:
        raise ValueError(
            f"{name} must have at least {frames} frames, the length of a sequence; got "
            f"{len(video)}. Choose fewer `frames`, or remove it."
        )
    if video.dtype not in (np.uint8, np.bool_):
        if not np.issubdtype(video.dtype, np.floating):
            raise ValueError(
                f"{name} must have 8-bit integers, booleans, or floating-point numbers "
                f"in [0, 1]; got type {video.dtype}. Convert it."
            )
        check_pixels(video, name)
    return video


def check_pixels(x: Any, name: str) -> None:
    """Raise `ValueError` if pixels are not in [0, 1].

    Args:
        x: Array of pixels.
        name: Name of the array for error messages, such as "`frames`".
    """
    low, high = np.min(x), np.max(x)
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"{name} must have finite pixels; got NaN or infinity. Replace them by "
            "finite values."
        )
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} must have pixels in [0, 1]; got {low:g} to {high:g}. Divide 8-bit "
            "images by 255."
        )


def check_labels(labels: Any, n: int) -> np.ndarray:
    """Check the labels of `n` videos, and convert them to `int32`."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`labels` must be one integer label for each of the {n} videos; got "
            f"{labels.dtype} of shape {labels.shape}. Pass an array of integers."
        )
    if n and labels.min() < 0:
        raise ValueError(
            f"`labels` must be 0 or above; got {labels.min()}. Number the classes from "
            "0."
        )
    return labels.astype(np.int32)
