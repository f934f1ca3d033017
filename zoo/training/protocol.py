"""The training protocols of the paper, with checkpoints after each epoch.

Phase 1 trains on the training set. Phase 2 trains from scratch, from the same seed and
with the learning rates of phase 1, on training and validation set together. A
`Schedule` sets the learning rates and the number of epochs.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from zoo.data.epochs import EpochDataset
from zoo.models.fitting import make_variables
from zoo.training import checkpoint
from zoo.training.schedules import D1, Schedule, finished


class Epoch(NamedTuple):
    """An epoch that a run has to train.

    Attributes:
        model: The compiled model.
        data: Training data, in which the number of the epoch is set.
        number: Number of the epoch, counted from 0.
        callbacks: Callbacks for `fit`.
    """

    model: keras.Model
    data: EpochDataset
    number: int
    callbacks: list[keras.callbacks.Callback]


# A trained model, and the progress of its run.
Trained = tuple[keras.Model, dict[str, Any]]


def train(epochs: Iterator[Epoch], verbose: int | str = "auto") -> Trained:
    """Train a run by `fit`.

    Args:
        epochs: The epochs that `run` yields.
        verbose: Verbosity, as in `fit`.

    Returns:
        What `run` returns at its end.

    Raises:
        FloatingPointError: If the loss, a weight or the validation error is not finite.
    """
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as end:
            return end.value
        epoch.model.fit(
            epoch.data,
            shuffle=False,
            initial_epoch=epoch.number,
            epochs=epoch.number + 1,
            verbose=verbose,
            callbacks=epoch.callbacks,
        )


def run(
    build: Callable[[], keras.Model],
    data: tuple[EpochDataset, EpochDataset],
    merged: EpochDataset | None,
    steer: str,
    folder: str | os.PathLike,
    *,
    seed: int,
    schedule: Schedule = D1,
    epochs: int | None = None,
    phases: int = 2,
    optimizer: Callable[[], keras.optimizers.Optimizer] | None = None,
    average: float | None = None,
    loss_weights: Callable[[int], dict[str, float]] = lambda number: {},
    time_budget: float | None = None,
    circumstances: Callable[[], dict[str, str]] = dict,
) -> Generator[Epoch, None, Trained]:
    """Yield the epochs of a run by a protocol, from the checkpoint in `folder` if any.

    The caller trains each epoch before it asks for the next one, see `train`. Then the
    model is evaluated, and a checkpoint is written. A run that is stopped at any moment
    and resumed ends with the same weights as a run that is not stopped. A model without
    trainable weights is not trained.

    Args:
        build: Function without arguments that returns the compiled model.
        data: `(train, valid)` of phase 1. `train.epoch` is set before each epoch.
        merged: Training data of phase 2, or `None` with `phases=1`.
        steer: Name of the validation metric that steers the learning rate. Lower must
            be better.
        folder: Folder of the checkpoints.
        seed: Seed of the initial weights.
        schedule: Learning rates and number of epochs.
        epochs: Number of epochs of phase 1. By default, phase 1 ends when the
            validation error settles. With `phases=1`, a finished run with fewer epochs
            continues.
        phases: 2, or 1 to skip phase 2.
        optimizer: Function without arguments that returns the optimiser. By default,
            the optimiser of the model is used.
        average: Momentum of a moving average of the weights (Polyak and Juditsky). The
            averaged weights are evaluated and returned; training continues from the
            weights of the last update.
        loss_weights: Function of the number of an epoch, counted from 0. It returns the
            weights of the losses that change from epoch to epoch, by output.
        time_budget: Time in seconds. Training stops at the end of an epoch if the next
            epoch would probably exceed it.
        circumstances: Function without arguments that returns values to record after
            each epoch, by name. See `remember`.

    Yields:
        The next epoch to train.

    Returns:
        The model, and the progress as a dictionary. `progress["done"]` is whether the
        protocol is complete.

    Raises:
        FloatingPointError: If the loss, a weight or the validation error is not finite.
    """
    started = time.monotonic()
    train_data, valid = data
    sources = {1: train_data}
    if merged is not None:
        sources[2] = merged
    elif phases == 2:
        raise ValueError("`merged` must be a dataset; got None. Pass `phases=1`.")
    progress = checkpoint.progress(folder)
    fresh = partial(fresh_model, build, seed, optimizer, average)
    model = fresh()
    if progress is None:
        progress = begun()
    else:
        checkpoint.load(folder, model)
        # A finished phase 1 continues if more epochs are asked for.
        if progress["phase"] == phases == 1:
            errors, rates = progress["errors"], progress["rates"]
            if epochs is not None and epochs < len(errors):
                raise ValueError(
                    f"`epochs` must be at least {len(errors)}, the epochs that the run "
                    f"in {folder} has already; got {epochs}. Ask for more epochs, or "
                    "choose another folder."
                )
            progress["done"] = finished(schedule, errors, rates, epochs)
    if not model.trainable_variables:
        progress["done"] = True
    while not progress["done"]:
        epoch_started = time.monotonic()
        number, rates, errors = progress["epoch"], progress["rates"], progress["errors"]
        if progress["phase"] == 1:
            own = float(ops.convert_to_numpy(model.optimizer.learning_rate))
            if schedule.next_rate is None:
                rates.append(own)  # learning rate at the start of the epoch
            elif rates:
                rates.append(schedule.next_rate(rates[-1], errors))
            else:
                rates.append(schedule.first_rate or own)
        if schedule.next_rate is not None:
            model.optimizer.learning_rate = rates[number]
        last = LastWeights()
        source = sources[progress["phase"]]
        source.epoch = number
        set_loss_weights(model, loss_weights(number))
        callbacks = [keras.callbacks.TerminateOnNaN(), *([last] if average else [])]
        yield Epoch(model, source, number, callbacks)
        if average:
            take_average(model)
        if model.stop_training or not all_finite(model):
            raise diverged(number, folder)
        progress["epoch"] += 1
        remember(progress, backends=keras.backend.backend(), **circumstances())
        progress["sequences"] += source.num_sequences
        if progress["phase"] == 1:
            values = model.evaluate(valid, verbose=0, return_dict=True)
            errors.append(values[steer])
            if not np.isfinite(errors[-1]):
                raise diverged(number, folder)
            print(
                f"seed {seed}, epoch {number + 1}: rate {rates[number]:.2e}, "
                f"validation {steer} {errors[-1]:.5f}",
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


def compiled_with(
    model: keras.Model,
    optimizer: Callable[[], keras.optimizers.Optimizer] | None,
    average: float | None = None,
) -> keras.Model:
    """Compile the model with another optimiser, or with averaging of its weights."""
    config = model.get_compile_config()
    if optimizer:
        config["optimizer"] = keras.saving.serialize_keras_object(optimizer())
    if average:
        config["optimizer"]["config"].update(use_ema=True, ema_momentum=average)
    model.compile_from_config(config)
    if hasattr(model, "example"):
        make_variables(model, *model.example())
    return model


def set_loss_weights(model: keras.Model, weights: dict[str, float]) -> None:
    """Compile the model with other weights of some losses, and the same optimiser.

    Outputs that the model does not have are ignored.
    """
    config = model.get_compile_config()
    old = config["loss_weights"] or {}
    new = {name: weights.get(name, weight) for name, weight in old.items()}
    if new == old:
        return
    del config["optimizer"]
    others = keras.saving.deserialize_keras_object({**config, "loss_weights": new})
    model.compile(model.optimizer, **others)
    if hasattr(model, "example"):
        make_variables(model, *model.example())


def take_average(model: keras.Model) -> None:
    """Assign the moving average of the weights to the weights."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # Copies: the weights now share arrays with the optimiser, and a step on JAX would
    # donate the same array twice.
    assign(model, copies(model))


