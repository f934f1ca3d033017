"""Datasets of Occluded Moving MNIST for `fit`, `evaluate` and `predict`.

`occlusion.py` draws the trajectories and the bars.
"""

import os

import numpy as np

from zoo.data.digits.occlusion import (
    BAR,
    DIGIT,
    GAP,
    Sequences,
    trajectories,
)
from zoo.data.digits.sets import DigitDataset, digit_sets
from zoo.data.digits.sources import Digits, load_digits
from zoo.data.epochs import check_boolean, check_integer


class OccludedMNIST(DigitDataset):
    """Batches of Occluded Moving MNIST (Section 3.1).

    A batch is `(x, y)`. `x` are the frames, `float32` of shape `(B, T, 32, 32, 1)`,
    from 0 (background) to 1 (ink). `y` is a dictionary of

    - `"class"`: the classes, `int32` of shape `(B,)`;
    - `"frame"`: the same frames as `x`, for the task of next-step prediction. Its loss
      compares the prediction at time t with frame t + 1;
    - `"probe"`: the frames without bars, for the read-out of Fig. 4.

    With `inputs="reconstruction"` (the static classifier of Table 1), `x` is the
    optimal temporal reconstruction at the last frame, shape `(B, 1, 32, 32, 1)`, and
    `y` has only `"class"`.

    With `labelled`, a batch is `(x, y, weight)`. `weight["class"]`, `float32` of shape
    `(B,)`, is 1 for labelled samples and 0 for others. The same fraction of each batch
    is labelled, so that labelled digits appear more often than others.

    A sequence depends only on `seed`, `epoch` and its place in the epoch. It does not
    depend on the batch size or on the batches that were read before. With `fresh=True`,
    each epoch has a new order and new trajectories, and a last batch that is not full
    is dropped, because a small batch makes the statistics of batch normalisation worse.
    With `fresh=False`, all epochs are the same, in the order of the digits, and the
    last batch is kept.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        images: Digits of shape `(n, 14, 14)`, from 0 (background) to 1 (ink).
        labels: Classes of the digits, integers of shape `(n,)`.
        batch_size: Number of sequences in a batch, `B`.
        frames: Number of frames in a sequence, `T`.
        seed: Seed of the sequences, an integer of at least 0.
        fresh: Whether sequences are drawn again for each epoch.
        sequences: Number of sequences in an epoch. By default, one for each digit. With
            fewer, an epoch has random digits (`fresh=True`) or evenly spaced digits
            (`fresh=False`). With more, digits appear several times.
        phase: First row and column of a bar, from 0 to 11.
        random_bounce: Whether a digit gets a random new velocity when it bounces.
        inputs: `"frames"` or `"reconstruction"`.
        labelled: Indices of the digits whose labels are used, or `None` for all. Only
            with `fresh=True`.
        labelled_share: Labelled fraction of each batch, above 0 and at most 1. With 1,
            digits without a label are not used.
        digits_name: Name of the digits.

    Attributes:
        epoch: Number of finished epochs. It may be set.
        num_sequences: Number of sequences in an epoch, in all batches together.
        digits_name: Name of the digits.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.data.digits.occluded import OccludedMNIST
        >>> digits = zoo.data.load_digits("sklearn")
        >>> train = OccludedMNIST(*digits.train, batch_size=10, frames=7, fresh=True)
        >>> train[0][0].shape
        (10, 7, 32, 32, 1)
    """

    side = DIGIT

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 100,
        *,
        frames: int = 5,
        seed: int = 0,
        fresh: bool = False,
        sequences: int | None = None,
        phase: int = 2,
        random_bounce: bool = False,
        inputs: str = "frames",
        labelled: np.ndarray | None = None,
        labelled_share: float = 0.5,
        digits_name: str = "digits",
    ):
        check_integer("frames", frames, 1)
        check_integer("phase", phase, 0, BAR + GAP - 1)
        if inputs not in ("frames", "reconstruction"):
            raise ValueError(
                f"`inputs` must be 'frames' or 'reconstruction'; got {inputs!r}. "
                "Choose one of these."
            )
        super().__init__(
            images,
            labels,
            batch_size,
            seed=seed,
            fresh=fresh,
            sequences=sequences,
            labelled=labelled,
            labelled_share=labelled_share,
            digits_name=digits_name,
        )
        self.frames = frames
        self.phase = phase
        check_boolean("random_bounce", random_bounce)
        self.random_bounce = random_bounce
        self.inputs = inputs

    def batch(self, index: int) -> tuple:
        sequences = self.sequences(index)
        y = {"class": sequences.labels}
        if self.inputs == "reconstruction":
            x = sequences.reconstruction[:, -1:]
        else:
            x = sequences.frames
            y |= {"frame": x, "probe": sequences.unoccluded}
        return self.weighted(x, y)

    def sequences(self, index: int) -> Sequences:
        """Return a batch of the current epoch with all that was drawn.

        Args:
            index: Number of the batch, from 0. Negative numbers count from the end.

        Returns:
            `Sequences`, which include the true positions and velocities, the frames
            with and without bars, and the optimal reconstructions.

        Raises:
            IndexError: If there is no such batch.
        """
        order, positions, velocities = self.drawn(index)
        images, labels = self.images[order], self.labels[order]
        return Sequences(images, labels, positions, velocities, self.phase)

    def draw(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Draw digits, positions and velocities of all sequences of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        order = self.draw_digits(rng)
        flights = trajectories(
            self.total, rng, frames=self.frames, random_bounce=self.random_bounce
        )
        return (order, *flights)


def occluded_mnist(
    digits: str | os.PathLike | Digits = "auto",
    batch_size: int = 100,
    *,
    frames: int = 5,
    seed: int = 0,
    sequences: int | None = None,
    evaluation_sequences: int | None = None,
    phase: int = 2,
    random_bounce: bool = False,
    inputs: str = "frames",
    labelled: int | None = None,
    labelled_share: float = 0.5,
    merge_validation: bool = False,
    verbose: bool = True,
) -> tuple[OccludedMNIST, OccludedMNIST, OccludedMNIST]:
    """Return datasets of Occluded Moving MNIST (Section 3.1), for Tables 1 and 2.

    Args:
        digits: Source of the digits, an argument of `load_digits` or its result. By
            default, MNIST if it is on this machine, otherwise the digits of
            scikit-learn.
        batch_size: Number of sequences in a batch.
        frames: Number of frames in a sequence.
        seed: Seed of the training sequences and of the choice of labelled digits.
            Validation and test sequences are always the same.
        sequences: Number of training sequences in an epoch. By default, one for each
            digit. Each epoch has a new order and new trajectories.
        evaluation_sequences: Number of sequences in the validation set and in the test
            set. By default, one for each digit. A smaller set has evenly spaced digits,
            because the first half of MNIST's test file is easier than the second.
        phase: First row and column of a bar, from 0 to 11.
        random_bounce: Whether a digit gets a random new velocity when it bounces. By
            default, it is reflected.
        inputs: `"frames"`, or `"reconstruction"` for the static classifier.
        labelled: Number of labelled training digits, a multiple of 10; Table 2 has
            1,000. Training batches then contain sample weights, see `OccludedMNIST`.
            By default, all digits are labelled. With 0, none is.
        labelled_share: Labelled fraction of each training batch, above 0 and at most 1.
            With 1, digits without a label are not used.
        merge_validation: Whether the training set also contains the digits of the
            validation set, as in phase 2 of Appendix D.1. The labelled digits do not
            depend on it.
        verbose: Whether to print which digits are used and how many samples there are.

    Returns:
        Training, validation and test set, each an `OccludedMNIST`.

    Raises:
        ValueError: If an argument is invalid, or if `load_digits` raises it.

    Examples:
        >>> train, valid, test = zoo.data.occluded_mnist("sklearn", 10, verbose=False)
        >>> frames, targets = train[0]
        >>> frames.shape, targets["class"].shape, targets["probe"].shape
        ((10, 5, 32, 32, 1), (10,), (10, 5, 32, 32, 1))
    """
    digits = load_digits(digits)
    return digit_sets(
        OccludedMNIST,
        f"Occluded Moving MNIST from {digits.name}",
        digits,
        seed=seed,
        sequences=sequences,
        evaluation_sequences=evaluation_sequences,
        labelled=labelled,
        merge_validation=merge_validation,
        verbose=verbose,
        labelled_share=labelled_share,
        batch_size=batch_size,
        frames=frames,
        phase=phase,
        random_bounce=random_bounce,
        inputs=inputs,
    )
