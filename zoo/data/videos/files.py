"""Datasets of videos from a folder: video files, animations, folders of images."""

import importlib.util
import math
import os
import warnings
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.epochs import check_boolean, check_integer
from zoo.data.pictures import PICTURES, listed, pictures
from zoo.data.videos.arrays import LAYOUT, Videos, divided
from zoo.data.videos.frames import ANIMATIONS, FILMS, read_video
from zoo.files import some


def from_folder(
    path: str | os.PathLike,
    size: tuple[int, int],
    *,
    colour: bool = False,
    labels: str | None = None,
    fps: float | None = None,
    crop_to_aspect_ratio: bool = False,
    **kwargs: Any,
) -> tuple[Videos, Videos] | tuple[Videos, Videos, list[str]]:
    """Return training and validation set of the videos in a folder.

    A video is

    - an `.mp4`, `.mov`, `.avi`, `.webm` or `.mkv` file, which is decoded by PyAV
      (`pip install av`);
    - an animated GIF, WebP or PNG;
    - a folder of images, in the order of their names (`frame9` before `frame10`).

    Frames are rotated by the orientation in the file, and transparent parts become
    black. One warning counts and names files that are not read. Hidden files and
    folders, whose names begin with a dot, are ignored without a warning.

    Args:
        path: The folder.
        size: `(height, width)` of the frames in pixels. Frames are scaled to it.
        colour: Whether frames are RGB. By default, they are grey.
        labels: `"folders"` if the folder has one subfolder of videos for each class, or
            `None` without labels.
        fps: Frames per second. By default, all frames of a video are used. Otherwise
            the frames are those on the screen at the times 0, 1 / fps, 2 / fps, ... The
            frame rate of a video must be at least `fps`. Folders of images have no
            frame rate, so they raise a `ValueError`.
        crop_to_aspect_ratio: Whether to keep the aspect ratio of a frame and crop its
            centre. By default, the whole frame is stretched to `size`.
        **kwargs: `frames`, `batch_size`, `validation` and `seed`, as in `from_arrays`.

    Returns:
        Training and validation set, each a `Videos`. With labels, also the list of the
        names of the classes.

    Raises:
        ValueError: If there are no videos, a file cannot be read, or an argument is
            invalid. The message names the file.
        ImportError: If there are only video files and PyAV is not installed.

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
        raise ValueError(
            f"`path` must be a folder of videos; {path} is not a folder. Check it."
        )
    if np.shape(size) != (2,):
        raise ValueError(
            f"`size` must be (height, width); got {size!r}. Pass two integers, such as "
            "(64, 64)."
        )
    for side in size:
        check_integer("size", side, 1)
    check_boolean("colour", colour)
    check_boolean("crop_to_aspect_ratio", crop_to_aspect_ratio)
    if labels not in (None, "folders"):
        raise ValueError(
            f"`labels` must be None or 'folders'; got {labels!r}. Choose one of these."
        )
    if fps is not None and not (isinstance(fps, Real) and 0 < fps < math.inf):
        raise ValueError(
            f"`fps` must be a number of frames per second above 0; got {fps!r}. Leave "
            "it out to read all frames."
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


def survey(
    path: Path, classes: list[Path]
) -> tuple[list[tuple[Path, int]], list[Path]]:
    """List the videos of a folder, and the files that will not be read.

    Args:
        path: The folder.
        classes: Subfolders of the classes, or `[path]` without classes.

    Returns:
        Pairs of a video and the index of its class, and files that will not be read.
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
    others += [p for p in classes if p != path and not listed(p)]
    return videos, sorted(others)


def has_pyav() -> bool:
    """Return whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def not_read(path: Path, others: list[Path]) -> str:
    """Return a text that counts and names files that are not read, with the reason."""
    names = [str(p.relative_to(path)) for p in others]
    text = f"{len(names)} file(s) or folder(s) that are not read: {some(names)}."
    if any(p.suffix.lower() in FILMS for p in others) and not has_pyav():
        return f"{text} Video files need PyAV: pip install av."
    return (
        f"{text} Videos are files ending in {', '.join((*FILMS, *ANIMATIONS))} and "
        f"folders of images ({', '.join(PICTURES)})."
    )


def nothing_to_read(path: Path, others: list[Path]) -> ValueError | ImportError:
    """Return the error for a folder without videos."""
    kind: type[ValueError] | type[ImportError] = ValueError
    if any(p.suffix.lower() in FILMS for p in others) and not has_pyav():
        kind = ImportError
    found = f" It has {not_read(path, others)}" if others else ""
    return kind(
        f"`path` must contain videos; {path} has no videos. Put video files or "
        f"animated GIFs into it, or a folder of images for each video.{found}"
    )


def tell_of_stretching(
    path: Path, size: tuple[int, int], shapes: Sequence[tuple[int, int]]
) -> None:
    """Warn if portrait and landscape videos are stretched to the same size."""
    portrait = sum(height > width for height, width in shapes)
    landscape = sum(height < width for height, width in shapes)
    if portrait and landscape:
        warnings.warn(
            f"{path} has {portrait} portrait and {landscape} landscape video(s), and "
            f"all are stretched to {size[0]} x {size[1]} pixels. Pass "
            "`crop_to_aspect_ratio=True` to keep their proportions.",
            stacklevel=3,
        )
