"""Folders of video files, animated pictures and folders of pictures."""

import contextlib
import importlib.util
import math
import re
import warnings
from numbers import Real
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.data.pictures import opaque, upright
from zoo.data.videos import LAYOUT, Videos, divided
from zoo.files import some

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
ANIMATIONS = (".gif", ".webp", ".png")
FILMS = (".mp4", ".mov", ".avi", ".webm", ".mkv")


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


def pictures(folder):
    """The pictures of a folder, in the order of their names."""
    return [p for p in listed(folder) if p.suffix.lower() in PICTURES and p.is_file()]


def listed(folder):
    """What is in a folder and not hidden, in the order of names."""
    return sorted(
        (p for p in folder.iterdir() if not p.name.startswith(".")), key=by_number
    )


def by_number(path):
    """Key that sorts `frame9` before `frame10`."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part for part in parts]


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


def read_video(path, size, mode="L", crop_to_aspect_ratio=False, fps=None):
    """Read the frames of a video file, an animated picture or a folder of pictures.

    Args:
        path: `pathlib.Path`.
        size: `(height, width)` to which frames are scaled.
        mode: `"L"` for grey frames, `"RGB"` for colours.
        crop_to_aspect_ratio: See `from_folder`.
        fps: See `from_folder`.

    Returns:
        `uint8` of shape `(n, height, width, 1 or 3)`, and height and width of the
        frames in the file.

    Raises:
        ValueError: If it is none of these, or cannot be read.
    """
    from PIL import ImageOps

    if path.is_dir():
        images = still_pictures(path, mode, fps)
    elif path.suffix.lower() in FILMS:
        images = film(path, mode, fps)
    else:
        images = animation(path, mode, fps)
    frames, width_first = [], tuple(size)[::-1]
    for name, image in images:
        if not frames:
            whole = image.size
        if image.size != whole:
            raise ValueError(
                f"{name} must have frames of one size; got {whole[1]} x {whole[0]} "
                f"pixels and later {image.size[1]} x {image.size[0]}. Scale them to "
                "one size."
            )
        if crop_to_aspect_ratio:
            image = ImageOps.fit(image, width_first)
        else:
            image = image.resize(width_first)
        frames.append(np.asarray(image))
    if not frames:
        raise ValueError(f"{path} has no frames: replace it or take it away.")
    return np.stack(frames).reshape(len(frames), *size, -1), whole[::-1]


def still_pictures(folder, mode, fps):
    """Yield the pictures of a folder, each with its name."""
    files = pictures(folder)
    if not files:
        raise ValueError(
            f"{folder} has no pictures: fill it or take it away. If it is a class that "
            "holds videos, give `labels='folders'`."
        )
    if fps is not None:
        raise has_no_rate(folder)
    for file in files:
        with opened(file) as image:
            yield file, opaque(upright(image), mode)


def animation(path, mode, fps):
    """Yield the frames of an animated picture, each with its name."""
    from PIL import ImageSequence

    def frames(image):
        time = 0.0  # seconds
        for frame in ImageSequence.Iterator(image):
            picture = opaque(upright(frame), mode)  # which loads it and its duration
            duration = frame.info.get("duration", 0)  # milliseconds
            if fps is not None and not duration:
                raise has_no_rate(path)
            yield time, picture
            time += duration / 1000

    with opened(path) as image:
        yield from ((path, picture) for picture in sampled(path, frames(image), fps))


def film(path, mode, fps):
    """Yield the frames of a video file, each with its name."""
    import av
    from PIL import Image

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise ValueError(f"{path} has no video track: take it away.")
            stream = file.streams.video[0]
            check_format(path, stream)
            for frame in sampled(path, decoded(path, file, stream), fps):
                if any(part.is_alpha for part in frame.format.components):
                    image = Image.fromarray(frame.to_ndarray(format="rgba"))
                else:
                    image = frame.to_image()
                # Phones lie on their sides: exact for quarter turns.
                image = image.rotate(frame.rotation, expand=True)
                yield path, opaque(image, mode)
    except av.FFmpegError as error:
        raise damaged(path) from error


def check_format(path, stream):
    """Refuse more than 8 bits in a channel, and alpha that the decoder would drop."""
    remedy = f"Convert it: ffmpeg -i {path.name} -pix_fmt yuv420p converted.mp4"
    bits = max((part.bits for part in stream.format.components), default=8)
    if bits > 8:
        raise ValueError(f"{path} must have 8 bits in a channel; got {bits}. {remedy}")
    if stream.metadata.get("alpha_mode") == "1":
        raise ValueError(
            f"{path} must be opaque; got transparency that is not decoded. {remedy}"
        )


def decoded(path, file, stream):
    """Yield the time in seconds and the frame, for each frame of a video."""
    end = count = 0
    for packet in file.demux(stream):
        if packet.is_corrupt:
            raise damaged(path)
        for frame in packet.decode():
            if frame.is_corrupt:
                raise damaged(path)
            time = frame.time
            if time is None:
                time = count / (stream.guessed_rate or 25)
            yield float(time), frame
            count += 1
            end = time + (frame.duration or 0) * (frame.time_base or 0)
    length = file.duration and file.duration / 1e6  # microseconds
    if stream.duration is not None:
        length = stream.duration * stream.time_base
    if length and end < 0.9 * length:
        warnings.warn(
            f"{path} should last {float(length):.1f} seconds, and its frames end after "
            f"{float(end):.1f}. It may be cut off.",
            stacklevel=2,
        )


def damaged(path):
    return ValueError(
        f"{path} cannot be read as a video, it is damaged or cut off: replace it or "
        "take it away."
    )


def sampled(path, timed, fps):
    """Yield the frames on the screen at the times 0, 1 / fps, 2 / fps, ...

    Args:
        path: Of the video, for what is wrong with it.
        timed: Pairs of a time in seconds and a frame.
        fps: Frames a second, or `None` for all frames.
    """
    if fps is None:
        yield from (frame for _, frame in timed)
        return
    rounding = 0.001  # Some files count in milliseconds.
    begin = now = last = None
    wanted = count = 0
    for time, frame in timed:
        begin = time if begin is None else begin
        now = time - begin
        while last is not None and wanted / fps < now - rounding:
            yield last
            wanted += 1
        last = frame
        count += 1
    if count > 1 and fps * now > 1.05 * (count - 1):
        raise ValueError(
            f"`fps` must be at most the rate of {path}, {(count - 1) / now:.3g} frames "
            f"a second; got {fps}. Choose a lower rate."
        )
    if last is not None and wanted / fps <= now + rounding:
        yield last


def has_no_rate(path):
    return ValueError(
        f"{path} must have a frame rate where `fps` is given; got pictures without "
        "one. Leave `fps` out."
    )


@contextlib.contextmanager
def opened(file):
    """An open picture of 8 bits in a channel; one that is damaged is named."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode[0] in "IF":
                raise ValueError(
                    f"{file} has more than 8 bits in a channel: convert it to 8, "
                    "or give an array in [0, 1] to `zoo.data.from_arrays`."
                )
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as a picture: mend it or take it away."
        ) from error
