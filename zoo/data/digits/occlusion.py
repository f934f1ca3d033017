"""Occluded Moving MNIST (Section 3.1, Fig. 2), in NumPy.

A digit of 14 x 14 pixels flies over a background of 32 x 32 and bounces off its edges.
Vertical and horizontal bars, 4 pixels wide and 8 visible pixels apart, hide what is
behind them and look like the background. The paper prints ink on white; here the
background is 0 and ink goes up to 1.

What the paper leaves open is decided as follows.

- The bars repeat every 4 + 8 = 12 pixels, and `phase` is where the first one begins.
  In 32 pixels just two layouts are symmetric: phase 2, `2|4|8|4|8|4|2` with three bars,
  and phase 8, `8|4|8|4|8` with two. Digits keep to the middle, where phase 2 has one
  bar and phase 8 has two. Phase 2 is the default: with it 93 % of a digit's ink has
  been seen after five frames, with phase 8 only 86 %, which is too little for the
  0.71 % errors of the static classifier in Table 1.
- The first position is uniform over the 19 x 19 places where the digit is in view.
- A bounce is a reflection that keeps the speed. "Apart from the bouncing, the movement
  is deterministic" may also mean that a bounce draws a new velocity: `random_bounce`.

Positions, velocities and pixels are given as (row, column).
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from zoo.data.digits.sources import check_digits
from zoo.data.epochs import check_integer

CANVAS = 32
DIGIT = 14
BAR = 4
GAP = 8
FURTHEST = CANVAS - DIGIT  # the last row or column where a digit can begin
VELOCITIES = np.array(
    [(1, 2), (1, -2), (-1, 2), (-1, -2), (2, 1), (2, -1), (-2, 1), (-2, -1)]
)


def visibility(phase: int = 2) -> np.ndarray:
    """Where the background and the digit can be seen, and where the bars are.

    Args:
        phase: First row and column of a bar, 0 to 11.

    Returns:
        `float32` of shape `(32, 32)`: 1 where visible, 0 behind a bar.

    Raises:
        ValueError: If `phase` is not an integer from 0 to 11.
    """
    check_integer("phase", phase, 0, BAR + GAP - 1)
    visible = (np.arange(CANVAS) - phase) % (BAR + GAP) >= BAR
    return np.outer(visible, visible).astype(np.float32)


def trajectories(
    n: int,
    rng: np.random.Generator,
    *,
    frames: int = 5,
    random_bounce: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the flights of `n` digits.

    Args:
        n: Number of sequences.
        rng: Source of randomness.
        frames: Number of frames, `T`.
        random_bounce: Whether a bounce draws a new velocity, from those that lead away
            from the walls just hit. If `False`, it is a reflection.

    Returns:
        Two integer arrays of shape `(n, T, 2)`: the upper left corner of the digit, 0
        to 18, and the velocity with which it leaves that place, in pixels per frame.
    """
    positions = np.empty((n, frames, 2), np.int64)
    velocities = np.empty((n, frames, 2), np.int64)
    p = rng.integers(FURTHEST + 1, size=(n, 2))
    v = rng.choice(VELOCITIES, size=n)
    for t in range(frames):
        if t > 0:
            p = p + v
            bounced = (p < 0) | (p > FURTHEST)
            inward = np.where(p < 0, 1, -1)
            p = np.where(p < 0, -p, np.where(p > FURTHEST, 2 * FURTHEST - p, p))
            if random_bounce:
                hit = bounced.any(axis=1, keepdims=True)
                v = np.where(hit, rng.choice(VELOCITIES, size=n), v)
            v = np.where(bounced, inward * abs(v), v)
        positions[:, t] = p
        velocities[:, t] = v
    return positions, velocities


