"""Writing of trained weights and their card."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.files import check_writable, write_whole
from zoo.weights.cards import (
    MODELS,
    OF_TRAINING,
    arguments_of,
    as_written,
    folders,
    list_models,
    named,
)
from zoo.weights.files import ENDING, learned, without_optimizer


def check_publishable(
    build: Callable, name: str, folder: str | Path | None = None
) -> str:
    """Raise `ValueError` if weights cannot be published; return the builder's name.

    Args:
        build: `functools.partial` of a builder of the zoo.
        name: Name of the weights.
        folder: Folder for the files. By default, the first folder in which weights are
            looked up.
    """
    builder = getattr(getattr(build, "func", None), "__name__", "")
    if builder not in MODELS:
        raise ValueError(
            f"Published weights must be of a builder with the argument `weights`; "
            f"{builder or build!r} takes no weights. Publish one of "
            f"{', '.join(list_models())}."
        )
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(
            "The name of weights must have only letters, digits, '_', '-' and '.'; "
            f"got {name!r}. Choose another name."
        )
    path = card_path(builder, name, folder)
    if path.exists():
        raise ValueError(
            f"The name of weights must be new; {path} exists. Delete it, or publish "
            "under another name."
        )
    check_writable(path, "The card of the weights")
    return builder


def card_path(builder: str, name: str, folder: str | Path | None) -> Path:
    """Return the path of a card."""
    return Path(folder or folders()[0]) / f"{builder}-{name}.json"


def publish(
    model: keras.Model,
    build: partial,
    name: str,
    about: dict[str, Any],
    folder: str | Path | None = None,
) -> Path:
    """Write the weights of a trained model and their card.

    Args:
        model: The trained model.
        build: `functools.partial` of a builder of the zoo that returns such a model.
        name: Name of the weights.
        about: Further entries of the card.
        folder: Folder for the files. By default, the first folder in which weights are
            looked up.

    Returns:
        The path of the card.

    Raises:
        ValueError: If the builder does not take the argument `weights`, or if the name
            is invalid or exists.
    """
    builder = check_publishable(build, name, folder)
    arguments = {
        name: as_written(value)
        for name, value in named(build.func, *build.args, **build.keywords).items()
        if name not in OF_TRAINING
    }
    bare = build.func(**arguments_of(build.func, {"arguments": arguments}, {}))
    # Copies, because JAX may free an array that two models share.
    bare.set_weights([np.array(keras.ops.convert_to_numpy(v)) for v in learned(model)])
    path = card_path(builder, name, folder)
    file = path.with_name(f"{builder}-{name}{ENDING}")
    temporary = file.with_name(f"writing-{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        without_optimizer(bare).save_weights(temporary)
        content = temporary.read_bytes()
    finally:
        temporary.unlink(missing_ok=True)
    write_whole(file, content)
    known = {
        "model": builder,
        "name": name,
        "file": file.name,
        "arguments": arguments,
        **about,
        "licence": "Apache-2.0",
        "check": fingerprint(bare),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return write_whole(path, (json.dumps(known, indent=1) + "\n").encode())


def fingerprint(model: keras.Model) -> dict[str, list[float]]:
    """Return the five largest values of each output for a fixed input, to six digits.

    The card of weights holds them, and a test compares them on each backend. The result
    is empty for a model that starts from random numbers, such as a Tagger.
    """
    rng = np.random.default_rng(0)

    def draw(tensor):
        shape = [2 if n is None else n for n in tensor.shape[1:]]
        # Sparse zeros and ones are valid notes and valid pixels.
        return (rng.random((1, *shape)) < 0.05).astype("float32")

    # Sorted by name, because the order of the inputs depends on the backend.
    x = model.input
    x = {name: draw(x[name]) for name in sorted(x)} if isinstance(x, dict) else draw(x)
    outputs, again = (model.predict(x, verbose=0) for _ in range(2))
    if any((y != again[name]).any() for name, y in outputs.items()):
        return {}
    largest = {name: np.sort(y, axis=None)[-5:] for name, y in outputs.items()}
    return {k: [float(f"{v:.6g}") for v in values] for k, values in largest.items()}
