"""Digits for the image experiments: MNIST, scikit-learn's digits, or your own.

"It consists of MNIST digits downsampled to 14 x 14 pixels" (Section 3.1). The paper
does not say how. Here each new pixel is the mean over its area, which is a 2 x 2 block
for 14 x 14 pixels. Other experiments use digits of other sizes.

Keras and scikit-learn are imported only if a source needs them.
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
        images: `float32` of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Classes from 0 to 9, `int32` of shape `(n,)`.
    """

    images: np.ndarray
    labels: np.ndarray


class Digits(NamedTuple):
    """Three disjoint splits of digits.

    Attributes:
        name: Name of the digits.
        train: Training split.
        valid: Validation split.
        test: Test split.
    """

    name: str
    train: Split
    valid: Split
    test: Split


def load_digits(
    source: str | os.PathLike | Digits = "auto", side: int = SIZE
) -> Digits:
    """Load digits.

    The training split of MNIST is the first 50,000 digits of the training file, the
    validation split its last 10,000. The test split is the test file.

    Args:
        source: One of

            - `"mnist"`: MNIST from `$RLADDER_DATA_DIR/mnist/mnist.npz` or
              `$RLADDER_DATA_DIR/mnist.npz`, otherwise from the cache of Keras. If it is
              not there, Keras downloads it.
            - `"auto"`: MNIST as above without the download, otherwise `"sklearn"`.
            - `"sklearn"`: the 1,797 digits of scikit-learn, enlarged from 8 x 8 pixels.
              They need no download, but results on them cannot be compared with the
              paper's.
            - the path of an `.npz` file with the keys `x_train`, `y_train`, `x_test`
              and `y_test`, with 28 x 28 images of `uint8`. The last sixth of the
              training images is the validation split.
            - `Digits` of any size. They are checked and resampled.
        side: Side of the returned images in pixels. Images are reduced by means over
            the area of the new pixels, and enlarged by linear interpolation.

    Returns:
        `Digits`. The arrays are cached and shared by all callers, and therefore
        read-only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or does not contain such digits.
        ConnectionError: If MNIST is not on this machine and cannot be downloaded.
        ImportError: If scikit-learn is needed and not installed.

    Examples:
        >>> digits = zoo.data.load_digits("sklearn")
        >>> digits.train.images.shape[1:], digits.train.labels.dtype.name
        ((14, 14), 'int32')
    """
    if not isinstance(side, int | np.integer) or side < 1:
        raise ValueError(
            f"`side` must be an integer of at least 1; got {side!r}. Choose a side "
            "such as 14."
        )
    if not isinstance(source, str | os.PathLike | Digits):
        raise ValueError(
            "`source` must be a name, the path of an .npz file or `Digits`; got type "
            f"{type(source).__name__}. Save arrays by np.savez, and pass the path."
        )
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
            "The source of the digits must be 'auto', 'mnist', 'sklearn' or the path "
            f"of an existing .npz file; got {str(path)!r}. Check the path."
        )
    return _load_file(path.resolve(), False, side)


def _find_mnist() -> Path | None:
    """Return the first existing file of MNIST, or `None`."""
    places = [keras_datasets() / "mnist.npz"]
    if folder := data_dir():
        places = [folder / "mnist" / "mnist.npz", folder / "mnist.npz", *places]
    return next((place for place in places if place.is_file()), None)


def data_dir() -> Path | None:
    """Return the folder `$RLADDER_DATA_DIR`, or `None` if it is not set."""
    folder = os.environ.get(DATA_DIR)
    return Path(folder).expanduser() if folder else None


