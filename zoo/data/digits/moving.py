"""Moving MNIST with its segmentation (Section 4.3), in NumPy.

Digits move over a black background and through each other, and bounce off the edges.
The paper generates the data of Srivastava et al. (2015) again, because the original
data do not say which digit a pixel belongs to. This module follows their published
program:

- A position is a point of the unit square, which covers all places where the digit is
  completely in the frame. The first position and the direction are uniform; the speed
  is 0.1 per frame.
- A digit that reaches an edge or would pass it is placed at the edge, and this
  component of its velocity changes sign.
- The first frame is one step after the first position. Pixel positions are rounded
  down.
- The value of a pixel is the maximum over all digits.

The segmentation is ours. A pixel belongs to a digit if this digit alone has more than
0.5 ink there. Pixels without such a digit are background; pixels with several digits
are ambiguous. Both have the label -1 and are not scored.

Positions are given as (row, column).
"""

import functools
import os
from dataclasses import dataclass

import numpy as np

from zoo.data.digits.labels import cycle
from zoo.data.digits.sets import DigitDataset, digit_sets
from zoo.data.digits.sources import Digits, load_digits
from zoo.data.epochs import check_integer

FULL = 28  # side of the digits of MNIST, in frames of 64 x 64
SPEED = 0.1  # sides of the unit square per frame
INK = 0.5  # a digit covers a pixel if it has more ink than this
SMALLEST = 20  # pixels
MOST_DIGITS = 8  # because the digits at a pixel are stored in the bits of one byte


