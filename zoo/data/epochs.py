"""What data sets that draw each epoch anew have in common."""

import keras
import numpy as np


class EpochDataset(keras.utils.PyDataset):
    """Batches that depend on `epoch`, the number of epochs that are over.

    A subclass has `__len__` and `batch(index)`.

    `on_epoch_end` adds 1 to `epoch` where every batch was asked for; it thus ignores
    the call that `fit` makes before its first epoch, and the batch at which `fit` may
    look before it. So `fit` for one epoch and `fit` for one more see what `fit` for two
    epochs sees. Two remarks for runs that must be repeatable to the bit:

    - Models of the zoo take the batches in their order, which is random already. The
      `fit` of others draws an order from Python's `random`; pass `shuffle=False`.
    - To resume at an epoch, set `epoch`. With `BackupAndRestore`, `steps_per_epoch`,
      epochs of a single batch, or an `evaluate` of the training data in between, where
      counting is not enough, let a callback set it:
      `LambdaCallback(on_epoch_begin=follow)` with
      `def follow(epoch, logs): train.epoch = epoch`.

    Batches are drawn faster than a model takes them, so there is only one worker.

    Attributes:
        origin: Name of the digits or of the corpus that the samples are made of, `None`
            where it is not known.
    """

    origin = None

    def __init__(self):
        super().__init__()
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int):
        check_integer("epoch", epoch, 0)
        self._epoch = int(epoch)
        self._asked_for = set()

    def on_epoch_end(self):
        if len(self._asked_for) == len(self):
            self.epoch += 1

    @property
    def num_batches(self) -> int:
        return len(self)

    def __getitem__(self, index: int):
        index = self.check_index(index)
        batch = self.batch(index)
        self._asked_for.add(index)
        return batch

    def check_index(self, index: int) -> int:
        """Number of a batch, counted from 0, or an `IndexError`."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} batches, and no batch {index}.")
        return index % len(self)


class SampleDataset(EpochDataset):
    """Batches of a number of samples.

    With `fresh` a last batch that is not full is left out, because batch normalisation
    would suffer from it; else it is kept.

    Args:
        samples: Number of samples in an epoch.
        batch_size: Number of samples in a batch.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        kind: What the samples are called.

    Attributes:
        num_sequences: Number of samples in all batches together.

    Raises:
        ValueError: If an argument is not as above, or there is no full batch.
    """

    def __init__(self, samples, batch_size, seed, fresh, kind="sequences"):
        super().__init__()
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        if fresh and samples < batch_size:
            raise ValueError(
                f"{samples} {kind} do not fill one batch of {batch_size}, and training "
                "leaves out batches that are not full: choose a smaller `batch_size` "
                f"or more {kind}."
            )
        self.batch_size = batch_size
        self.seed = seed
        self.fresh = fresh
        self.num_sequences = samples - (samples % batch_size if fresh else 0)

    def __len__(self) -> int:
        return -(-self.num_sequences // self.batch_size)

    def place(self, index: int) -> slice:
        """Where the samples of a batch are in the epoch.

        Args:
            index: Number of the batch, from 0; negative numbers count from the end.

        Raises:
            IndexError: If there is no such batch.
        """
        start = self.check_index(index) * self.batch_size
        return slice(start, min(start + self.batch_size, self.num_sequences))


def check_integer(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raises a `ValueError` unless `value` is an integer in the range."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or value < low or (high is not None and value > high):
        wanted = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise ValueError(f"`{name}` must be an integer {wanted}, and it is {value!r}.")
