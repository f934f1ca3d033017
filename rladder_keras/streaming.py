"""A model of sequences, applied to one frame at a time."""

import inspect
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops, tree

from rladder_keras.recurrence import RecurrentLadder
from rladder_keras.typing import Config, Shape, Shapes, State, Tensor
from rladder_keras.validation import check_integer, fits, state_shapes


def step_model(model: keras.Model) -> keras.Model:
    """Return a model of one iteration, with the weights of a model of sequences.

    The returned model takes a frame and a state, and returns the outputs and the next
    state. Called frame by frame with the last state, it returns the same outputs as
    `model` does for the whole sequence.

    Args:
        model: A functional `keras.Model` with exactly one `RecurrentLadder`. Its other
            layers must not mix frames.

    Returns:
        A `keras.Model`. Its inputs are `[frame, state]`: `frame` is the input of
        `model` without the time axis; `state` is a list of tensors, and the initial
        state is `initial_state(model, batch_size)`. Its outputs are `[outputs, state]`:
        the outputs of `model` without the time axis, and the next state.

    Raises:
        ValueError: If the model does not have exactly one ladder, if the ladder takes
            several iterations per frame, or if a mask is not given to the ladder
            itself, as in `ladder(x, mask=mask)`.

    Examples:
        >>> sequences = keras.Input((None, 6))
        >>> ladder = RecurrentLadder([Level(LSTMCell(8), G1())], iterations=1)
        >>> model = keras.Model(sequences, ladder(sequences)["top"])
        >>> step, state = step_model(model), initial_state(model, batch_size=2)
        >>> for frame in np.zeros((5, 2, 6)):
        ...     output, state = step.predict_on_batch([frame, state])
        >>> ops.shape(output)
        (2, 8)
    """
    ladder = the_ladder(model)
    copy, (sequences, *mask), outputs = cut_open(model, ladder)
    below = [layers.Identity(dtype=x.dtype)(x) for x in (sequences, *mask)]
    below = keras.Model(copy.input, below)
    ends = tree.flatten([copy.input, outputs])
    # Keras does not allow a tensor that is both an input and an output.
    tops = tree.map_structure(lambda x: layers.Identity(dtype=x.dtype)(x), copy.output)
    above = keras.Model(ends, tops)
    frame = tree.map_structure(
        lambda x: keras.Input(x.shape[2:], dtype=x.dtype, name=x.name), model.input
    )
    state = [
        keras.Input(batch_shape=shape, dtype=dtype, name=f"state_{i}")
        for i, (shape, dtype) in enumerate(state_specs(ladder))
    ]
    sequence = tree.map_structure(lambda x: ops.expand_dims(x, 1), frame)
    x, *mask = below(sequence)
    if x.shape[1] != 1:
        raise ValueError(
            f"The ladder of {model.name} must take one iteration for each frame, "
            f"because a step is one iteration; got {x.shape[1]} iterations for a "
            "frame. Use predict."
        )
    step = LadderStep(ladder, dtype=ladder.dtype_policy, name="ladder_step")
    outputs, following = step(x, state, *mask)
    outputs = above(tree.flatten([sequence, outputs]))
    outputs = tree.map_structure(lambda x: ops.squeeze(x, 1), outputs)
    return keras.Model([frame, state], [outputs, following], name="step")


def cut_open(
    model: keras.Model, ladder: RecurrentLadder
) -> tuple[keras.Model, list[Tensor], dict[str, Tensor]]:
    """Copy the model with its layers, and return the tensors around the ladder.

    Why a copy: a submodel built from tensors of the model itself, starting at the
    ladder, would replace the inputs of these tensors, and `model` could no longer be
    saved.

    Returns:
        The copy, the list of the sequences and, if there is one, their mask, and the
        outputs of the ladder.
    """
    ends: list[Any] = []

    def call(layer, *args, **kwargs):
        if isinstance(layer, layers.Masking) or getattr(layer, "mask_zero", False):
            raise ValueError(
                "Masks must be given to the ladder itself, because a step cannot "
                "follow masks that Keras passes on implicitly; got a mask from the "
                f"layer {layer.name}. Call ladder(x, mask=mask)."
            )
        outputs = layer(*args, **kwargs)
        if layer is ladder:
            if ends:
                raise ValueError(
                    f"{model.name} must call its ladder once, so that frames can be "
                    "given one by one; got a second call. Build a model with a single "
                    "call."
                )
            given = inspect.signature(ladder.call).bind(*args, **kwargs).arguments
            if given.get("initial_state") is not None:
                raise ValueError(
                    f"The ladder of {model.name} must start from its own initial "
                    "state, because the state of a step is an input; got a call with "
                    "`initial_state`. Leave it out, and pass the state to the first "
                    "step."
                )
            masks = [given.get(name) for name in ("mask", "sequences_mask")]
            masks = [mask for mask in masks if mask is not None]
            ends[:] = [given["sequences"], *masks[:1]], outputs
        return outputs

    inputs = tree.map_structure(
        lambda x: keras.Input((None, *x.shape[2:]), dtype=x.dtype, name=x.name),
        model.input,
    )
    bare = keras.Model(model.input, model.output)  # without losses and metrics
    copy = keras.models.clone_model(
        bare, inputs, clone_function=lambda layer: layer, call_function=call
    )
    return copy, *ends


