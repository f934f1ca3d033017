"""Arguments of `fit`, `evaluate` and `compile`: named, checked and completed."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from rladder_keras.validation import check_integer, is_number
from zoo.data.epochs import EpochDataset
from zoo.metrics.sample_weights import check_weight
from zoo.models.checks import check_weights

Arguments = dict[str, Any]  # arguments of a method, by name


def scored(*kinds: Any) -> frozenset[str] | None:
    """Return the names of outputs with a loss or metrics; `None` for all outputs."""
    given = [x for x in kinds if x is not None]
    if given and all(isinstance(by_output, dict) for by_output in given):
        return frozenset(
            k for x in given for k, value in x.items() if value is not None
        )
    return None


def or_earlier(model: keras.Model, loss: Any, loss_weights: Any) -> tuple[Any, Any]:
    """Return the losses and weights of `compile`; without a loss, the earlier ones."""
    if loss is None and model.compiled:
        loss = model.loss
        if loss_weights is None:
            config = model.get_compile_config()["loss_weights"]
            loss_weights = keras.saving.deserialize_keras_object(config)
    return loss, loss_weights


def ignores_last_step(losses: Any, of_encoders: frozenset[str]) -> bool:
    """Return whether losses or metrics ignore the last step of the decoders' outputs.

    Args:
        losses: Losses or metrics by output, as `compile` takes them.
        of_encoders: Names of the outputs that no decoder computes.
    """
    if isinstance(losses, dict):
        losses = {name: x for name, x in losses.items() if name not in of_encoders}
    return all(getattr(x, "ignores_last_step", x is None) for x in tree.flatten(losses))


def make_variables(model: keras.Model, targets: Any, outputs: Any) -> keras.Model:
    """Create the variables of optimiser, losses and metrics.

    Args:
        model: A compiled model.
        targets: Example targets.
        outputs: Example outputs.

    Returns:
        The model.
    """
    if not model.optimizer.built:  # mixed_float16 would reset it
        model.optimizer.build(model.trainable_variables)
    model.compute_loss(None, targets, outputs)
    model.compute_metrics(None, targets, outputs)
    model.reset_metrics()
    return model


def by_name(method: str, args: Sequence[Any], kwargs: Arguments) -> Arguments:
    """Return the arguments of a method of `keras.Model`, such as `fit`, by name.

    In dictionaries of sample weights, missing entries become 1.
    """
    signature = inspect.signature(getattr(keras.Model, method))
    _, *given = signature.bind(None, *args, **kwargs).arguments.items()
    arguments = dict(given)
    arguments.update(arguments.pop("kwargs", {}))
    check_numbers(arguments)
    if arguments.get("sample_weight") is not None:
        weights = all_weights(arguments["y"], arguments["sample_weight"])
        arguments["sample_weight"] = weights
    validation = arguments.get("validation_data")
    if isinstance(validation, (tuple, list)) and len(validation) == 3:
        x, y, weights = validation
        arguments["validation_data"] = x, y, all_weights(y, weights)
    return arguments


def checked(model: Any, arguments: Arguments) -> Arguments:
    """Check the data of `fit` or `evaluate`, and return the arguments.

    Args:
        model: A `ZooModel`.
        arguments: The arguments by name.

    Raises:
        ValueError: If the model cannot use the data.
    """
    if isinstance(arguments.get("callbacks"), keras.callbacks.CallbackList):
        return arguments  # validation by `fit`, which has checked these data
    arguments = {**arguments, "x": model.check(arguments["x"], arguments.get("y"))}
    validation = arguments.get("validation_data")
    if isinstance(validation, (tuple, list)):
        x, *others = validation
        arguments["validation_data"] = (model.check(x, *others[:1]), *others)
    elif validation is not None:
        arguments["validation_data"] = model.check(validation)
    return arguments


def rows_of(arguments: Arguments) -> set[int]:
    """Return the sizes of the batches into which `fit` splits arrays."""
    arrays = [x for x in tree.flatten(arguments["x"]) if hasattr(x, "shape")]
    n = len(arrays[0]) if arrays else 0
    n = int(n * (1 - (arguments.get("validation_split") or 0)))
    batch_size = arguments.get("batch_size") or 32
    return {min(n, batch_size), n % batch_size} - {0}


def in_order(arguments: Arguments) -> Arguments:
    """Return the arguments of `fit`; batches of an `EpochDataset` keep their order."""
    ordered = isinstance(arguments["x"], EpochDataset)
    return {"shuffle": False, **arguments} if ordered else arguments


def all_weights(y: Any, weights: Any) -> Any:
    """Return sample weights for each entry of the targets, if given by name.

    Raises `ValueError` for invalid weights.
    """
    check_weights(weights)
    if not isinstance(y, dict):
        return weights
    if hasattr(weights, "shape"):
        weights = dict.fromkeys(y, weights)
    if not isinstance(weights, dict):
        return weights
    check_names(weights, y)
    # Checked here, because TensorFlow traces with unknown lengths.
    for name, weight in weights.items():
        if np.ndim(y[name]) == 5 and hasattr(weight, "shape"):
            check_weight(weight, y[name])
    return {name: weights.get(name, np.ones(len(y[name]))) for name in y}


def check_names(weights: Any, y: Any, outputs: Iterable[str] = ()) -> None:
    """Raise `ValueError` for sample weights of neither a target nor an output."""
    if not isinstance(weights, dict):
        return
    known = {*outputs, *(y if isinstance(y, dict) else ())}
    if set(weights) - known:
        raise ValueError(
            f"The keys of `sample_weight` must be keys of y, {sorted(known)}; got "
            f"{sorted(set(weights) - known)}. Give weights for entries of y."
        )


def named(weights: Any, name: str) -> Any:
    """Return the weights of an output; an array is for all outputs."""
    return weights[name] if isinstance(weights, dict) else weights


def check_numbers(arguments: Arguments) -> None:
    """Check `x`, `batch_size`, `epochs` and `validation_split`.

    Raises `ValueError` if `x` is missing, or if one of the others is invalid.
    """
    if arguments.get("x") is None:
        raise ValueError(
            "`x` must be arrays or a source of batches; got None. Pass a dataset, such "
            "as those of zoo.data."
        )
    for name, low in (("batch_size", 1), ("epochs", 0)):
        if arguments.get(name) is not None:
            check_integer(f"`{name}`", arguments[name], low)
    split = arguments.get("validation_split")
    if split is not None and not (is_number(split) and 0 <= split < 1):
        raise ValueError(
            "`validation_split` must be a number from 0 to below 1; got "
            f"{split!r}. Choose the fraction of the samples for validation, such as "
            "0.1."
        )


def check_class_weight(arguments: Arguments) -> None:
    """Raise `ValueError` for `class_weight`, and name the alternative."""
    if arguments.get("class_weight") is not None:
        raise ValueError(
            "`class_weight` must be None for a model with named outputs; got "
            f"{arguments['class_weight']!r}. Give each sample the weight of its class: "
            'sample_weight={"class": weights}, with weights[i] = '
            "class_weight[labels[i]]."
        )


def check_sequences(model: keras.Model) -> None:
    """Raise `ValueError` for a model of sequences of a fixed length."""
    if any(x.shape[1] is not None for x in tree.flatten(model.input)):
        raise ValueError(
            "The model must take sequences of any length; got a model of a fixed "
            "length, such as one of still images. Use predict."
        )
