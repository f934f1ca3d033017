"""Videos of one's own in batches: from arrays, or from a folder of files."""

import os
import re
from pathlib import Path

import numpy as np

from zoo.data.epochs import SampleDataset, check_integer

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FILMS = (".gif", ".webp", ".png")


class Videos(SampleDataset):
    """Batches of sequences of frames, cut out of videos.

    A batch is `(x, y)`: `x` are the frames, `float32` of shape `(B, T, height, width,
    channels)` in [0, 1], and `y` is a dictionary of `"frame"`, the frames once more,
    for the task of next-step prediction, and `"class"`, the labels, where there are
    any.

    With `fresh=True` each epoch has the videos in an order of its own, cuts each at a
    place of its own, and leaves out a last batch that is not full. With `fresh=False`
    every epoch has the first frames of each video.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        videos: Arrays of shape `(n, height, width)` or `(n, height, width, channels)`,
            8-bit or floating-point numbers in [0, 1]; n may vary, and is at least
            `frames`.
        labels: Integers, one for each video, or `None`.
        frames: Number of frames in a sequence, T.
        batch_size: Number of sequences in a batch, B.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.

    Attributes:
        num_sequences: Number of sequences in an epoch.
        frame_shape: `(height, width, channels)`.

    Raises:
        ValueError: If the videos are not as above; which one is not is named.
    """

    def __init__(
        self, videos, labels=None, frames=10, batch_size=16, *, seed=0, fresh=False
    ):
        self.videos = check_videos(videos, frames)
        self.frame_shape = self.videos[0].shape[1:]
        self.labels = None if labels is None else check_labels(labels, len(self.videos))
        self.frames = frames
        super().__init__(len(self.videos), batch_size, seed, fresh, "videos")

    def batch(self, index):
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

    def cut(self, video, place):
        """Frames of a video, from `place`, between 0 and 1, of where they may begin."""
        first = int(place * (len(video) - self.frames + 1))
        frames = video[first : first + self.frames]
        scale = 255 if frames.dtype == np.uint8 else 1
        return frames.astype(np.float32) / scale


def from_arrays(
    videos, labels=None, *, frames=10, batch_size=16, validation=0.1, seed=0
):
    """Training and validation set from videos in memory.

    Args:
        videos: Array of shape `(videos, n, height, width[, channels])`, or a list of
            arrays without the first axis, of any length; see `Videos`. (The published
            file of Moving MNIST has time first: `np.moveaxis(x, 1, 0)`.)
        labels: Integers from 0, one for each video, or `None`.
        frames: Number of frames in a sequence.
        batch_size: Number of sequences in a batch.
        validation: Share of the videos, drawn at random, that is kept for validation.
        seed: Integer, at least 0: of that draw and of the training sequences.

    Returns:
        Training and validation set, each a `Videos`.

    Raises:
        ValueError: If an argument is not as above.

    Examples:
        >>> videos = np.zeros((20, 12, 8, 8, 1))
        >>> train, valid = zoo.data.from_arrays(videos, frames=10, batch_size=4)
        >>> train.frame_shape, train[0][0].shape, valid.num_sequences
        ((8, 8, 1), (4, 10, 8, 8, 1), 2)
    """
    shape = np.shape(videos) if isinstance(videos, np.ndarray) else ()
    if len(shape) == 4 and shape[-1] in (1, 3, 4):
        raise ValueError(
            f"An array of shape {shape} would be of {shape[0]} videos that are "
            f"{shape[-1]} pixels wide: add the axis of the channels, [..., None], or, "
            "if it is one video, cut it into pieces and give a list of them."
        )
    return divided(videos, None, labels, frames, batch_size, validation, seed)