def initial_state(model: keras.Model, batch_size: int) -> list[np.ndarray]:
    """Return the state before the first frame for a `step_model`, as NumPy arrays.

    Args:
        model: The model of sequences, see `step_model`.
        batch_size: Number of sequences in a batch.

    Returns:
        A list of NumPy arrays.

    Examples:
        The index of the iteration, `h` and `c` of the LSTM, and the last output of the
        decoder:

        >>> sequences = keras.Input((None, 6))
        >>> ladder = RecurrentLadder([Level(LSTMCell(8), G1())], iterations=1)
        >>> model = keras.Model(sequences, ladder(sequences)["top"])
        >>> [x.shape for x in initial_state(model, batch_size=2)]
        [(1,), (2, 8), (2, 8), (2, 8)]
    """
    check_integer("`batch_size`", batch_size)
    state = the_ladder(model).cell.get_initial_state(batch_size)
    return [ops.convert_to_numpy(x) for x in tree.flatten(state)]


def check_state(state: Any, first: Iterable[Any], batch: int | None) -> None:
    """Raise `ValueError` if a state is not a state of `batch` sequences.

    Args:
        state: The state to check.
        first: `initial_state(model, 1)`, or its shapes.
        batch: Number of sequences; `None` if it is not known.
    """
    wanted = state_shapes(first, batch)
    n = batch or 1
    remedy = (
        f"Pass the last returned state; at first, initial_state(model, {n}), or for a "
        f"model of the zoo model.init_state({n})."
    )
    if not isinstance(state, (list, tuple)) or len(state) != len(wanted):
        length = f" of {len(state)}" if isinstance(state, (list, tuple)) else ""
        raise ValueError(
            f"`state` must be a list of {len(wanted)} arrays; got a "
            f"{type(state).__name__}{length}. {remedy}"
        )
    for i, (x, shape) in enumerate(zip(state, wanted, strict=True)):
        found = getattr(x, "shape", None)
        if found is None or not fits(tuple(found), shape):
            got = type(x).__name__ if found is None else f"shape {tuple(found)}"
            raise ValueError(
                f"`state[{i}]` must be an array of shape {shape}, for this model and "
                f"number of frames; got {got}. {remedy}"
            )
    if not keras.backend.is_int_dtype(keras.backend.standardize_dtype(state[0].dtype)):
        raise ValueError(
            f"`state[0]`, the iteration, must be an integer; got {state[0].dtype}. "
            f"{remedy}"
        )


def the_ladder(model: keras.Model) -> RecurrentLadder:
    """Return the only recurrent ladder of a model."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model of sequences; got {model!r}. Build one "
            "with a RecurrentLadder."
        )
    ladders = [layer for layer in model.layers if isinstance(layer, RecurrentLadder)]
    if len(ladders) != 1:
        raise ValueError(
            f"{model.name} must have exactly one RecurrentLadder, so that frames can "
            f"be given one by one; got {len(ladders)}. Build a model with one."
        )
    return ladders[0]


def state_specs(ladder: RecurrentLadder) -> Iterator[tuple[Shape, str]]:
    """Yield shape and dtype of each tensor of the state; the first is the iteration."""
    index, *others = tree.flatten(ladder.cell.get_initial_state(1))
    yield tuple(index.shape), keras.backend.standardize_dtype(index.dtype)
    for x in others:
        yield (None, *x.shape[1:]), keras.backend.standardize_dtype(x.dtype)


@keras.saving.register_keras_serializable("rladder_keras")
class LadderStep(layers.Layer):
    """One iteration of a `RecurrentLadder` whose weights it shares.

    Args:
        ladder: The `RecurrentLadder`, built.

    Call arguments:
        sequences: A single frame of each sequence, shape `(batch, 1, ...)`.
        state: List of tensors, see `step_model`.
        mask: Booleans of shape `(batch, 1)`, `False` at padding, see `RecurrentLadder`.
            After padding the state is the initial state.

    Returns:
        The outputs of the ladder, and the next state.
    """

    def __init__(self, ladder: RecurrentLadder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ladder = ladder

    def build(
        self,
        sequences_shape: Shape,
        state_shape: Shapes = None,
        mask_shape: Shape | None = None,
    ) -> None:
        # Here and not in `call`, because the initial state of a Tagger is random, which
        # an export does not support. Stored as functions, because Keras would replace
        # the structure by one of its own.
        first = self.ladder.cell.get_initial_state(1)
        self.nested = partial(tree.pack_sequence_as, first)
        shapes = [tuple(x.shape) for x in tree.flatten(first)]
        self.check = lambda state, batch: check_state(state, shapes, batch)

    def call(
        self, sequences: Tensor, state: State, mask: Tensor | None = None
    ) -> tuple[dict[str, Tensor], State]:
        self.check(state, sequences.shape[0])
        cell, state = self.ladder.cell, self.nested(state)
        masks = [] if mask is None else [ops.cast(mask, cell.compute_dtype)]
        outputs, following = cell(sequences[:, 0], [*state, *masks])
        outputs = self.ladder.named(outputs)
        outputs = {name: ops.expand_dims(x, 1) for name, x in outputs.items()}
        return outputs, tree.flatten(following[: len(state)])  # without the mask

    def compute_output_spec(
        self, sequences: Tensor, state: State, mask: Tensor | None = None
    ) -> tuple[dict[str, Any], list[Any]]:
        outputs = self.ladder.compute_output_spec(sequences)
        return outputs, [keras.KerasTensor(x.shape, x.dtype) for x in state]

    def get_config(self) -> Config:
        ladder = keras.saving.serialize_keras_object(self.ladder)
        return {**super().get_config(), "ladder": ladder}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        ladder = keras.saving.deserialize_keras_object(config.pop("ladder"))
        return cls(ladder, **config)
