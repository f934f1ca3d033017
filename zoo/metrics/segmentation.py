"""Agreement of a segmentation with the true one: AMI and ARI, in NumPy.

Both compare the partition into groups, not the labels: a model may call the digit 2 and
the background 0. Both are 1 for perfect agreement, and 0 on average for random groups.
The paper reports AMI (Sections 4.2 and 4.3).

Pixels with a negative true label are ignored. Use it where digits overlap, and for the
background, unless it is a separate group. The score of an image without any labelled
pixel is nan. Exclude it from a mean: `np.nanmean(scores)`.
"""

import math
from collections.abc import Callable

import numpy as np

AVERAGES: dict[str, Callable[..., np.ndarray]] = {
    "max": np.maximum,
    "arithmetic": lambda a, b: (a + b) / 2,
    "geometric": lambda a, b: np.sqrt(a * b),
    "min": np.minimum,
}

# Bound on the total probability of the terms that an expectation leaves out.
TAIL = 1e-20
# Maximum number of terms of such sums, or of pixels, in memory at a time.
CHUNK = 1 << 20
# Labels in a range below this are counted without sorting them first.
NEAR = 64


def adjusted_mutual_information(
    truth: np.ndarray, prediction: np.ndarray, average_method: str = "max"
) -> np.ndarray:
    """Return the adjusted mutual information of each image (Vinh et al. 2010, JMLR 11).

    `(MI - E) / (normaliser - E)`, where E is the exact expectation of the mutual
    information of two random segmentations with segments of these sizes. The normaliser
    is an average of the two entropies. scikit-learn divided by their maximum when the
    paper was written; now it divides by their arithmetic mean, which gives higher
    values.

    A segmentation into a single segment has the score 0, or 1 if both segmentations
    have a single segment.

    Args:
        truth: Integers of shape `(n, ...)`. Pixels with a negative label are ignored.
        prediction: Integers of the same shape, any labels.
        average_method: `"max"`, `"arithmetic"`, `"geometric"` or `"min"`.

    Returns:
        `float64` of shape `(n,)`; nan for an image without labelled pixels.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.metrics.segmentation import adjusted_mutual_information
        >>> truth = np.array([[0, 0, 1, 1], [0, 0, 1, -1]])
        >>> adjusted_mutual_information(truth, 1 - truth)
        array([1., 1.])
    """
    if average_method not in AVERAGES:
        raise ValueError(
            f"`average_method` must be one of {', '.join(map(repr, AVERAGES))}; got "
            f"{average_method!r}. Choose one of these."
        )
    counts = contingency(truth, prediction)
    n = counts.sum(axis=(1, 2))
    a, b = counts.sum(axis=2), counts.sum(axis=1)
    entropy_a, entropy_b = _entropy(a, n), _entropy(b, n)
    joint = _entropy(counts.reshape(len(n), math.prod(counts.shape[1:])), n)
    expected = _expected_mutual_information(a, b, n)
    top = entropy_a + entropy_b - joint - expected
    bottom = AVERAGES[average_method](entropy_a, entropy_b) - expected

    # If the normaliser equals the expectation, only one table of counts is possible,
    # and the score is 1.
    certain = bottom < 1e-9
    scores = np.where(certain, 1.0, top / np.where(certain, 1.0, bottom))
    single = ((a > 0).sum(axis=1) == 1) | ((b > 0).sum(axis=1) == 1)
    scores = np.where(single, 0.0, scores)
    scores = np.where(_perfect(counts), 1.0, scores)
    return np.where(n > 0, scores, np.nan)


