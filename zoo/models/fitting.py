"""Arguments of `fit`, `evaluate` and `compile`: by name, checked, and in order."""

import inspect

import keras
import numpy as np
from keras import tree

from zoo.data.epochs import EpochDataset
from zoo.metrics.sample_weights import (
    check_weight,
)


def scored(*kinds):
    """Names of the outputs with one of these losses or metrics, `None` for all."""
    kinds = [x for x in kinds if x is not None]
    if kinds and all(isinstance(by_output, dict) for by_output in kinds):
        return frozenset(
            k for x in kinds for k, value in x.items() if value is not None
        )
    return None


def ignores_last_step(losses):
    """Whether losses or metrics leave out the last step of what decoders give.

    Args:
        losses: By output, as `compile` takes them. The class is no output of decoders.
    """
    if not isinstance(losses, dict):
        return losses is None
    read = {name: x for name, x in losses.items() if name != "class"}
    return all(getattr(x, "ignores_last_step", x is None) for x in tree.flatten(read))


def make_variables(model, targets, outputs):
    """See `ZooModel.make_variables`; `outputs` are what the model may give."""
    if not model.optimizer.built:  # that of mixed_float16 would begin anew
        model.optimizer.build(model.trainable_variables)
    model.compute_loss(None, targets, outputs)
    model.compute_metrics(None, targets, outputs)
    model.reset_metrics()
    return model


def by_name(method, args, kwargs):
    """Arguments of a method of Keras, such as `fit`, each by its name.

    Dictionaries of sample weights have 1 for what they lack.
    """
    signature = inspect.signature(getattr(keras.Model, method))
    _, *given = signature.bind(None, *args, **kwargs).arguments.items()
    arguments = dict(given)
    arguments.update(arguments.pop("kwargs", {}))
    if arguments.get("sample_weight") is not None:
        weights = all_weights(arguments["y"], arguments["sample_weight"])
        arguments["sample_weight"] = weights
    validation = arguments.get("validation_data")
    if isinstance(validation, (tuple, list)) and len(validation) == 3:
        x, y, weights = validation
        arguments["validation_data"] = x, y, all_weights(y, weights)
    return arguments


def checked(model, arguments):
    """Those of `fit` or `evaluate`, if they are data that the model can use.

    Args:
        model: A `ZooModel`.
        arguments: By name.
    """
    if isinstance(arguments.get("callbacks"), keras.callbacks.CallbackList):
        return arguments  # `fit` evaluates, and looked at these data in the beginning
    arguments = {**arguments, "x": model.check(arguments["x"], arguments.get("y"))}
    validation = arguments.get("validation_data")
    if isinstance(validation, (tuple, list)):
        x, *others = validation
        arguments["validation_data"] = (model.check(x, *others[:1]), *others)
    elif validation is not None:
        arguments["validation_data"] = model.check(validation)
    return arguments


def rows_of(arguments):
    """Sizes of the batches that `fit` cuts out of arrays."""
    arrays = [x for x in tree.flatten(arguments["x"]) if hasattr(x, "shape")]
    n = len(arrays[0]) if arrays else 0
    n = int(n * (1 - (arguments.get("validation_split") or 0)))
    batch_size = arguments.get("batch_size") or 32
    return {min(n, batch_size), n % batch_size} - {0}


def in_order(arguments):
    """Those of `fit`, which are not to shuffle the batches of an `EpochDataset`."""
    ordered = isinstance(arguments["x"], EpochDataset)
    return {"shuffle": False, **arguments} if ordered else arguments


def all_weights(y, weights):
    """Sample weights for each entry of the targets, if they are dictionaries."""
    if not isinstance(y, dict):
        return weights
    if hasattr(weights, "shape"):
        weights = dict.fromkeys(y, weights)
    if not isinstance(weights, dict):
        return weights
    check_names(weights, y)
    for name, weight in weights.items():  # TensorFlow traces lengths as unknown
        if np.ndim(y[name]) == 5 and hasattr(weight, "shape"):
            check_weight(weight, y[name])
    return {name: weights.get(name, np.ones(len(y[name]))) for name in y}


def check_names(weights, y, outputs=()):
    """Refuse weights of what is neither among the targets nor an output."""
    if not isinstance(weights, dict):
        return
    known = {*outputs, *(y if isinstance(y, dict) else ())}
    if set(weights) - known:
        raise ValueError(
            f"sample_weight has {sorted(set(weights) - known)}, and y has "
            f"{sorted(known)}: give weights for entries of y."
        )


def named(weights, name):
    """Weights of an output; an array is for all of them."""
    return weights[name] if isinstance(weights, dict) else weights


def check_class_weight(arguments):
    """Refuse weights of classes, and say how to give them."""
    if arguments.get("class_weight") is not None:
        raise ValueError(
            "`class_weight` must be None for a model with named outputs; got "
            f"{arguments['class_weight']!r}. Give each sample the weight of its class: "
            'sample_weight={"class": weights}, with weights[i] = '
            "class_weight[labels[i]]."
        )


def check_sequences(model):
    """Refuse a model of still images."""
    if any(x.shape[1] is not None for x in tree.flatten(model.input)):
        raise ValueError(
            "this model takes whole images, and not one frame after the other: use "
            "predict."
        )
