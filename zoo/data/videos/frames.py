"""Reading of the frames of video files, animated images and folders of images.

PyAV and Pillow are imported only when a function needs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.pictures import opaque, opened, pictures, upright

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".webp", ".png")
FILMS = (".mp4", ".mov", ".avi", ".webm", ".mkv")


def read_video(
    path: Path,
    size: tuple[int, int],
    mode: str = "L",
    crop_to_aspect_ratio: bool = False,
    fps: float | None = None,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Read the frames of a video file, an animated image or a folder of images.

    Args:
        path: `pathlib.Path` of the file or folder.
        size: `(height, width)` of the frames in pixels. Frames are scaled to it.
        mode: `"L"` for grey frames, `"RGB"` for colour frames.
        crop_to_aspect_ratio: Whether to keep the aspect ratio of a frame and crop its
            centre. By default, the whole frame is stretched to `size`.
        fps: Frames per second. By default, all frames are read.

    Returns:
        Frames, `uint8` of shape `(n, height, width, 1 or 3)`, and `(height, width)` of
        the frames in the file.

    Raises:
        ValueError: If the file cannot be read, or has frames of several sizes.
    """
    from PIL import ImageOps

    if path.is_dir():
        images = still_pictures(path, mode, fps)
    elif path.suffix.lower() in FILMS:
        images = film(path, mode, fps)
    else:
        images = animation(path, mode, fps)
    frames: list[np.ndarray] = []
    height, width = size
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
            image = ImageOps.fit(image, (width, height))
        else:
            image = image.resize((width, height))
        frames.append(np.asarray(image))
    if not frames:
        raise ValueError(
            f"{path} must have at least one frame; it has no frames. Replace or remove "
            "it."
        )
    return np.stack(frames).reshape(len(frames), *size, -1), whole[::-1]


def still_pictures(
    folder: Path, mode: str, fps: float | None
) -> Iterator[tuple[Path, Image]]:
    """Yield path and content of the images of a folder."""
    files = pictures(folder)
    if not files:
        raise ValueError(
            f"{folder} must contain the frames of a video as images; it has no images. "
            "Remove the folder. If it is the folder of a class, pass "
            "`labels='folders'`."
        )
    if fps is not None:
        raise has_no_rate(folder)
    for file in files:
        with opened(file) as image:
            yield file, opaque(upright(image), mode)


def animation(path: Path, mode: str, fps: float | None) -> Iterator[tuple[Path, Image]]:
    """Yield the path and each frame of an animated image."""
    from PIL import ImageSequence

    def frames(image):
        time = 0.0  # seconds
        for frame in ImageSequence.Iterator(image):
            picture = opaque(upright(frame), mode)  # also loads the duration
            duration = frame.info.get("duration", 0)  # milliseconds
            if fps is not None and not duration:
                raise has_no_rate(path)
            yield time, picture
            time += duration / 1000

    with opened(path) as image:
        yield from ((path, picture) for picture in sampled(path, frames(image), fps))


def film(path: Path, mode: str, fps: float | None) -> Iterator[tuple[Path, Image]]:
    """Yield the path and each frame of a video file."""
    import av
    from PIL import Image

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise ValueError(
                    f"{path} must have a video track; it has no video track. Remove it."
                )
            stream = file.streams.video[0]
            check_format(path, stream)
            for frame in sampled(path, decoded(path, file, stream), fps):
                if any(part.is_alpha for part in frame.format.components):
                    image = Image.fromarray(frame.to_ndarray(format="rgba"))
                else:
                    image = frame.to_image()
                # Phones store the orientation in the file. Quarter turns are exact.
                image = image.rotate(frame.rotation, expand=True)
                yield path, opaque(image, mode)
    except av.FFmpegError as error:
        raise damaged(path) from error


def check_format(path: Path, stream: Any) -> None:
    """Raise `ValueError` for more than 8 bits per channel, or for transparency.

    The decoder would drop the transparency of such files.
    """
    remedy = f"Convert it: ffmpeg -i {path.name} -pix_fmt yuv420p converted.mp4"
    bits = max((part.bits for part in stream.format.components), default=8)
    if bits > 8:
        raise ValueError(f"{path} must have 8 bits per channel; got {bits}. {remedy}")
    if stream.metadata.get("alpha_mode") == "1":
        raise ValueError(
            f"{path} must be opaque; got transparency, which is not supported. {remedy}"
        )


def decoded(path: Path, file: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """Yield time in seconds and content of each frame of a video."""
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
            f"{path} should last {float(length):.1f} seconds, but its frames end after "
            f"{float(end):.1f} seconds. It may be cut off.",
            stacklevel=2,
        )


def damaged(path: Path) -> ValueError:
    """Return the error for a damaged video."""
    return ValueError(
        f"{path} must be a video file; it cannot be read as a video, because it is "
        "damaged or cut off. Replace or remove it."
    )


def sampled(
    path: Path, timed: Iterable[tuple[float, Any]], fps: float | None
) -> Iterator[Any]:
    """Yield the frames on the screen at the times 0, 1 / fps, 2 / fps, ...

    Args:
        path: Path of the video, for error messages.
        timed: Pairs of a time in seconds and a frame.
        fps: Frames per second, or `None` for all frames.
    """
    if fps is None:
        yield from (frame for _, frame in timed)
        return
    rounding = 0.001  # seconds; some files store times in milliseconds
    begin: float | None = None
    now, last = 0.0, None
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
            f"per second; got {fps}. Choose a lower rate."
        )
    if last is not None and wanted / fps <= now + rounding:
        yield last


def has_no_rate(path: Path) -> ValueError:
    """Return the error for images without a frame rate."""
    return ValueError(
        f"{path} must have a frame rate if `fps` is given; got images without a frame "
        "rate. Leave `fps` out."
    )