def adjusted_rand_index(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the adjusted Rand index of each image (Hubert and Arabie 1985).

    With the background labelled -1 it is the ARI-FG of the literature on objects.

    Args:
        truth: Integers of shape `(n, ...)`. Pixels with a negative label are ignored.
        prediction: Integers of the same shape, any labels.

    Returns:
        `float64` of shape `(n,)`; nan for an image without labelled pixels.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.metrics.segmentation import adjusted_rand_index
        >>> truth = np.array([[0, 0, 1, 1], [0, 0, 1, -1]])
        >>> adjusted_rand_index(truth, 1 - truth)
        array([1., 1.])
    """
    counts = contingency(truth, prediction)
    n = counts.sum(axis=(1, 2))
    # Pairs of pixels that are in the same segment in both segmentations.
    both = _pairs(counts).sum(axis=(1, 2))
    a = _pairs(counts.sum(axis=2)).sum(axis=1)
    b = _pairs(counts.sum(axis=1)).sum(axis=1)
    expected = a * b / np.maximum(_pairs(n), 1)
    perfect = _perfect(counts)
    # The divisor is 0 only if all pixels share a segment in both, or no two do.
    bottom = np.where(perfect | (n == 0), 1.0, (a + b) / 2 - expected)
    scores = np.where(perfect, 1.0, (both - expected) / bottom)
    return np.where(n > 0, scores, np.nan)


def contingency(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Count the pixels of each image by true and predicted segment.

    Args:
        truth: Integers of shape `(n, ...)`. Pixels with a negative label are ignored.
        prediction: Integers of the same shape, any labels.

    Returns:
        `int64` of shape `(n, true segments, predicted segments)`. The segments are
        those of all images together; a segment that an image lacks has a count of 0.

    Raises:
        ValueError: If an argument is invalid.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    for name, labels in (("truth", truth), ("prediction", prediction)):
        if labels.dtype.kind not in "iu":
            raise ValueError(
                f"`{name}` must hold integers; got {labels.dtype}. Take the argmax of "
                "masks over their segments first."
            )
    if truth.shape != prediction.shape or truth.ndim < 2:
        raise ValueError(
            "`truth` and `prediction` must both have the shape (n, ...), with pixels "
            f"after the images; got {truth.shape} and {prediction.shape}. Add an axis "
            "for the images."
        )
    n, pixels = len(truth), math.prod(truth.shape[1:])
    if truth.size == 0:
        return np.zeros((n, 0, 0), np.int64)
    truth, names = _from_zero(truth.reshape(n, pixels))
    prediction, others = _from_zero(prediction.reshape(n, pixels))
    shape = len(names), len(others)
    counts = np.empty((n, *shape), np.int64)
    step = max(1, CHUNK // pixels)
    for i in range(0, n, step):
        images = slice(i, i + step)
        cells = truth[images].astype(np.int64) * shape[1]
        cells += prediction[images].astype(np.int64)
        cells += np.arange(len(cells))[:, None] * math.prod(shape)
        found = np.bincount(cells.ravel(), minlength=len(cells) * math.prod(shape))
        counts[images] = found.reshape(-1, *shape)
    return counts[:, names >= 0]


def _from_zero(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same segments with labels from 0, and their labels before."""
    low, high = int(labels.min()), int(labels.max())
    if high - low < NEAR:
        return labels - labels.dtype.type(low), np.arange(low, high + 1)
    names, places = np.unique(labels, return_inverse=True)
    return places.reshape(labels.shape), names


def _entropy(counts: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the entropy in nats of counts along axis 1, which sum to `n`."""
    n = np.maximum(n, 1)
    logs = np.log(np.maximum(counts, 1))
    # The maximum avoids rounding errors below 0 for a single segment.
    return np.maximum(np.log(n) - (counts * logs).sum(axis=1) / n, 0)


def _expected_mutual_information(
    a: np.ndarray, b: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """Return the expected mutual information in nats (Vinh et al. 2010, Eq. 24a).

    Args:
        a: Sizes of the true segments, integers of shape `(n, rows)`.
        b: Sizes of the predicted segments, integers of shape `(n, columns)`.
        n: Number of pixels, shape `(n,)`.

    Returns:
        `float64` of shape `(n,)`.
    """
    rows, columns = np.broadcast_arrays(a[:, :, None], b[:, None, :])
    image, i, j = np.nonzero((rows > 0) & (columns > 0))
    a, b, total = rows[image, i, j], columns[image, i, j], n[image]
    # The number of pixels that segments of these sizes share is hypergeometric. Its
    # distance from the mean exceeds `reach` with a probability below TAIL (Hoeffding
    # 1963, Sections 2 and 6). The mutual information weighs it by log(n) at most.
    mean = a * b / total
    reach = np.sqrt(np.minimum(a, b) * math.log(2 / TAIL) / 2)
    low = np.maximum(np.maximum(1, a + b - total), np.floor(mean - reach))
    high = np.minimum(np.minimum(a, b), np.ceil(mean + reach))
    low, high = low.astype(np.int64), high.astype(np.int64)

    largest = int(n.max(initial=0))
    logs = np.log(np.maximum(np.arange(largest + 1), 1))
    factorial = np.array([math.lgamma(i + 1) for i in range(largest + 1)])
    constant = factorial[a] + factorial[b] - factorial[total]
    constant += factorial[total - a] + factorial[total - b]
    independent = np.log(mean)

    # All sums in sequence, in chunks of many sums.
    lengths = high - low + 1
    ends = np.cumsum(lengths)
    sums = np.empty(len(a))
    first = 0
    while first < len(a):
        start = ends[first] - lengths[first]
        last = max(first + 1, int(np.searchsorted(ends, start + CHUNK, "right")))
        part = slice(first, last)
        begins = ends[part] - lengths[part] - start
        pair = np.repeat(np.arange(first, last), lengths[part])
        shared = np.arange(len(pair)) + (low[part] - begins)[pair - first]
        log_probability = constant[pair] - factorial[shared]
        log_probability -= factorial[a[pair] - shared]
        log_probability -= factorial[b[pair] - shared]
        log_probability -= factorial[(total - a - b)[pair] + shared]
        terms = np.exp(log_probability) * shared * (logs[shared] - independent[pair])
        sums[part] = np.add.reduceat(terms, begins)
        first = last
    return np.bincount(image, sums / total, minlength=len(n))


def _pairs(counts: np.ndarray) -> np.ndarray:
    """Return the number of pairs, in `float64`.

    Products of such numbers overflow `int64`.
    """
    return counts * (counts - 1.0) / 2


def _perfect(counts: np.ndarray) -> np.ndarray:
    """Return whether true and predicted segments correspond one to one."""
    found = counts > 0
    return (found.sum(axis=1) <= 1).all(axis=1) & (found.sum(axis=2) <= 1).all(axis=1)
