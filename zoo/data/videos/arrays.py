"""Your own videos in batches; `zoo.data.videos.files` reads them from a folder."""

import numpy as np

from zoo.data.epochs import SampleDataset, check_integer

LAYOUT = "NTHWC"  # videos, time, height, width, channels
CHANNELS = (1, 3, 4)  # of grey pictures, of coloured ones, and with transparency


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
            `frames`. Or one array of all, see `from_arrays`.
        labels: Integers, one for each video, or `None`.
        frames: Number of frames in a sequence, T.
        batch_size: Number of sequences in a batch, B.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        layout: The axes of the videos in their order, see `from_arrays`.

    Attributes:
        num_sequences: Number of sequences in an epoch.
        frame_shape: `(height, width, channels)`.

    Raises:
        ValueError: If the videos are not as above; which one is not is named.
    """

    def __init__(
        self,
        videos,
        labels=None,
        frames=10,
        batch_size=16,
        *,
        seed=0,
        fresh=False,
        layout=None,
    ):
        check_integer("frames", frames, 2)
        self.videos = check_videos(arranged(videos, layout, frames), frames)
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
    videos,
    labels=None,
    *,
    frames=10,
    batch_size=16,
    validation=0.1,
    seed=0,
    layout=None,
):
    """Build training and validation set from videos in memory.

    Args:
        videos: Array of shape `(videos, n, height, width[, channels])`, or a list of
            arrays without the first axis, of any length; see `Videos`.
        labels: Integers from 0, one for each video, or `None`.
        frames: Number of frames in a sequence.
        batch_size: Number of sequences in a batch.
        validation: Share of the videos, drawn at random, that is kept for validation.
        seed: Integer, at least 0: of that draw and of the training sequences.
        layout: The axes of the videos in their order, some order of the letters of
            `"NTHW"` or `"NTHWC"`: N videos, T frames, height, width and channels. The
            published file of Moving MNIST has `"TNHW"`, tensors of PyTorch mostly have
            `"NTCHW"`. In a list of videos the first letter is N. By default `"NTHW"`
            or `"NTHWC"`, and a shape that also fits another layout raises a
            `ValueError`: an array with more frames than videos, and at least `frames`
            of these; frames whose first axis may be channels; frames that are 1, 3 or
            4 pixels wide.

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
    kwargs = {"frames": frames, "batch_size": batch_size, "validation": validation}
    return divided(videos, labels, seed=seed, layout=layout, **kwargs)


def divided(
    videos,
    labels=None,
    *,
    names=None,
    layout=None,
    frames=10,
    batch_size=16,
    validation=0.1,
    seed=0,
):
    """See `from_arrays`; `names` of the videos are for what is wrong with one."""
    check_integer("frames", frames, 2)
    check_integer("seed", seed, 0)
    if not 0 < validation < 1:
        raise ValueError(f"`validation` must be between 0 and 1, not {validation!r}.")
    videos = arranged(videos, layout, frames)
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
        kwargs |= {"seed": seed, "layout": LAYOUT}
        return Videos(some, of_part, frames, batch_size, **kwargs)

    return part(np.sort(order[kept:]), fresh=True), part(np.sort(order[:kept]))


def arranged(videos, layout, frames):
    """Bring the axes of videos into the order NTHW or NTHWC.

    Args:
        videos: Array, or list of arrays.
        layout: See `from_arrays`.
        frames: Number of frames in a sequence.

    Returns:
        List of arrays of shape `(n, height, width)` or `(n, height, width, channels)`.

    Raises:
        ValueError: If they do not have that layout, or none is given and they may be
            read in two ways.
    """
    together = hasattr(videos, "shape")
    videos = np.asarray(videos) if together else [np.asarray(v) for v in videos]
    if layout is None:
        if together:
            check_time(videos.shape, frames)
        for i, video in enumerate(videos):
            check_channels(f"video {i}", video.shape)
        return list(videos)
    if sorted(str(layout)) not in (sorted(LAYOUT), sorted(LAYOUT[:-1])):
        raise ValueError(
            f"`layout` must have each letter of NTHW or NTHWC once; got {layout!r}."
        )
    if together:
        return list(in_order(videos, layout, LAYOUT))
    if layout[0] != "N":
        raise ValueError(
            f"`layout` must begin with N for a list of videos; got {layout!r}. Give a "
            "list over the videos, or one array."
        )
    return [in_order(video, layout[1:], LAYOUT[1:]) for video in videos]


def in_order(array, layout, wanted):
    """The axes of an array in the wanted order."""
    if array.ndim != len(layout):
        raise ValueError(
            f"`layout` must have a letter for each axis; got {layout!r} for the shape "
            f"{array.shape}."
        )
    return np.transpose(
        array, [layout.index(axis) for axis in wanted if axis in layout]
    )


def check_time(shape, frames):
    """Refuse an array in which time may come first, unless its layout is given."""
    if len(shape) in (4, 5) and frames <= shape[0] < shape[1]:
        first, second, *frame = shape
        frame = "CHW" if may_have_channels_first(frame) else "HWC"[: len(frame)]
        raise ValueError(
            f"`layout` must be given for videos of shape {shape}: 'NT{frame}' if they "
            f"are {first} videos of {second} frames, 'TN{frame}' if they are {second} "
            f"videos of {first} frames."
        )


def check_channels(name, shape):
    """Refuse a video of which it is not clear whether and where it has channels."""
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
            "the axis that is missing, or cut a single video into pieces and give a "
            "list of them."
        )


def may_have_channels_first(frame):
    """Whether a frame of that shape is more likely (C, H, W) than (H, W, C)."""
    return len(frame) == 3 and frame[0] in CHANNELS and frame[-1] not in (2, *CHANNELS)


def check_videos(videos, frames, names=None):
    """Arrays with channels; raises a `ValueError` that names the one that is none."""
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
