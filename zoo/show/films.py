"""Pictures of sequences of frames: Figs. 2 and 4."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.digits.occlusion import CANVAS, Sequences, visibility
from zoo.data.epochs import check_integer
from zoo.show.drawing import (
    Row,
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
    """Draw one sequence and the predictions of a model, like Fig. 4.

    Rows from top to bottom: ground truth, observed frames, predicted frames, read-out
    of the probe, class probabilities. Columns from left to right: time steps. The
    prediction that the model makes at time t for frame t + 1 is drawn below frame
    t + 1. The prediction of the last time step is not drawn, because there is no frame
    to compare it with.

    Args:
        path: File to write. `.png`, `.pdf` and `.svg` give a figure, `.gif` gives an
            animation with one frame per second. An existing file is replaced.
        observed: Frames of shape `(T, H, W)` or `(T, H, W, 1)`, from 0 (background) to
            1 (ink), or of shape `(T, H, W, 3)`, red, green and blue from 0 to 1.
        predicted: Predicted next frames at time steps 1 to T (or 1 to T - 1).
        unoccluded: Frames without bars.
        probe: Read-out of the probe at time steps 1 to T (or 1 to T - 1).
        probabilities: Class probabilities, shape `(T, classes)`.
        label: True class, an integer below `classes`. Its bar is coloured.
        title: Text at the top.
        phase: First row and column of a bar in frames of 32 x 32 pixels, 0 to 11. Bars
            are tinted if `ink` is true. With `None` there is no tint. By default, bars
            of phase 2 are tinted if `observed` equals `unoccluded` behind such bars.
        ink: Whether the value 1 is drawn in black, as in the paper. Otherwise it is
            drawn in white, as in videos.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, a value is outside [0, 1] or NaN, or the
            ending of the path is not supported.

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
    seen = _tint(observed, bars) if ink else _grey(observed)
    rows: list[Row] = [("Observed", list(seen))]
    if unoccluded is not None:
        rows.insert(0, ("Ground truth", list(painted(unoccluded))))
    for name, array in (("Predicted", predicted), ("Probe", probe)):
        if array is not None:
            shapes = [(n, *observed.shape[1:]) for n in (time, time - 1)]
            array = _images(name.lower(), array, *shapes, colours=True)[: time - 1]
            rows.append((name, [None, *painted(array)]))
    if probabilities is not None:
        probabilities = np.asarray(probabilities)
        if probabilities.ndim != 2 or len(probabilities) != time:
            raise ValueError(
                f"`probabilities` must have shape ({time}, classes); got "
                f"{probabilities.shape}. Pass those of this sequence."
            )
        _check_probabilities(probabilities)
        rows.append(("Class\nprobabilities", list(probabilities)))
    if label is not None:
        last = None if probabilities is None else probabilities.shape[1] - 1
        check_integer("label", label, 0, last)

    if Path(path).suffix.lower() == ".gif":
        figures = [_snapshot(rows, t, label, title) for t in range(time)]
        return _write_animation(path, figures)
    return _write_figure(path, _table(rows, label, title))


def dataset(path: str | os.PathLike, sequences: Sequences, n: int = 4) -> Path:
    """Draw sequences and their optimal temporal reconstructions, like Fig. 2.

    Args:
        path: File to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        sequences: Sequences of Occluded Moving MNIST, such as `test.sequences(0)` of a
            dataset of `zoo.data.occluded_mnist`.
        n: Number of sequences to draw, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: If `n` is below 1, or the ending of the path is not supported.

    Examples:
        >>> train, valid, test = zoo.data.occluded_mnist("sklearn", 10, verbose=False)
        >>> zoo.show.dataset("dataset.png", test.sequences(0), n=1).name
        'dataset.png'
    """
    check_integer("n", n, 1)
    rows: list[Row] = []
    for frames, reconstruction in zip(
        sequences.frames[:n, ..., 0], sequences.reconstruction[:n, ..., 0], strict=True
    ):
        rows.append(("Observed", list(_tint(frames, _hidden(sequences.phase)))))
        rows.append(("Optimal\nreconstruction", list(_ink(reconstruction))))
    return _write_figure(path, _table(rows, group=2))


def _hidden(phase: int) -> np.ndarray:
    """Return which pixels are behind bars, `bool` of shape `(32, 32)`."""
    return visibility(phase) == 0


def _bars(
    phase: Any, observed: np.ndarray, unoccluded: np.ndarray | None
) -> np.ndarray | None:
    """Return which pixels to tint as bars, `bool` of shape `(H, W)`, or `None`."""
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
