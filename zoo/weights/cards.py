"""Cards of trained weights, and the argument `weights` of the builders.

Each file of weights has a card: a JSON file in the same folder with the model and its
arguments, the training data, the command, the test figures and the SHA-256 of the
weights. `python -m zoo.reproduce ... --publish NAME` writes both files. They are looked
up in the folder `$RLADDER_WEIGHTS_DIR` first, then in this package.

A name is `<size>_<data>`, such as `small_mnist`.
"""

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, overload

import keras

from rladder_keras.validation import check_boolean
from zoo.files import read_json
from zoo.weights.files import ENDING, MODEL_ENDING, file_of, loaded

SHIPPED = Path(__file__).parent
WEIGHTS_DIR = "RLADDER_WEIGHTS_DIR"
NEEDED = ("name", "model", "arguments", "file", "sha256")  # keys of a card
# Names that the shipped weights had before names said the data. They stay valid.
ALIASES = {
    "small": "small_mnist",
    "small-sklearn": "small_sklearn",
    "jsb": "small_jsb",
    "muse": "small_muse",
    "nottingham": "small_nottingham",
}
# Arguments of builders that only matter for training. They are not written on cards.
OF_TRAINING = (
    "unroll",
    "remat",
    "learning_rate",
    "frame_weight",
    "class_weight",
    "frequencies",
    "carry",
)
# Arguments that may differ from the card, because no weight depends on them.
WITHOUT_WEIGHTS = ("groups", "digits")
Model = TypeVar("Model")
MODELS: dict[str, Callable] = {}  # builders of the zoo that take `weights=`, by name

WEIGHTS_DOC = """\
        weights: `None` for random initial weights, the name of trained weights (see
            `zoo.list_weights`), or the path of a file that `save_weights` wrote. With a
            name, the model is built with the arguments of these weights; another value
            for an argument that changes the weights raises a `ValueError`.
"""


def takes_weights(build: Callable[..., Model]) -> Callable[..., Model]:
    """Add the keyword argument `weights` to a builder.

    The decorator also adds the argument to the builder's signature, so that `help` and
    editors show it, and `WEIGHTS_DOC` to the `Args` of its docstring. One text for all
    builders cannot drift apart. The builder's docstring must have a section `Returns`.

    Args:
        build: Function that returns a compiled model.

    Returns:
        The builder with the argument `weights`. It is registered in `MODELS`.
    """

    signature = inspect.signature(build)
    booleans = {
        p.name for p in signature.parameters.values() if isinstance(p.default, bool)
    }

    @functools.wraps(build)
    def builder(
        *args: Any, weights: str | os.PathLike[str] | None = None, **kwargs: Any
    ) -> Model:
        for name in booleans & {*kwargs}:
            check_boolean(f"`{name}`", kwargs[name])
        if weights is None:
            return build(*args, **kwargs)
        if str(weights).endswith(ENDING):
            return loaded(build(*args, **kwargs), Path(weights))
        if str(weights).endswith(MODEL_ENDING):
            raise ValueError(
                f"`weights` must be a name, or the path of a file *{ENDING}; got "
                f"{str(weights)!r}, a saved model. Load it with "
                f"keras.saving.load_model({str(weights)!r})."
            )
        known = card(build.__name__, str(weights))
        model = build(**arguments_of(build, known, named(build, *args, **kwargs)))
        model = loaded(model, file_of(known))
        model.trained_on = known.get("data")
        return model

    # `functools.wraps` has replaced the annotations of `builder` by those of `build`.
    own = inspect.Parameter(
        "weights",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=str | os.PathLike[str] | None,
    )
    parameters = sorted([*signature.parameters.values(), own], key=lambda p: p.kind)
    builder.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    before, returns, after = (build.__doc__ or "").partition("\n    Returns:")
    builder.__doc__ = before.rstrip("\n") + "\n" + WEIGHTS_DOC + returns + after
    MODELS[build.__name__] = builder
    return builder


