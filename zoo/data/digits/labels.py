"""Semi-supervised data: the choice of labelled digits, and batches that mix them."""

from fractions import Fraction

import numpy as np

from zoo.data.epochs import check_integer

CLASSES = 10


def balanced(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw the digits whose labels are used, with the same number from each class.

    Args:
        labels: Classes of all digits, integers from 0 to 9, shape `(n,)`.
        count: Number of labelled digits, a multiple of 10; 0 is allowed.
        seed: Seed of the draw, an integer of at least 0.

    Returns:
        Indices in ascending order, shape `(count,)`.

    Raises:
        ValueError: If a class has too few digits, or `count` is invalid.
    """
    check_integer("labelled", count, 0)
    if count % CLASSES:
        raise ValueError(
            f"`labelled` must be a multiple of {CLASSES}, as many of each class; got "
            f"{count}. Choose a multiple, such as 1000."
        )
    rng = np.random.default_rng(seed)
    each = count // CLASSES
    chosen = []
    for label in range(CLASSES):
        where = rng.permutation(np.flatnonzero(labels == label))
        if len(where) < each:
            raise ValueError(
                f"`labelled` must be at most {CLASSES * len(where)} for these digits, "
                f"which have {len(where)} of class {label}; got {count}. Choose a "
                "smaller number."
            )
        chosen.append(where[:each])
    return np.sort(np.concatenate(chosen))


def check_labelled(
    labelled: np.ndarray,
    n: int,
    batch_size: int,
    fresh: bool,
    share: float | None = None,
) -> tuple[np.ndarray, Fraction]:
    """Check which digits are labelled, and the labelled fraction of each batch.

    Args:
        labelled: Indices of the digits whose labels are used. It may be empty.
        n: Number of all digits.
        batch_size: Number of samples in a batch.
        fresh: Whether samples are drawn again for each epoch.
        share: Labelled fraction of each batch, above 0 and at most 1. With 1, digits
            without a label are not used. `None` means 1/2, for datasets without this
            argument.

    Returns:
        Unique indices in ascending order, and the fraction, which is 0 if there are no
        indices.

    Raises:
        ValueError: If an argument is invalid.
    """
    labelled = np.asarray(labelled)
    if labelled.size == 0:
        return np.empty(0, np.int64), Fraction(0)
    valid = labelled.ndim == 1 and labelled.dtype.kind in "iu"
    if not valid or labelled.min() < 0 or labelled.max() >= n:
        raise ValueError(
            f"`labelled` must be a list of indices from 0 to {n - 1}, or None for all; "
            f"got {labelled.dtype} of shape {labelled.shape}. Check the indices."
        )
    labelled = np.unique(labelled)
    if not fresh:
        raise ValueError(
            "`labelled` must be None with fresh=False; got indices. Use it for "
            "training, with fresh=True."
        )
    other = "" if share is None else ", or another `labelled_share`"
    part = 0.5 if share is None else share
    if not 0 < part <= 1:
        raise ValueError(
            f"`labelled_share` must be above 0 and at most 1; got {part!r}. Choose a "
            "fraction such as 0.5."
        )
    fraction = Fraction(part).limit_denominator(1000)
    if fraction < 1 and len(labelled) == n:
        raise ValueError(
            "`labelled` must leave digits for the unlabelled part of a batch; got all "
            f"{n} digits. Choose fewer, or None for all."
        )
    if fraction == 0 or fraction * batch_size % 1:
        raise ValueError(
            f"A fraction of {fraction} of a batch must be a whole number of samples; "
            f"got `batch_size` {batch_size}. Choose a multiple of "
            f"{fraction.denominator} as `batch_size`{other}."
        )
    return labelled, fraction


def places(count: int, share: Fraction) -> np.ndarray:
    """Return which of the first `count` samples of an epoch or a batch are labelled.

    The same places are labelled in each batch, so that the samples of an epoch do not
    depend on the batch size.

    Args:
        count: Number of samples.
        share: Labelled fraction of the samples.

    Returns:
        `bool` of shape `(count,)`. The first sample is labelled, unless `share` is 0.
    """
    labelled = -(-np.arange(count + 1) * share.numerator // share.denominator)
    return np.diff(labelled) > 0


def mixed(
    n: int, labelled: np.ndarray, share: Fraction, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw the digit of each sample of an epoch, from labelled and unlabelled digits.

    Args:
        n: Number of all digits.
        labelled: Indices of the labelled digits.
        share: Labelled fraction of each batch, from `check_labelled`.
        count: Number of samples.
        rng: Source of randomness.

    Returns:
        Indices of digits, shape `(count,)`.
    """
    where = places(count, share)
    order = np.empty(count, np.int64)
    others = np.setdiff1d(np.arange(n), labelled)
    order[where] = cycle(labelled, where.sum(), rng)
    order[~where] = cycle(others, (~where).sum(), rng)
    return order


def cycle(items: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` items: all items in a random order, then all in another, and so on.

    Args:
        items: Array of shape `(n,)`.
        count: Number of items to draw.
        rng: Source of randomness.

    Returns:
        Array of shape `(count,)`.
    """
    rounds = -(-count // max(1, len(items)))
    drawn = [items[:0], *(rng.permutation(items) for _ in range(rounds))]
    return np.concatenate(drawn)[:count]
