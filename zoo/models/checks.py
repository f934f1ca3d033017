"""Checks of the arrays that a model receives, before Keras uses them."""

import types
from collections.abc import Generator
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from rladder_keras.typing import Shape
from rladder_keras.validation import fits, is_number
from zoo.data.epochs import EpochDataset
from zoo.data.videos.checks import check_pixels


def first_batch(x: Any) -> tuple[Any, Any]:
    """Return the first batch of a source of batches, and the source to load them from.

    Args:
        x: As in `fit`: a `PyDataset`, a generator, a `tf.data.Dataset`, a `DataLoader`
            of torch, ...; or arrays, which are not batches.

    Returns:
        The first batch, or `None` for arrays, and the source. The source is `x`, or,
        for a generator, which yields its batches only once, a generator that yields the
        first batch again.

    Raises:
        ValueError: If there is no batch.
    """
    if isinstance(x, (dict, list, tuple, str)) or hasattr(x, "shape"):
        return None, x
    if isinstance(x, EpochDataset):
        batch = x.batch(0) if len(x) else None  # not `x[0]`, which would count as a use
    elif isinstance(x, keras.utils.PyDataset):
        batch = None if x.num_batches == 0 else x[0]
    elif isinstance(x, types.GeneratorType):
        batch = next(x, None)
        x = again(batch, x)
    elif hasattr(x, "__iter__"):
        batch = next(iter(x), None)
    else:
        return None, x
    if batch is None:
        raise ValueError(
            f"data must have at least one batch; got an empty {kind(x)}. Check the "
            "source, and that no `batch(..., drop_remainder=True)` drops all batches."
        )
    return batch, x


def again(first: Any, generator: Generator) -> Generator:
    """Yield the first batch of a generator, then its other batches."""
    yield first
    # Not `yield from`, which would close `generator` together with this generator.
    for batch in generator:  # noqa: UP028
        yield batch


def kind(x: Any) -> str:
    """Return the name of a source for error messages."""
    return "generator" if isinstance(x, types.GeneratorType) else type(x).__name__


def as_arrays(x: Any) -> Any:
    """Convert tensors of the backend to arrays; return other objects unchanged."""
    return tree.map_structure(
        lambda x: ops.convert_to_numpy(x) if ops.is_tensor(x) else x, x
    )


def in_batch(batch: Any) -> tuple[Any, Any, Any]:
    """Return inputs, targets and sample weights of a batch.

    Tensors of any backend become arrays.
    """
    parts = keras.utils.unpack_x_y_sample_weight(batch)
    return tree.map_structure(
        lambda x: np.asarray(x) if hasattr(x, "__array__") else x, as_arrays(parts)
    )


def check_weights(weights: Any) -> None:
    """Raise `ValueError` for sample weights that are not finite or are below 0.

    Args:
        weights: Array, dictionary of arrays by output, or `None`.
    """
    for weight in weights.values() if isinstance(weights, dict) else [weights]:
        if weight is None:
            continue
        if not hasattr(weight, "shape"):
            raise ValueError(
                "`sample_weight` must be an array, or a dictionary of arrays by "
                f"output; got a {type(weight).__name__}. Convert it by np.asarray."
            )
        found = np.asarray(as_arrays(weight))
        valid = (found >= 0) & (found < np.inf)
        if not valid.all():
            raise ValueError(
                "`sample_weight` must be finite numbers of at least 0; got "
                f"{found[~valid].flat[0]}. Give samples that must not count a weight "
                "of 0."
            )


def check_noise(noise: Any) -> None:
    """Raise `ValueError` if Keras' noise layer raises an error for `noise`."""
    if not is_number(noise) or not 0 <= noise <= 1:
        raise ValueError(
            f"`noise` must be a number from 0 to 1; got {noise!r}. Choose a standard "
            "deviation such as 0.1, in units of the brightest pixel."
        )


