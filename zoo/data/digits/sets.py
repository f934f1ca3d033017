"""Base class of datasets that are made from digits."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from zoo.data.digits.labels import balanced, check_labelled, cycle, mixed, places
from zoo.data.digits.sources import Digits, Split, check_digits
from zoo.data.epochs import SampleDataset, check_boolean, check_integer

# Fixed seeds, so that the test samples do not depend on the seed of a run.
VALID_SEED = 1
TEST_SEED = 2


class DigitDataset(SampleDataset):
    """Batches of samples that are made from digits.

    A sample depends only on `seed`, `epoch` and its place in the epoch. It does not
    depend on the batch size or on the batches that were read before.

    A subclass defines `batch(index)` and `draw(epoch)`.

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Classes of the digits, integers of shape `(n,)`.
        batch_size: Number of samples in a batch, `B`.
        seed: Seed of the samples, an integer of at least 0.
        fresh: Whether samples are drawn again for each epoch.
        sequences: Number of samples in an epoch. By default, one for each digit.
        labelled: Indices of the digits whose labels are used, or `None` for all.
        labelled_share: Labelled fraction of each batch, above 0 and at most 1. `None`
            means 1/2, for datasets without this argument.
        digits_name: Name of the digits.

    Raises:
        ValueError: If an argument is invalid.
    """

    kind = "sequences"
    side: int | None = None  # required side of the digits in pixels

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        fresh: bool,
        sequences: int | None,
        labelled: np.ndarray | None = None,
        labelled_share: float | None = None,
        digits_name: str,
    ):
        images, labels = check_digits(images, labels, self.side)
        samples = len(images) if sequences is None else sequences
        check_integer("sequences", samples, 1)
        super().__init__(samples, batch_size, seed, fresh, self.kind)
        self._share = Fraction(0)
        if labelled is not None:
            labelled, self._share = check_labelled(
                labelled, len(images), batch_size, fresh, labelled_share
            )
        self.images = images
        self.labels = labels
        self.total = samples
        self.labelled = labelled
        self.digits_name = self.origin = digits_name
        self._drawn: tuple[int | None, Any] = (None, None)

    def draw(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Draw everything that is random in an epoch.

        Args:
            epoch: Number of finished epochs.

        Returns:
            Arrays whose first axis has `total` entries, the indices of the digits
            first. They include samples of a dropped last batch, so that they do not
            depend on the batch size.
        """
        raise NotImplementedError

    def drawn(self, index: int) -> list[np.ndarray]:
        """Return the random draws of a batch of the current epoch."""
        place = self.place(index)
        epoch = self.epoch if self.fresh else 0
        drawn_epoch, arrays = self._drawn
        if drawn_epoch != epoch:
            arrays = self.draw(epoch)
            # One assignment for both, because `fit` may read batches in another thread.
            self._drawn = (epoch, arrays)
        return [array[place] for array in arrays]

    def draw_digits(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the digit of each sample of an epoch.

        Without `fresh`, digits are not random but evenly spaced.
        """
        n = len(self.images)
        if not self.fresh:
            return np.arange(self.total) * n // self.total
        if self.labelled is None:
            return cycle(np.arange(n), self.total, rng)
        return mixed(n, self.labelled, self._share, self.total, rng)

    def weighted(self, x: np.ndarray, y: dict[str, np.ndarray]) -> tuple:
        """Return a batch, with sample weights if not all digits are labelled."""
        if self.labelled is None:
            return x, y
        return x, y, {"class": places(len(x), self._share).astype(np.float32)}


def digit_sets(
    dataset: Callable[..., DigitDataset],
    title: str,
    digits: Digits,
    /,
    *,
    others: tuple = ((), (), ()),
    seed: int,
    sequences: int | None,
    evaluation_sequences: int | None,
    labelled: int | None = None,
    merge_validation: bool,
    verbose: bool,
    **common: Any,
) -> tuple:
    """Return training, validation and test set.

    Args:
        dataset: Class of the datasets, a `DigitDataset`.
        title: Name of the data, to print.
        digits: The digits.
        others: For each set, positional arguments after the digits and labels.
        seed: Seed of the training samples and of the choice of labelled digits.
        sequences: Number of training samples in an epoch.
        evaluation_sequences: Number of validation samples, and of test samples.
        labelled: Number of labelled training digits, or `None` for all.
        merge_validation: Whether the training set also contains the digits of the
            validation set.
        verbose: Whether to print `title` and the number of samples.
        **common: Keyword arguments of all three datasets.
    """
    check_integer("seed", seed, 0)
    check_boolean("merge_validation", merge_validation)
    training: dict[str, Any] = {"seed": seed, "fresh": True, "sequences": sequences}
    if labelled is not None:
        training["labelled"] = balanced(digits.train.labels, labelled, seed)
    if evaluation_sequences is not None:
        check_integer("evaluation_sequences", evaluation_sequences, 1)
    train = digits.train
    if merge_validation:
        pairs = zip(digits.train, digits.valid, strict=True)
        train = Split(*(np.concatenate(pair) for pair in pairs))
    common["digits_name"] = digits.name
    evaluation: dict[str, Any] = {"sequences": evaluation_sequences, **common}
    sets = (
        dataset(*train, *others[0], **training, **common),
        dataset(*digits.valid, *others[1], seed=VALID_SEED, **evaluation),
        dataset(*digits.test, *others[2], seed=TEST_SEED, **evaluation),
    )
    if verbose:
        counts = "training {:,}, validation {:,}, test {:,}".format(
            *(data.num_sequences for data in sets)
        )
        labels = "" if labelled is None else f", labelled digits {labelled:,}"
        print(f"{title}: {counts} {sets[0].kind}{labels}.")
    return sets
