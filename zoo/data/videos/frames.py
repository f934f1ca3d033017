"""Frames of video files, animated pictures and folders of pictures."""

import warnings

import numpy as np

from zoo.data.pictures import opaque, opened, pictures, upright

ANIMATIONS = (".gif", ".webp", ".png")
FILMS = (".mp4", ".mov", ".avi", ".webm", ".mkv")


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