@dataclass(frozen=True, eq=False)
class Sequences:
    """A batch of sequences: what was drawn, and the pictures that follow from it.

    The pictures have the shape `(B, T, 32, 32, 1)` and are made when first asked for.

    Attributes:
        digits: `float32` of shape `(B, 14, 14)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(B,)`.
        positions: Integers of shape `(B, T, 2)`, the upper left corner of the digit.
        velocities: Integers of shape `(B, T, 2)`, the velocity with which it leaves.
        phase: Where the bars begin, see `visibility`.
    """

    digits: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    phase: int = 2

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """What the network sees: the digit behind the bars, `float32`."""
        return self.unoccluded * visibility(self.phase)[..., None]

    @functools.cached_property
    def unoccluded(self) -> np.ndarray:
        """The ground truth, which the network never sees, `float32`."""
        return _paste(self.digits[:, None], self.positions)

    @functools.cached_property
    def seen(self) -> np.ndarray:
        """Which pixels of the digit were visible by frame t, `(B, T, 14, 14)`."""
        windows = sliding_window_view(visibility(self.phase) > 0, (DIGIT, DIGIT))
        visible_now = windows[self.positions[..., 0], self.positions[..., 1]]
        return np.logical_or.accumulate(visible_now, axis=1)

    @functools.cached_property
    def reconstruction(self) -> np.ndarray:
        """The optimal temporal reconstruction: all that was seen, put together.

        The bottom row of Fig. 2: all pixels of the digit that were visible in frames 1
        to t, without bars, where the digit is in frame t. Pixels that were not yet
        visible are background. `float32`.
        """
        return _paste(self.digits[:, None] * self.seen, self.positions)


def make_sequences(
    digits: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    *,
    frames: int = 5,
    phase: int = 2,
    random_bounce: bool = False,
) -> Sequences:
    """Sends digits on flights drawn at random (Section 3.1).

    Args:
        digits: Array of shape `(B, 14, 14)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(B,)`.
        rng: Source of randomness.
        frames: Number of frames, `T`.
        phase: Where the bars begin, see `visibility`.
        random_bounce: Whether a bounce draws a new velocity, see `trajectories`.

    Returns:
        `Sequences`.

    Raises:
        ValueError: If a shape or a number is not as above.
    """
    digits, labels = check_digits(digits, labels, DIGIT)
    check_integer("frames", frames, 1)
    check_integer("phase", phase, 0, BAR + GAP - 1)
    positions, velocities = trajectories(
        len(digits), rng, frames=frames, random_bounce=random_bounce
    )
    return Sequences(digits, labels, positions, velocities, phase)


def ink_seen(sequences: Sequences) -> np.ndarray:
    """Share of each digit's ink that was visible by frame t, shape `(B, T)`."""
    seen = (sequences.digits[:, None] * sequences.seen).sum(axis=(2, 3))
    return seen / sequences.digits.sum(axis=(1, 2))[:, None]


def background_error(frames: np.ndarray) -> np.ndarray:
    """Mean squared error per pixel of predicting an empty frame.

    Args:
        frames: Array of shape `(B, T, 32, 32, 1)`.

    Returns:
        Array of shape `(T - 1,)`, the error for each of the frames 2 to T.
    """
    return np.square(frames[:, 1:]).mean(axis=(0, 2, 3, 4))


def copy_error(frames: np.ndarray) -> np.ndarray:
    """Mean squared error per pixel of predicting that nothing moves.

    Args:
        frames: Array of shape `(B, T, 32, 32, 1)`.

    Returns:
        Array of shape `(T - 1,)`, the error for each of the frames 2 to T.
    """
    return np.square(np.diff(frames, axis=1)).mean(axis=(0, 2, 3, 4))


def _paste(digits: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Puts digits, `(B, 1 or T, 14, 14)`, on empty canvases, `(B, T, 32, 32, 1)`."""
    batch, time = positions.shape[:2]
    canvas = np.zeros((batch, time, CANVAS, CANVAS), np.float32)
    # windows[b, t, y, x] is the part of a canvas with its upper left corner at (y, x).
    windows = sliding_window_view(canvas, (DIGIT, DIGIT), axis=(2, 3), writeable=True)
    b, t = np.ogrid[:batch, :time]
    windows[b, t, positions[..., 0], positions[..., 1]] = digits
    return canvas[..., None]