def named(build: Callable, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a call by name."""
    arguments = inspect.signature(build).bind_partial(*args, **kwargs).arguments
    others = arguments.pop("kwargs", {})
    return {**arguments, **others}


def list_models() -> list[str]:
    """Return the names of the builders that take the argument `weights`."""
    return sorted(MODELS)


@overload
def list_weights(model: str, data: str | None = None) -> list[str]: ...


@overload
def list_weights(
    model: None = None, data: str | None = None
) -> dict[str, list[str]]: ...


def list_weights(
    model: str | None = None, data: str | None = None
) -> list[str] | dict[str, list[str]]:
    """Return the names of the trained weights.

    Args:
        model: Name of a builder of the zoo. By default, weights of all builders are
            listed.
        data: Name of the training data, such as `test.origin` of a dataset of the zoo.
            By default, weights are listed whatever their training data.

    Returns:
        List of names for one model, or a dictionary of such lists by model.

    Raises:
        ValueError: If there is no such model.
    """
    if model is None:
        named = {model: list_weights(model, data) for model in list_models()}
        return {model: names for model, names in named.items() if names}
    if model not in MODELS:
        known = ", ".join(list_models())
        raise ValueError(
            f"`model` must be a builder of the zoo; got {model!r}. Choose one of "
            f"{known}."
        )
    files = (file for folder in folders() for file in folder.glob(f"{model}-*.json"))
    names = sorted({file.stem.removeprefix(f"{model}-") for file in files})
    return [n for n in names if data is None or card(model, n).get("data") == data]


def card(model: str, name: str) -> dict[str, Any]:
    """Return the card of trained weights.

    Args:
        model: Name of a builder of the zoo.
        name: Name of its weights.

    Returns:
        A dictionary with

        - `model`, `name`, and `arguments` of the builder;
        - `table` and `row` of the paper, `protocol`, `seed` and `command` of the run;
        - `data`, the name of the training data, and `inputs`, a description of them;
        - `metrics` on the test set;
        - `epochs`, `examples`, `seconds`, `commit`, `backend`, `versions`, `device` and
          `date` of the training;
        - `licence`, `sha256` and `file`, the path of the weights, and optionally `url`,
          from which a missing file is downloaded;
        - `check`, outputs of the model for a fixed input.

    Raises:
        ValueError: If there are no such weights.
    """
    names = list_weights(model)
    for name_on_card in (name, ALIASES.get(name, name)):
        for folder in folders():
            file = folder / f"{model}-{name_on_card}.json"
            if file.exists():
                found = read_json(file)
                check_card(file, found)
                return {**found, "file": str(folder / found["file"])}
    known = ", ".join([*map(repr, names), f"the path of a file *{ENDING}"])
    raise ValueError(
        f"`weights` must be the name of weights for {model}; got {name!r}. Choose one "
        f"of {known}. (The card {model}-{name}.json is not in "
        f"{' or '.join(map(str, folders()))}.)"
    )


def check_card(path: Path, known: Any) -> None:
    """Raise `ValueError` if a card lacks a key that loading needs."""
    missing = [key for key in NEEDED if not isinstance(known, dict) or key not in known]
    if missing:
        raise ValueError(
            f"{path} must be a card with {', '.join(map(repr, NEEDED))}; it lacks "
            f"{', '.join(map(repr, missing))}. Download the card and its weights again."
        )


def folders() -> list[Path]:
    """Return the folders in which weights are looked up, in this order."""
    own = os.environ.get(WEIGHTS_DIR)
    return [*([Path(own)] if own else []), SHIPPED]


def arguments_of(
    build: Callable, known: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    """Merge the arguments of a card with those that the user gave.

    Args:
        build: The builder.
        known: Card of the weights.
        given: Arguments that the user gave, by name.

    Raises:
        ValueError: If an argument differs from the card and would change the weights.
    """
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
        if not same(value, its):
            expected = known["arguments"].get(name, its)
            raise ValueError(
                f"`{name}` must be {expected!r} for the weights {known['name']!r} of "
                f"{known['model']}; got {as_written(value)!r}. Leave `{name}` out."
            )
    return {**arguments, **given}


def check_origin(model: keras.Model, data: Any) -> None:
    """Warn if a model with trained weights is used on data of another origin."""
    trained, found = getattr(model, "trained_on", None), getattr(data, "origin", None)
    if None not in (trained, found) and trained != found:
        warnings.warn(
            f"The weights of this model were trained on {trained}, and these data are "
            f"{found}. The figures on the card of the weights do not apply.",
            stacklevel=3,
        )


def table_of(module: ModuleType, written: Any) -> Callable:
    """Return the table of a module that `as_written` turned into JSON."""
    if isinstance(written, str):
        return getattr(module, written)
    return functools.partial(getattr(module, written["name"]), **written["arguments"])


def as_written(value: Any) -> Any:
    """Return an argument as it is written on a card: tables by name and arguments."""
    if isinstance(value, functools.partial):
        return {"name": value.func.__name__, "arguments": value.keywords}
    return value.__name__ if callable(value) else value


def same(a: Any, b: Any) -> bool:
    """Return whether two arguments are equal, such as two partial functions."""
    if isinstance(a, functools.partial) and isinstance(b, functools.partial):
        return (a.func, a.args, a.keywords) == (b.func, b.args, b.keywords)
    return as_read(a) == as_read(b)


def as_read(value: Any) -> Any:
    """Return a value as JSON gives it back: a tuple becomes a list."""
    return list(value) if isinstance(value, tuple) else value
