"""Trained weights: what there is, what it is, and models that begin with it.

Each file of weights has a card beside it, JSON, which says which model it is of, what
it was trained on and how, with which result, and its SHA-256. Both are written by
`python -m zoo.reproduce ... --publish NAME`. They are looked up in the folder that
`$RLADDER_WEIGHTS_DIR` names, and in this package.
"""

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from zoo.files import read_json
from zoo.weights.files import ENDING, MODEL_ENDING, file_of, loaded

SHIPPED = Path(__file__).parent
WEIGHTS_DIR = "RLADDER_WEIGHTS_DIR"
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
Model = TypeVar("Model")
MODELS = {}  # builders of the zoo that take `weights=`, by name

WEIGHTS_DOC = """\
        weights: `None`, the name of trained weights (see `zoo.list_weights`), or the
            path of a file that `save_weights` wrote. By name the model has the
            arguments with which these were trained, and no others that change its
            weights.
"""


def takes_weights(build: Callable[..., Model]) -> Callable[..., Model]:
    """Add the argument `weights` to a builder, its signature and its docstring.

    The decorator writes the docstring of `weights`, so that all builders describe the
    argument in the same words.
    """

    @functools.wraps(build)
    def builder(
        *args: Any, weights: str | os.PathLike[str] | None = None, **kwargs: Any
    ) -> Model:
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
    # `functools.wraps` has replaced the annotations of `builder` by those of `build`.
    own = inspect.Parameter(
        "weights",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=str | os.PathLike[str] | None,
    )
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
