"""Pictures of piano rolls."""

import os
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.data.music.midi import KEYS, as_roll
from zoo.show.drawing import (
    MARGIN,
    TRUE,
    _check_probabilities,
    _figure,
    _text_width,
    _write_figure,
)


def piano_roll(
    path: str | os.PathLike,
    roll: np.ndarray,
    probabilities: np.ndarray | None = None,
    prompt: int = 0,
    title: str | None = None,
) -> Path:
    """Draw music as a piano roll, with time to the right and pitch upwards.

    Args:
        path: File to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        roll: Piano roll of shape `(T, 88)`, above 0 where a key sounds.
        probabilities: Predicted probabilities of the next time step, shape `(T, 88)` or
            `(T - 1, 88)`. They are drawn below the roll; each prediction is below the
            time step that it predicts.
        prompt: Number of time steps of the prompt. A line marks its end.
        title: Text at the top.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, a value is invalid, or the ending of the
            path is not supported.

    Examples:
        >>> zoo.show.piano_roll("scale.png", np.eye(88)[:24], prompt=8).name
        'scale.png'
    """
    roll = as_roll(roll)
    if np.isnan(roll).any():
        raise ValueError("`roll` must have numbers; got NaN. Remove NaN values first.")
    time = len(roll)
    check_integer("prompt", prompt, 0, time)
    panels: dict[str, np.ndarray] = {"Notes": roll > 0}
    if probabilities is not None:
        probabilities = np.asarray(probabilities, np.float32)
        if probabilities.shape not in ((time, KEYS), (time - 1, KEYS)):
            raise ValueError(
                f"`probabilities` must have shape ({time}, {KEYS}) or ({time - 1}, "
                f"{KEYS}); got {probabilities.shape}. Pass those of this piece."
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
        # Ticks at the keys C1, C2, ... The lowest key is A0.
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
