"""Files of weights: download, verification, loading."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

ENDING = ".weights.h5"
MODEL_ENDING = ".keras"


def file_of(known: dict[str, Any]) -> Path:
    """Return the verified file of weights of a card; download it if it is missing.

    Args:
        known: Card of the weights.

    Raises:
        ValueError: If the file is missing and the card has no `url`, or if the SHA-256
            of the file is not that of the card.
    """
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
        raise ValueError(
            f"{path} must be a file of weights; it is missing, but its card is there. "
            "Restore the file, or install the package again if it is part of it."
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != known["sha256"]:
        raise ValueError(
            f"{path} must have the SHA-256 {known['sha256'][:12]}...; it is incomplete "
            "or was altered. Restore the file, or install the package again if it is "
            "part of it."
        )
    return path


def loaded(model: keras.Model, path: Path) -> keras.Model:
    """Load the weights of a file into a model.

    Args:
        model: The model.
        path: `pathlib.Path` of a file that `save_weights` wrote.

    Returns:
        The model.

    Raises:
        ValueError: If the file is missing, is damaged or does not fit the model.
    """
    if not path.exists():
        raise ValueError(
            f"`weights` must be an existing file; there is no file {path}. Check the "
            "path."
        )
    check_whole(path)
    try:
        with warnings.catch_warnings():
            # Keras only warns about a layer that has no weights in the file.
            warnings.simplefilter("error", UserWarning)
            without_optimizer(model).load_weights(path)
        check_all_used(model, path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{path} must hold weights of this {model.name}; it is damaged or of "
            "another architecture. Build the model with the arguments of the saved "
            f"one. ({first})"
        ) from error
    return model


def check_whole(path: Path) -> None:
    """Raise `ValueError` if a file of weights is damaged or has NaN values."""

    def read(name, x):
        values = x[()] if isinstance(x, h5py.Dataset) else np.zeros(())
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"NaN or infinite weights in {name}")

    try:
        with h5py.File(path) as file:
            file.visititems(read)
    except Exception as error:  # h5py raises many types for damaged files
        raise ValueError(
            f"{path} must be a complete file of weights; it is damaged ({error}). Save "
            "or copy it again."
        ) from error


def check_all_used(model: keras.Model, path: Path) -> None:
    """Raise `ValueError` if a file has more weights than the model.

    Keras ignores such weights without a warning.
    """
    found = []
    # The states that a ladder carries between batches are not weights. They are the
    # only variables that a `RecurrentLadder` has itself.
    other = ("optimizer/", "layers/recurrent_ladder/vars/")

    def note(name, x):
        if isinstance(x, h5py.Dataset) and not name.startswith(other):
            found.append(name)

    with h5py.File(path) as file:
        file.visititems(note)
    own = len(learned(model))
    if len(found) > own:
        raise ValueError(f"The file has {len(found)} arrays, and the model {own}.")


def learned(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of a model without the states carried between batches."""
    return [v for v in model.weights if not v.name.startswith("carried")]


def without_optimizer(model: keras.Model) -> keras.Model:
    """Return a model of the same layers without an optimiser.

    `save_weights` of a compiled model also writes the state of the optimiser.
    """
    return keras.Model(model.input, model.output)
