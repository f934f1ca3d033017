"""Checkpoints of a training run: whole or absent, in files of a moderate size."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
from keras import ops

from zoo.files import read_arrays, read_json

SHARD_BYTES = 12 * 2**20


def save(folder, model, progress):
    """Replace the checkpoint in `folder` by the present state of a run.

    A new checkpoint is written beside the old one and renamed when it is complete. A
    stop at any moment thus leaves the old one or the new one, and `load` takes the
    newest.

    Args:
        folder: Where the run keeps its files.
        model: Compiled `keras.Model`. Its weights, the states of its random numbers and
            its optimiser's variables are saved.
        progress: What else the run must know to go on: anything that JSON can hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = complete(folder)
    number = int(old[-1].name.removeprefix("checkpoint-")) + 1 if old else 1
    new = folder / f"incomplete-{number:06d}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    arrays = {k: as_array(v) for k, v in variables(model).items()}
    for i, shard in enumerate(shards(arrays)):
        np.savez(new / f"shard-{i:03d}.npz", **shard)
    (new / "progress.json").write_text(json.dumps(progress, indent=1))
    os.replace(new, folder / f"checkpoint-{number:06d}")
    for path in old:
        shutil.rmtree(path)


def load(folder, model):
    """Bring a model and its optimiser to the state of the checkpoint in `folder`.

    Args:
        folder: Where the run keeps its files.
        model: Compiled model of the run, as new.

    Raises:
        ValueError: If the checkpoint is of another model.
    """
    path = complete(Path(folder))[-1]
    arrays = {}
    for shard in sorted(path.glob("shard-*.npz")):
        arrays.update(read_arrays(shard, f"delete {folder} and train anew"))
    expected = variables(model)
    shapes = {name: tuple(v.shape) for name, v in expected.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise ValueError(
            f"the checkpoint {path} is not of this model, or lacks files: choose "
            "another --out."
        )
    for name, variable in expected.items():
        variable.assign(arrays[name])


def progress(folder):
    """What `save` was given as `progress`, or `None` where there is no checkpoint."""
    paths = complete(Path(folder))
    if not paths:
        return None
    return read_json(paths[-1] / "progress.json", f"delete {folder} and train anew")


def complete(folder):
    """Folders of the complete checkpoints, oldest first."""
    return sorted(folder.glob("checkpoint-" + "[0-9]" * 6))


def variables(model):
    """Variables of a model, its random numbers and its optimiser, by name."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    known = {id(v) for v in model.weights}
    groups = {
        "model": model.weights,
        "seed": [v for v in model.variables if id(v) not in known],
        "optimizer": model.optimizer.variables,
    }
    return {f"{k}-{i:04d}": v for k, vs in groups.items() for i, v in enumerate(vs)}


def as_array(variable):
    """Its value in NumPy, which has no bfloat16: what is of that type as `float32`."""
    value = variable.value
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        value = ops.cast(value, "float32")
    return ops.convert_to_numpy(value)


def shards(arrays):
    """Split a dictionary of arrays into dictionaries of at most `SHARD_BYTES`."""
    shard, size = {}, 0
    for name, array in arrays.items():
        if shard and size + array.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = array
        size += array.nbytes
    yield shard
