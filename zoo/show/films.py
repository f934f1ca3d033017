"""Pictures of films: Figs. 2 and 4."""

import os
from pathlib import Path

import numpy as np

from zoo.data.digits.occlusion import CANVAS, Sequences, visibility
from zoo.data.epochs import check_integer
from zoo.show.drawing import (
    _check_probabilities,
    _grey,
    _images,
    _ink,
    _snapshot,
    _table,
    _tint,
    _write_animation,
    _write_figure,
)


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
