"""Pictures of data and of what a model makes of them, as in Figs. 2, 4, 6 and 7.

Ink is black on white, as in the paper, but where frames or groups have colours.
matplotlib is used through its `Figure` objects, so no window is opened and no global
state is touched. It and Pillow are imported only where a picture is made.
"""

import os
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.data.midi import KEYS
from zoo.data.occluded_mnist import CANVAS, Sequences, visibility
from zoo.data.videos import check_pixels
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


def sequence(
    path: str | os.PathLike,
    observed: np.ndarray,
    predicted: np.ndarray | None = None,
    unoccluded: np.ndarray | None = None,
    probe: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    label: int | None = None,
    title: str | None = None,
    *,
    phase: int | str | None = "auto",
    ink: bool = True,
) -> Path:
    """Shows one sequence and what a model predicts, like Fig. 4.

    From top to bottom: ground truth, observed frames, predicted frames, read-out of the
    probe, and class probabilities; from left to right: time. What the model says at t
    about frame t + 1 stands under frame t + 1; what it says at the last frame, about a
    frame that is not there, is left out.

    Args:
        path: Where to write. `.png`, `.pdf` and `.svg` give a figure, `.gif` gives an
            animation with one frame a second. An existing file is replaced.
        observed: Frames of shape `(T, H, W)` or `(T, H, W, 1)`, from 0 (background) to
            1 (ink), or `(T, H, W, 3)`, red, green and blue from 0 to 1.
        predicted: Next frames, predicted at frames 1 to T (or 1 to T - 1).
        unoccluded: The frames without bars.
        probe: Read-out of the bottom of the decoder at frames 1 to T (or 1 to T - 1).
        probabilities: Class probabilities, shape `(T, classes)`.
        label: The true class, whose bar is coloured: an integer below `classes`.
        title: Text above all.
        phase: Where the bars of frames of 32 x 32 begin, to tint them, see
            `zoo.data.occluded_mnist`; `None` for no tint. By default the bars are
            tinted that the data show: those of phase 2, if `observed` is `unoccluded`
            behind them.
        ink: Whether 1 is black, as in the paper; else it is white, as in films.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, a value is outside [0, 1] or NaN, or the
            suffix of the path is another one.

    Examples:
        >>> zoo.show.sequence("sequence.png", np.zeros((5, 32, 32, 1))).name
        'sequence.png'
    """
    observed = _images("observed", observed, colours=True)
    time = len(observed)
    painted = _ink if ink else _grey
    if unoccluded is not None:
        unoccluded = _images("unoccluded", unoccluded, observed.shape, colours=True)
    bars = _bars(phase, observed, unoccluded)
    rows = [("Observed", _tint(observed, bars) if ink else _grey(observed))]
    if unoccluded is not None:
        rows.insert(0, ("Ground truth", painted(unoccluded)))
    for name, array in (("Predicted", predicted), ("Probe", probe)):
        if array is not None:
            shapes = [(n, *observed.shape[1:]) for n in (time, time - 1)]
            array = _images(name.lower(), array, *shapes, colours=True)[: time - 1]
            rows.append((name, [None, *painted(array)]))
    if probabilities is not None:
        probabilities = np.asarray(probabilities)
        if probabilities.ndim != 2 or len(probabilities) != time:
            raise ValueError(
                f"`probabilities` must have shape ({time}, classes), and its shape is "
                f"{probabilities.shape}."
            )
        _check_probabilities(probabilities)
        rows.append(("Class\nprobabilities", probabilities))
    if label is not None:
        last = None if probabilities is None else probabilities.shape[1] - 1
        check_integer("label", label, 0, last)

    if Path(path).suffix.lower() == ".gif":
        figures = [_snapshot(rows, t, label, title) for t in range(time)]
        return _write_animation(path, figures)
    return _write_figure(path, _table(rows, label, title))


