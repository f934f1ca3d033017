"""Trained weights: what there is, what it is, and models that begin with it.

Each file of weights has a card beside it, JSON, which says which model it is of, what
it was trained on and how, with which result, and its SHA-256. Both are written by
`python -m zoo.reproduce ... --publish NAME`. They are looked up in the folder that
`$RLADDER_WEIGHTS_DIR` names, and in this package.
"""

import functools
import hashlib
import inspect
import json
import os
import re
import sys
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np

from zoo.files import check_writable, read_json, write_whole

SHIPPED = Path(__file__).parent / "weights"
WEIGHTS_DIR = "RLADDER_WEIGHTS_DIR"
ENDING = ".weights.h5"
MODEL_ENDING = ".keras"
NEEDED = ("name", "model", "arguments", "file", "sha256")  # keys of a card
# Arguments of builders that are of no use after training.
OF_TRAINING = (
    "unroll",
    "remat",
    "learning_rate",
    "frame_weight",
    "class_weight",
    "frequencies",
    "carry",
)
# Arguments that are on the card, and may differ from it: no weight depends on them.
WITHOUT_WEIGHTS = ("groups", "digits")
MODELS = {}  # builders of the zoo that take `weights=`, by name

WEIGHTS_DOC = """\
        weights: `None`, the name of trained weights (see `zoo.list_weights`), or the
            path of a file that `save_weights` wrote. By name the model has the
            arguments with which these were trained, and no others that change its
            weights.
"""


def takes_weights(build):
    """Give a builder the argument `weights`."""

    @functools.wraps(build)
    def builder(*args, weights=None, **kwargs):
        if weights is None:
            return build(*args, **kwargs)
        if str(weights).endswith(ENDING):
            return loaded(build(*args, **kwargs), Path(weights))
        if str(weights).endswith(MODEL_ENDING):
            raise ValueError(
                f"`weights` must be a name, or the path of a file *{ENDING}; got "
                f"{str(weights)!r}, a whole model. Load it by "
                f"keras.saving.load_model({str(weights)!r})."
            )
        known = card(build.__name__, weights)
        model = build(**arguments_of(build, known, named(build, *args, **kwargs)))
        model = loaded(model, file_of(known))
        model.trained_on = known.get("data")
        return model

    signature = inspect.signature(build)
    own = inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = sorted([*signature.parameters.values(), own], key=lambda p: p.kind)
    builder.__signature__ = signature.replace(parameters=parameters)
    before, returns, after = build.__doc__.partition("\n    Returns:")
    builder.__doc__ = before.rstrip("\n") + "\n" + WEIGHTS_DOC + returns + after
    MODELS[build.__name__] = builder
    return builder


def named(build, *args, **kwargs):
    """Arguments of a call by their names."""
    arguments = inspect.signature(build).bind_partial(*args, **kwargs).arguments
    others = arguments.pop("kwargs", {})
    return {**arguments, **others}


def list_models():
    """Names of the builders of the zoo that may begin with trained weights."""
    return sorted(MODELS)


def list_weights(model=None, data=None):
    """Which weights there are.

    Args:
        model: Name of a builder in the zoo; all of them if it is `None`.
        data: Only weights that were trained on data of this name, such as
            `test.origin` of a dataset of the zoo.

    Returns:
        List of names, for that model; or a dictionary of such lists.

    Raises:
        ValueError: If there is no such model.
    """
    if model is None:
        named = {model: list_weights(model, data) for model in list_models()}
        return {model: names for model, names in named.items() if names}
    if model not in MODELS:
        known = ", ".join(list_models())
        raise ValueError(f"There is no model {model!r}: choose from {known}.")
    files = (file for folder in folders() for file in folder.glob(f"{model}-*.json"))
    names = sorted({file.stem.removeprefix(f"{model}-") for file in files})
    return [n for n in names if data is None or card(model, n).get("data") == data]


def card(model, name):
    """The card of trained weights.

    Args:
        model: Name of a builder in the zoo.
        name: Name of its weights.

    Returns:
        A dictionary: `model`, `name`, `arguments` of the builder, `table` and `row` of
        the paper, `inputs`, `data`, the name of what it was trained on, `protocol`,
        `seed`, `metrics` on the test set, `command`, `epochs`, `examples`, `commit`,
        `backend`, `versions`, `device`, `seconds`, `date`, `licence`, `check`,
        `sha256`, and `file`, the path. If that is not there it is downloaded from
        `url`.

    Raises:
        ValueError: If there are no such weights.
    """
    names = list_weights(model)
    for folder in folders():
        file = folder / f"{model}-{name}.json"
        if file.exists():
            found = read_json(file)
            check_card(file, found)
            return {**found, "file": str(folder / found["file"])}
    there = " or ".join(map(repr, names)) if names else "None: there are none"
    raise ValueError(
        f"{model} has no weights {name!r}: choose {there}, or the path of a file "
        f"*{ENDING}. The card {model}-{name}.json was looked for in "
        f"{' and '.join(map(str, folders()))}."
    )


def check_card(path, known):
    """Refuse a card that lacks what loading needs."""
    missing = [key for key in NEEDED if not isinstance(known, dict) or key not in known]
    if missing:
        raise ValueError(
            f"{path} must be a card with {', '.join(map(repr, NEEDED))}; it lacks "
            f"{', '.join(map(repr, missing))}. Get it again, with its weights."
        )


def folders():
    own = os.environ.get(WEIGHTS_DIR)
    return [*([Path(own)] if own else []), SHIPPED]


def arguments_of(build, known, given):
    """Arguments of a builder: those of the card, and those given that may differ."""
    module = sys.modules[build.__module__]
    arguments = {
        name: table_of(module, value) if name == "table" else value
        for name, value in known["arguments"].items()
    }
    usual = inspect.signature(build).parameters
    for name, value in given.items():
        if name in (*OF_TRAINING, *WITHOUT_WEIGHTS):
            continue
        default = usual[name].default if name in usual else None
        its = arguments.get(name, default)
        if as_read(value) != as_read(its):
            raise ValueError(
                f"The weights {known['name']!r} of {known['model']} are of "
                f"{name}={known['arguments'].get(name, its)!r}: leave {name} out."
            )
    return {**arguments, **given}


def check_origin(model, data):
    """Warn if a model with trained weights is evaluated on other data than theirs."""
    trained, found = getattr(model, "trained_on", None), getattr(data, "origin", None)
    if None not in (trained, found) and trained != found:
        warnings.warn(
            f"The weights of this model were trained on {trained}, and these data are "
            f"{found}: the figures of their card do not apply.",
            stacklevel=3,
        )


def table_of(module, written):
    """A table of a module, from what `as_written` made of it."""
    if isinstance(written, str):
        return getattr(module, written)
    return functools.partial(getattr(module, written["name"]), **written["arguments"])


def as_written(value):
    """An argument as on a card: of a table its name, and what it was given."""
    if isinstance(value, functools.partial):
        return {"name": value.func.__name__, "arguments": value.keywords}
    return value.__name__ if callable(value) else value


def as_read(value):
    """A value as JSON gives it back: it has no tuples."""
    return list(value) if isinstance(value, tuple) else value


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
