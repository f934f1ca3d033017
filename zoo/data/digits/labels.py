"""Few labels: which samples have one, and batches that mix them with the others."""

from fractions import Fraction

import numpy as np

from zoo.data.epochs import check_integer

CLASSES = 10


def balanced(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws digits whose labels are used, as many of each class.

    Args:
        labels: Integers from 0 to 9, shape `(n,)`.
        count: How many are drawn, a multiple of 10; may be 0.
        seed: Integer, at least 0. It alone decides which ones.

    Returns:
        Indices in ascending order, shape `(count,)`.

    Raises:
        ValueError: If a class has fewer digits, or `count` is not as above.
    """
    check_integer("labelled", count, 0)
    if count % CLASSES:
        raise ValueError(
            f"`labelled` must be a multiple of {CLASSES}, as many of each class, and "
            f"it is {count}."
        )
    rng = np.random.default_rng(seed)
    each = count // CLASSES
    chosen = []
    for label in range(CLASSES):
        where = rng.permutation(np.flatnonzero(labels == label))
        if len(where) < each:
            raise ValueError(
                f"There are only {len(where)} digits of class {label}, and "
                f"`labelled={count}` takes {each}: choose a smaller number."
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
    """Which digits are labelled, and which part of each batch, or a `ValueError`.

    Args:
        labelled: Indices of digits whose labels may be used; may be empty.
        n: Number of digits, labelled or not.
        batch_size: Number of samples in a batch.
        fresh: Whether each epoch of the data draws anew.
        share: Labelled part of each batch, above 0 and up to 1. With 1 the digits
            without a label are left out. `None`: half of it, and it cannot be chosen.

    Returns:
        The indices in ascending order, each once, and the share as a fraction, which is
        0 where there are no indices.
    """
    labelled = np.asarray(labelled)
    if labelled.size == 0:
        return np.empty(0, np.int64), Fraction(0)
    valid = labelled.ndim == 1 and labelled.dtype.kind in "iu"
    if not valid or labelled.min() < 0 or labelled.max() >= n:
        raise ValueError(
            f"`labelled` must be a list of indices from 0 to {n - 1}, or None for all."
        )
    labelled = np.unique(labelled)
    if not fresh:
        raise ValueError("`labelled` is for training: use it with `fresh=True`.")
    other = "" if share is None else ", or another `labelled_share`"
    share = 0.5 if share is None else share
    if not 0 < share <= 1:
        raise ValueError(
            f"`labelled_share` must be above 0 and at most 1, and it is {share!r}."
        )
    share = Fraction(share).limit_denominator(1000)
    if share < 1 and len(labelled) == n:
        raise ValueError(
            f"All {n} digits are labelled, which leaves none without: choose fewer, "
            "or `labelled=None`."
        )
    if share == 0 or share * batch_size % 1:
        raise ValueError(
            f"A batch of {batch_size} cannot be labelled to {share}: choose a "
            f"`batch_size` that is a multiple of {share.denominator}{other}."
        )
    return labelled, share


def places(count: int, share: Fraction) -> np.ndarray:
    """Which of the first samples of an epoch, or of a batch, are labelled.

    In each batch it is the same part, so that what an epoch draws does not depend on
    the size of the batches.

    Returns:
        `bool` of shape `(count,)`; the first one is, unless the share is 0.
    """
    labelled = -(-np.arange(count + 1) * share.numerator // share.denominator)
    return np.diff(labelled) > 0


def mixed(
    n: int, labelled: np.ndarray, share: Fraction, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws the digit of each sample of an epoch, some labelled and some not.

    Args:
        n: Number of digits, labelled or not.
        labelled: Indices of the labelled ones.
        share: See `check_labelled`.
        count: Number of samples.
        rng: Source of randomness.

    Returns:
        Indices, shape `(count,)`.
    """
    where = places(count, share)
    order = np.empty(count, np.int64)
    others = np.setdiff1d(np.arange(n), labelled)
    order[where] = cycle(labelled, where.sum(), rng)
    order[~where] = cycle(others, (~where).sum(), rng)
    return order


def cycle(items: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """That many items: all in a random order, then all in another one, and so on."""
    rounds = -(-count // max(1, len(items)))
    drawn = [items[:0], *(rng.permutation(items) for _ in range(rounds))]
    return np.concatenate(drawn)[:count]
