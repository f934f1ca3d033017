"""How pictures and animations are drawn and written."""

from pathlib import Path

import numpy as np

from zoo.data.videos.arrays import check_pixels
from zoo.files import write_whole

BARS = (0.80, 0.88, 0.96)  # tint of the bars, which look like the background
TRUE = "#2166ac"
OTHER = "#909090"
FRAME = "#808080"
# Of groups: blue, orange, green, red, purple, brown, pink, olive.
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

# Inches. 32 pixels in an inch at 192 dots per inch are 6 dots for each pixel.
DPI = 192
CELL = 1.0
SPACE = 0.08
MARGIN = 0.1
HEAD = 0.24
LABEL = 1.2


def _table(rows, label=None, title=None, group=None):
    """A figure with a row for each of `rows` and a column for each time step."""
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
        # Above the pictures, or farther to the left where it is longer than they are.
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


def _snapshot(rows, t, label, title):
    """A figure of one time step, the rows side by side."""
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


def _text_width(text, size):
    """Width in inches of a line of text, which may be `None`."""
    from matplotlib.textpath import TextPath

    if not text or not text.strip():
        return 0
    points = max(
        TextPath((0, 0), line, size=size).get_extents().width
        for line in text.splitlines()
        if line.strip()
    )
    return points / 72


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def _draw(axes, cell, label):
    if cell.ndim == 3:
        axes.imshow(cell, interpolation="nearest", aspect="equal")
        return
    classes = np.arange(len(cell))
    colours = [TRUE if c == label else OTHER for c in classes]
    axes.bar(classes, cell, width=0.8, color=colours)
    # The classes are written inside the frame, above a bar of probability 1.
    axes.set(xlim=(-0.7, len(cell) - 0.3), ylim=(0, 1.2))
    for c, colour in zip(classes, colours, strict=True):
        axes.text(c, 1.1, c, ha="center", va="center", size=6, color=colour)


def _axes(figure, x, y, side):
    width, height = figure.get_size_inches()
    axes = figure.add_axes((x / width, y / height, side / width, side / height))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.5, color=FRAME)
    return axes


def _text(figure, x, y, text, *, ha, size=9):
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, ha=ha, va="center", size=size)


def _images(name, images, *shapes, colours=False):
    """The images without the axis of a single channel, or a `ValueError`."""
    images = np.asarray(images, np.float32)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    in_colours = colours and images.ndim == 4 and images.shape[-1] == 3
    if not (images.ndim == 3 or in_colours) or (shapes and images.shape not in shapes):
        any_size = "(T, H, W), (T, H, W, 1)" + colours * " or (T, H, W, 3)"
        wanted = " or ".join(str(shape) for shape in shapes) or any_size
        raise ValueError(
            f"`{name}` must have shape {wanted}, and its shape is {images.shape}."
        )
    if not shapes and len(images) == 0:
        raise ValueError(f"`{name}` is empty: give at least one image.")
    if images.size:
        check_pixels(images, f"`{name}` has")
    return images


def _check_probabilities(probabilities):
    low, high = np.min(probabilities), np.max(probabilities)
    if not (low >= 0 and high <= 1.001):  # sums of roundings; NaN is none of both
        raise ValueError(
            f"`probabilities` must be from 0 to 1; got {low:g} to {high:g}. Give them "
            "after the softmax or sigmoid."
        )


def _grey(images):
    """Red, green and blue of images in which 1 is white; of coloured ones their own."""
    images = np.clip(images, 0, 1)
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def _ink(images):
    """The same, where 1 is black in images without colours."""
    return _grey(images if images.ndim == 4 else 1 - images)


def _tint(images, hidden):
    colours = _ink(images)
    if hidden is not None:
        colours[:, hidden] = BARS
    return colours


def _write_figure(path, figure):
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(
            f"{str(path)!r} must end in .png, .pdf or .svg (or .gif for the animation "
            "of one sequence)."
        )
    return write_whole(path, lambda file: figure.savefig(file, format=suffix[1:]))


def _write_animation(path, figures):
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