class LastWeights(keras.callbacks.Callback):
    """Callback that keeps the weights of the last update.

    `fit` ends with the moving average of the weights. Training continues from the
    weights of the last update, not from their average.
    """

    arrays: Sequence[np.ndarray] = ()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.arrays = copies(self.model)

    def restore(self, model: keras.Model) -> None:
        """Assign the kept weights to a model, if there are any."""
        if self.arrays:
            assign(model, self.arrays)


def copies(model: keras.Model) -> list[np.ndarray]:
    """Return copies of the trainable weights as arrays."""
    return [checkpoint.as_array(v).copy() for v in model.trainable_variables]


def assign(model: keras.Model, arrays: Sequence[np.ndarray]) -> None:
    """Assign arrays to the trainable weights."""
    for variable, array in zip(model.trainable_variables, arrays, strict=True):
        variable.assign(array)


def all_finite(model: keras.Model) -> bool:
    """Return whether all trainable weights are finite.

    `TerminateOnNaN` looks at the loss, which does not show the effect of the last
    update.
    """
    weights = map(checkpoint.as_array, model.trainable_variables)
    return all(np.isfinite(w).all() for w in weights)


def remember(progress: dict[str, Any], **circumstances: str) -> None:
    """Add values to the lists in `progress`, such as the device; each value once."""
    for name, value in circumstances.items():
        values = progress.setdefault(name, [])
        if value not in values:
            values.append(value)


def diverged(epoch: int, folder: str | os.PathLike) -> FloatingPointError:
    """Return the error for a run that diverged in an epoch, counted from 0."""
    return FloatingPointError(
        f"The loss of epoch {epoch + 1} must be finite; got NaN or infinity. The "
        f"checkpoint before this epoch is in {folder}. Lower the learning rate."
    )


def begun() -> dict[str, Any]:
    """Return the progress of a run before its first epoch."""
    return {
        "phase": 1,
        "rates": [],  # learning rate of each epoch of phase 1
        "errors": [],  # validation error after each epoch of phase 1
        "epoch": 0,  # number of finished epochs of this phase
        "sequences": 0,  # number of sequences that this phase was trained on
        "seconds": 0.0,
        "backends": [],
        "done": False,
    }


def fresh_model(
    build: Callable[[], keras.Model],
    seed: int,
    optimizer: Callable[[], keras.optimizers.Optimizer] | None = None,
    average: float | None = None,
) -> keras.Model:
    """Build the untrained model, the same one for the same seed and backend."""
    keras.utils.set_random_seed(seed)
    model = build()
    if optimizer or average:
        model = compiled_with(model, optimizer, average)
    return model