def trajectories(
    start: np.ndarray, angle: np.ndarray, room: int, frames: int = 20
) -> np.ndarray:
    """Compute the trajectories of digits.

    Args:
        start: First positions in the unit square, shape `(..., 2)`.
        angle: First directions in radians, shape `(...)`. 0 points to higher columns,
            pi / 2 to higher rows.
        room: Largest row and column of the upper left corner of a digit.
        frames: Number of frames, `T`.

    Returns:
        Upper left corners of the digits, integers from 0 to `room`, shape
        `(..., T, 2)`.
    """
    place = np.array(start, float)
    velocity = SPEED * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    places = np.empty((frames, *place.shape))
    for t in range(frames):
        place += velocity
        # A digit exactly at the edge bounces, too, as in the published program.
        bounced = (place <= 0) | (place >= 1)
        np.clip(place, 0, 1, out=place)
        np.negative(velocity, out=velocity, where=bounced)
        places[t] = place
    return np.moveaxis((room * places).astype(np.int64), 0, -2)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Batch of sequences: the random draws, and the frames that follow from them.

    Frames and segments are computed when they are first read.

    Attributes:
        digits: Digits, `float32` of shape `(B, D, side, side)`, from 0 (background) to
            1 (ink).
        labels: Classes, integers of shape `(B, D)`.
        positions: Upper left corners of the digits, integers of shape `(B, D, T, 2)`.
        size: Side of the frames in pixels.
    """

    digits: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    size: int

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """Frames, the input of the network, `float32`, `(B, T, size, size, 1)`."""
        return self._merge(self.digits, np.maximum)[..., None]

    @functools.cached_property
    def segments(self) -> np.ndarray:
        """Segmentation, `int32` of shape `(B, T, size, size)`.

        The index of the digit at each pixel, or -1 for background and overlaps.
        """
        n = self.digits.shape[1]
        bits = 1 << np.arange(n, dtype=np.uint8)
        owner = np.full(1 << n, -1, np.int32)
        owner[bits] = np.arange(n)
        ink = (self.digits > INK) * bits[:, None, None]
        return owner[self._merge(ink, np.bitwise_or)]

    def _merge(self, digits, merge):
        """Place digits, `(B, D, side, side)`, into frames, `(B, T, size, size)`.

        Where digits overlap, `merge` combines their values.
        """
        batch, _, time = self.positions.shape[:3]
        side = digits.shape[-1]
        canvas = np.zeros((batch, time, self.size, self.size), digits.dtype)
        for b, flights in enumerate(self.positions.tolist()):
            for digit, flight in zip(digits[b], flights, strict=True):
                for frame, (y, x) in zip(canvas[b], flight, strict=True):
                    window = frame[y : y + side, x : x + side]
                    merge(window, digit, out=window)
        return canvas


class MovingMNIST(DigitDataset):
    """Batches of Moving MNIST (Section 4.3).

    A batch is `(x, y)`. `x` are the frames, `float32` of shape `(B, T, size, size, 1)`,
    from 0 (background) to 1 (ink). `y` is a dictionary of

    - `"class"`: the classes of the digits, `int32` of shape `(B, D)`;
    - `"groups"`: the segmentation, `int32` of shape `(B, T, size, size)`: the index
      of the digit at each pixel, or -1 for background and overlaps.

    A sequence depends only on `seed`, `epoch` and its place in the epoch. It does not
    depend on the batch size or on the batches that were read before. Sequences of fewer
    frames begin like sequences of more frames.

    With `fresh=True`, each epoch has new sequences, and a last batch that is not full
    is dropped, because a small batch makes the statistics of batch normalisation worse.
    With `fresh=False`, all epochs are the same, and the last batch is kept.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Classes of the digits, integers of shape `(n,)`.
        batch_size: Number of sequences in a batch, `B`.
        size: Side of the frames in pixels, larger than the side of the digits.
        digits: Number of digits in a sequence, `D`, from 1 to 8.
        frames: Number of frames in a sequence, `T`.
        seed: Seed of the sequences, an integer of at least 0.
        fresh: Whether sequences are drawn again for each epoch.
        sequences: Number of sequences in an epoch. By default, the number of digits, so
            that each digit appears `D` times in an epoch.
        digits_name: Name of the digits.

    Attributes:
        epoch: Number of finished epochs. It may be set.
        num_sequences: Number of sequences in an epoch, in all batches together.
        digits_name: Name of the digits.

    Raises:
        ValueError: If an argument is invalid.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 16,
        *,
        size: int = 64,
        digits: int = 2,
        frames: int = 20,
        seed: int = 0,
        fresh: bool = False,
        sequences: int | None = None,
        digits_name: str = "digits",
    ):
        super().__init__(
            images,
            labels,
            batch_size,
            seed=seed,
            fresh=fresh,
            sequences=sequences,
            digits_name=digits_name,
        )
        check_integer("size", size, self.images.shape[1] + 1)
        check_integer("digits", digits, 1, MOST_DIGITS)
        check_integer("frames", frames, 1)
        self.size = size
        self.digits = digits
        self.frames = frames

    def batch(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        sequences = self.sequences(index)
        x = sequences.frames
        return x, {"class": sequences.labels, "groups": sequences.segments}

    def sequences(self, index: int) -> Sequences:
        """Return a batch of the current epoch with all that was drawn.

        Args:
            index: Number of the batch, from 0. Negative numbers count from the end.

        Returns:
            `Sequences`, which include the true positions.

        Raises:
            IndexError: If there is no such batch.
        """
        order, places, angles = self.drawn(index)
        room = self.size - self.images.shape[1]
        return Sequences(
            self.images[order],
            self.labels[order],
            trajectories(places, angles, room, self.frames),
            self.size,
        )

    def draw(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Draw digits, first positions and directions of all sequences of an epoch."""
        n, shape = len(self.images), (self.total, self.digits)
        # The extra 1 makes trajectories of training differ from those of validation and
        # test also with the same seed. With two generators, the trajectories do not
        # depend on the number of digits.
        seeds = [self.seed, epoch, *([1] if self.fresh else [])]
        rngs = np.random.default_rng(seeds).spawn(2)
        order = cycle(np.arange(n), shape[0] * shape[1], rngs[0])
        flights = rngs[1].random((*shape, 3))
        return order.reshape(shape), flights[..., :2], 2 * np.pi * flights[..., 2]


def moving_mnist(
    source: str | os.PathLike | Digits = "auto",
    batch_size: int = 16,
    *,
    size: int = 64,
    digits: int = 2,
    frames: int = 20,
    seed: int = 0,
    sequences: int | None = None,
    evaluation_sequences: int | None = None,
    merge_validation: bool = False,
    verbose: bool = True,
) -> tuple[MovingMNIST, MovingMNIST, MovingMNIST]:
    """Return datasets of Moving MNIST with segmentation (Section 4.3).

    Args:
        source: Source of the digits, an argument of `load_digits` or its result. By
            default, MNIST if it is on this machine, otherwise the digits of
            scikit-learn.
        batch_size: Number of sequences in a batch.
        size: Side of the frames in pixels, at least 20. The side of the digits is 7/16
            of it: 28 pixels at 64, as in the standard data, and 14 at 32.
        digits: Number of digits in a sequence, from 1 to 8.
        frames: Number of frames in a sequence.
        seed: Seed of the training sequences. Validation and test sequences are always
            the same.
        sequences: Number of training sequences in an epoch. By default, the number of
            training digits. Each epoch has new digits and trajectories.
        evaluation_sequences: Number of sequences in the validation set and in the test
            set. By default, the number of their digits. A smaller set is the beginning
            of the default one; its digits are drawn from all digits.
        merge_validation: Whether the training set also contains the digits of the
            validation set.
        verbose: Whether to print which digits are used and how many samples there are.

    Returns:
        Training, validation and test set, each a `MovingMNIST`.

    Raises:
        ValueError: If an argument is invalid, or if `load_digits` raises it.

    Examples:
        >>> sets = zoo.data.moving_mnist("sklearn", 4, size=32, frames=5, verbose=False)
        >>> frames, targets = sets[0][0]
        >>> frames.shape, targets["groups"].shape
        ((4, 5, 32, 32, 1), (4, 5, 32, 32))
    """
    check_integer("size", size, SMALLEST)
    source = load_digits(source, digit_side(size))
    return digit_sets(
        MovingMNIST,
        f"Moving MNIST from {source.name}",
        source,
        seed=seed,
        sequences=sequences,
        evaluation_sequences=evaluation_sequences,
        merge_validation=merge_validation,
        verbose=verbose,
        batch_size=batch_size,
        size=size,
        digits=digits,
        frames=frames,
    )


def digit_side(size: int) -> int:
    """Return the side of the digits in pixels: 28 for frames of 64, 14 for 32."""
    return round(size * FULL / 64)
