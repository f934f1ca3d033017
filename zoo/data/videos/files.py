"""Your own videos from a folder: video files, animations, folders of pictures."""

import importlib.util
import math
import warnings
from numbers import Real
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.data.pictures import PICTURES, listed, pictures
from zoo.data.videos.arrays import LAYOUT, Videos, divided
from zoo.data.videos.frames import ANIMATIONS, FILMS, read_video
from zoo.files import some


def from_folder(
    path,
    size,
    *,
    colour=False,
    labels=None,
    fps=None,
    crop_to_aspect_ratio=False,
    **kwargs,
) -> tuple[Videos, ...]:
    """Load training and validation set from a folder of videos.

    A video is

    - an `.mp4`, `.mov`, `.avi`, `.webm` or `.mkv` file, which PyAV decodes
      (`pip install av`);
    - an animated GIF, WebP or PNG;
    - a folder of pictures, in the alphabetic order of their names (numbers by their
      value).

    Frames are turned upright as the files say, and transparent parts are black. One
    warning names and counts what is in the folder and not read. Hidden files and
    folders, whose names begin with a dot, are left out without a warning.

    Args:
        path: The folder.
        size: `(height, width)` to which frames are scaled.
        colour: Whether frames have three channels, and not one.
        labels: `None`, or `"folders"`: videos are in one folder for each class.
        fps: Frames a second, by default all that a video has. The frames are those on
            the screen at the times 0, 1 / fps, 2 / fps, ... A video must have that rate
            or a higher one; folders of pictures have none.
        crop_to_aspect_ratio: Whether to keep the proportions of a frame and crop its
            middle. By default the whole frame is stretched to `size`.
        **kwargs: `frames`, `batch_size`, `validation` and `seed`, see `from_arrays`.

    Returns:
        Training and validation set, each a `Videos`; with labels also the names of the
        classes.

    Raises:
        ValueError: If there are no videos, a file cannot be read, which is named, or
            an argument is not as above.
        ImportError: If there are only video files, and PyAV is not installed.

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
    if fps is not None and not (isinstance(fps, Real) and 0 < fps < math.inf):
        raise ValueError(
            f"`fps` must be a number of frames a second above 0; got {fps!r}. Leave it "
            "out to read all frames."
        )
    classes = [p for p in listed(path) if p.is_dir()] if labels else [path]
    videos, others = survey(path, classes)
    if not videos:
        raise nothing_to_read(path, others)
    if others:
        warnings.warn(f"{path} has {not_read(path, others)}", stacklevel=2)

    mode = "RGB" if colour else "L"
    read = [read_video(v, size, mode, crop_to_aspect_ratio, fps) for v, _ in videos]
    if not crop_to_aspect_ratio:
        tell_of_stretching(path, size, [shape for _, shape in read])
    of_class = [label for _, label in videos] if labels else None
    names = [str(video) for video, _ in videos]
    arrays = [frames for frames, _ in read]
    sets = divided(arrays, of_class, names=names, layout=LAYOUT, **kwargs)
    return (*sets, [folder.name for folder in classes]) if labels else sets


def survey(path, classes):
    """Tell what is in a folder.

    Args:
        path: The folder.
        classes: The folders in it that hold videos, or `[path]`.

    Returns:
        Pairs of a video and the index of its class, and a list of what is not read.
    """
    suffixes = ANIMATIONS + (FILMS if has_pyav() else ())
    videos = [
        (video, label)
        for label, folder in enumerate(classes)
        for video in listed(folder)
        if video.is_dir() or video.suffix.lower() in suffixes
    ]
    read = {video for video, _ in videos} | set(classes)
    for video, _ in videos:
        if video.is_dir():
            read.update(pictures(video))
    folders = {path, *classes, *(video for video in read if video.is_dir())}
    others = [p for folder in folders for p in listed(folder) if p not in read]
    others += [folder for folder in classes if not listed(folder)]
    return videos, sorted(others)


def has_pyav():
    return importlib.util.find_spec("av") is not None


def not_read(path, others):
    """Name and count files that are not read, with the reason."""
    names = [str(p.relative_to(path)) for p in others]
    text = f"{len(names)} file(s) or folder(s) that are not read: {some(names)}."
    if any(p.suffix.lower() in FILMS for p in others) and not has_pyav():
        return f"{text} Video files need PyAV: pip install av."
    return (
        f"{text} Videos are files ending in {', '.join((*FILMS, *ANIMATIONS))} and "
        f"folders of pictures ({', '.join(PICTURES)})."
    )


def nothing_to_read(path, others):
    """The error for a folder without videos."""
    kind = ValueError
    if any(p.suffix.lower() in FILMS for p in others) and not has_pyav():
        kind = ImportError
    found = f" It has {not_read(path, others)}" if others else ""
    return kind(
        f"{path} has no videos: put video files or animated GIFs into it, or a folder "
        f"of pictures for each video.{found}"
    )


def tell_of_stretching(path, size, shapes):
    """Warn if upright and lying videos are stretched to the same frames."""
    portrait = sum(height > width for height, width in shapes)
    landscape = sum(height < width for height, width in shapes)
    if portrait and landscape:
        warnings.warn(
            f"{path} has {portrait} portrait and {landscape} landscape video(s), and "
            f"all are stretched to {size[0]} x {size[1]} pixels. Give "
            "`crop_to_aspect_ratio=True` to keep their proportions.",
            stacklevel=3,
        )
