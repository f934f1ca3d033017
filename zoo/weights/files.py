"""Files of weights: download, verification and loading."""

import hashlib
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np

ENDING = ".weights.h5"
MODEL_ENDING = ".keras"


def file_of(known):
    """Path of the file of a card, downloaded if it must be, and verified."""
    path = Path(known["file"])
    if not path.exists() and "url" in known:
        path = Path(
            keras.utils.get_file(
                path.name,
                known["url"],
                file_hash=known["sha256"],
                cache_subdir="rladder_keras",
            )
        )
    if not path.exists():
        raise ValueError(f"{path} is missing: install the package anew.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != known["sha256"]:
        raise ValueError(
            f"{path} is incomplete or was altered (its SHA-256 is not "
            f"{known['sha256'][:12]}...): delete it and get it anew."
        )
    return path


def loaded(model, path):
    """The model with the weights of a file."""
    if not path.exists():
        raise ValueError(f"There is no file {path}.")
    check_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras leaves out what is not there
            without_optimizer(model).load_weights(path)
        check_all_used(model, path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{path} does not fit {model.name}, because it is of a model of another "
            f"architecture, or damaged: build it with the arguments of the saved one. "
            f"({first})"
        ) from error
    return model


def check_whole(path):
    """Refuse a file of weights that cannot be read to its end."""

    def read(name, x):
        values = x[()] if isinstance(x, h5py.Dataset) else np.zeros(())
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"NaN or infinite weights in {name}")

    try:
        with h5py.File(path) as file:
            file.visititems(read)
    except Exception as error:  # h5py raises whatever the damage leads it to
        raise ValueError(
            f"{path} must be a whole file of weights; it is damaged ({error}). Save or "
            "copy it again."
        ) from error


def check_all_used(model, path):
    """Refuse a file with more weights than the model has, which Keras leaves unread."""
    found = []
    # States that were carried from batch to batch are a ladder's only own variables.
    other = ("optimizer/", "layers/recurrent_ladder/vars/")

    def note(name, x):
        if isinstance(x, h5py.Dataset) and not name.startswith(other):
            found.append(name)

    with h5py.File(path) as file:
        file.visititems(note)
    own = len(learned(model))
    if len(found) > own:
        raise ValueError(f"it has {len(found)} arrays, and the model {own}.")


def learned(model):
    """Weights of the model, without states that are carried from batch to batch."""
    return [v for v in model.weights if not v.name.startswith("carried")]


def without_optimizer(model):
    """A model of the same layers, whose files hold their weights only."""
    return keras.Model(model.input, model.output)