def dataset(path: str | os.PathLike, sequences: Sequences, n: int = 4) -> Path:
    """Shows sequences and their optimal temporal reconstructions, like Fig. 2.

    Args:
        path: Where to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        sequences: What `zoo.data.occluded_mnist.make_sequences` gives.
        n: Number of sequences to show, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: If `n` is not as above, or the suffix of the path is another one.

    Examples:
        >>> train, valid, test = zoo.data.occluded_mnist("sklearn", 10, verbose=False)
        >>> zoo.show.dataset("dataset.png", test.sequences(0), n=1).name
        'dataset.png'
    """
    check_integer("n", n, 1)
    rows = []
    for frames, reconstruction in zip(
        sequences.frames[:n, ..., 0], sequences.reconstruction[:n, ..., 0], strict=True
    ):
        rows.append(("Observed", _tint(frames, _hidden(sequences.phase))))
        rows.append(("Optimal\nreconstruction", _ink(reconstruction)))
    return _write_figure(path, _table(rows, group=2))


def piano_roll(
    path: str | os.PathLike,
    roll: np.ndarray,
    probabilities: np.ndarray | None = None,
    prompt: int = 0,
    title: str | None = None,
) -> Path:
    """Shows music as a piano roll: time to the right, pitch upwards.

    Args:
        path: Where to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        roll: Shape `(T, 88)`, above 0 where a key sounds.
        probabilities: What a model says after each step of the next one, shape
            `(T, 88)` or `(T - 1, 88)`. It is shown below, each prediction under the
            step that it is about.
        prompt: How many first steps were given; a line ends them.
        title: Text above all.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, or the suffix of the path is another one.

    Examples:
        >>> zoo.show.piano_roll("scale.png", np.eye(88)[:24], prompt=8).name
        'scale.png'
    """
    roll = np.asarray(roll)
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ValueError(f"`roll` must have shape (T, {KEYS}), and not {roll.shape}.")
    if np.isnan(roll).any():
        raise ValueError("`roll` must have numbers; got NaN. Clean it first.")
    time = len(roll)
    check_integer("prompt", prompt, 0, time)
    panels = {"Notes": roll > 0}
    if probabilities is not None:
        probabilities = np.asarray(probabilities, np.float32)
        if probabilities.shape not in ((time, KEYS), (time - 1, KEYS)):
            raise ValueError(
                f"`probabilities` must have shape ({time}, {KEYS}) or ({time - 1}, "
                f"{KEYS}), and its shape is {probabilities.shape}."
            )
        _check_probabilities(probabilities)
        panels["Predicted"] = np.zeros(roll.shape)
        panels["Predicted"][1:] = probabilities[: time - 1]
    sounding = np.flatnonzero((roll > 0).any(axis=0))
    low, high = (sounding[0], sounding[-1]) if len(sounding) else (0, KEYS - 1)
    low, high = max(low - 3, 0), min(high + 3, KEYS - 1)
    width = max(4, min(time / 12, 24), 2 * MARGIN + _text_width(title, 11))
    figure = _figure(width, 2.2 * len(panels) + 0.6)
    for i, (name, panel) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(len(panels), 1, i)
        axes.imshow(
            panel.T.astype(float),
            cmap="gray_r",
            vmin=0,
            vmax=1,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(0, time, -0.5, KEYS - 0.5),
        )
        # The Cs, by the names that MIDI players give them; the lowest key is A0.
        cs = np.arange(3, KEYS, 12)
        axes.set_yticks(cs, [f"C{octave}" for octave in range(1, len(cs) + 1)])
        axes.set(ylim=(low - 0.5, high + 0.5), ylabel="pitch")
        if len(panels) > 1:
            axes.set_title(name, size=9, loc="left")
        axes.tick_params(labelsize=8)
        if prompt:
            axes.axvline(prompt, color=TRUE, linewidth=1)
    if title:
        figure.suptitle(title, size=11)
    axes.set_xlabel("time step")
    figure.tight_layout()
    return _write_figure(path, figure)


