"""Schedules of the paper: learning rates, and the number of epochs.

- `D1`, Appendix D.1 (Occluded Moving MNIST): the learning rate is halved whenever the
  validation error is higher than after the epoch before, down to a lowest rate.
- `D2`, Appendix D.2 (music): constant learning rate. Phase 2 has as many epochs as
  phase 1 needed to reach its lowest validation error.
- `D3`, Appendix D.3 (grouping): constant learning rate, 160,000 updates, no phase 2.
- `FILMS`, Section 4.3 (Moving MNIST): the paper does not describe a protocol. Here: as
  many epochs as D.3, with the learning rates of D.1.
- `CHAINS`, Appendices B and C: the learning rate is multiplied by 0.8 after each epoch.
- `COSINE`, for short runs of Table 1 and for `moving-mnist` (not in the paper): the
  rate depends only on the number of updates.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras

FIRST_RATE, LOWEST_RATE = 1e-3, 1e-4


class Schedule(NamedTuple):
    """Learning rates and number of epochs of a protocol.

    Attributes:
        first_rate: Learning rate of the first epoch, or `None` to use the learning rate
            of the model's optimiser.
        next_rate: Function of the learning rate of an epoch and of all validation
            errors so far. It returns the learning rate of the next epoch. `None` if the
            optimiser has a learning rate schedule.
        settled: Function of all learning rates so far. It returns whether phase 1 may
            end. Phase 1 then ends after `patience` epochs without a new lowest error.
        patience: Number of epochs without a new lowest validation error.
        repeated: Function of all validation errors of phase 1. It returns the number of
            epochs of phase 2.
    """

    first_rate: float | None
    next_rate: Callable[[float, list[float]], float] | None
    settled: Callable[[list[float]], bool]
    patience: int
    repeated: Callable[[list[float]], int]


def next_rate(rate: float, errors: list[float]) -> float:
    """Return the learning rate of the next epoch (Appendix D.1).

    Args:
        rate: Learning rate of the last epoch.
        errors: Validation errors of all epochs so far, at least one.

    Returns:
        Half of `rate`, but at least `LOWEST_RATE`, if the error rose. Otherwise `rate`.
        A rate below `LOWEST_RATE` does not change.

    Examples:
        >>> from zoo.training.schedules import next_rate
        >>> next_rate(1e-3, [0.5, 0.6])
        0.0005
    """
    rose = len(errors) > 1 and errors[-1] > errors[-2]
    return min(rate, max(rate / 2, LOWEST_RATE)) if rose else rate


def cosine_decay(
    rate: float, updates: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule with a short linear warm-up and a cosine decay to 0.

    Args:
        rate: Highest learning rate, reached after 3 % of the updates.
        updates: Number of updates of the whole run.

    Returns:
        `keras.optimizers.schedules.CosineDecay`.

    Examples:
        >>> from zoo.training.schedules import cosine_decay
        >>> rate = cosine_decay(1e-3, updates=100)
        >>> [round(float(rate(n)), 6) for n in (0, 3, 100)]
        [0.0001, 0.001, 0.0]
    """
    warm_up = max(1, round(0.03 * updates))
    return keras.optimizers.schedules.CosineDecay(
        rate / 10,
        max(1, updates - warm_up),
        warmup_target=rate,
        warmup_steps=warm_up,
    )


def best_epoch(errors: list[float]) -> int:
    """Return the number of the epoch with the lowest error, counted from 1."""
    return errors.index(min(errors)) + 1


D1 = Schedule(
    first_rate=FIRST_RATE,
    next_rate=next_rate,
    settled=lambda rates: rates[-1] <= LOWEST_RATE,
    patience=10,
    repeated=len,
)
D2 = Schedule(
    first_rate=None,  # 0.01 for the RLadder; Keras' LSTM does not learn at that rate
    next_rate=lambda rate, errors: rate,
    settled=lambda rates: True,
    patience=3,
    repeated=best_epoch,
)
D3 = Schedule(
    first_rate=None,
    next_rate=lambda rate, errors: rate,
    # 52 epochs of 50,000 images in batches of 16 are 162,500 updates.
    settled=lambda rates: len(rates) >= 52,
    patience=0,
    repeated=len,
)
COSINE = Schedule(  # with `cosine_decay` as learning rate; ends after `epochs` epochs
    first_rate=None,
    next_rate=None,
    settled=lambda rates: False,
    patience=0,
    repeated=len,
)
FILMS = D3._replace(next_rate=next_rate)
CHAINS = Schedule(  # for the trained ladders of Appendices B and C
    first_rate=None,
    next_rate=lambda rate, errors: 0.8 * rate,
    settled=lambda rates: len(rates) >= 16,
    patience=0,
    repeated=len,
)


def finished(
    schedule: Schedule,
    errors: list[float],
    rates: list[float],
    epochs: int | None = None,
) -> bool:
    """Return whether phase 1 is over.

    The paper does not say when phase 1 ends. Here it ends after `epochs` epochs, if
    given. Otherwise it ends when `schedule.settled` is true and the validation error
    has had no new minimum for `schedule.patience` epochs.

    Args:
        schedule: The schedule.
        errors: Validation errors of all epochs so far.
        rates: Learning rates of all epochs so far.
        epochs: Number of epochs of phase 1.
    """
    if epochs is not None:
        return len(errors) >= epochs
    if not errors or not schedule.settled(rates):
        return False
    return len(errors) - best_epoch(errors) >= schedule.patience
