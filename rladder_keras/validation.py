"""Checks of arguments, at construction: one sentence instead of a backend's error."""

import math

import keras
import numpy as np
from keras import layers


def is_integer(value, low):
    """Whether `value` is a whole number of at least `low`, and no truth value."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return integer and value >= low


def check_integer(name, value, low=1):
    """Refuse what is not an integer of at least `low`, and return the others."""
    if not is_integer(value, low):
        raise ValueError(f"{name} must be an integer of at least {low}; got {value!r}.")
    return value


def check_sizes(name, value):
    """Refuse what is no kernel size or stride, and return the others."""
    sizes = value if isinstance(value, (list, tuple)) and value else [value]
    if not all(is_integer(n, 1) for n in sizes):
        raise ValueError(
            f"{name} must be an integer of at least 1, or a tuple with one for each "
            f"spatial axis; got {value!r}."
        )
    return value


def fits(found, shape):
    """Whether two shapes are the same, as far as both are known."""
    return len(found) == len(shape) and all(
        None in (n, m) or n == m for n, m in zip(found, shape, strict=True)
    )


def is_number(value):
    """Whether `value` is a finite number, and no truth value."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_number(name, value, low=-math.inf):
    """Refuse what is not a finite number of at least `low`, and return the others."""
    if not is_number(value) or value < low:
        least = "" if low == -math.inf else f" of at least {low}"
        raise ValueError(f"{name} must be a finite number{least}; got {value!r}.")
    return value


def check_kind(l, encoder):
    """Refuse stock layers that do not work as encoder row `l`, and say what does."""
    name = type(encoder).__name__
    if isinstance(encoder, (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)):
        remedy = f"wrap the stock cell: StockCell(keras.layers.{name}(...))"
    elif isinstance(encoder, layers.BatchNormalization):
        remedy = "its statistics would mix the iterations, use rladder_keras.Conv"
    elif isinstance(encoder, layers.Softmax):
        remedy = "the top row with its weights is rladder_keras.Softmax"
    elif getattr(encoder, "data_format", None) == "channels_first":
        remedy = f'its channels must be last: {name}(..., data_format="channels_last")'
    elif isinstance(encoder, layers.RNN):
        remedy = "rows are cells without a loop over time, such as ConvLSTMCell"
    else:
        return
    raise ValueError(f"level {l + 1}: {name} is no row of a ladder: {remedy}.")


def check_rank(layer, shape):
    """Ask a stock layer or a model, before it is called, whether the input fits."""
    rank = getattr(layer.input_spec, "ndim", None)
    if (
        isinstance(layer, keras.Model)
        and len(getattr(layer, "inputs", None) or ()) == 1
    ):
        rank = len(layer.inputs[0].shape)
    if rank not in (None, len(shape)):
        raise ValueError(
            f"{type(layer).__name__} takes inputs of {rank} axes, and a row takes one "
            "frame of each sequence, without the axis of time."
        )


def check_channels(l, layer, shapes):
    """Refuse frames without an axis of channels, before a row above is blamed."""
    frame, ranks = shapes[0], {len(shape) for shape in shapes}
    if ranks == {(getattr(layer.input_spec, "ndim", None) or 0) - 1}:
        raise ValueError(
            f"frames must have {len(frame)} axes, with the channels last, for "
            f"{type(layer).__name__} in level {l + 1}; got frames of shape "
            f"{tuple(frame[1:])}. Add the axis of the channels: x[..., None]."
        )


def check_one_tensor(layer, shape):
    """Refuse rows that give several tensors, as whole models of sequences do."""
    if isinstance(shape, dict) or any(isinstance(n, (list, tuple)) for n in shape):
        raise ValueError(
            f"An encoder must give one tensor for each frame; {type(layer).__name__} "
            "gives several. Take the layers that it is made of, or a model of one "
            "output."
        )


def check_mask(mask, sequences):
    """Refuse masks that are not one value for each step of each sequence."""
    wanted, found = tuple(sequences.shape[:2]), tuple(mask.shape)
    if len(found) != 2 or any(
        None not in (n, m) and n != m for n, m in zip(wanted, found, strict=True)
    ):
        raise ValueError(
            "the mask must have one value for each step of each sequence, shape "
            f"{wanted}, and it has shape {found}."
        )
