"""Checks of arguments and shapes, with error messages that name the remedy.

The checks run at construction and build time, before an error of the backend would hide
the cause.
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from rladder_keras.typing import Shape, Shapes, Tensor


def is_integer(value: Any, low: int) -> bool:
    """Return whether `value` is an integer of at least `low`, and not a Boolean."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return integer and value >= low


def check_integer(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return `value`; raise `ValueError` if it is not an integer from `low` to `high`.

    Without `high`, there is no upper limit.
    """
    if not is_integer(value, low) or (high is not None and value > high):
        wanted = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(
            f"{name} must be an integer {wanted}; got {value!r}. Choose an integer in "
            "this range."
        )
    return int(value)  # of NumPy's integers, which Keras does not take in shapes


def check_boolean(name: str, value: Any) -> None:
    """Raise `ValueError` if `value` is not `True` or `False`.

    Other values, such as `"no"`, would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(
            f"{name} must be True or False; got {value!r}. Pass a Boolean."
        )


def check_sizes(name: str, value: Any) -> Any:
    """Return `value`; raise `ValueError` if it is not a kernel size or stride."""
    sizes = value if isinstance(value, (list, tuple)) and value else [value]
    if not all(is_integer(n, 1) for n in sizes):
        raise ValueError(
            f"{name} must be an integer of at least 1, or a tuple with one for each "
            f"spatial axis; got {value!r}. Choose sizes such as 2 or (2, 2)."
        )
    return int(value) if is_integer(value, 1) else tuple(map(int, sizes))


def fits(found: Shape, shape: Shape) -> bool:
    """Return whether two shapes are equal where both are known."""
    return len(found) == len(shape) and all(
        None in (n, m) or n == m for n, m in zip(found, shape, strict=True)
    )


def is_number(value: Any) -> bool:
    """Return whether `value` is a finite number, and not a Boolean."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_number(name: str, value: Any, low: float = -math.inf) -> float:
    """Return `value`; raise `ValueError` if it is not finite or is below `low`."""
    if not is_number(value) or value < low:
        least, remedy = "", "Pass a finite number"
        if low != -math.inf:
            least, remedy = f" of at least {low}", "Choose a number in this range"
        raise ValueError(
            f"{name} must be a finite number{least}; got {value!r}. {remedy}."
        )
    return value


def check_kind(l: int, encoder: layers.Layer) -> None:
    """Raise `ValueError` for a stock layer that cannot be encoder row `l`."""
    name = type(encoder).__name__
    if isinstance(encoder, (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)):
        remedy = f"Wrap the stock cell: StockCell(keras.layers.{name}(...))"
    elif isinstance(encoder, layers.BatchNormalization):
        remedy = (
            "Use rladder_keras.Conv, whose statistics are separate for each iteration"
        )
    elif isinstance(encoder, layers.Softmax):
        remedy = "For the top row with its weights use rladder_keras.Softmax"
    elif getattr(encoder, "data_format", None) == "channels_first":
        remedy = f'Put the channels last: {name}(..., data_format="channels_last")'
    elif isinstance(encoder, layers.RNN):
        remedy = "Use a cell without a loop over time, such as ConvLSTMCell"
    else:
        return
    raise ValueError(
        f"level {l + 1} must have an encoder that can be a row of a ladder; got "
        f"{name}. {remedy}."
    )


def check_rank(layer: layers.Layer, shape: Shape) -> None:
    """Raise `ValueError` if the input of a stock layer or model has the wrong rank."""
    rank = getattr(layer.input_spec, "ndim", None)
    if (
        isinstance(layer, keras.Model)
        and len(getattr(layer, "inputs", None) or ()) == 1
    ):
        rank = len(layer.inputs[0].shape)
    if rank not in (None, len(shape)):
        raise ValueError(
            f"The encoder must take one frame of each sequence, with {len(shape)} "
            f"axes; got a {type(layer).__name__}, which takes inputs of {rank} axes. "
            "Use a layer of frames, without the axis of time."
        )


def check_channels(l: int, layer: layers.Layer, shapes: list[Shape]) -> None:
    """Raise `ValueError` for frames without a channels axis.

    The check comes first, because the error would otherwise blame a row above.
    """
    frame, ranks = shapes[0], {len(shape) for shape in shapes}
    if ranks == {(getattr(layer.input_spec, "ndim", None) or 0) - 1}:
        raise ValueError(
            f"frames must have {len(frame)} axes, with the channels last, for "
            f"{type(layer).__name__} in level {l + 1}; got frames of shape "
            f"{tuple(frame[1:])}. Add the channels axis: x[..., None]."
        )


def check_one_tensor(layer: layers.Layer, shape: Shapes) -> None:
    """Raise `ValueError` for an encoder that returns several tensors."""
    if isinstance(shape, dict) or any(isinstance(n, (list, tuple)) for n in shape):
        raise ValueError(
            "An encoder must give one tensor for each frame; got a "
            f"{type(layer).__name__}, which gives several. Use its layers as rows, or "
            "a model with one output."
        )


def check_mask(mask: Tensor, sequences: Tensor) -> None:
    """Raise `ValueError` if a mask does not have the shape `(batch, T)`."""
    wanted, found = tuple(sequences.shape[:2]), tuple(mask.shape)
    if not fits(found, wanted):
        raise ValueError(
            "`mask` must have one value for each step of each sequence, shape "
            f"{wanted}; got shape {found}. Give Booleans of that shape."
        )


def check_initial_state(state: Any, first: Any, batch: int | None) -> None:
    """Raise `ValueError` if a state is not an initial state of `batch` sequences.

    Args:
        state: The state, nested lists of tensors.
        first: The state of one sequence, with the same structure.
        batch: Number of sequences; `None` if it is not known.
    """
    wanted = state_shapes(tree.flatten(first), batch)
    found = [tuple(getattr(x, "shape", ())) for x in tree.flatten(state)]
    if len(found) != len(wanted) or not all(map(fits, found, wanted)):
        raise ValueError(
            f"`initial_state` must have tensors of the shapes {wanted}; got {found}. "
            "Take it from ladder.cell.get_initial_state(batch_size)."
        )


def state_shapes(first: Iterable[Any], batch: int | None) -> list[tuple]:
    """Return the shapes of a state of `batch` sequences.

    Args:
        first: The flat state of one sequence, or its shapes. The first tensor is the
            iteration, which all sequences share.
        batch: Number of sequences; `None` if it is not known.
    """
    index, *others = (tuple(getattr(x, "shape", x)) for x in first)
    return [index, *((batch and batch * n, *shape) for n, *shape in others)]
