"""The training protocols of the paper, in steps that can be stopped and resumed.

Phase 1 trains on the training set, phase 2 anew, from the same seed, on training and
validation set together, with the rates of phase 1. What the rates are, and how many
epochs, is a `Schedule`.

Appendix D.1 (Occluded Moving MNIST): whenever the error on the validation set rose
against the epoch before, the learning rate is halved, down to a floor. Appendix D.2
(music): one rate; phase 2 has as many epochs as led to the lowest error in phase 1.
Appendix D.3 (grouping): one rate, 160,000 updates, and no phase 2. Section 4.3 (films)
has no protocol: as many epochs as D.3, with the rates of D.1. Runs at a reduced size
may follow `COSINE`, which depends on the number of updates only.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from zoo.models.fitting import make_variables
from zoo.training import checkpoint

FIRST_RATE, LOWEST_RATE = 1e-3, 1e-4


class Schedule(NamedTuple):
    """Learning rates, and when a phase is over.

    Attributes:
        first_rate: Learning rate of the first epoch; `None`: the model's own.
        next_rate: Function of an epoch's rate and the validation errors so far that
            gives the rate of the next epoch; `None`: the optimiser's own schedule sets
            the rate of each update.
        settled: Function of the rates so far that tells whether phase 1 may end. It
            does once the error has had no new minimum for some epochs.
        patience: That number of epochs.
        repeated: Function of the errors that gives the number of epochs of phase 2.
    """

    first_rate: float | None
    next_rate: Callable
    settled: Callable
    patience: int
    repeated: Callable


def next_rate(rate, errors):
    """Learning rate of the next epoch (Appendix D.1).

    Args:
        rate: That of the epoch that has ended.
        errors: Validation errors of all epochs so far, at least one.

    Returns:
        Half the rate, but not less than `LOWEST_RATE` (a rate below it stays), if the
        error rose, else the rate.

    Examples:
        >>> from zoo.training.protocol import next_rate
        >>> next_rate(1e-3, [0.5, 0.6])
        0.0005
    """
    rose = len(errors) > 1 and errors[-1] > errors[-2]
    return min(rate, max(rate / 2, LOWEST_RATE)) if rose else rate


def cosine_decay(rate, updates):
    """Learning rate of each update: a short linear warm-up, then half a cosine to 0.

    Args:
        rate: Highest learning rate, reached after 3 % of the updates.
        updates: Number of updates of the whole run.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.

    Examples:
        >>> from zoo.training.protocol import cosine_decay
        >>> rate = cosine_decay(1e-3, updates=100)
        >>> [round(float(rate(n)), 6) for n in (0, 3, 100)]
        [0.0001, 0.001, 0.0]
    """
    warm_up = max(1, round(0.03 * updates))
    return keras.optimizers.schedules.CosineDecay(
        rate / 10, updates - warm_up, warmup_target=rate, warmup_steps=warm_up
    )


def best_epoch(errors):
    """Number of the epoch with the lowest error, from 1."""
    return errors.index(min(errors)) + 1


D1 = Schedule(
    first_rate=FIRST_RATE,
    next_rate=next_rate,
    settled=lambda rates: rates[-1] <= LOWEST_RATE,
    patience=10,
    repeated=len,
)
D2 = Schedule(
    first_rate=None,  # 0.01 for the RLadder; a stock LSTM does not learn with that
    next_rate=lambda rate, errors: rate,
    settled=lambda rates: True,
    patience=3,
    repeated=best_epoch,
)
D3 = Schedule(
    first_rate=None,
    next_rate=lambda rate, errors: rate,
    settled=lambda rates: len(rates) >= 52,  # of 50,000 images in batches of 16
    patience=0,
    repeated=len,
)
COSINE = Schedule(  # with `cosine_decay` in the optimiser; ends after `epochs`
    first_rate=None,
    next_rate=None,
    settled=lambda rates: False,
    patience=0,
    repeated=len,
)
FILMS = D3._replace(next_rate=next_rate)
CHAINS = Schedule(  # of the learned ladders of Appendices B and C
    first_rate=None,
    next_rate=lambda rate, errors: 0.8 * rate,
    settled=lambda rates: len(rates) >= 16,
    patience=0,
    repeated=len,
)


def finished(schedule, errors, rates, epochs=None):
    """Whether phase 1 is over.

    The paper does not say when to stop. Here: after `epochs` if given, else when the
    error has had no new minimum for a while and, by Appendix D.1, the rate is the
    lowest.
    """
    if epochs is not None:
        return len(errors) >= epochs
    if not errors or not schedule.settled(rates):
        return False
    return len(errors) - best_epoch(errors) >= schedule.patience


def train(
    build,
    data,
    merged,
    steer,
    folder,
    *,
    seed,
    schedule=D1,
    epochs=None,
    phases=2,
    optimizer=None,
    average=None,
    time_budget=None,
    verbose="auto",
    circumstances=dict,
):
    """Train a model by the protocol, going on from the checkpoint in `folder` if any.

    A checkpoint is written after each epoch. A run that was stopped, at any moment, and
    resumed ends with the same weights as one that was not. A model that has no weights
    is done at once.

    Args:
        build: Function without arguments that gives the compiled model.
        data: `(train, valid)` for phase 1; `train.epoch` is set before each epoch.
        merged: Training data of phase 2.
        steer: Name of the validation metric that steers the rate: an error.
        folder: Where checkpoints are kept.
        seed: Of the initial weights.
        schedule: Learning rates, and when a phase is over.
        epochs: Number of epochs of phase 1; by default until the error settles.
            With more than a finished run had, and `phases=1`, it goes on.
        phases: 2, or 1 to leave phase 2 out.
        optimizer: Function without arguments that gives the optimiser; default: that of
            the model.
        average: Momentum of a moving average of the weights (Polyak and Juditsky),
            which is then evaluated and returned. Training goes on from the last ones.
        time_budget: Seconds after which to stop, at the end of an epoch.
        verbose: As in `fit`.
        circumstances: Function without arguments that gives what else to remember of
            each epoch, by name: see `remember`.

    Returns:
        The model and the progress, a dictionary; `progress["done"]` tells whether the
        protocol ran to its end.
    """
    started = time.monotonic()
    train_data, valid = data
    progress = checkpoint.progress(folder)
    fresh = partial(fresh_model, build, seed, optimizer, average)
    model = fresh()
    if progress is None:
        progress = begun()
    else:
        checkpoint.load(folder, model)
        # A phase 1 that was over may be asked to go on for more epochs.
        if progress["phase"] == phases == 1:
            errors, rates = progress["errors"], progress["rates"]
            if epochs is not None and epochs < len(errors):
                raise ValueError(
                    f"{folder} has {len(errors)} epochs already: ask for as many or "
                    "more, or choose another folder."
                )
            progress["done"] = finished(schedule, errors, rates, epochs)
    if not model.trainable_variables:
        progress["done"] = True
    while not progress["done"]:
        epoch_started = time.monotonic()
        epoch, rates, errors = progress["epoch"], progress["rates"], progress["errors"]
        if progress["phase"] == 1:
            own = float(ops.convert_to_numpy(model.optimizer.learning_rate))
            if schedule.next_rate is None:
                rates.append(own)  # at the start of the epoch
            elif rates:
                rates.append(schedule.next_rate(rates[-1], errors))
            else:
                rates.append(schedule.first_rate or own)
        if schedule.next_rate is not None:
            model.optimizer.learning_rate = rates[epoch]
        last = LastWeights()
        source = train_data if progress["phase"] == 1 else merged
        source.epoch = epoch
        model.fit(
            source,
            shuffle=False,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=verbose,
            callbacks=[keras.callbacks.TerminateOnNaN(), *([last] if average else [])],
        )
        if average:
            take_average(model)
        if model.stop_training or not all_finite(model):
            raise diverged(epoch, folder)
        progress["epoch"] += 1
        remember(progress, backends=keras.backend.backend(), **circumstances())
        progress["sequences"] += source.num_sequences
        if progress["phase"] == 1:
            values = model.evaluate(valid, verbose=0, return_dict=True)
            errors.append(values[steer])
            if not np.isfinite(errors[-1]):
                raise diverged(epoch, folder)
            print(
                f"epoch {epoch + 1}: rate {rates[epoch]:.2e}, validation "
                f"{steer} {errors[-1]:.5f}",
                flush=True,
            )
            over = finished(schedule, errors, rates, epochs)
        else:
            over = progress["epoch"] == schedule.repeated(errors)
        last.restore(model)
        if over:
            progress["done"] = progress["phase"] == phases
            if not progress["done"]:
                model = fresh()
                progress.update(phase=2, epoch=0, sequences=0)
        epoch_seconds = time.monotonic() - epoch_started
        progress["seconds"] += epoch_seconds
        checkpoint.save(folder, model, progress)
        spent = time.monotonic() - started
        if time_budget is not None and spent + epoch_seconds > time_budget:
            break
    if average and progress["epoch"]:
        take_average(model)
    return model, progress


def compiled_with(model, optimizer, average):
    """The model with another optimiser, or with one that averages its weights."""
    config = model.get_compile_config()
    if optimizer:
        config["optimizer"] = keras.saving.serialize_keras_object(optimizer())
    if average:
        config["optimizer"]["config"].update(use_ema=True, ema_momentum=average)
    model.compile_from_config(config)
    if hasattr(model, "example"):
        make_variables(model, *model.example())
    return model


def take_average(model):
    """Put the average of the weights into the model."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # Copies, because JAX would give away what is the optimiser's too.
    assign(model, copies(model))


