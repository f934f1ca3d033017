"""Occluded Moving MNIST in batches that `fit`, `evaluate` and `predict` take."""

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
from zoo.data.epochs import check_integer


class OccludedMNIST(DigitDataset):
    """Batches of Occluded Moving MNIST (Section 3.1).

    A batch is `(x, y)`. `x` are the frames, `float32` of shape `(B, T, 32, 32, 1)`, and
    `y` is a dict of

    - `"class"`: the labels, `int32` of shape `(B,)`;
    - `"frame"`: the frames once more, for the task of next-step prediction, whose loss
      compares the prediction made at t with frame t + 1;
    - `"probe"`: the frames without bars, for the read-out of Fig. 4.

    With `inputs="reconstruction"` (the static classifier of Table 1) `x` is the optimal
    temporal reconstruction at the last frame, shape `(B, 1, 32, 32, 1)`, and `y` has
    `"class"` only.

    With `labelled` a batch is `(x, y, weight)`: `weight["class"]`, `float32` of shape
    `(B,)`, is 1 where the label may be used and 0 where it may not. The same part of
    each batch is labelled, and the labelled digits are used again and again.

    What is drawn depends on `seed`, `epoch` and the place in the epoch alone. It does
    not depend on which batches were asked for before, or on the size of the batches.
    With `fresh=True` each epoch has an order and trajectories of its own, and a last
    batch that is not full is left out, because batch normalisation would suffer from
    it. With `fresh=False` every epoch is the same, in the order of the digits, and the
    last batch is kept.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        images: Digits of shape `(n, 14, 14)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(n,)`.
        batch_size: Number of sequences in a batch, `B`.
        frames: Number of frames in a sequence, `T`.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        sequences: Number of sequences in an epoch, by default one for each digit. With
            fewer, an epoch has a random part of the digits (`fresh=True`) or evenly
            spaced ones (`fresh=False`); with more, digits fly several times.
        phase: Where the bars begin, see `zoo.data.occluded_mnist`.
        random_bounce: Whether a bounce draws a new velocity.
        inputs: `"frames"` or `"reconstruction"`.
        labelled: Indices of the digits whose labels may be used, or `None` for all.
            Only with `fresh=True`.
        labelled_share: Labelled part of each batch, above 0 and up to 1. With 1 the
            digits without a label are left out.
        digits_name: Which digits these are.

    Attributes:
        epoch: Number of epochs that are over; may be set.
        num_sequences: Number of sequences in an epoch, in all batches together.
        digits_name: Which digits these are.

    Raises:
        ValueError: If an argument is not as above.

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
                f"`inputs` must be 'frames' or 'reconstruction', and it is {inputs!r}."
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
        self.random_bounce = random_bounce
        self.inputs = inputs

    def batch(self, index: int):
        sequences = self.sequences(index)
        y = {"class": sequences.labels}
        if self.inputs == "reconstruction":
            x = sequences.reconstruction[:, -1:]
        else:
            x = sequences.frames
            y |= {"frame": x, "probe": sequences.unoccluded}
        return self.weighted(x, y)

    def sequences(self, index: int) -> Sequences:
        """All there is to know about a batch of this epoch.

        Args:
            index: Number of the batch, from 0; negative numbers count from the end.

        Returns:
            `Sequences`, with the true positions and velocities, the frames with and
            without bars, and the optimal reconstructions.

        Raises:
            IndexError: If there is no such batch.
        """
        order, *flights = self.drawn(index)
        return Sequences(self.images[order], self.labels[order], *flights, self.phase)

    def draw(self, epoch):
        """Digits, positions and velocities of all sequences of an epoch."""
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
    """Occluded Moving MNIST (Section 3.1): the data of Tables 1 and 2.

    Args:
        digits: What `load_digits` takes (by default MNIST if it is on this machine,
            else the digits of scikit-learn), or what it returns.
        batch_size: Number of sequences in a batch.
        frames: Number of frames in a sequence.
        seed: Seed of the training sequences and of which digits are labelled. The
            validation and the test sequences are always the same ones.
        sequences: Number of training sequences in an epoch, by default one for each
            digit. Each epoch draws digits and trajectories anew.
        evaluation_sequences: Number of sequences in the validation set and in the test
            set, by default one for each digit. Fewer are evenly spaced digits: the
            first half of the test file of MNIST is easier than the second.
        phase: Where the bars begin, see `zoo.data.occluded_mnist`.
        random_bounce: Whether a bounce draws a new velocity.
        inputs: `"frames"`, or `"reconstruction"` for the static classifier.
        labelled: Number of labelled training digits, as many of each class; Table 2 has
            1,000. Then a weight says which samples of a training batch are labelled,
            see `OccludedMNIST`. By default all are; with 0 none is.
        labelled_share: Labelled part of each training batch, above 0 and up to 1. With
            1 the digits without a label are left out.
        merge_validation: Whether the digits of the validation set are in the training
            set too, as in the second phase of the protocol of Appendix D.1. The
            labelled ones are the same with and without them.
        verbose: Whether to print which digits are used, and how many.

    Returns:
        Training, validation and test set, each an `OccludedMNIST`.

    Raises:
        ValueError: If an argument is not as above; see also `load_digits`.

    Examples:
        >>> train, valid, test = zoo.data.occluded_mnist("sklearn", 10, verbose=False)
        >>> frames, targets = train[0]
        >>> frames.shape, targets["class"].shape, targets["probe"].shape
        ((10, 5, 32, 32, 1), (10,), (10, 5, 32, 32, 1))
    """
    if not isinstance(digits, Digits):
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
