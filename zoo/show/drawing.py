"""Drawing and writing of pictures and animations."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.videos.checks import check_pixels
from zoo.files import write_whole

# A row of a picture: its name, and for each time step an image of shape (H, W, 3),
# class probabilities or `None`.
Row = tuple[str, Sequence[np.ndarray | None]]

BARS = (0.80, 0.88, 0.96)  # tint that makes the bars visible on the white background
TRUE = "#2166ac"
OTHER = "#909090"
FRAME = "#808080"
# Colours of groups: blue, orange, green, red, purple, brown, pink, olive.
COLOURS = np.array(
    [
        (0.30, 0.57, 0.95),
        (1.00, 0.60, 0.20),
        (0.35, 0.80, 0.40),
        (0.92, 0.33, 0.36),
        (0.70, 0.50, 0.90),
        (0.70, 0.53, 0.45),
        (0.95, 0.60, 0.85),
        (0.80, 0.80, 0.30),
    ]
)

# Sizes in inches. A frame of 32 pixels is one inch wide, so that at 192 dots per inch
# each pixel is 6 dots wide.
DPI = 192
CELL = 1.0
SPACE = 0.08
MARGIN = 0.1
HEAD = 0.24
LABEL = 1.2


def _table(
    rows: Sequence[Row],
    label: int | None = None,
    title: str | None = None,
    group: int | None = None,
) -> Any:
    """Return a figure with a row for each of `rows` and a column for each time step.

    Args:
        rows: The rows, from top to bottom.
        label: The true class, whose bar is coloured.
        title: Text at the top.
        group: Number of rows between two wider spaces. By default, there is none.
    """
    columns = len(rows[0][1])
    groups = (len(rows) - 1) // group if group else 0
    width = 2 * MARGIN + LABEL + columns * CELL + (columns - 1) * SPACE
    width = max(width, 2 * MARGIN + _text_width(title, 11))
    height = 2 * MARGIN + HEAD + len(rows) * CELL + (len(rows) - 1) * SPACE
    height += groups * 2 * SPACE + (HEAD if title else 0)
    figure = _figure(width, height)
    top = height - MARGIN
    left = MARGIN + LABEL
    if title:
        right = width - MARGIN
        # Centred above the images, or shifted to the left if it is wider than they are.
        middle = min((left + right) / 2, right - _text_width(title, 11) / 2)
        _text(figure, middle, top - HEAD / 2, title, ha="center", size=11)
        top -= HEAD
    for t in range(columns):
        x = left + t * (CELL + SPACE) + CELL / 2
        _text(figure, x, top - HEAD / 2, f"$t = {t + 1}$", ha="center")
    top -= HEAD
    for i, (name, cells) in enumerate(rows):
        if group and i and i % group == 0:
            top -= 2 * SPACE
        _text(figure, left - 0.12, top - CELL / 2, name, ha="right")
        for t, cell in enumerate(cells):
            x = left + t * (CELL + SPACE)
            if cell is not None:
                _draw(_axes(figure, x, top - CELL, CELL), cell, label)
        top -= CELL + SPACE
    return figure


def _snapshot(rows: Sequence[Row], t: int, label: int | None, title: str | None) -> Any:
    """Return a figure of time step `t`, counted from 0, with the rows side by side."""
    content = len(rows) * (CELL + SPACE) - SPACE
    width = 2 * MARGIN + max(content, _text_width(title, 11))
    height = 2 * MARGIN + (3 if title else 2) * HEAD + CELL
    figure = _figure(width, height)
    left = (width - content) / 2
    y = height - MARGIN - HEAD / 2
    if title:
        _text(figure, width / 2, y, title, ha="center", size=11)
        y -= HEAD
    _text(figure, left, y, f"$t = {t + 1}$", ha="left")
    for i, (name, cells) in enumerate(rows):
        x = left + i * (CELL + SPACE)
        name = name.split("\n")[0]
        _text(figure, x + CELL / 2, y - HEAD, name, ha="center", size=8)
        if cells[t] is not None:
            _draw(_axes(figure, x, MARGIN, CELL), cells[t], label)
    return figure


def _text_width(text: str | None, size: float) -> float:
    """Return the width of a text in inches; 0 for `None`."""
    from matplotlib.textpath import TextPath

    if not (text is None or isinstance(text, str)):
        raise ValueError(f"`title` must be text; got {text!r}. Pass a string.")
    if not text or not text.strip():
        return 0
    points = max(
        TextPath((0, 0), line, size=size).get_extents().width
        for line in text.splitlines()
        if line.strip()
    )
    return points / 72


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def _draw(axes: Any, cell: Any, label: int | None) -> None:
    if cell.ndim == 3:
        axes.imshow(cell, interpolation="nearest", aspect="equal")
        return
    classes = np.arange(len(cell))
    colours = [TRUE if c == label else OTHER for c in classes]
    axes.bar(classes, cell, width=0.8, color=colours)
    # Space for the class numbers above a bar of probability 1.
    axes.set(xlim=(-0.7, len(cell) - 0.3), ylim=(0, 1.2))
    for c, colour in zip(classes, colours, strict=True):
        axes.text(c, 1.1, c, ha="center", va="center", size=6, color=colour)


def _axes(figure: Any, x: float, y: float, side: float) -> Any:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((x / width, y / height, side / width, side / height))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=FRAME)
    return axes


def _text(
    figure: Any, x: float, y: float, text: str, *, ha: str, size: float = 9
) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, ha=ha, va="center", size=size)


def _images(
    name: str, images: Any, *shapes: tuple, colours: bool = False
) -> np.ndarray:
    """Check images, and remove the axis of a single channel.

    Args:
        name: Name of the argument, for error messages.
        images: Images of shape `(T, H, W)`, `(T, H, W, 1)` or `(T, H, W, 3)`.
        *shapes: Allowed shapes after the removal. By default, any size is allowed.
        colours: Whether three channels are allowed.

    Raises:
        ValueError: If the shape is another one, or values are outside [0, 1].
    """
    images = np.asarray(images, np.float32)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    in_colours = colours and images.ndim == 4 and images.shape[-1] == 3
    if not (images.ndim == 3 or in_colours) or (shapes and images.shape not in shapes):
        any_size = "(T, H, W), (T, H, W, 1)" + (" or (T, H, W, 3)" if colours else "")
        wanted = " or ".join(str(shape) for shape in shapes) or any_size
        raise ValueError(
            f"`{name}` must have shape {wanted}; got {images.shape}. Reshape it."
        )
    if not shapes and len(images) == 0:
        raise ValueError(
            f"`{name}` must contain at least one image; got an empty array of shape "
            f"{images.shape}. Check how it was made."
        )
    if images.size:
        check_pixels(images, f"`{name}`")
    return images


def _check_probabilities(probabilities: np.ndarray) -> None:
    low, high = np.min(probabilities), np.max(probabilities)
    # Rounding errors may add up to 0.001. Comparisons with NaN are false.
    if not (low >= 0 and high <= 1.001):
        raise ValueError(
            f"`probabilities` must be from 0 to 1; got {low:g} to {high:g}. Pass the "
            "values after the softmax or sigmoid."
        )


def _grey(images: np.ndarray) -> np.ndarray:
    """Return RGB images, `(T, H, W, 3)`. In images of one channel 1 is white."""
    images = np.clip(images, 0, 1)
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def _ink(images: np.ndarray) -> np.ndarray:
    """Return RGB images, `(T, H, W, 3)`. In images of one channel 1 is black."""
    return _grey(images if images.ndim == 4 else 1 - images)


def _tint(images: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    """Return RGB images with ink in black and tinted bars at the pixels `hidden`."""
    colours = _ink(images)
    if hidden is not None:
        colours[:, hidden] = BARS
    return colours


def _write_figure(path: str | os.PathLike, figure: Any) -> Path:
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(
            "`path` must end in .png, .pdf or .svg (or .gif for the animation of one "
            f"sequence); got {str(path)!r}. Change the ending."
        )
    return write_whole(path, lambda file: figure.savefig(file, format=suffix[1:]))


def _write_animation(path: str | os.PathLike, figures: Iterable[Any]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    images = []
    for figure in figures:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        images.append(image.quantize(dither=Image.Dither.NONE))
    durations = [1000] * (len(images) - 1) + [2000]  # milliseconds

    def save(file):
        first, *others = images
        first.save(
            file,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=durations,
            loop=0,
        )

    return write_whole(Path(path), save)
