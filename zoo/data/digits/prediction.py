"""Moving MNIST for the prediction of frames, in NumPy. Not in the paper.

The rules are those of Srivastava et al. (2015), "Unsupervised learning of video
representations using LSTMs". Two digits of 28 x 28 pixels move in 20 frames of 64 x 64
pixels. A model is given the first ten frames and predicts the other ten. The hidden
frames are black in its input, so that it sees neither them nor its own predictions.
"""

import os
from pathlib import Path

import numpy as np

from zoo.data.digits.moving import SMALLEST, MovingMNIST, digit_side
from zoo.data.digits.sets import TEST_SEED, VALID_SEED
from zoo.data.digits.sources import Digits, load_digits
from zoo.data.epochs import SampleDataset, check_integer

GIVEN, FRAMES = 10, 20
TEST_FILE = (FRAMES, None, 64, 64)  # shape of the standard test file, time first

Batch = tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]


def to_predict(frames: np.ndarray, given: int, hidden_only: bool) -> Batch:
    """Return input, targets and weights of a batch.

    Args:
        frames: Shape `(B, T, height, width, 1)`.
        given: Number of frames that the model sees.
        hidden_only: Whether only the predictions of hidden frames are scored. Otherwise
            all predictions are.

    Returns:
        `(x, y, weights)`: the frames with black ones from frame `given` on; the frames
        as `y["frame"]`; and one weight for each frame, shape `(B, T)`. A prediction
        counts if the frame before it and the predicted frame have a weight above 0.
    """
    x, weights = frames.copy(), np.ones(frames.shape[:2], np.float32)
    x[:, given:] = 0
    if hidden_only:
        weights[:, : given - 1] = 0
    return x, {"frame": frames}, {"frame": weights}


class FramesToPredict(MovingMNIST):
    """Batches of Moving MNIST of which the last frames are hidden.

    A batch is `(x, y, weights)`, see `to_predict`. With `fresh=True`, for training, all
    predictions are scored, otherwise only those of hidden frames. The arguments are
    those of `MovingMNIST`, with more than 10 frames.
    """

    def batch(self, index: int) -> Batch:  # type: ignore[override]
        return to_predict(self.sequences(index).frames, GIVEN, not self.fresh)


class StandardTestSet(SampleDataset):
    """The published test sequences of Moving MNIST, batches as in `FramesToPredict`.

    Args:
        path: The file `mnist_test_seq.npy`, `uint8` of shape `(20, n, 64, 64)`.
        batch_size: Number of sequences in a batch.
        evaluation_sequences: Number of sequences, the first ones of the file; by
            default, all.

    Raises:
        ValueError: If the file does not have this content.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        batch_size: int = 16,
        evaluation_sequences: int | None = None,
    ):
        try:
            films = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f"{path} must be a NumPy file; it cannot be read ({error}). Download "
                "mnist_test_seq.npy again."
            ) from error
        if not isinstance(films, np.ndarray):
            raise ValueError(
                f"{path} must be a .npy file; got .npz. Pass mnist_test_seq.npy."
            )
        expected = (TEST_FILE[0], *films.shape[1:2], *TEST_FILE[2:])
        if films.shape != expected or films.dtype != np.uint8:
            raise ValueError(
                f"{path} must have 8-bit integers of shape (20, n, 64, 64); got "
                f"{films.dtype} of shape {films.shape}. Pass mnist_test_seq.npy."
            )
        if films[:, :1].max(initial=0) == 1:
            raise ValueError(
                f"{path} must have pixels from 0 to 255; got pixels of 0 and 1 only. "
                "Multiply them by 255."
            )
        total = films.shape[1]
        if evaluation_sequences is not None:
            check_integer("evaluation_sequences", evaluation_sequences, 1, total)
        n = evaluation_sequences or total
        super().__init__(n, batch_size, 0, fresh=False)
        self.films = films
        self.origin = "MNIST"

    def batch(self, index: int) -> Batch:
        films = np.swapaxes(self.films[:, self.place(index)], 0, 1)[..., None]
        return to_predict(films.astype(np.float32) / 255, GIVEN, hidden_only=True)


def moving_mnist_prediction(
    source: str | os.PathLike | Digits = "auto",
    batch_size: int = 16,
    *,
    size: int = 64,
    seed: int = 0,
    sequences: int | None = None,
    evaluation_sequences: int = 10_000,
    test_file: str | os.PathLike[str] | None = None,
    verbose: bool = True,
) -> tuple[FramesToPredict, FramesToPredict, SampleDataset]:
    """Return datasets of Moving MNIST: ten frames are given, ten are predicted.

    Args:
        source: Source of the digits, an argument of `load_digits` or its result. By
            default, MNIST if it is on this machine, otherwise the digits of
            scikit-learn.
        batch_size: Number of sequences in a batch.
        size: Side of the frames in pixels, at least 20. The side of the digits is 7/16
            of it: 28 pixels at 64, as in the standard data.
        seed: Seed of the training sequences. Validation and test sequences are always
            the same.
        sequences: Number of training sequences in an epoch. By default, the number of
            training digits. Each epoch has new digits and trajectories.
        evaluation_sequences: Number of sequences in the validation set and in the test
            set.
        test_file: Path of the published test set, `mnist_test_seq.npy`. By default, the
            test set is generated by the same rules from test digits.
        verbose: Whether to print which digits are used and how many samples there are.

    Returns:
        Training, validation and test set. A batch is `(x, y, weights)`: `x`, the frames
        of shape `(batch_size, 20, size, size, 1)`, black from the eleventh one on;
        `y["frame"]`, all frames; `weights["frame"]`, `(batch_size, 20)`. In training
        all predictions are scored, in validation and test those of the hidden frames.

    Raises:
        ValueError: If an argument is invalid, or if `load_digits` raises it.

    Examples:
        >>> options = {"size": 32, "evaluation_sequences": 8, "verbose": False}
        >>> sets = zoo.data.moving_mnist_prediction("sklearn", 4, **options)
        >>> x, y, weights = sets[2][0]
        >>> x.shape, bool(x[:, 10:].any()), bool(y["frame"][:, 10:].any())
        ((4, 20, 32, 32, 1), False, True)
    """
    check_integer("size", size, SMALLEST)
    check_integer("evaluation_sequences", evaluation_sequences, 1)
    if test_file is not None and size != TEST_FILE[-1]:
        raise ValueError(
            f"`size` must be 64, as in `test_file`; got {size}. Remove one of the two."
        )
    digits = load_digits(source, digit_side(size))

    def part(split, **kwargs):
        shared = {"size": size, "frames": FRAMES, "digits_name": digits.name}
        return FramesToPredict(*split, batch_size, **shared, **kwargs)

    evaluation = {"sequences": evaluation_sequences}
    sets = (
        part(digits.train, seed=seed, fresh=True, sequences=sequences),
        part(digits.valid, seed=VALID_SEED, **evaluation),
        part(digits.test, seed=TEST_SEED, **evaluation)
        if test_file is None
        else StandardTestSet(test_file, batch_size, evaluation_sequences),
    )
    if verbose:
        counts = [f"{data.num_sequences:,}" for data in sets]
        print(
            f"Moving MNIST from {digits.name}: training {counts[0]}, validation "
            f"{counts[1]}, test {counts[2]} sequences."
        )
    return sets
