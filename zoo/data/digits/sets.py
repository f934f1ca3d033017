"""What the data sets that are made of digits have in common."""

import numpy as np

from zoo.data.digits.labels import balanced, check_labelled, cycle, mixed, places
from zoo.data.digits.sources import Digits, Split, check_digits
from zoo.data.epochs import SampleDataset, check_integer

# The test samples are the same ones whatever seed a model is trained with.
VALID_SEED = 1
TEST_SEED = 2


class DigitDataset(SampleDataset):
    """Batches of samples that show digits.

    What is drawn depends on `seed`, `epoch` and the place in the epoch alone. It does
    not depend on which batches were asked for before, or on the size of the batches.

    A subclass has `batch(index)` and `draw(epoch)`, which gives all that is random in
    an epoch: arrays, first the digits' indices, with an entry for each of the `total`
    (those of a batch left out too, or else it would depend on the size of the batches).

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(n,)`.
        batch_size: Number of samples in a batch, `B`.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        sequences: Number of samples in an epoch, by default one for each digit.
        labelled: Indices of the digits whose labels may be used, or `None` for all.
        labelled_share: See `zoo.data.digits.labels.check_labelled`.
        digits_name: Which digits these are.

    Raises:
        ValueError: If an argument is not as above.
    """

    kind = "sequences"
    side = None  # of the digits, where they must have one

    def __init__(
        self,
        images,
        labels,
        batch_size,
        *,
        seed,
        fresh,
        sequences,
        labelled=None,
        labelled_share=None,
        digits_name,
    ):
        images, labels = check_digits(images, labels, self.side)
        samples = len(images) if sequences is None else sequences
        check_integer("sequences", samples, 1)
        super().__init__(samples, batch_size, seed, fresh, self.kind)
        self._share = None
        if labelled is not None:
            labelled, self._share = check_labelled(
                labelled, len(images), batch_size, fresh, labelled_share
            )
        self.images = images
        self.labels = labels
        self.total = samples
        self.labelled = labelled
        self.digits_name = self.origin = digits_name
        self._drawn = (None, None)

    def drawn(self, index: int) -> list[np.ndarray]:
        """What was drawn for a batch of this epoch."""
        place = self.place(index)
        epoch = self.epoch if self.fresh else 0
        drawn_epoch, arrays = self._drawn
        if drawn_epoch != epoch:
            arrays = self.draw(epoch)
            # Epoch and draws in one assignment: `fit` may read from another thread.
            self._drawn = (epoch, arrays)
        return [array[place] for array in arrays]

    def draw_digits(self, rng: np.random.Generator) -> np.ndarray:
        """The digit of each sample of an epoch; evenly spaced ones unless `fresh`."""
        n = len(self.images)
        if not self.fresh:
            return np.arange(self.total) * n // self.total
        if self.labelled is None:
            return cycle(np.arange(n), self.total, rng)
        return mixed(n, self.labelled, self._share, self.total, rng)

    def weighted(self, x, y):
        """The batch, with a weight of the class where not all digits are labelled."""
        if self.labelled is None:
            return x, y
        return x, y, {"class": places(len(x), self._share).astype(np.float32)}


def digit_sets(
    dataset: type[DigitDataset],
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
    **common,
) -> tuple:
    """Training, validation and test set.

    Args:
        dataset: What they are.
        title: What the data are called in what is printed.
        digits: Which digits they have.
        others: For each set, positional arguments after the digits and labels.
        seed: Seed of the training samples and of which digits are labelled.
        sequences: Number of training samples in an epoch.
        evaluation_sequences: Number of validation samples, and of test samples.
        labelled: Number of labelled training digits; `None`: all.
        merge_validation: Whether the digits of the validation set are in the training
            set too.
        verbose: Whether to print `title` and how many samples there are.
        **common: Keyword arguments of all three.
    """
    check_integer("seed", seed, 0)
    training = {"seed": seed, "fresh": True, "sequences": sequences}
    if labelled is not None:
        training["labelled"] = balanced(digits.train.labels, labelled, seed)
    if evaluation_sequences is not None:
        check_integer("evaluation_sequences", evaluation_sequences, 1)
    train = digits.train
    if merge_validation:
        pairs = zip(digits.train, digits.valid, strict=True)
        train = Split(*(np.concatenate(pair) for pair in pairs))
    common["digits_name"] = digits.name
    evaluation = {"sequences": evaluation_sequences, **common}
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
        print(f"{title}: {counts} {dataset.kind}{labels}.")
    return sets
