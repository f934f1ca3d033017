"""Arrays that a model was not made for are refused here, before Keras sees them."""

import types

import keras
import numpy as np
from keras import ops, tree

from rladder_keras.validation import fits
from zoo.data.epochs import EpochDataset
from zoo.data.videos.arrays import check_pixels


def first_batch(x):
    """The first batch of what loads batches, and what to load them from then.

    Args:
        x: As of `fit`: a `PyDataset`, a generator, a `tf.data.Dataset`, a `DataLoader`
            of torch, ...; or arrays, which are no batches.

    Returns:
        The batch, `None` for arrays, and `x`, or for a generator, which gives its
        batches only once, one that gives the first one again.

    Raises:
        ValueError: If there is no batch.
    """
    if isinstance(x, (dict, list, tuple, str)) or hasattr(x, "shape"):
        return None, x
    if isinstance(x, EpochDataset):
        batch = x.batch(0) if len(x) else None  # not `x[0]`, which would count
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
            f"data must have at least one batch; got an empty {kind(x)}. Check what it "
            "loads, and that no `batch(..., drop_remainder=True)` leaves all out."
        )
    return batch, x


def again(first, generator):
    """The batches of a generator whose first one was taken out."""
    yield first
    # Not `yield from`, which would close the generator with this one.
    for batch in generator:  # noqa: UP028
        yield batch


def kind(x):
    return "generator" if isinstance(x, types.GeneratorType) else type(x).__name__


def as_arrays(x):
    """The backend's tensors as arrays; all else is as it was."""
    return tree.map_structure(
        lambda x: ops.convert_to_numpy(x) if ops.is_tensor(x) else x, x
    )


def in_batch(batch):
    """Inputs and targets of a batch, tensors of any backend as arrays."""
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return tree.map_structure(
        lambda x: np.asarray(x) if hasattr(x, "__array__") else x, as_arrays((x, y))
    )


def check_frames(x, shape, what="frames"):
    """Refuse arrays that are no frames of that shape in [0, 1]; other inputs pass.

    Of a `tf.data.Dataset` the shape and the type are known.
    """
    if hasattr(x, "element_spec"):
        check_specification(x.element_spec, shape)
    if isinstance(x, dict) and len(x) == 1:
        (x,) = x.values()
    if isinstance(x, (list, tuple)) and len(x) == 1:
        (x,) = x
    if not isinstance(x, np.ndarray):
        return
    check_shape(x.shape, shape, what)
    if x.size == 0:
        raise ValueError(f"the {what} are none: an array of shape {x.shape} is empty.")
    check_no_integers(x, what)
    check_pixels(x, f"the {what} have")


def check_specification(specification, shape):
    """Refuse what a `tf.data.Dataset` says of its frames, if it says it."""
    if isinstance(specification, tuple):
        specification = specification[0]
    if getattr(getattr(specification, "shape", None), "rank", None) is None:
        return
    check_shape(tuple(specification.shape), shape)
    check_no_integers(specification, "frames of the data set")


def check_learning_rate(optimizer):
    """Refuse an optimiser whose learning rate is no number, or below 0."""
    rate = getattr(optimizer, "learning_rate", None)
    if rate is None:  # a name, or none
        return
    rate = float(ops.convert_to_numpy(rate))
    if not 0 <= rate < float("inf"):
        raise ValueError(
            f"`learning_rate` must be a finite number of at least 0; got {rate}."
        )


def is_shifted(x, y):
    """Whether `y` are the frames `x` of one step later."""
    return (
        x.shape[1] > 1
        and np.array_equal(x[:, 1:], y[:, :-1])
        and not np.array_equal(x, y)
    )


def check_shape(found, shape, what="frames"):
    """Refuse frames of another shape; `None` is any length."""
    if not fits(found, shape):
        named = zip(shape, ("batch", "T"), strict=False)
        wanted = [n or name for n, name in named] + list(shape[2:])
        raise ValueError(
            f"the {what} have shape {found}, and must have "
            f"({', '.join(map(str, wanted))})."
        )


def check_no_integers(x, what="frames"):
    """Refuse integers, mostly 8-bit pixels, which Keras would take as they are."""
    for frames in tree.flatten(x):
        dtype = keras.backend.standardize_dtype(frames.dtype)
        if keras.backend.is_int_dtype(dtype):
            raise ValueError(
                f"the {what} have numbers of type {dtype}, and must have floats in "
                "[0, 1]: divide 8-bit images by 255 where they are loaded, or give "
                "binary ones as booleans."
            )


def check_step(frame, inputs):
    """Refuse a step of streaming that has an axis of time, or lacks that of batches."""
    for x, sequences in zip(tree.flatten(frame), tree.flatten(inputs), strict=False):
        _, _, *wanted = sequences.shape
        if np.ndim(x) != len(wanted) + 1:
            raise ValueError(
                "a step takes one frame of each sequence, shape (batch, "
                f"{', '.join(map(str, wanted))}), and this has shape {np.shape(x)}."
            )


def check_classes(labels, classes):
    """Refuse labels that are not one integer below `classes` for each sequence."""
    number = np.issubdtype(labels.dtype, np.number) or labels.dtype == bool
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not number or not (labels == np.round(labels)).all():
        raise ValueError(
            "`class` must have one integer label for each sequence, and it has "
            f"numbers of type {labels.dtype} and shape {labels.shape}."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"the labels are from {labels.min()} to {labels.max()}, and the model "
            f"has {classes} classes: they must be from 0 to {classes - 1}, also of "
            "what has no label, which gets a sample_weight of 0."
        )
