"""The loop over time: a recurrent ladder as a layer of sequences."""

import contextlib
import contextvars

import keras
from keras import layers, ops, tree

from rladder_keras.ladder import LadderCell, serialize
from rladder_keras.validation import check_integer, check_mask
from rladder_keras.wiring import draws_numbers, is_plain, moves_averages

# Unrolled, TensorFlow compiles Table 5 for 4 s per iteration and then is as fast as the
# backend's loop; JAX, whose loops convolve slowly on CPUs, is seven times as fast.
LONGEST_UNROLLED = 20


_last_is_unread = contextvars.ContextVar("last_is_unread", default=False)


@contextlib.contextmanager
def last_unread():
    """Context in which training does not read `"bottom"` after the last iteration.

    It is zeros there, and the decoders that would compute it are left out.
    """
    token = _last_is_unread.set(True)
    try:
        yield
    finally:
        _last_is_unread.reset(token)


@keras.saving.register_keras_serializable("rladder_keras")
class RecurrentLadder(layers.RNN):
    """A recurrent ladder unrolled over time: the only loop over time in this library.

    Args:
        levels: List of `Level`, bottom row first, or a cell with the protocol of
            `LadderCell`.
        feedback: `"recurrent"`, `"all"` or `"none"`, see `LadderCell`.
        iterations: How many iterations keep batch statistics of their own. Default: the
            length of the sequences, if it is known when the layer is built. Longer
            sequences use the last row of statistics for what goes beyond, or the last
            that training has reached; 1 means statistics shared by all iterations,
            which suits long sequences only.
        unroll: `True` is a Python loop, `False` a loop of the backend, and `"auto"`
            takes the one that is faster (see `benchmarks/`), or that works: with rows
            that draw random numbers, such as dropout, JAX trains unrolled only.
        carry: Number of rows in a batch, for truncated back-propagation through time:
            in training a batch then starts in the state that the batch before it ended
            in, and no gradient goes back there. At inference the start is zeros.
        skip: Skip connections that the paper leaves out, see `LadderCell`.
        remat: Whether to keep only the states between the iterations for the gradient
            and to compute what lies within an iteration a second time: less memory for
            more time, by `keras.remat`. The loop is then unrolled. On TensorFlow it
            saves nothing, because Grappler merges the second time with the first.
        dtype: Policy of the ladder and of all its levels, if given.

    Call arguments:
        sequences: Shape `(batch, T, ...)`.
        initial_state: State to start from, of the structure that
            `cell.get_initial_state` gives. Default: zeros.
        mask: Booleans of shape `(batch, T)`, `False` where there is no frame but
            padding. Padding counts in no batch statistics, and after it the ladder
            starts anew from zeros, so that a row may hold several sequences with a step
            of padding between them; with batch statistics of more than one iteration
            its first frame is not known as a first one, so that padding should then
            come last. What comes out at padding is to be ignored: the loss needs the
            mask too, as `sample_weight`.

    Output shape:
        A dictionary: `"top"`, the output of the highest encoder row, shape
        `(batch, T, ...)`, and, if there is a decoder, `"bottom"`, the output of the
        lowest decoder cell, shape `(batch, T, ...)`.

    Examples:
        >>> levels = [
        ...     Level(ConvLSTMCell(8, 3), ConvG3(3)),
        ...     Level(keras.layers.MaxPooling2D(2), ConvG3(4)),
        ...     Level(Conv(16, 3), ConvG3(3)),
        ...     Level(keras.layers.AveragePooling2D(2), G1()),
        ...     Level(LSTMCell(10), G1()),
        ... ]
        >>> outputs = RecurrentLadder(levels)(keras.Input((5, 8, 8, 1)))
        >>> outputs["top"].shape, outputs["bottom"].shape
        ((None, 5, 10), (None, 5, 8, 8, 8))
    """

    def __init__(
        self,
        levels,
        feedback="recurrent",
        iterations=None,
        unroll="auto",
        carry=None,
        skip=(),
        remat=False,
        **kwargs,
    ):
        for name in set(kwargs) - {
            "name",
            "dtype",
            "trainable",
            "activity_regularizer",
        }:
            raise ValueError(f"RecurrentLadder has no argument {name!r}.")
        cell = levels
        if isinstance(levels, (list, tuple)):
            cell = LadderCell(levels, feedback, iterations, skip, **policy_of(kwargs))
            if kwargs.get("dtype") is not None:
                for layer in (layer for level in cell.levels for layer in level):
                    if layer is not None:
                        layer.dtype_policy = kwargs["dtype"]
        elif not hasattr(levels, "resolve_iterations"):
            raise ValueError(
                "`levels` must be a list of Level, or a cell such as LadderCell; got "
                f"{levels!r}. Give the rows as [Level(encoder, decoder), ...]."
            )
        elif feedback != "recurrent" or iterations is not None or skip:
            raise ValueError(
                "give feedback, iterations and skip to the cell, not beside it."
            )
        if unroll not in (True, False, "auto"):
            raise ValueError(f"unroll must be True, False or 'auto', not {unroll!r}.")
        if remat and not unroll:
            raise ValueError("remat=True unrolls the loop: leave unroll out.")
        if carry is not None:
            check_integer("`carry`", carry)
        if carry is not None and not getattr(cell, "starts_from_zeros", True):
            raise ValueError(
                f"a {type(cell).__name__} does not start from zeros, as a state that "
                "is carried from batch to batch does: leave carry out."
            )
        # `unroll` of the base class chooses inside `inner_loop`: here it means "scan".
        super().__init__(cell, return_sequences=True, unroll=False, **kwargs)
        self.unroll_setting = unroll
        self.remat = remat
        self.carry = carry
        self.carried = []

    def build(self, sequences_shape, initial_state_shape=None):
        if len(sequences_shape) < 3:
            raise ValueError(
                "RecurrentLadder takes sequences of shape (batch, time, ...), but the "
                f"input has shape {tuple(sequences_shape)}: add the axis of time, for "
                "a still image with one repetition for each iteration."
            )
        batch, steps, *frame = sequences_shape
        self.input_spec = layers.InputSpec(shape=(None, None, *frame))
        self.cell.resolve_iterations(steps)
        if not self.cell.built:
            self.cell.build((batch, *frame))
        for layer in (*self.cell.encoders, *self.cell.decoders, self.cell, self):
            keep_frozen(layer)
        if self.carry is not None:
            state = tree.flatten(self.cell.get_initial_state(self.carry))
            self.carried = [
                self.add_weight(
                    tuple(x.shape),
                    "zeros",
                    keras.backend.standardize_dtype(x.dtype),
                    trainable=False,
                    autocast=False,
                    name=f"carried_{i}",
                )
                for i, x in enumerate(state)
            ]

    def load_own_variables(self, store):
        """The carried state, if it is of as many rows; nothing in it was learned."""
        shapes = [tuple(store[str(i)].shape) for i in range(len(store.keys()))]
        if shapes == [tuple(x.shape) for x in self.carried]:
            super().load_own_variables(store)

    def call(
        self,
        sequences,
        initial_state=None,
        mask=None,
        sequences_mask=None,
        training=False,
    ):
        if not is_float(sequences):
            dtype = keras.backend.standardize_dtype(sequences.dtype)
            raise ValueError(
                "RecurrentLadder takes sequences of floats, but the input is of type "
                f"{dtype}: cast it to float32, divide 8-bit images by 255."
            )
        carries = training and self.carried and initial_state is None
        state = initial_state
        if state is None:
            state = self.cell.get_initial_state(ops.shape(sequences)[0])
        if carries:
            self.check_carry(sequences.shape[0])
            if sequences.shape[0] is None:  # fails where there are more or fewer rows
                shape = (self.carry, *ops.shape(sequences)[1:])
                sequences = ops.reshape(sequences, shape)
            # Copies, because torch assigns in place, before it goes back.
            state = tree.pack_sequence_as(state, [ops.copy(x) for x in self.carried])
        # Keras' name for the mask that comes with the sequences is `mask`, or
        # `sequences_mask` where there is an initial state beside them.
        mask = sequences_mask if mask is None else mask
        if mask is not None:
            mask = ops.convert_to_tensor(mask)
            check_mask(mask, sequences)
            # In the state, because Keras' loop goes over a single sequence, and of the
            # type that Keras casts a cell's states to.
            state = [*state, ops.cast(mask, self.cell.compute_dtype)]
        self.reset_dropout()
        if self.unrolls(sequences.shape[1], training):
            steps = []
            cell = recomputed(self.cell) if self.remat and training else self.cell
            frames = ops.unstack(sequences, axis=1)
            known = {}
            if cell is self.cell and len(frames) > 1 and not carries:
                known = self.known(len(frames), initial_state is None, training)
            for t, x in enumerate(frames):
                outputs, state = cell(x, state, **known.get(t, {}))
                steps.append(outputs)
            outputs = tree.map_structure(lambda *o: ops.stack(o, axis=1), *steps)
        else:
            _, outputs, state = self.inner_loop(sequences, state, None, training)
        self.reset_dropout()
        if carries:
            # A mask is the last of it, and not carried.
            for variable, x in zip(self.carried, tree.flatten(state), strict=False):
                variable.assign(ops.stop_gradient(x))
        self.cell.statistics.update(outputs.moments)
        return self.named(outputs)

    def known(self, steps, from_zeros, training):
        """Arguments of the cell, by iteration, that save work without a use."""
        if not getattr(self.cell, "starts_from_zeros", False):
            return {}
        first = {"first": True} if from_zeros else {}
        unread = {"unread": True} if training and _last_is_unread.get() else {}
        return {0: first, steps - 1: unread}

    def reset_state(self):
        """Let the next training batch start from zeros, where the state is carried."""
        for variable in self.carried:
            variable.assign(ops.zeros(variable.shape, variable.dtype))

    def reset_dropout(self):
        """Let stock cells draw a mask of dropout for each batch, as in Keras' RNN."""
        for row in self.cell.encoders:
            getattr(row, "reset_dropout", lambda: None)()

    def check_carry(self, rows):
        """Refuse batches of another number of rows, where the state is carried."""
        if self.carry is not None and rows not in (None, self.carry):
            raise ValueError(
                f"this ladder carries its state from batch to batch in {self.carry} "
                f"rows, and the batch has {rows}: train in batches of {self.carry}, or "
                "build the ladder with that carry."
            )

    def compute_mask(self, sequences, mask):
        """The mask of each output is that of the sequences."""
        frame = (None, *self.input_spec.shape[2:])
        names = self.named(self.cell.compute_output_shape(frame))
        return dict.fromkeys(names, tree.flatten(mask)[0])

    def unrolls(self, steps, training=False):
        """Whether a sequence of this length (`None`: unknown) is unrolled."""
        if self.remat or self.unroll_setting is True:
            return True
        backend = keras.backend.backend()
        # A loop of JAX takes no variables from step to step.
        only_unrolled = backend == "jax" and training and self.changes_variables()
        if self.unroll_setting is False:
            if only_unrolled:
                raise ValueError(
                    "a row of this ladder draws random numbers (dropout, noise) or has "
                    "moving statistics of its own, which a scanned loop of JAX cannot "
                    "keep: leave unroll out."
                )
            return False
        if steps is None:
            return False
        # On torch both are Python loops, but `inner_loop` runs the first step twice.
        return only_unrolled or backend == "torch" or steps <= LONGEST_UNROLLED

    def changes_variables(self):
        """Whether a step of training does: random numbers, a stock layer's averages."""
        encoders = self.cell.encoders
        decoders = [row for row in self.cell.decoders if row is not None]
        foreign = [row for row in encoders if is_plain(row)]
        foreign += [row.cell for row in encoders if hasattr(row, "cell")]
        return any(map(draws_numbers, [*encoders, *decoders])) or any(
            map(moves_averages, foreign)
        )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, steps, *frame = sequences_shape
        shapes = self.cell.compute_output_shape((batch, *frame))
        return {k: (batch, steps, *n[1:]) for k, n in self.named(shapes).items()}

    @staticmethod
    def named(outputs):
        """The outputs that a user sees, by name."""
        named = outputs._asdict()
        del named["moments"]
        return {k: v for k, v in named.items() if not isinstance(v, tuple) or v}

    def get_config(self):
        return {
            **layers.Layer.get_config(self),
            "levels": serialize(self.cell),
            "unroll": self.unroll_setting,
            "carry": self.carry,
            "remat": self.remat,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        levels = keras.saving.deserialize_keras_object(config.pop("levels"))
        return cls(levels, **config)


def recomputed(cell):
    """The cell in training; for the gradient its inside is computed a second time."""

    def step(x, state):
        arguments = tree.flatten((x, state))
        floats = [i for i, a in enumerate(arguments) if is_float(a)]
        outputs = []

        # TensorFlow takes flat arguments only, and torch computes the second time where
        # Keras does not know any more that this is training.
        def flat(*tensors):
            given = arguments.copy()
            for i, tensor in zip(floats, tensors, strict=True):
                given[i] = tensor
            given = tree.pack_sequence_as((x, state), given)
            outputs[:] = cell(*given, training=True)
            return tuple(tree.flatten(outputs))

        tensors = keras.remat(flat)(*(arguments[i] for i in floats))
        return tree.pack_sequence_as(outputs, tensors)

    return step


def keep_frozen(layer):
    """Freeze the parts, too, that a frozen layer got when it was built."""
    if layer is not None and not layer.trainable:
        layer.trainable = True  # else TensorFlow sees no change
        layer.trainable = False


def is_float(x):
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def policy_of(kwargs):
    return {"dtype": kwargs["dtype"]} if "dtype" in kwargs else {}
