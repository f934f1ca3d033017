"""Writing the weights of a trained model, and their card."""

import hashlib
import json
import re
from pathlib import Path

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


def check_publishable(build, name, folder=None):
    """Name of the builder, if its weights can be published under that name."""
    builder = getattr(getattr(build, "func", None), "__name__", "")
    if builder not in MODELS:
        raise ValueError(
            f"This model takes no weights: publish one of {', '.join(list_models())}."
        )
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(
            f"Weights cannot be named {name!r}: take letters, digits, '_', '-' and '.'."
        )
    path = card_path(builder, name, folder)
    if path.exists():
        raise ValueError(f"{path} exists: delete it, or publish under another name.")
    check_writable(path, "weights that are published")
    return builder


def card_path(builder, name, folder):
    return Path(folder or folders()[0]) / f"{builder}-{name}.json"


def publish(model, build, name, about, folder=None):
    """Write the weights of a trained model, and their card.

    Args:
        model: The model.
        build: `functools.partial` of a builder of the zoo that gives such a model.
        name: Of the weights.
        about: What else the card says.
        folder: Where to; by default the first in which weights are looked up.

    Returns:
        The path of the card.

    Raises:
        ValueError: If the builder takes no weights, or the name is none for a file.
    """
    builder = check_publishable(build, name, folder)
    arguments = {
        name: as_written(value)
        for name, value in named(build.func, *build.args, **build.keywords).items()
        if name not in OF_TRAINING
    }
    bare = build.func(**arguments_of(build.func, {"arguments": arguments}, {}))
    # Copies: JAX may free an array once one of the two models has used it.
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
        "check": check(bare),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return write_whole(path, (json.dumps(known, indent=1) + "\n").encode())


def check(model):
    """The largest numbers that a model gives for certain inputs, to six digits.

    None of a model whose answer is another one each time, because it starts at random.
    """
    rng = np.random.default_rng(0)

    def draw(tensor):
        shape = [2 if n is None else n for n in tensor.shape[1:]]
        return (rng.random((1, *shape)) < 0.05).astype("float32")  # few notes

    x = model.input  # sorted, because each backend goes through it in its own order
    x = {name: draw(x[name]) for name in sorted(x)} if isinstance(x, dict) else draw(x)
    outputs, again = (model.predict(x, verbose=0) for _ in range(2))
    if any((y != again[name]).any() for name, y in outputs.items()):
        return {}
    largest = {name: np.sort(y, axis=None)[-5:] for name, y in outputs.items()}
    return {k: [float(f"{v:.6g}") for v in values] for k, values in largest.items()}
