"""Datasets of videos from arrays, and the order of the axes of these arrays.

`zoo.data.videos.files` reads videos from a folder.
"""

import os
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from zoo.data.epochs import SampleDataset, check_integer
from zoo.data.videos.checks import check_labels, check_videos

LAYOUT = "NTHWC"  # videos, time, height, width, channels
CHANNELS = (1, 3, 4)  # grey, RGB, RGB with transparency


class Videos(SampleDataset):
    """Batches of sequences of frames that are cut out of videos.

    A batch is `(x, y)`. `x` are the frames, `float32` of shape
    `(B, T, height, width, channels)`, values in [0, 1]. `y` is a dictionary of

    - `"frame"`: the same frames as `x`, for the task of next-step prediction;
    - `"class"`: the labels, `int32` of shape `(B,)`, if there are labels.

    With `fresh=True`, each epoch has a new order of the videos and cuts each video at a
    new random place. A last batch that is not full is dropped. With `fresh=False`, all
    epochs have the first frames of each video.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        videos: List of arrays of shape `(n, height, width)` or
            `(n, height, width, channels)`: 8-bit integers, booleans, or floating-point
            numbers in [0, 1]. The number of frames, n, may vary and must be at least
            `frames`. One array of all videos also works, see `from_arrays`.
        labels: One integer of at least 0 for each video, or `None`.
        frames: Number of frames in a sequence, `T`.
        batch_size: Number of sequences in a batch, `B`.
        seed: Seed of the sequences, an integer of at least 0.
        fresh: Whether sequences are drawn again for each epoch.
        layout: Order of the axes, such as `"NTHWC"`, see `from_arrays`.

    Attributes:
        num_sequences: Number of sequences in an epoch.
        frame_shape: `(height, width, channels)`.

    Raises:
        ValueError: If an argument is invalid. The message names the video.
    """

    def __init__(
        self,
        videos: np.ndarray | Sequence[np.ndarray],
        labels: np.ndarray | Sequence[int] | None = None,
        frames: int = 10,
        batch_size: int = 16,
        *,
        seed: int = 0,
        fresh: bool = False,
        layout: str | None = None,
    ):
        check_integer("frames", frames, 2)
        self.videos = check_videos(arranged(videos, layout, frames), frames)
        self.frame_shape = self.videos[0].shape[1:]
        self.labels = None if labels is None else check_labels(labels, len(self.videos))
        self.frames = frames
        super().__init__(len(self.videos), batch_size, seed, fresh, "videos")

    def batch(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        n = len(self.videos)
        order, places = np.arange(n), np.zeros(n)
        if self.fresh:
            rng = np.random.default_rng([self.seed, self.epoch])
            order, places = rng.permutation(n), rng.random(n)
        chosen = order[self.place(index)]
        x = np.stack([self.cut(self.videos[i], places[i]) for i in chosen])
        y = {"frame": x}
        if self.labels is not None:
            y["class"] = self.labels[chosen]
        return x, y

    def cut(self, video: np.ndarray, place: float) -> np.ndarray:
        """Cut a sequence out of a video.

        Args:
            video: The video.
            place: Position of the first frame, from 0 (earliest) to 1 (latest).
        """
        first = int(place * (len(video) - self.frames + 1))
        frames = video[first : first + self.frames]
        scale = 255 if frames.dtype == np.uint8 else 1
        return frames.astype(np.float32) / scale


def from_arrays(
    videos: np.ndarray | Sequence[np.ndarray],
    labels: np.ndarray | Sequence[int] | None = None,
    *,
    frames: int = 10,
    batch_size: int = 16,
    validation: float = 0.1,
    seed: int = 0,
    layout: str | None = None,
) -> tuple[Videos, Videos]:
    """Return training and validation set of videos in memory.

    Args:
        videos: Array of shape `(videos, n, height, width[, channels])`, or a list of
            arrays of shape `(n, height, width[, channels])`, in which n may vary. They
            are 8-bit integers, booleans, or floating-point numbers in [0, 1].
        labels: One integer of at least 0 for each video, or `None`.
        frames: Number of frames in a sequence.
        batch_size: Number of sequences in a batch.
        validation: Fraction of the videos in the validation set. They are chosen at
            random.
        seed: Seed of this choice and of the training sequences, an integer of at least
            0.
        layout: Order of the axes: the letters of `"NTHW"` or `"NTHWC"` in any order,
            for N videos, T frames, height, width and channels. The published file of
            Moving MNIST has `"TNHW"`; PyTorch tensors usually have `"NTCHW"`. For a
            list of videos the first letter must be N. The default is `"NTHW"` or
            `"NTHWC"`. Shapes that also fit another layout then raise `ValueError`:

            - arrays with at least `frames` videos and more frames than videos;
            - frames whose first axis may be the channels;
            - frames without channels that are 1, 3 or 4 pixels wide.

    Returns:
        Training and validation set, each a `Videos`.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> videos = np.zeros((20, 12, 8, 8, 1))
        >>> train, valid = zoo.data.from_arrays(videos, frames=10, batch_size=4)
        >>> train.frame_shape, train[0][0].shape, valid.num_sequences
        ((8, 8, 1), (4, 10, 8, 8, 1), 2)
    """
    return divided(
        videos,
        labels,
        frames=frames,
        batch_size=batch_size,
        validation=validation,
        seed=seed,
        layout=layout,
    )


def divided(
    videos: np.ndarray | Sequence[np.ndarray],
    labels: np.ndarray | Sequence[int] | None = None,
    *,
    names: list[str] | None = None,
    layout: str | None = None,
    frames: int = 10,
    batch_size: int = 16,
    validation: float = 0.1,
    seed: int = 0,
) -> tuple[Videos, Videos]:
    """Return training and validation set as `from_arrays` does.

    `names` are the names of the videos for error messages. The other arguments are
    those of `from_arrays`.
    """
    check_integer("frames", frames, 2)
    check_integer("seed", seed, 0)
    if not isinstance(validation, Real) or not 0 < validation < 1:
        raise ValueError(
            f"`validation` must be between 0 and 1; got {validation!r}. Choose a "
            "fraction such as 0.1."
        )
    videos = arranged(videos, layout, frames)
    if len(videos) < 2:
        raise ValueError(
            "`videos` must contain at least two videos, for training and validation; "
            f"got {len(videos)}. Add videos, or cut a long one into pieces."
        )
    videos = check_videos(videos, frames, names)
    labels = None if labels is None else check_labels(labels, len(videos))
    order = np.random.default_rng(seed).permutation(len(videos))
    kept = min(max(1, round(validation * len(videos))), len(videos) - 1)

    def part(chosen: np.ndarray, **kwargs: Any) -> Videos:
        of_part = None if labels is None else labels[chosen]
        some = [videos[i] for i in chosen]
        kwargs |= {"seed": seed, "layout": LAYOUT}
        return Videos(some, of_part, frames, batch_size, **kwargs)

    return part(np.sort(order[kept:]), fresh=True), part(np.sort(order[:kept]))


def arranged(
    videos: np.ndarray | Sequence[np.ndarray], layout: str | None, frames: int
) -> list[np.ndarray]:
    """Transpose the axes of videos to the order NTHW or NTHWC.

    Args:
        videos: Array, or list of arrays.
        layout: Order of the axes, as in `from_arrays`.
        frames: Number of frames in a sequence.

    Returns:
        List of arrays of shape `(n, height, width)` or `(n, height, width, channels)`.

    Raises:
        ValueError: If the shapes do not fit the layout, or if there is no layout and
            the shapes are ambiguous.
    """
    if videos is None or isinstance(videos, str | os.PathLike):
        raise ValueError(
            f"`videos` must be an array or a list of arrays; got {videos!r}. Load a "
            "file with np.load, or a folder with zoo.data.from_folder."
        )
    together = np.asarray(videos) if hasattr(videos, "shape") else None
    each = [np.asarray(v) for v in (videos if together is None else together)]
    if layout is None:
        if together is not None:
            check_time(together.shape, frames)
        for i, video in enumerate(each):
            check_channels(f"video {i}", video.shape)
        return each
    if sorted(str(layout)) not in (sorted(LAYOUT), sorted(LAYOUT[:-1])):
        raise ValueError(
            f"`layout` must have each letter of NTHW or NTHWC once; got {layout!r}. "
            "Write it like 'NTHWC'."
        )
    if together is not None:
        return list(in_order(together, layout, LAYOUT))
    if layout[0] != "N":
        raise ValueError(
            f"`layout` must begin with N for a list of videos; got {layout!r}. Pass a "
            "list with one array for each video, or a single array."
        )
    return [in_order(video, layout[1:], LAYOUT[1:]) for video in each]


def in_order(array: np.ndarray, layout: str, wanted: str) -> np.ndarray:
    """Transpose an array from one layout to another."""
    if array.ndim != len(layout):
        raise ValueError(
            f"`layout` must have a letter for each axis; got {layout!r} for the shape "
            f"{array.shape}. Write one letter for each axis."
        )
    return np.transpose(
        array, [layout.index(axis) for axis in wanted if axis in layout]
    )


def check_time(shape: tuple[int, ...], frames: int) -> None:
    """Raise `ValueError` if the first axis of all videos may be the time axis."""
    if len(shape) in (4, 5) and frames <= shape[0] < shape[1]:
        first, second, *frame = shape
        axes = "CHW" if may_have_channels_first(frame) else "HWC"[: len(frame)]
        raise ValueError(
            f"`layout` must be given for videos of shape {shape}: 'NT{axes}' if they "
            f"are {first} videos of {second} frames, 'TN{axes}' if they are {second} "
            f"videos of {first} frames."
        )


def check_channels(name: str, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` if it is not clear which axis of a video has the channels."""
    if may_have_channels_first(shape[1:]):
        raise ValueError(
            f"`layout` must be given for {name} of shape {shape}: 'NTHWC' if it is "
            f"{shape[1]} pixels high and has {shape[-1]} channels, 'NTCHW' if it has "
            f"{shape[1]} channels first."
        )
    if len(shape) == 3 and shape[-1] in CHANNELS:
        raise ValueError(
            f"`layout` must be given for {name} of shape {shape}: 'NTHW' if it is "
            f"{shape[-1]} pixels wide. If {shape[-1]} is its number of channels, add "
            "the axis that is missing, or cut a single video into pieces and pass "
            "a list of them."
        )


def may_have_channels_first(frame: Sequence[int]) -> bool:
    """Return whether a shape is more likely `(C, H, W)` than `(H, W, C)`."""
    return len(frame) == 3 and frame[0] in CHANNELS and frame[-1] not in (2, *CHANNELS)
