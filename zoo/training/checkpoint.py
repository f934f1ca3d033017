"""Checkpoints of a training run, written atomically.

A file has at most 12 MiB, or a single array if the array is larger.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.files import read_arrays, read_json

SHARD_BYTES = 12 * 2**20


def save(folder: str | os.PathLike, model: keras.Model, progress: Any) -> None:
    """Replace the checkpoint in `folder` with the current state of a run.

    The new checkpoint is written to another folder, which is renamed when it is
    complete. If the process is stopped at any moment, the old or the new checkpoint is
    complete, and `load` reads the newest complete one.

    Args:
        folder: Folder of the run.
        model: Compiled `keras.Model`. Its weights, the states of its random number
            generators and the variables of its optimiser are saved.
        progress: Progress of the run, an object that JSON can represent.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = complete(folder)
    number = int(old[-1].name.removeprefix("checkpoint-")) + 1 if old else 1
    # Named by the process, so that two processes with the same folder never write to
    # the same files: the second one cannot rename its folder, and raises an error.
    new = folder / f"incomplete-{number:06d}-{os.getpid()}"
    for path in folder.glob("incomplete-*"):
        if path.name < f"incomplete-{number:06d}" or path == new:
            shutil.rmtree(path, ignore_errors=True)  # of processes that were killed
    new.mkdir()
    arrays = {k: as_array(v) for k, v in variables(model).items()}
    for i, shard in enumerate(shards(arrays)):
        np.savez(new / f"shard-{i:03d}.npz", **shard)
    (new / "progress.json").write_text(json.dumps(progress, indent=1))
    os.replace(new, folder / f"checkpoint-{number:06d}")
    for path in old:
        shutil.rmtree(path)


def load(folder: str | os.PathLike, model: keras.Model, optimizer: bool = True) -> None:
    """Load the checkpoint in `folder` into a model and its optimiser.

    Args:
        folder: Folder of the run.
        model: Compiled model of the run.
        optimizer: Whether to load the state of the optimiser, too. Without it, the
            model may have another optimiser than in training.

    Raises:
        ValueError: If there is no checkpoint, or it is of another model.
    """
    checkpoints = complete(Path(folder))
    if not checkpoints:
        raise ValueError(
            f"{folder} must contain a checkpoint; got none. Train first, or choose "
            "another folder."
        )
    path = checkpoints[-1]
    arrays: dict[str, Any] = {}
    for shard in sorted(path.glob("shard-*.npz")):
        arrays.update(read_arrays(shard, f"Delete {folder} and train from scratch"))
    expected = variables(model)
    if not optimizer:
        arrays, expected = (
            {k: v for k, v in named.items() if not k.startswith("optimizer")}
            for named in (arrays, expected)
        )
    shapes = {name: tuple(v.shape) for name, v in expected.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise ValueError(
            f"The checkpoint must be of this model; {path} is not of this model, or "
            "lacks files. Choose another --out."
        )
    for name, variable in expected.items():
        variable.assign(arrays[name])


def progress(folder: str | os.PathLike) -> Any:
    """Return the `progress` of the checkpoint, or `None` if there is no checkpoint."""
    paths = complete(Path(folder))
    if not paths:
        return None
    remedy = f"Delete {folder} and train from scratch"
    return read_json(paths[-1] / "progress.json", remedy)


def complete(folder: Path) -> list[Path]:
    """Return the folders of the complete checkpoints, oldest first."""
    return sorted(folder.glob("checkpoint-" + "[0-9]" * 6))


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model, its random generators and its optimiser."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    known = {id(v) for v in model.weights}
    groups = {
        "model": model.weights,
        "seed": [v for v in model.variables if id(v) not in known],
        "optimizer": model.optimizer.variables,
    }
    return {f"{k}-{i:04d}": v for k, vs in groups.items() for i, v in enumerate(vs)}


def as_array(variable: keras.Variable) -> np.ndarray:
    """Return the value of a variable as a NumPy array.

    bfloat16 is cast to `float32`, because NumPy has no bfloat16.
    """
    value = variable.value
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        value = ops.cast(value, "float32")
    return ops.convert_to_numpy(value)


def shards(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Split a dictionary of arrays into dictionaries of at most `SHARD_BYTES`."""
    shard: dict[str, Any] = {}
    size = 0
    for name, array in arrays.items():
        if shard and size + array.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = array
        size += array.nbytes
    yield shard