def keras_datasets() -> Path:
    """Return the folder of the datasets that Keras has downloaded."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


@functools.lru_cache(maxsize=2)
def _load_file(path: Path, mnist: bool, side: int) -> Digits:
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is not an .npz file")
            missing = [key for key in KEYS if key not in file]
            arrays = {key: file[key] for key in KEYS if key in file}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} must be an .npz file; it cannot be read ({error}), because it is "
            "damaged or incomplete. Delete it, and download or copy it again."
        ) from error
    if missing:
        raise ValueError(
            f"{path} must be an .npz file with {', '.join(KEYS)}; it lacks "
            f"{', '.join(missing)}. Add these arrays."
        )
    if mnist and len(arrays["x_train"]) + len(arrays["x_test"]) != 70_000:
        raise ValueError(
            f"{path} must contain the 60000 + 10000 digits of MNIST; got "
            f"{len(arrays['x_train'])} + {len(arrays['x_test'])} digits. Delete the "
            "file, or pass its path as the source to use these digits."
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
            f"MNIST is not on this machine, and its download failed ({error}). Connect "
            f"to the Internet, put mnist.npz into the folder ${DATA_DIR}, or pass "
            "'sklearn' as the source of the digits."
        ) from error
    return _from_arrays("MNIST", "the downloaded mnist.npz", side, *train, *test)


def _from_arrays(
    name: str,
    origin: str,
    side: int,
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
) -> Digits:
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if x.dtype != np.uint8 or x.shape[1:] != (28, 28):
            raise ValueError(
                f"x_{part} of {origin} must have shape (n, 28, 28) and type uint8; got "
                f"shape {x.shape} and type {x.dtype}. Convert the images."
            )
        if len(x) < 2:
            raise ValueError(
                f"x_{part} of {origin} must have at least two images; got {len(x)}. "
                "Add images."
            )
        if x.max() == 1:
            raise ValueError(
                f"x_{part} of {origin} must have pixels from 0 to 255; got pixels of 0 "
                "and 1 only. Multiply them by 255."
            )
        if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
            raise ValueError(
                f"y_{part} of {origin} must have one integer for each of the {len(x)} "
                f"images; got shape {y.shape} and type {y.dtype}. Convert the labels."
            )
        if y.min() < 0 or y.max() > 9:
            raise ValueError(
                f"y_{part} of {origin} must have labels from 0 to 9; got labels from "
                f"{y.min()} to {y.max()}. Leave other classes out."
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
    """Resample from 28 x 28 to `side` x `side` pixels, and from 0...255 to [0, 1]."""
    if side != SIZE:
        return resample(images.astype(np.float32) / 255, side)
    # Integer sums of 2 x 2 blocks avoid rounding errors.
    blocks = images.reshape(len(images), SIZE, 2, SIZE, 2)
    return blocks.sum(axis=(2, 4), dtype=np.uint16).astype(np.float32) / (4 * 255)


@functools.lru_cache(maxsize=1)
def _load_sklearn(side: int) -> Digits:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "The digits of scikit-learn need scikit-learn. Run `pip install "
            f"scikit-learn`, put mnist.npz into the folder ${DATA_DIR}, or pass "
            "'mnist' as the source of the digits."
        ) from error
    bunch = datasets.load_digits()
    labels = bunch.target
    images = resample(bunch.images / 16, side)

    # The first two thirds of each class are for training, the next sixth for validation
    # and the last sixth for testing. In the file, the digits of a writer are in
    # sequence, so that most writers are in one split only.
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
    """Resample square images to another number of pixels.

    Args:
        images: Images of shape `(n, m, m)`, values in [0, 1].
        side: Side of the result in pixels. Images are reduced by means over the area of
            the new pixels, and enlarged by linear interpolation.

    Returns:
        Array of shape `(n, side, side)`.
    """
    n = images.shape[-1]
    if side == n:
        return images
    matrix = _bilinear(n, side) if side > n else _means(n, side)
    matrix = matrix.astype(images.dtype)
    # The weights of a pixel add up to 1 only within rounding errors.
    return np.clip(matrix @ images @ matrix.T, 0, 1)


def _means(n: int, m: int) -> np.ndarray:
    """Return the `(m, n)` matrix that reduces n pixels to m by means over the area."""
    edges = np.arange(m + 1)[:, None] * (n / m)
    pixels = np.arange(n)
    shared = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.maximum(0, shared) * (m / n)


def _bilinear(n: int, m: int) -> np.ndarray:
    """Return the `(m, n)` matrix that enlarges n pixels to m, bilinearly in 2D."""
    centres = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    return np.maximum(0, 1 - abs(centres[:, None] - np.arange(n)))


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    split = Split(images.astype(np.float32), labels.astype(np.int32))
    for array in split:
        array.flags.writeable = False
    return split


def _resize(images: np.ndarray, labels: np.ndarray, side: int) -> Split:
    return Split(resample(images, side), labels)


def check_digits(
    images: np.ndarray, labels: np.ndarray, side: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Check digits and labels, and convert them to `float32` and `int32`.

    Args:
        images: Square digits from 0 (background) to 1 (ink), shape `(n, side, side)`.
        labels: One integer for each digit.
        side: Required side in pixels. By default, any side is allowed.

    Raises:
        ValueError: If an array is invalid.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    square = images.ndim == 3 and images.shape[1] == images.shape[2]
    if not square or images.size == 0 or side not in (None, images.shape[1]):
        wanted = "side" if side is None else side
        raise ValueError(
            f"Digits must have shape (n, {wanted}, {wanted}); got {images.shape}. "
            "Resize or crop them."
        )
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "Digits must have values from 0 (background) to 1 (ink); got "
            f"{images.min()} to {images.max()}. Divide 8-bit images by 255."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"Labels must be one integer for each of the {len(images)} digits; got "
            f"shape {labels.shape} and type {labels.dtype}. Convert the labels."
        )
    return images.astype(np.float32, copy=False), labels.astype(np.int32, copy=False)
