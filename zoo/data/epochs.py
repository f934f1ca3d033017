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
    """

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
        if not -len(self) <= index < len(self):
            raise IndexError(f"There are {len(self)} batches, and no batch {index}.")
        index %= len(self)
        batch = self.batch(index)
        self._asked_for.add(index)
        return batch


def check_integer(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raises a `ValueError` unless `value` is an integer in the range."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or value < low or (high is not None and value > high):
        wanted = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise ValueError(f"`{name}` must be an integer {wanted}, and it is {value!r}.")
