"""Training of several runs as one vectorised step, on JAX.

Runs that differ only in their seed compute the same operations with other numbers. One
compiled step computes them for all runs, with variables and batches stacked along a
new first axis (`jax.vmap`). It is meant for small models on a GPU, where a step costs
its number of operations. On a CPU it is slower than one run after the other, because
XLA computes the stacked convolutions as grouped ones.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from zoo.data.epochs import EpochDataset, SampleDataset
from zoo.training.protocol import Epoch, Trained


def stackable(data: EpochDataset) -> bool:
    """Return whether runs on such data can and should be trained together.

    They should on JAX with a GPU or TPU. They can if all batches have the same shapes
    and no state passes from batch to batch, as it does for music.
    """
    return (
        keras.backend.backend() == "jax"
        and isinstance(data, SampleDataset)
        and not all(x.startswith("cpu") for x in keras.distribution.list_devices())
    )


def train_together(
    runs: Sequence[Iterator[Epoch]], verbose: int | str = "auto"
) -> list[Trained | FloatingPointError]:
    """Train several runs of the same model epoch by epoch, all of them in each step.

    A run that ends or diverges does not stop the others. Runs in different phases, or
    with different weights of the losses at the moment, do not share a step.

    Args:
        runs: For each run, the epochs that `zoo.training.protocol.run` yields. All
            their batches must have the same shapes.
        verbose: 0 prints nothing; other values print the metrics of each epoch.

    Returns:
        For each run, what `zoo.training.protocol.train` would return or raise.
    """
    results: list[Any] = [None] * len(runs)
    active = dict(enumerate(runs))
    steps: dict[Any, Any] = {}
    while True:
        alike = defaultdict(list)
        for i, run in list(active.items()):
            try:
                epoch = next(run)
                weights = epoch.model.get_compile_config()["loss_weights"]
                alike[len(epoch.data), str(weights)].append(epoch)
            except StopIteration as end:
                results[i] = end.value
                del active[i]
            except FloatingPointError as error:
                results[i] = error
                del active[i]
        if not alike:
            return results
        for kind, epochs in alike.items():
            # With the number of runs: for another number, JAX would trace the first
            # model again, whose losses may have other weights by then.
            key = (*kind, len(epochs))
            steps[key] = steps.get(key) or vectorised(epochs[0].model)
            fit_together(epochs, steps[key], verbose)


def vectorised(model: keras.Model) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return `model.train_step` on JAX, compiled for states and batches of many runs.

    The stacked states are donated: the step may reuse their memory.
    """
    import jax

    return jax.jit(jax.vmap(model.train_step), donate_argnums=0)


def fit_together(
    epochs: Sequence[Epoch],
    step: Callable[[Any, Any], tuple[Any, Any]],
    verbose: int | str,
) -> None:
    """Train one epoch of each run; all epochs have the same number of batches.

    Until the end of the epoch, the models keep their values from its start.

    Args:
        epochs: An epoch of each run.
        step: What `vectorised` returns.
        verbose: Whether to print the metrics.
    """
    started = time.monotonic()
    for epoch in epochs:
        epoch.model.reset_metrics()
    state = stacked([values(epoch.model) for epoch in epochs])
    logs: dict[str, Any] = {}
    for i in range(len(epochs[0].data)):
        logs, state = step(state, stacked([epoch.data[i] for epoch in epochs]))
    for i, epoch in enumerate(epochs):
        for group, arrays in zip(variables(epoch.model), state, strict=True):
            for variable, array in zip(group, arrays, strict=True):
                variable.assign(array[i])
        for callback in epoch.callbacks:
            callback.set_model(epoch.model)
            callback.on_epoch_end(epoch.number)
    if verbose:
        means = [
            f"{name}: {', '.join(f'{x:.4g}' for x in of_runs)}"
            for name, of_runs in logs.items()
        ]
        seconds = f"{time.monotonic() - started:.0f}s"
        print(" - ".join([f"{len(epochs)} runs", seconds, *means]), flush=True)


def variables(model: keras.Model) -> tuple[list[keras.Variable], ...]:
    """Return the variables of a model in the groups that `train_step` on JAX takes."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def values(model: keras.Model) -> tuple[list[Any], ...]:
    """Return the values of these variables."""
    return tuple([v.value for v in group] for group in variables(model))


def stacked(structures: Sequence[Any]) -> Any:
    """Stack the arrays of equal structures along a new first axis."""
    return tree.map_structure(lambda *arrays: np.stack(arrays), *structures)