def divided(
    videos, names, labels=None, frames=10, batch_size=16, validation=0.1, seed=0
):
    """See `from_arrays`; `names` of the videos are for what is wrong with one."""
    videos = list(videos)
    check_integer("seed", seed, 0)
    if not 0 < validation < 1:
        raise ValueError(f"`validation` must be between 0 and 1, not {validation!r}.")
    if len(videos) < 2:
        raise ValueError(
            f"{len(videos)} video(s) cannot be divided into training and validation "
            "set: give at least two, or cut a long one into pieces."
        )
    videos = check_videos(videos, frames, names)
    labels = None if labels is None else check_labels(labels, len(videos))
    order = np.random.default_rng(seed).permutation(len(videos))
    kept = min(max(1, round(validation * len(videos))), len(videos) - 1)

    def part(chosen, **kwargs):
        of_part = None if labels is None else labels[chosen]
        some = [videos[i] for i in chosen]
        return Videos(some, of_part, frames, batch_size, seed=seed, **kwargs)

    return part(np.sort(order[kept:]), fresh=True), part(np.sort(order[:kept]))


def from_folder(path, size, *, colour=False, labels=None, **kwargs):
    """Training and validation set from a folder of videos.

    A video is an animated GIF, WebP or PNG, or a folder of pictures, whose names in
    alphabetic order (numbers by their value) are their order in time. Hidden files and
    folders, whose names begin with a dot, are passed over.

    Args:
        path: The folder.
        size: `(height, width)` to which frames are scaled.
        colour: Whether frames have three channels, and not one.
        labels: `None`, or `"folders"`: videos are in one folder for each class.
        **kwargs: See `from_arrays`.

    Returns:
        Training and validation set, each a `Videos`; with labels also the names of the
        classes.

    Raises:
        ValueError: If there are no videos, a file cannot be read, which is named, or
            an argument is not as above.

    Examples:
        >>> from PIL import Image
        >>> first, *others = (Image.new("L", (64, 48), 20 * i) for i in range(12))
        >>> for name in ("a.gif", "b.gif"):
        ...     first.save(name, save_all=True, append_images=others)
        >>> train, valid = zoo.data.from_folder(".", (24, 32), frames=10, batch_size=1)
        >>> train[0][0].shape
        (1, 10, 24, 32, 1)
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder: give one that holds videos.")
    if np.shape(size) != (2,):
        raise ValueError(f"`size` must be (height, width), and it is {size!r}.")
    for side in size:
        check_integer("size", side, 1)
    if labels not in (None, "folders"):
        raise ValueError(f"`labels` must be None or 'folders', not {labels!r}.")
    classes = [path]
    if labels:
        classes = [p for p in listed(path) if p.is_dir()]
    places = [
        (video, label)
        for label, folder in enumerate(classes)
        for video in listed(folder)
        if video.is_dir() or video.suffix.lower() in FILMS
    ]
    if not places:
        raise ValueError(
            f"{path} has no videos: put animated GIFs into it, or a folder of pictures "
            "for each video."
        )
    videos = [read_video(video, size, colour) for video, _ in places]
    of_class = [label for _, label in places] if labels else None
    names = [str(video) for video, _ in places]
    sets = divided(videos, names, of_class, **kwargs)
    return (*sets, [folder.name for folder in classes]) if labels else sets


def read_video(path, size, colour=False):
    """Frames of an animated picture, or of a folder of pictures.

    Args:
        path: `pathlib.Path`.
        size: `(height, width)` to which frames are scaled.
        colour: Whether frames have three channels, and not one.

    Returns:
        `uint8` of shape `(n, height, width, 1 or 3)`.

    Raises:
        ValueError: If it is neither, or cannot be read.
    """
    from PIL import Image, ImageSequence, UnidentifiedImageError

    mode, width_first = ("RGB" if colour else "L"), tuple(size)[::-1]
    files = [path]
    if path.is_dir():
        files = [p for p in listed(path) if p.suffix.lower() in PICTURES]
    frames = []
    for file in files:
        try:
            with Image.open(file) as image:
                still = path.is_dir()
                if image.mode[0] in "IF":
                    raise ValueError(
                        f"{file} has more than 8 bits in a channel: convert it to 8, "
                        "or give an array in [0, 1] to `zoo.data.from_arrays`."
                    )
                for frame in [image] if still else ImageSequence.Iterator(image):
                    frames.append(np.asarray(frame.convert(mode).resize(width_first)))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(
                f"{file} cannot be read as a picture: mend it or take it away."
            ) from error
    if not frames:
        raise ValueError(f"{path} has no pictures: fill it or take it away.")
    return np.stack(frames).reshape(len(frames), *size, -1)


def listed(folder: Path):
    """What is in a folder and not hidden, in the order of names."""
    return sorted(
        (p for p in folder.iterdir() if not p.name.startswith(".")), key=by_number
    )


def by_number(path: os.PathLike):
    """Key that sorts `frame9` before `frame10`."""
    parts = re.split(r"(\d+)", Path(path).name)
    return [int(part) if part.isdigit() else part for part in parts]


def check_videos(videos, frames, names=None):
    """Arrays with channels; raises a `ValueError` that names the one that is none."""
    check_integer("frames", frames, 2)
    videos = list(videos)
    names = names or [f"Video {i}" for i in range(len(videos))]
    videos = [check_video(*n, frames) for n in zip(names, videos, strict=True)]
    if not videos:
        raise ValueError("There are no videos: give at least one.")
    for name, video in zip(names, videos, strict=True):
        if video.shape[1:] != videos[0].shape[1:]:
            raise ValueError(
                f"{name} has frames of shape {video.shape[1:]}, and {names[0]} of "
                f"{videos[0].shape[1:]}: scale them to one size."
            )
    highest = {
        name: video.max()
        for name, video in zip(names, videos, strict=True)
        if video.dtype == np.uint8
    }
    if highest and max(highest.values()) == 1:
        raise ValueError(
            f"{max(highest, key=highest.get)} has 8-bit pixels of 0 and 1, where white "
            "is 255: give binary videos as booleans, video.astype(bool)."
        )
    return videos


def check_video(name, video, frames):
    """The array with channels; raises a `ValueError` if it is no video."""
    video = np.asarray(video)
    if video.ndim == 3:
        video = video[..., None]
    if video.ndim != 4:
        raise ValueError(
            f"{name} has shape {video.shape}, and must have (frames, height, width) "
            "or (frames, height, width, channels)."
        )
    _, height, _, channels = video.shape
    if height in (1, 3, 4) and channels not in (1, 2, 3, 4):
        raise ValueError(
            f"{name} has shape {video.shape}, which looks like channels first, and "
            "they must come last: np.moveaxis(video, 1, -1)."
        )
    if 0 in video.shape[1:]:
        raise ValueError(f"{name} has no pixels: its shape is {video.shape}.")
    if len(video) < frames:
        raise ValueError(
            f"{name} has {len(video)} frames, and a sequence {frames}: ask for "
            "fewer `frames`, or take it away."
        )
    if video.dtype not in (np.uint8, np.bool_):
        if not np.issubdtype(video.dtype, np.floating):
            raise ValueError(
                f"{name} has numbers of type {video.dtype}: give 8-bit integers, "
                "booleans, or floating-point numbers in [0, 1]."
            )
        check_pixels(video, f"{name} has")
    return video


def check_pixels(x, who_has):
    """Refuse pixels that are not in [0, 1]; `who_has` begins the message."""
    low, high = np.min(x), np.max(x)
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{who_has} NaN or infinite pixels: clean them first.")
    if low < 0 or high > 1:
        raise ValueError(
            f"{who_has} pixels between {low:g} and {high:g}, and they must be in "
            "[0, 1]: divide 8-bit images by 255."
        )


def check_labels(labels, n):
    """Labels as an array of `int32`, from 0."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"There must be one integer label for each of the {n} videos, and the "
            f"labels are {labels.dtype} of shape {labels.shape}."
        )
    if n and labels.min() < 0:
        raise ValueError("Labels must be 0 or above.")
    return labels.astype(np.int32)