class LastWeights(keras.callbacks.Callback):
    """The weights that training goes on from, where `fit` ends with their average."""

    arrays = ()

    def on_epoch_end(self, epoch, logs=None):
        self.arrays = copies(self.model)

    def restore(self, model):
        if self.arrays:
            assign(model, self.arrays)


def copies(model):
    """Arrays of the weights that are trained."""
    return [checkpoint.as_array(v).copy() for v in model.trainable_variables]


def assign(model, arrays):
    for variable, array in zip(model.trainable_variables, arrays, strict=True):
        variable.assign(array)


def all_finite(model):
    """Whether training left numbers in the weights: the last update has no loss."""
    weights = map(checkpoint.as_array, model.trainable_variables)
    return all(np.isfinite(w).all() for w in weights)


def remember(progress, **circumstances):
    """Note under which circumstances an epoch was trained: each value once."""
    for name, value in circumstances.items():
        values = progress.setdefault(name, [])
        if value not in values:
            values.append(value)


def diverged(epoch, folder):
    return FloatingPointError(
        f"the loss of epoch {epoch + 1} is not a number; the checkpoint before it is "
        f"in {folder}. Lower the learning rate."
    )


def begun():
    """The progress of a run before its first epoch."""
    return {
        "phase": 1,
        "rates": [],  # of the epochs of phase 1
        "errors": [],  # on validation, after each epoch of phase 1
        "epoch": 0,  # epochs of this phase that are over
        "sequences": 0,  # trained on in this phase
        "seconds": 0.0,
        "backends": [],
        "done": False,
    }


def fresh_model(build, seed, optimizer=None, average=None):
    """The model as it is before training: the same for the same seed and backend."""
    keras.utils.set_random_seed(seed)
    model = build()
    if optimizer or average:
        model = compiled_with(model, optimizer, average)
    return model
