"""Prediction errors on Occluded Moving MNIST of baselines without training.

    python -m benchmarks.observers --into docs/lab-notebook.md

The baselines are observers. An observer knows the velocity of the digit, remembers the
pixels of the digit that were visible in the last frames, and predicts them at the next
position. Pixels that were not visible are left empty, or are filled in by linear
regression on the visible ones, with mean and covariance of the training digits. Two
more baselines predict a blank frame, and know the digit but not its first velocity. The
table of errors is part of docs/lab-notebook.md.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks import table
from zoo.data import load_digits, occluded_mnist
from zoo.data.digits.occlusion import (
    DIGIT,
    FURTHEST,
    VELOCITIES,
    Sequences,
    background_error,
    visibility,
)

MEMORY = {"all frames": None, "two frames": 2, "the present frame": 1}
RIDGE = 1e-3  # added to the variances, because some pixels are empty in all digits
MARKERS = "<!-- observers:begin -->", "<!-- observers:end -->"


def visible(sequences):
    """Return which pixels of the digit are visible in each frame, `(B, T, 196)`."""
    windows = sliding_window_view(visibility(sequences.phase) > 0, (DIGIT, DIGIT))
    shown = windows[sequences.positions[..., 0], sequences.positions[..., 1]]
    return shown.reshape(*shown.shape[:2], -1)


def error(digits, shown, size):
    """Return the mean squared error per pixel of predicted digits, in 1e-5.

    Args:
        digits: Differences between predicted and true digits, shape `(B, 196)`.
        shown: Which pixels of the digit are visible in the frame, shape `(B, 196)`.
        size: Number of pixels of a frame.
    """
    return 1e5 * (digits**2 * shown).sum(axis=-1).mean() / size


def observed(sequences, memory, filled=None):
    """Return the errors of an observer in frames 2 to T.

    Args:
        sequences: `Sequences`.
        memory: Number of frames that the observer remembers, or `None` for all.
        filled: Function of the digits, shape `(B, 196)`, and of the pixels that were
            visible. It returns the completed digits. By default, pixels that were not
            visible are left empty.
    """
    shown, size = visible(sequences), sequences.frames[0, 0].size
    digits = sequences.digits.reshape(len(shown), -1).astype("float64")
    errors = []
    for t in range(1, shown.shape[1]):
        seen = shown[:, 0 if memory is None else max(0, t - memory) : t].any(axis=1)
        predicted = filled(digits, seen) if filled else digits * seen
        errors.append(error(predicted - digits, shown[:, t], size))
    return errors


def regression(training_digits):
    """Return a function `filled` for `observed` that uses linear regression.

    Args:
        training_digits: Array of shape `(n, 14, 14)`.
    """
    x = training_digits.reshape(len(training_digits), -1).astype("float64")
    mean, covariance = x.mean(axis=0), np.cov(x, rowvar=False)
    ridge = RIDGE * np.eye(len(mean))

    def filled(digits, seen):
        completed = np.where(seen, digits, mean)
        for digit, known in zip(completed, seen, strict=True):
            inner = (covariance + ridge)[np.ix_(known, known)]
            weights = np.linalg.solve(inner, digit[known] - mean[known])
            digit[~known] += covariance[np.ix_(~known, known)] @ weights
        return completed

    return filled


def first_velocity_unknown(sequences):
    """Return the error in frame 2 of an observer that knows all but the velocity.

    Its prediction is the mean over the eight velocities.
    """
    p = sequences.positions[:, :1] + VELOCITIES  # (B, 8, 2)
    p = np.where(p < 0, -p, np.where(p > FURTHEST, 2 * FURTHEST - p, p))
    squared = []
    for i in range(len(p)):  # one by one, because eight frames of all need much memory
        digit, label = sequences.digits[i : i + 1], sequences.labels[i : i + 1]
        moved = Sequences(digit, label, p[i : i + 1], p[i : i + 1], sequences.phase)
        predicted = moved.frames.mean(axis=1)
        squared.append(np.square(predicted - sequences.frames[i, 1]).mean())
    return 1e5 * np.mean(squared)


def rows(train_digits, sequences):
    """Return the errors in frames 2 to T by the name of the observer."""
    later = sequences.positions.shape[1] - 2
    found = {"a blank frame": 1e5 * background_error(sequences.frames)}
    known = [first_velocity_unknown(sequences), *[0.0] * later]
    found["knows the digit, and all but the first velocity"] = known
    for kind, filled in (
        ("does not fill in", None),
        ("fills in", regression(train_digits)),
    ):
        for name, memory in MEMORY.items():
            errors = observed(sequences, memory, filled)
            found[f"remembers {name}, {kind}"] = errors
    return found


def lines_of(found, n):
    """Return the lines of the table in Markdown."""
    transitions = range(1, len(next(iter(found.values()))) + 1)
    names = [f"{t}-{t + 1}" for t in transitions]
    head = [f"| {n:,} test sequences, observer | {' | '.join(names)} | mean |"]
    lines = [*head, "| --- |" + " ---: |" * (len(names) + 1)]
    for name, errors in found.items():
        cells = [f"{e:.0f}" for e in [*errors, np.mean(errors)]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--digits", default="mnist", help="'mnist', 'sklearn' or an .npz file")
    add("--sequences", type=int, help="test sequences; default: one for each digit")
    add("--into", type=Path, help="file with markers to write the table into")
    args = parser.parse_args(argv)
    if args.into:
        table.parts(args.into, MARKERS)
    digits = load_digits(args.digits)
    n = args.sequences or len(digits.test.images)
    _, _, test = occluded_mnist(digits, n, evaluation_sequences=n, verbose=False)
    lines = lines_of(rows(digits.train.images, test.sequences(0)), n)
    print("\n".join(lines))
    if args.into:
        table.put(args.into, MARKERS, ["", *lines, ""])


if __name__ == "__main__":
    main()
