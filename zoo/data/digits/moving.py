"""Moving MNIST with its segmentation (Section 4.3), in NumPy.

Digits fly over a background and through each other, and bounce off the edges. The paper
takes the data of Srivastava et al. (2015) and makes them anew, to know which pixel is
whose. So do we, after the program which they published:

- A position is a point of the unit square, at first uniform; the square is the places
  where the digit is in view. The direction is uniform, the speed 0.1 per frame.
- A digit that reaches a wall, or would pass it, stops at the wall and flies on from
  there, with that component of its velocity reversed.
- The first frame is one step after the start. Pixels are found by rounding down.
- A pixel is the maximum of the digits there.

The segmentation is ours. A pixel belongs to the only digit with more than 0.5 there.
Where no digit has, it is background; where several have, one cannot know. Both are
marked -1 and do not count.

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
SPEED = 0.1
INK = 0.5
SMALLEST = 20
# The digits of a pixel are noted in the bits of a byte.
MOST_DIGITS = 8


def trajectories(
    start: np.ndarray, angle: np.ndarray, room: int, frames: int = 20
) -> np.ndarray:
    """Lets digits fly.

    Args:
        start: Where in the unit square they start, shape `(..., 2)`.
        angle: The direction in which they start, in radians, shape `(...)`. 0 leads to
            higher columns, pi / 2 to higher rows.
        room: The last row and column where a digit can begin.
        frames: Number of frames, `T`.

    Returns:
        Integers of shape `(..., T, 2)`: the upper left corner of the digit, 0 to
        `room`.
    """
    place = np.array(start, float)
    velocity = SPEED * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    places = np.empty((frames, *place.shape))
    for t in range(frames):
        place += velocity
        # At the wall counts as beyond it, as in the published program.
        bounced = (place <= 0) | (place >= 1)
        np.clip(place, 0, 1, out=place)
        np.negative(velocity, out=velocity, where=bounced)
        places[t] = place
    return np.moveaxis((room * places).astype(np.int64), 0, -2)


@dataclass(frozen=True, eq=False)
class Sequences:
    """A batch of sequences: what was drawn, and the pictures that follow from it.

    The pictures are made when first asked for.

    Attributes:
        digits: `float32` of shape `(B, D, side, side)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(B, D)`.
        positions: Integers of shape `(B, D, T, 2)`, the upper left corner of a digit.
        size: Side of the frames in pixels.
    """

    digits: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    size: int

    @functools.cached_property
    def frames(self) -> np.ndarray:
        """What the network sees: `float32` of shape `(B, T, size, size, 1)`."""
        return self._merge(self.digits, np.maximum)[..., None]

    @functools.cached_property
    def segments(self) -> np.ndarray:
        """Whose a pixel is: `int32` of shape `(B, T, size, size)`.

        The index of the digit, or -1 for the background and where digits overlap.
        """
        n = self.digits.shape[1]
        bits = 1 << np.arange(n, dtype=np.uint8)
        owner = np.full(1 << n, -1, np.int32)
        owner[bits] = np.arange(n)
        ink = (self.digits > INK) * bits[:, None, None]
        return owner[self._merge(ink, np.bitwise_or)]

    def _merge(self, digits, merge):
        """Puts digits, `(B, D, side, side)`, on empty frames, `(B, T, size, size)`."""
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
    from 0 (background) to 1 (ink), and `y` is a dict of

    - `"class"`: the labels of the digits, `int32` of shape `(B, D)`;
    - `"groups"`: whose a pixel is, `int32` of shape `(B, T, size, size)`: the index
      of the digit, or -1 for the background and where digits overlap.

    What is drawn depends on `seed`, `epoch` and the place in the epoch alone. It does
    not depend on which batches were asked for before, or on the size of the batches;
    fewer sequences or frames are the first ones of more. With `fresh=True` each epoch
    draws anew, and a last batch that is not full is left out, because batch
    normalisation would suffer from it. With `fresh=False` every epoch is the same, and
    the last batch is kept.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(n,)`.
        batch_size: Number of sequences in a batch, `B`.
        size: Side of the frames in pixels, more than that of the digits.
        digits: Number of digits in a sequence, `D`, 1 to 8.
        frames: Number of frames in a sequence, `T`.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        sequences: Number of sequences in an epoch, by default as many as there are
            digits. Then each digit flies `D` times in an epoch.
        digits_name: Which digits these are.

    Attributes:
        epoch: Number of epochs that are over; may be set.
        num_sequences: Number of sequences in an epoch, in all batches together.
        digits_name: Which digits these are.

    Raises:
        ValueError: If an argument is not as above.
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

    def batch(self, index: int):
        sequences = self.sequences(index)
        x = sequences.frames
        return x, {"class": sequences.labels, "groups": sequences.segments}

    def sequences(self, index: int) -> Sequences:
        """All there is to know about a batch of this epoch.

        Args:
            index: Number of the batch, from 0; negative numbers count from the end.

        Returns:
            `Sequences`, with the true positions too.

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

    def draw(self, epoch):
        """Digits, starts and directions of all sequences of an epoch."""
        n, shape = len(self.images), (self.total, self.digits)
        # Training flies other ways than validation and test, whatever its seed. Two
        # sources, or else the flights would depend on the number of digits.
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
    """Moving MNIST with its segmentation (Section 4.3).

    Args:
        source: What `load_digits` takes (by default MNIST if it is on this machine,
            else the digits of scikit-learn), or what it returns.
        batch_size: Number of sequences in a batch.
        size: Side of the frames in pixels, at least 20. The digits have 7/16 of it: 28
            pixels at 64, as in the standard data, and 14 at 32.
        digits: Number of digits in a sequence, 1 to 8.
        frames: Number of frames in a sequence.
        seed: Seed of the training sequences. The validation and the test sequences are
            always the same ones.
        sequences: Number of training sequences in an epoch, by default as many as there
            are digits. Each epoch draws digits and trajectories anew.
        evaluation_sequences: Number of sequences in the validation set and in the test
            set, by default as many as there are digits. Fewer are the first ones, which
            have digits from the whole set.
        merge_validation: Whether the digits of the validation set are in the training
            set too.
        verbose: Whether to print which digits are used, and how many.

    Returns:
        Training, validation and test set, each a `MovingMNIST`.

    Raises:
        ValueError: If an argument is not as above; see also `load_digits`.

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
    """Side of the digits in frames of that size, in pixels: 28 at 64, 14 at 32."""
    return round(size * FULL / 64)
