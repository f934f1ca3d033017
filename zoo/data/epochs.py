"""Base classes of datasets whose samples are drawn again for each epoch."""

from typing import Any

import keras

from rladder_keras import validation


class EpochDataset(keras.utils.PyDataset):
    """Batches that depend on `epoch`, the number of finished epochs.

    A subclass defines `__len__` and `batch(index)`.

    `on_epoch_end` adds 1 to `epoch` if all batches were read. Why it counts them: `fit`
    also calls `on_epoch_end` before its first epoch, and may read one batch before
    that. With the count, two calls of `fit` for one epoch each see the same data as one
    call for two epochs. For bitwise reproducible runs:

    - Models of the zoo read the batches in their order, which is random already. `fit`
      of other models shuffles the batches with Python's `random`. Pass `shuffle=False`.
    - To resume at an epoch, set `epoch`. Some programs read only some of the batches,
      or read them more than once: with `BackupAndRestore`, `steps_per_epoch`, epochs of
      a single batch, or `evaluate` on the training data between epochs. In such
      programs let a callback set the epoch: `LambdaCallback(on_epoch_begin=follow)`
      with `def follow(epoch, logs): train.epoch = epoch`.

    Batches are drawn faster than models process them, so one worker is enough.

    Attributes:
        epoch: Number of finished epochs. It may be set.
        origin: Name of the digits or the corpus that the samples are made from, or
            `None` if it is not known.
    """

    origin: str | None = None

    def __init__(self):
        super().__init__()
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        check_integer("epoch", epoch, 0)
        self._epoch = int(epoch)
        self._asked_for: set[int] = set()

    def on_epoch_end(self) -> None:
        if len(self._asked_for) == len(self):
            self.epoch += 1

    @property
    def num_batches(self) -> int:
        return len(self)

    def batch(self, index: int) -> tuple[Any, ...]:
        """Return a batch of the current epoch.

        Args:
            index: Number of the batch, counted from 0.
        """
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index = self.check_index(index)
        batch = self.batch(index)
        self._asked_for.add(index)
        return batch

    def check_index(self, index: int) -> int:
        """Return the number of a batch, counted from 0.

        Raises:
            IndexError: If there is no such batch.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"The index of a batch must be from {-len(self)} to {len(self) - 1}; "
                f"got {index}. Choose an index in this range."
            )
        return index % len(self)


class SampleDataset(EpochDataset):
    """Batches of a fixed number of samples.

    With `fresh`, the last batch is dropped if it is not full, because a small batch
    makes the statistics of batch normalisation worse. Otherwise it is kept.

    Args:
        samples: Number of samples in an epoch.
        batch_size: Number of samples in a batch.
        seed: Seed of the samples, an integer of at least 0.
        fresh: Whether samples are drawn again for each epoch.
        kind: What the samples are called in error messages.

    Attributes:
        num_sequences: Number of samples in all batches together.

    Raises:
        ValueError: If an argument is invalid, or if there is no full batch.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        fresh: bool,
        kind: str = "sequences",
    ):
        super().__init__()
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        check_boolean("fresh", fresh)
        if fresh and samples < batch_size:
            raise ValueError(
                f"`batch_size` must be at most the number of {kind}, because training "
                f"drops batches that are not full; got {batch_size} for {samples} "
                f"{kind}. Choose a smaller `batch_size` or more {kind}."
            )
        self.batch_size = batch_size
        self.seed = seed
        self.fresh = fresh
        self.num_sequences = samples - (samples % batch_size if fresh else 0)

    def __len__(self) -> int:
        return -(-self.num_sequences // self.batch_size)

    def place(self, index: int) -> slice:
        """Return the position of a batch among the samples of the epoch.

        Args:
            index: Number of the batch, from 0; negative numbers count from the end.

        Raises:
            IndexError: If there is no such batch.
        """
        start = self.check_index(index) * self.batch_size
        return slice(start, min(start + self.batch_size, self.num_sequences))


def check_boolean(name: str, value: bool) -> None:
    """Raise `ValueError` if `value`, such as `"no"`, is not `True` or `False`."""
    validation.check_boolean(f"`{name}`", value)


def check_integer(name: str, value: int, low: int, high: int | None = None) -> int:
    """Return `value`; raise `ValueError` if it is not an integer in the range."""
    return validation.check_integer(f"`{name}`", value, low, high)
