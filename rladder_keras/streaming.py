"""A model of sequences, one frame at a time."""

from functools import partial

import keras
from keras import layers, ops, tree

from rladder_keras.recurrence import RecurrentLadder
from rladder_keras.validation import check_integer, fits


def step_model(model):
    """Model of one iteration, which shares its weights with a model of sequences.

    It is called with a frame and a state, and gives outputs and the next state. From
    frame to frame so carried on it gives what `model` gives for the whole sequence.

    Args:
        model: A functional `keras.Model` with one `RecurrentLadder` in it, and else
            nothing that mixes frames.

    Returns:
        A `keras.Model`. Its inputs are `[frame, state]`: `frame` as the input of
        `model`, but without the axis of time; `state` a list of tensors, in the
        beginning those of `initial_state(model, batch_size)`. Its outputs are
        `[outputs, state]`, the outputs as those of `model` but without the axis of
        time.

    Raises:
        ValueError: If there is not one ladder in the model, or one that takes several
            iterations for a frame, or a mask that is not given to the ladder itself,
            `ladder(x, mask=mask)`.

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
    # Keras takes no tensor that is an input and an output.
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
            f"the ladder of {model.name} takes {x.shape[1]} iterations for a frame, "
            "and a step is one: use predict."
        )
    step = LadderStep(ladder, name="ladder_step")
    outputs, following = step(x, state, *mask)
    outputs = above(tree.flatten([sequence, outputs]))
    outputs = tree.map_structure(lambda x: ops.squeeze(x, 1), outputs)
    return keras.Model([frame, state], [outputs, following], name="step")


def cut_open(model, ladder):
    """A copy of the model with its layers, and what goes into and out of the ladder.

    What goes in is a list of the sequences and, if there is one, their mask.

    Made of the tensors of the model itself, a model that begins at the ladder would
    take over its inputs, and the model could not be saved any more.
    """
    ends = []

    def call(layer, *args, **kwargs):
        if isinstance(layer, layers.Masking) or getattr(layer, "mask_zero", False):
            raise ValueError(
                f"the layer {layer.name} hands on its mask unseen, which a step cannot "
                "follow: give it to the ladder itself, ladder(x, mask=mask)."
            )
        outputs = layer(*args, **kwargs)
        if layer is ladder:
            if ends:
                raise ValueError(
                    f"{model.name} calls its ladder more than once, and needs one "
                    "call, for frames to be given one by one."
                )
            sequences = args[0] if args else kwargs["sequences"]
            mask = kwargs.get("mask")
            ends[:] = [sequences, *([] if mask is None else [mask])], outputs
        return outputs

    inputs = tree.map_structure(
        lambda x: keras.Input((None, *x.shape[2:]), dtype=x.dtype, name=x.name),
        model.input,
    )
    bare = keras.Model(model.input, model.output)  # without its losses
    copy = keras.models.clone_model(
        bare, inputs, clone_function=lambda layer: layer, call_function=call
    )
    return copy, *ends


def initial_state(model, batch_size):
    """State before the first frame, for a `step_model`: a list of NumPy arrays.

    Examples:
        The iteration's index, `h` and `c` of the LSTM, and the decoder's last output:

        >>> sequences = keras.Input((None, 6))
        >>> ladder = RecurrentLadder([Level(LSTMCell(8), G1())], iterations=1)
        >>> model = keras.Model(sequences, ladder(sequences)["top"])
        >>> [x.shape for x in initial_state(model, batch_size=2)]
        [(1,), (2, 8), (2, 8), (2, 8)]
    """
    check_integer("`batch_size`", batch_size)
    state = the_ladder(model).cell.get_initial_state(batch_size)
    return [ops.convert_to_numpy(x) for x in tree.flatten(state)]


def check_state(state, first, batch):
    """Refuse a state that is none of `batch` sequences.

    Args:
        state: What is given as a state.
        first: `initial_state(model, 1)`, or its shapes.
        batch: Number of sequences; `None` if it is not known.
    """
    index, *others = (tuple(getattr(x, "shape", x)) for x in first)
    wanted = [index, *((batch and batch * n, *shape) for n, *shape in others)]
    remedy = f"Give what the last step gave, in the beginning init_state({batch or 1})."
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
                f"`state[{i}]` must be an array of shape {shape}, as the model and the "
                f"number of frames have it; got {got}. {remedy}"
            )
    if not keras.backend.is_int_dtype(keras.backend.standardize_dtype(state[0].dtype)):
        raise ValueError(
            f"`state[0]`, the iteration, must be an integer; got {state[0].dtype}. "
            f"{remedy}"
        )


def the_ladder(model):
    ladders = [layer for layer in model.layers if isinstance(layer, RecurrentLadder)]
    if len(ladders) != 1:
        raise ValueError(
            f"{model.name} has {len(ladders)} recurrent ladders, and needs one, for "
            "frames to be given one by one."
        )
    return ladders[0]


def state_specs(ladder):
    """Shape and type of each tensor of the state; the first is the iteration."""
    index, *others = tree.flatten(ladder.cell.get_initial_state(1))
    yield tuple(index.shape), keras.backend.standardize_dtype(index.dtype)
    for x in others:
        yield (None, *x.shape[1:]), keras.backend.standardize_dtype(x.dtype)


@keras.saving.register_keras_serializable("rladder_keras")
class LadderStep(layers.Layer):
    """One iteration of a `RecurrentLadder`, whose weights it shares.

    Args:
        ladder: The `RecurrentLadder`, built.

    Call arguments:
        sequences: Shape `(batch, 1, ...)`: of a single frame.
        state: List of tensors, see `step_model`.
        mask: Booleans of shape `(batch, 1)`, as of the ladder: after padding the state
            is that of the beginning.

    Returns:
        The outputs of the ladder, and the next state.
    """

    def __init__(self, ladder, **kwargs):
        super().__init__(**kwargs)
        self.ladder = ladder

    def build(self, sequences_shape, state_shape=None, mask_shape=None):
        # Here, because a Tagger's initial state is drawn, which no export can take.
        # As functions, because Keras would turn the structure into another.
        first = self.ladder.cell.get_initial_state(1)
        self.nested = partial(tree.pack_sequence_as, first)
        shapes = [tuple(x.shape) for x in tree.flatten(first)]
        self.check = lambda state, batch: check_state(state, shapes, batch)

    def call(self, sequences, state, mask=None):
        self.check(state, sequences.shape[0])
        cell, state = self.ladder.cell, self.nested(state)
        masks = [] if mask is None else [ops.cast(mask, cell.compute_dtype)]
        outputs, following = cell(sequences[:, 0], [*state, *masks])
        outputs = self.ladder.named(outputs)
        outputs = {name: ops.expand_dims(x, 1) for name, x in outputs.items()}
        return outputs, tree.flatten(following[: len(state)])  # without the mask

    def compute_output_spec(self, sequences, state, mask=None):
        shapes = self.ladder.compute_output_shape(sequences.shape)
        outputs = {
            name: keras.KerasTensor(shape, self.compute_dtype)
            for name, shape in shapes.items()
        }
        return outputs, [keras.KerasTensor(x.shape, x.dtype) for x in state]

    def get_config(self):
        ladder = keras.saving.serialize_keras_object(self.ladder)
        return {**super().get_config(), "ladder": ladder}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        ladder = keras.saving.deserialize_keras_object(config.pop("ladder"))
        return cls(ladder, **config)
