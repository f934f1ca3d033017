"""The digits of the image experiments: MNIST, or digits of the same size.

"It consists of MNIST digits downsampled to 14 x 14 pixels" (Section 3.1). The paper
does not say how they were made smaller; here each pixel is the mean over its area, for
14 x 14 of a 2 x 2 block. Other experiments have digits of other sizes.
Keras and scikit-learn are imported only where a source needs them.
"""

import functools
import os
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

SIZE = 14
KEYS = ("x_train", "y_train", "x_test", "y_test")
DATA_DIR = "RLADDER_DATA_DIR"


class Split(NamedTuple):
    """Digits of one split.

    Attributes:
        images: `float32` of shape `(n, side, side)`, background 0 and ink up to 1.
        labels: `int32` of shape `(n,)`, the classes 0 to 9.
    """

    images: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """Three disjoint splits, and the name of the digits that they hold."""

    name: str
    train: Split
    valid: Split
    test: Split


def load_digits(
    source: str | os.PathLike | Digits = "auto", side: int = SIZE
) -> Digits:
    """Loads the digits; a second call with the same source gives the same arrays.

    Of MNIST, the first 50,000 digits of the training file are the training split, its
    last 10,000 are the validation split, and the test file is the test split.

    Args:
        source: One of

            - `"mnist"`: MNIST from `$RLADDER_DATA_DIR/mnist/mnist.npz` or
              `$RLADDER_DATA_DIR/mnist.npz`, else from the cache of Keras, else
              downloaded by Keras.
            - `"auto"`: the same files without the download, else `"sklearn"`.
            - `"sklearn"`: the 1,797 digits that scikit-learn carries, 8 x 8 and
              enlarged. For trying things out; no number obtained with them compares
              with the paper's.
            - the path of an `.npz` file with the keys `x_train`, `y_train`, `x_test`
              and `y_test`, 28 x 28 images of `uint8`. The last sixth of the training
              images is the validation split;
            - `Digits` of any size, whose values are checked.
        side: Rows and columns of the images. They are made of the 28 x 28 pixels of
            MNIST: smaller ones are means over the area of a pixel, larger ones are
            interpolated linearly.

    Returns:
        `Digits`. The arrays are read-only, because every caller gets the same ones.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or does not hold such digits.
        ConnectionError: If MNIST is not here and cannot be downloaded.
        ImportError: If scikit-learn is needed and not installed.

    Examples:
        >>> digits = zoo.data.load_digits("sklearn")
        >>> digits.train.images.shape[1:], digits.train.labels.dtype.name
        ((14, 14), 'int32')
    """
    if isinstance(source, Digits):
        splits = (_resize(*check_digits(*split), side) for split in source[1:])
        return Digits(source.name, *splits)
    if source in ("auto", "mnist"):
        path = _find_mnist()
        if path is not None:
            return _load_file(path, True, side)
        return _download_mnist(side) if source == "mnist" else _load_sklearn(side)
    if source == "sklearn":
        return _load_sklearn(side)
    path = Path(source).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {str(path)!r}: give the path of an .npz file with "
            f"{', '.join(KEYS)}, or one of 'auto', 'mnist' and 'sklearn'."
        )
    return _load_file(path.resolve(), False, side)


def _find_mnist() -> Path | None:
    """The first file with MNIST among the places where it may lie, if any."""
    places = [keras_datasets() / "mnist.npz"]
    if folder := data_dir():
        places = [folder / "mnist" / "mnist.npz", folder / "mnist.npz", *places]
    return next((place for place in places if place.is_file()), None)


def data_dir() -> Path | None:
    """The folder that `$RLADDER_DATA_DIR` names, if it is set."""
    folder = os.environ.get(DATA_DIR)
    return Path(folder).expanduser() if folder else None