def groups(
    images: np.ndarray, outputs: dict, path: str | os.PathLike, n: int = 2
) -> Path:
    """Shows how still images fall into groups, iteration by iteration, like Fig. 6.

    For each image: the image coloured by its groups, then what each group takes the
    whole image for.

    Args:
        images: Shape `(batch, H, W, 1)`, from 0 (black) to 1 (white).
        outputs: What a model of `zoo.textured_mnist` predicts for them.
        path: Where to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        n: Number of images to show, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, `n` is not as above, or the suffix of the
            path is another one.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.groups(np.zeros((1, 8, 8, 1)), outputs, "groups.png").name
        'groups.png'
    """
    check_integer("n", n, 1)
    images = _images("images", images)
    pi, mu = _explanations(outputs, len(images), images.shape[1:])
    rows = []
    for image, p, m in zip(images[:n], pi, mu, strict=False):
        still = [_grey(image), *[None] * (len(p) - 1)]
        rows.append(("Image", still))
        rows.append(("Groups", [_coloured(image, each, floor=0.3) for each in p]))
        for k in range(p.shape[1]):
            rows.append((f"Group {k + 1}", _grey(m[:, k])))
    return _write_figure(path, _table(rows, group=2 + pi.shape[2]))


def video(
    film: np.ndarray, outputs: dict, path: str | os.PathLike, title: str | None = None
) -> Path:
    """Shows the groups of one film, like Fig. 7: observed, and predicted in colours.

    Args:
        film: Frames of shape `(T, H, W, 1)`, from 0 (background) to 1.
        outputs: What a model of `zoo.moving_mnist` predicts for it, of a batch of one.
            What it says at frame t stands under frame t + 1. It may go on where the
            film ends.
        path: Where to write. `.png`, `.pdf` and `.svg` give a figure, `.gif` gives an
            animation. An existing file is replaced.
        title: Text above all.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, or the suffix of the path is another one.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.video(np.zeros((3, 8, 8, 1)), outputs, "film.gif").name
        'film.gif'
    """
    film = _images("film", film)
    pi, mu = (x[0] for x in _explanations(outputs, 1, film.shape[1:]))
    predicted = [_coloured((p * m).sum(0), p) for p, m in zip(pi, mu, strict=True)]
    time = max(len(film), len(predicted))
    observed = [*_grey(film), *[None] * (time - len(film))]
    predicted = [None, *predicted][:time]
    predicted += [None] * (time - len(predicted))
    rows = [("Observed", observed), ("Predicted\nin groups", predicted)]
    if Path(path).suffix.lower() == ".gif":
        figures = [_snapshot(rows, t, None, title) for t in range(time)]
        return _write_animation(path, figures)
    return _write_figure(path, _table(rows, None, title))


def _explanations(outputs, batch, grid):
    """Groups and reconstructions of a grouping model, without the axis of colours."""
    pi = np.asarray(outputs["groups"], np.float32)
    mu = np.asarray(outputs["reconstructions"], np.float32)[..., 0]
    if pi.ndim != 5 or pi.shape[0] != batch or pi.shape[-2:] != grid:
        wanted = f"({batch}, T, K, {', '.join(map(str, grid))})"
        raise ValueError(
            f"the groups have shape {pi.shape}, and must have {wanted}, as the model "
            "predicts them for these images."
        )
    if not (np.isfinite(pi).all() and np.isfinite(mu).all()):
        raise ValueError("the groups have NaN or infinite numbers.")
    return pi, mu


def _coloured(image, groups, floor=0.0):
    """An image in the colours of its groups, which no pixel is too dark for."""
    colours = COLOURS[np.arange(len(groups)) % len(COLOURS)]
    light = floor + (1 - floor) * np.clip(image, 0, 1)
    return np.tensordot(groups, colours, (0, 0)) * light[..., None]


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


def _hidden(phase):
    return visibility(phase) == 0


def _bars(phase, observed, unoccluded):
    """Which pixels are behind bars, or `None`, see `sequence`."""
    grid = observed.shape[1:]
    if phase == "auto":
        hidden = _hidden(2)
        if unoccluded is None or grid != hidden.shape:
            return None
        return hidden if np.allclose(observed, unoccluded * ~hidden) else None
    if phase is None:
        return None
    if grid != (CANVAS, CANVAS):
        raise ValueError(
            f"`phase` must be None for frames other than {CANVAS} x {CANVAS} in grey; "
            f"got {phase!r} for frames of shape {grid}. Leave it out."
        )
    return _hidden(phase)


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