def check_frames(x: Any, shape: Shape, what: str = "frames") -> None:
    """Raise `ValueError` for arrays that are not frames of a shape, in [0, 1].

    Of a `tf.data.Dataset`, shape and dtype are checked. Other objects are accepted.
    """
    if hasattr(x, "element_spec"):
        check_specification(x.element_spec, shape)
    if isinstance(x, dict) and len(x) == 1:
        (x,) = x.values()
    if isinstance(x, (list, tuple)) and len(x) == 1:
        (x,) = x
    if isinstance(x, (list, tuple)):
        raise ValueError(
            f"the {what} must be one array; got a {type(x).__name__} of {len(x)}. Pass "
            "np.stack(videos) for videos of equal length, and no targets to `predict`."
        )
    if not isinstance(x, np.ndarray):
        return
    check_shape(x.shape, shape, what)
    if x.size == 0:
        raise ValueError(
            f"the {what} must contain at least one frame; got an array of shape "
            f"{x.shape}, which is empty. Pass at least one frame."
        )
    check_no_integers(x, what)
    check_pixels(x, f"the {what}")


def check_specification(specification: Any, shape: Shape) -> None:
    """Raise `ValueError` if a `tf.data.Dataset` specifies other shapes or integers."""
    if isinstance(specification, tuple):
        specification = specification[0]
    if getattr(getattr(specification, "shape", None), "rank", None) is None:
        return
    check_shape(tuple(specification.shape), shape)
    check_no_integers(specification, "frames of the dataset")


def check_learning_rate(optimizer: Any) -> None:
    """Raise `ValueError` if a learning rate is not a finite number of at least 0."""
    rate = getattr(optimizer, "learning_rate", None)
    if rate is None:  # the name of an optimiser, or `None`
        return
    rate = float(ops.convert_to_numpy(rate))
    if not 0 <= rate < float("inf"):
        raise ValueError(
            f"`learning_rate` must be a finite number of at least 0; got {rate}. "
            "Choose a value such as 0.001."
        )


def is_shifted(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether the frames `y` are the frames `x`, one step later."""
    return (
        x.shape[1] > 1
        and np.array_equal(x[:, 1:], y[:, :-1])
        and not np.array_equal(x, y)
    )


def check_shape(found: Shape, shape: Shape, what: str = "frames") -> None:
    """Raise `ValueError` for frames of another shape; `None` accepts any length."""
    if not fits(found, shape):
        named = zip(shape, ("batch", "T"), strict=False)
        wanted = [n or name for n, name in named] + list(shape[2:])
        raise ValueError(
            f"the {what} must have shape ({', '.join(map(str, wanted))}); got shape "
            f"{found}. Reshape the array."
        )


def check_no_integers(x: Any, what: str = "frames") -> None:
    """Raise `ValueError` for integers: mostly 8-bit pixels, which Keras accepts."""
    for frames in tree.flatten(x):
        dtype = keras.backend.standardize_dtype(frames.dtype)
        if keras.backend.is_int_dtype(dtype):
            raise ValueError(
                f"the {what} must be floats in [0, 1]; got numbers of type {dtype}. "
                "Load the images as floats: divide 8-bit images by 255, or pass "
                "binary ones as booleans."
            )


def check_step(frame: Any, inputs: Any) -> None:
    """Raise `ValueError` for a frame with a time axis or without a batch axis."""
    for x, sequences in zip(tree.flatten(frame), tree.flatten(inputs), strict=False):
        _, _, *wanted = sequences.shape
        if np.ndim(x) != len(wanted) + 1:
            raise ValueError(
                "`frame` must be one frame of each sequence, shape (batch, "
                f"{', '.join(map(str, wanted))}); got shape {np.shape(x)}. Remove the "
                "time axis, or add the batch axis."
            )


def check_classes(labels: np.ndarray, classes: int) -> None:
    """Raise `ValueError` unless there is one class index for each sequence."""
    number = np.issubdtype(labels.dtype, np.number) or labels.dtype == bool
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not number or not (labels == np.round(labels)).all():
        raise ValueError(
            "`class` must have one integer label for each sequence; got an array of "
            f"type {labels.dtype} and shape {labels.shape}. Pass class indices of "
            "shape (batch,)."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"the labels must be from 0 to {classes - 1} for a model with {classes} "
            f"classes; got labels from {labels.min()} to {labels.max()}. Give samples "
            "without a label a label in this range and a sample_weight of 0."
        )