def keras_datasets() -> Path:
    """Where Keras keeps the data sets that it has downloaded."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


@functools.lru_cache(maxsize=2)
def _load_file(path: Path, mnist: bool, side: int) -> Digits:
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is not an .npz file")
            missing = [key for key in KEYS if key not in file]
            arrays = None if missing else {key: file[key] for key in KEYS}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): it is damaged or incomplete; delete it "
            "and download or copy it again."
        ) from error
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}: an .npz file with {', '.join(KEYS)} "
            "is needed."
        )
    if mnist and len(arrays["x_train"]) + len(arrays["x_test"]) != 70_000:
        raise ValueError(
            f"{path} holds {len(arrays['x_train'])} + {len(arrays['x_test'])} digits "
            "and MNIST has 60000 + 10000: replace the file, or give its path as the "
            "source to use these digits as they are."
        )
    name = "MNIST" if mnist else f"digits of {path}"
    return _from_arrays(name, str(path), side, **arrays)


@functools.lru_cache(maxsize=1)
def _download_mnist(side: int) -> Digits:
    import keras

    try:
        train, test = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception without a network.
        raise ConnectionError(
            "MNIST is not on this machine and its download failed "
            f"({error}): go online, or put mnist.npz into the folder that ${DATA_DIR} "
            "names, or use the digits of scikit-learn with digits='sklearn'."
        ) from error
    return _from_arrays("MNIST", "the downloaded mnist.npz", side, *train, *test)


def _from_arrays(name, origin, side, x_train, y_train, x_test, y_test) -> Digits:
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if x.dtype != np.uint8 or x.shape[1:] != (28, 28) or len(x) < 2:
            raise ValueError(
                f"x_{part} of {origin} has shape {x.shape} and type {x.dtype}: images "
                "of shape (n, 28, 28) and type uint8 are needed."
            )
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
            raise ValueError(
                f"y_{part} of {origin} has shape {y.shape} and type {y.dtype}: one "
                f"integer for each of the {len(x)} images is needed."
            )
        if y.min() < 0 or y.max() > 9:
            raise ValueError(
                f"y_{part} of {origin} holds labels from {y.min()} to {y.max()}: "
                "labels from 0 to 9 are needed."
            )
    images = _scale(x_train, side)
    valid = max(1, len(images) // 6)  # the last 10,000 of the 60,000 of MNIST
    return Digits(
        name,
        train=_split(images[:-valid], y_train[:-valid]),
        valid=_split(images[-valid:], y_train[-valid:]),
        test=_split(_scale(x_test, side), y_test),
    )


def _scale(images: np.ndarray, side: int) -> np.ndarray:
    """From 28 x 28 to `side` x `side` pixels, and from 0...255 to [0, 1]."""
    if side != SIZE:
        return resample(images.astype(np.float32) / 255, side)
    # Means of 2 x 2 blocks without a rounding error.
    blocks = images.reshape(len(images), SIZE, 2, SIZE, 2)
    return blocks.sum(axis=(2, 4), dtype=np.uint16).astype(np.float32) / (4 * 255)


@functools.lru_cache(maxsize=1)
def _load_sklearn(side: int) -> Digits:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "No digits found: install scikit-learn, or put mnist.npz into the folder "
            f"that ${DATA_DIR} names, or let source='mnist' download MNIST."
        ) from error
    bunch = datasets.load_digits()
    labels = bunch.target
    images = resample(bunch.images / 16, side)

    # For each class the first two thirds, the next sixth and the last sixth. In the
    # order of the file, in which the digits of one writer stand together.
    rank = np.empty(len(labels), int)
    for label in range(10):
        where = np.flatnonzero(labels == label)
        rank[where] = np.arange(len(where)) * 6 // len(where)
    return Digits(
        "the digits of scikit-learn",
        train=_split(images[rank < 4], labels[rank < 4]),
        valid=_split(images[rank == 4], labels[rank == 4]),
        test=_split(images[rank == 5], labels[rank == 5]),
    )


def resample(images: np.ndarray, side: int) -> np.ndarray:
    """Square images with another number of pixels.

    Args:
        images: Shape `(n, m, m)`, values in [0, 1].
        side: Rows and columns wanted. Fewer pixels are means over their area, more are
            interpolated linearly.

    Returns:
        Array of shape `(n, side, side)`.
    """
    n = images.shape[-1]
    if side == n:
        return images
    matrix = _bilinear(n, side) if side > n else _means(n, side)
    matrix = matrix.astype(images.dtype)
    # Weights add up to 1 only within rounding errors.
    return np.clip(matrix @ images @ matrix.T, 0, 1)


def _means(n: int, m: int) -> np.ndarray:
    """The (m, n) matrix that resamples n pixels to fewer, m: means over their area."""
    edges = np.arange(m + 1)[:, None] * (n / m)
    pixels = np.arange(n)
    shared = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.maximum(0, shared) * (m / n)


def _bilinear(n: int, m: int) -> np.ndarray:
    """The (m, n) matrix that resamples n pixels to m, with linear interpolation."""
    centres = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    return np.maximum(0, 1 - abs(centres[:, None] - np.arange(n)))


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    split = Split(images.astype(np.float32), labels.astype(np.int32))
    for array in split:
        array.flags.writeable = False
    return split


def _resize(images, labels, side):
    return Split(resample(images, side), labels)


def check_digits(
    images: np.ndarray, labels: np.ndarray, side: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The digits as `float32` and the labels as `int32`, or a `ValueError`.

    Args:
        images: Digits from 0 (background) to 1 (ink), all squares.
        labels: An integer for each.
        side: Of the squares in pixels, by default any.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    square = images.ndim == 3 and images.shape[1] == images.shape[2]
    if not square or images.size == 0 or side not in (None, images.shape[1]):
        side = "side" if side is None else side
        raise ValueError(
            f"Digits of shape (n, {side}, {side}) are needed, and these have shape "
            f"{images.shape}."
        )
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "Digits from 0 (background) to 1 (ink) are needed, and these go from "
            f"{images.min()} to {images.max()}."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"One integer label for each of the {len(images)} digits is needed, and "
            f"these have shape {labels.shape} and type {labels.dtype}."
        )
    return images.astype(np.float32, copy=False), labels.astype(np.int32, copy=False)
