"""The recurrent ladder (Section 2): Equations 1 to 3, and the loop over time."""

import contextlib
import contextvars
from functools import partial
from typing import NamedTuple

import keras
from keras import layers, ops, tree

from rladder_keras.normalization import BatchStatistics
from rladder_keras.validation import check_integer

FEEDBACK = ("recurrent", "all", "none")
SKIPS = ("diagonal", "recurrent")
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


class Level(NamedTuple):
    """One row of Table 5, 8 or 9: an encoder and the decoder beside it.

    A row without a decoder hands down what it receives from above; the top row hands
    down its own output.

    Examples:
        >>> Level(Conv(32, 3)).decoder is None
        True
    """

    encoder: layers.Layer
    decoder: layers.Layer | None = None


class LadderOutput(NamedTuple):
    """What one iteration gives, and with an axis of time what a sequence gives.

    Attributes:
        top: `e_L`, the output of the highest encoder row.
        bottom: `d_1`, the output of the lowest decoder cell; `()` without a decoder.
        moments: Batch statistics of this iteration, for the moving averages.
    """

    top: object
    bottom: object
    moments: list


@keras.saving.register_keras_serializable("rladder_keras")
class LadderCell(layers.Layer):
    """One iteration of a recurrent ladder: up the encoder, then down the decoder.

    Args:
        levels: List of `Level`, bottom row first.
        feedback: Which encoder rows receive their decoder's last output `d_l(t-1)`:
            `"recurrent"` ones, `"all"` that can (`Conv` rows too), or `"none"`.
        iterations: Rows of moving batch statistics (see `rladder_keras.normalization`).
        skip: Skip connections of Fig. 9c, which the paper leaves out: any of
            `"diagonal"`, from the decoder of the row below, `d_{l-1}(t-1)`, to the
            encoder rows that may receive feedback, and `"recurrent"`, from `d_l(t-1)`
            to the decoder of the same row. They join, as more channels, `e_{l-1}(t)`
            and `d_{l+1}(t)`, where these lie on the same grid. The recurrent ones have
            a gain for each channel that starts at 0.

    Call arguments:
        x: The input of this iteration, shape `(batch, ...)`.
        states: `[t, s, d]`: the iteration's index, shape `(1,)`, the states of the
            encoder rows, and the last outputs of the decoder cells. With a mask
            `[t, s, d, mask]`, of shape `(batch, T)`: this iteration's and the later
            ones'. Where it is 0, nothing counts in the batch statistics, and `s` and
            `d` are zero afterwards.
        first: Whether `s` and `d` are zeros, so that maps of them may be left out.
        unread: Whether nothing reads the decoders. Only rows that keep batch statistics
            are then computed, and those above them. `bottom` is zeros, and the new
            state must not be used.

    Returns:
        A `LadderOutput` and the new states.

    References:
        - Premont-Schwarz et al., Recurrent Ladder Networks, 2017, Section 2.

    Examples:
        >>> levels = [Level(LSTMCell(8), G1()), Level(Softmax(10))]
        >>> cell = LadderCell(levels, iterations=5)
        >>> cell.build((2, 6))
        >>> output, states = cell(np.zeros((2, 6)), cell.get_initial_state(2))
        >>> ops.shape(output.top), ops.shape(output.bottom)
        ((2, 10), (2, 8))
    """

    starts_from_zeros = True  # its state; only so can it be carried

    def __init__(
        self, levels, feedback="recurrent", iterations=None, skip=(), **kwargs
    ):
        super().__init__(**kwargs)
        if isinstance(skip, str) or not set(skip) <= set(SKIPS):
            raise ValueError(f"skip must be a tuple of some of {SKIPS}, not {skip!r}.")
        if feedback not in FEEDBACK:
            raise ValueError(f"feedback must be one of {FEEDBACK}, not {feedback!r}.")
        if not levels:
            raise ValueError("a ladder needs at least one Level.")
        if iterations is not None:
            check_integer("`iterations`", iterations)
        levels = [as_level(l, level) for l, level in enumerate(levels)]
        self.encoders = [level.encoder for level in levels]
        self.decoders = [level.decoder for level in levels]
        self.feedback = feedback
        self.skip = tuple(sorted(skip))
        self.gains = {}  # of `d_l(t-1)` in decoder row l
        self.first_with_statistics = len(levels)  # lowest decoder with moving averages
        self.iterations = iterations
        self.statistics = BatchStatistics(iterations or 1)

    def resolve_iterations(self, steps):
        """Take the length of the sequences where `iterations` was not given."""
        if self.iterations is None and steps is not None:
            self.iterations = self.statistics.iterations = steps

    @property
    def levels(self):
        return [Level(*row) for row in zip(self.encoders, self.decoders, strict=True)]

    @property
    def state_size(self):
        return [getattr(encoder, "state_size", []) for encoder in self.encoders]

    def build(self, x_shape, states_shape=None):
        if None in x_shape[1:]:
            raise ValueError(
                "a ladder needs frames of a fixed size, but one iteration's input has "
                f"shape {tuple(x_shape)}: give Input the height, width and channels."
            )
        self.e_shapes = self.shapes_up(x_shape)
        self.d_shapes = self.shapes_down(x_shape)
        with self.statistics.building():
            for l in range(len(self.encoders)):
                self.build_level(l, x_shape)
        if self.iterations is None and self.statistics.layers:
            raise ValueError(
                "this ladder has batch normalisation, whose moving statistics belong "
                "to one iteration each, and the length of the sequences is unknown: "
                "give iterations=T (or iterations=1 to share them, for long sequences)."
            )

    def shapes_up(self, x_shape):
        """Shape of each `e_l`."""
        e = [tuple(x_shape)]
        for l, encoder in enumerate(self.encoders):
            check_channels(l, encoder, e)
            with self.naming(l, f"its input has shape {e[-1]}"):
                check_rank(encoder, e[-1])
                shape = encoder.compute_output_shape(e[-1])
                check_one_tensor(encoder, shape)
                e.append(tuple(shape))
                if 0 in e[-1]:
                    raise ValueError("the grid is too small for its pool or kernel.")
        return e[1:]

    def shapes_down(self, x_shape):
        """Shape of each `d_l`, `None` for rows without a decoder."""
        v_top, d = self.e_shapes[-1], []
        for l in reversed(range(len(self.decoders))):
            if self.decoders[l] is None:
                d.insert(0, None)
                continue
            with self.naming(l, f"v_top has shape {v_top}, h {self.e_shapes[l]}"):
                shapes = self.decoder_shapes(l, x_shape, v_top)
                v_top = tuple(self.decoders[l].compute_output_shape(*shapes))
            d.insert(0, v_top)
        return d

    def decoder_shapes(self, l, x_shape, v_top):
        """Shapes of `v_top`, `h` and the row's input."""
        return v_top, self.e_shapes[l], self.e_shapes[l - 1] if l else tuple(x_shape)

    def build_level(self, l, x_shape):
        v_top = next((d for d in self.d_shapes[l + 1 :] if d), self.e_shapes[-1])
        shapes = self.decoder_shapes(l, x_shape, v_top)
        below = shapes[-1]
        with self.naming(l, f"its input has shape {below}, v_top {v_top}"):
            encoder, decoder = self.levels[l]
            plain = is_plain(encoder)
            ours = [decoder] if plain else [encoder, decoder]
            if any(row is not None and row.weights for row in ours):
                raise ValueError(
                    "It belongs to another ladder already: make new levels for each."
                )
            if self.receives_diagonal(l):
                below = joined_shape(below, self.d_shapes[l - 1])
            feedback = self.receives_feedback(l)
            if not (plain and encoder.built):  # it may come trained
                encoder.build([below, self.d_shapes[l]] if feedback else below)
            if self.receives_itself(l):
                shapes = joined_shape(v_top, self.d_shapes[l]), *shapes[1:]
                channels = self.d_shapes[l][-1:]
                self.gains[l] = self.add_weight(channels, "zeros", name=f"gain_{l}")
            if self.decoders[l] is not None:
                before = len(self.statistics.layers)
                self.decoders[l].build(*shapes)
                if len(self.statistics.layers) > before:
                    self.first_with_statistics = min(l, self.first_with_statistics)

    @contextlib.contextmanager
    def naming(self, l, what):
        """Say in which row of the table something does not fit."""
        try:
            yield
        except (ValueError, TypeError, ArithmeticError) as error:
            names = [
                "no decoder" if layer is None else type(layer).__name__
                for layer in self.levels[l]
            ]
            raise ValueError(
                f"level {l + 1} of {len(self.encoders)} ({' | '.join(names)}) does not "
                f"fit: {what}. {error}"
            ) from None

    def receives_feedback(self, l):
        """Whether encoder row `l` has `d_l(t-1)` among its inputs."""
        if self.feedback == "none" or self.decoders[l] is None:
            return False
        return self.may_receive(l)

    def may_receive(self, l):
        """Whether encoder row `l` is one that connections from decoders lead to."""
        encoder = self.encoders[l]
        recurrent = hasattr(encoder, "state_size")
        accepts = getattr(encoder, "accepts_feedback", False)
        return accepts and (recurrent or self.feedback == "all")

    def receives_diagonal(self, l):
        """Whether encoder row `l` has `d_{l-1}(t-1)` among its inputs."""
        if "diagonal" not in self.skip or l == 0 or not self.may_receive(l):
            return False
        return on_one_grid(self.e_shapes[l - 1], self.d_shapes[l - 1])

    def receives_itself(self, l):
        """Whether decoder row `l` has `d_l(t-1)` among its inputs."""
        if "recurrent" not in self.skip or self.decoders[l] is None:
            return False
        v_top = next((d for d in self.d_shapes[l + 1 :] if d), self.e_shapes[-1])
        return on_one_grid(v_top, self.d_shapes[l])

    def call(self, x, states, training=None, first=False, unread=False):
        # Keras hands `training` on to the rows.
        t, s, d, *mask = states
        valid = mask[0][:, 0] if mask else None
        with self.statistics.iteration(t, valid) as statistics:
            e, s = self.encode(x, s, d, first)
            d = self.decode(e, d, self.first_with_statistics if unread else 0)
            moments = statistics.collect()
        bottom = next((d_l for d_l in d if not isinstance(d_l, list)), ())
        if unread:
            shape = next((shape for shape in self.d_shapes if shape), None)
            bottom = self.zeros(ops.shape(x)[0], shape) if shape else ()
        output = LadderOutput(e[-1], bottom, moments)
        if mask:
            s, d = tree.map_structure(partial(where, valid), (s, d))
            mask = [ops.roll(mask[0], -1, axis=1)]
        return output, [t + 1, s, d, *mask]

    def encode(self, x, s, d, first=False):
        """Equations 1 and 2. The `d` that comes in is the last iteration's."""
        e, s_new = [], []
        for l, encoder in enumerate(self.encoders):
            if self.receives_diagonal(l):
                x = ops.concatenate([x, d[l - 1]], axis=-1)
            inputs = [x, d[l]] if self.receives_feedback(l) else x
            zeros = first and getattr(encoder, "leaves_out_zeros", False)
            options = {"first": True} if zeros else {}
            if hasattr(encoder, "state_size"):
                x, s_l = encoder(inputs, s[l], **options)
            else:
                x, s_l = encoder(inputs, **options), s[l]
            e.append(x)
            s_new.append(s_l)
        return e, s_new

    def decode(self, e, d, lowest=0):
        """Equation 3, from the top level down. The `d` is the last iteration's."""
        v_top, d_new = e[-1], [[] for _ in self.decoders]
        for l in reversed(range(lowest, len(self.decoders))):
            if self.receives_itself(l):
                own = d[l] * ops.cast(self.gains[l], d[l].dtype)
                v_top = ops.concatenate([v_top, own], axis=-1)
            if self.decoders[l] is not None:
                v_top = d_new[l] = self.decoders[l](v_top, e[l])
        return d_new

    def get_initial_state(self, batch_size=None):
        """`t = 0`, and zeros for every `s_l(0)` and `d_l(0)`."""
        s = [
            encoder.get_initial_state(batch_size)
            if hasattr(encoder, "state_size")
            else []
            for encoder in self.encoders
        ]
        d = [self.zeros(batch_size, shape) if shape else [] for shape in self.d_shapes]
        return [ops.zeros((1,), "int32"), s, d]

    def zeros(self, batch_size, shape):
        """A `d_l` of zeros."""
        return ops.zeros((batch_size, *shape[1:]), self.compute_dtype)

    def compute_output_shape(self, x_shape, states_shape=None):
        """Shapes of `top` and `bottom`."""
        if not self.built:
            self.e_shapes = self.shapes_up(x_shape)
            self.d_shapes = self.shapes_down(x_shape)
        bottom = next((shape for shape in self.d_shapes if shape), ())
        return LadderOutput(self.e_shapes[-1], bottom, [])

    def get_config(self):
        return {
            **super().get_config(),
            "levels": [[serialize(layer) for layer in level] for level in self.levels],
            "feedback": self.feedback,
            "iterations": self.iterations,
            "skip": list(self.skip),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        levels = [
            [keras.saving.deserialize_keras_object(layer) for layer in level]
            for level in config.pop("levels")
        ]
        return cls(levels, **config)


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


def is_plain(encoder):
    """Whether an encoder row is a layer that knows nothing of ladders."""
    return not hasattr(encoder, "state_size") and not hasattr(
        encoder, "accepts_feedback"
    )


def draws_numbers(row):
    """Whether it has random numbers, whose state is a variable and no weight."""
    return getattr(row, "draws_numbers", len(row.variables) > len(row.weights))


def moves_averages(layer):
    """Whether a layer of the user's has moving statistics that are not frozen."""
    parts = getattr(layer, "layers", None) or getattr(layer, "cells", None)
    if parts:
        return any(map(moves_averages, parts))
    return layer.trainable and bool(layer.non_trainable_weights)


def is_float(x):
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def as_level(l, row):
    """Row `l` of a table as a `Level`; what is none is refused, with the remedy."""
    if not isinstance(row, (list, tuple)) or not 1 <= len(row) <= 2:
        raise ValueError(
            f"level {l + 1} must be Level(encoder) or Level(encoder, decoder), and is "
            f"{row!r}."
        )
    level = Level(*row)
    for layer in level:
        if isinstance(layer, type):
            raise ValueError(
                f"level {l + 1}: {layer.__name__} is a class, and a row is made of "
                f"layers: write {layer.__name__}(...)."
            )
    if not isinstance(level.encoder, layers.Layer) or not isinstance(
        level.decoder, layers.Layer | None
    ):
        raise ValueError(
            f"level {l + 1} must have a layer as encoder and a layer or None as "
            f"decoder, and has {level.encoder!r} and {level.decoder!r}."
        )
    check_kind(l, level.encoder)
    return level


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


def where(valid, state):
    """The state where `valid`, of shape `(batch,)`, is 1, and zeros where it is 0."""
    valid = ops.reshape(valid, (-1, *(1 for _ in state.shape[1:])))
    return ops.where(valid > 0, state, ops.zeros_like(state))


def on_one_grid(a, b):
    """Whether tensors of two shapes (`None`: there is none) differ in channels only."""
    return b is not None and tuple(a[1:-1]) == tuple(b[1:-1])


def joined_shape(a, b):
    """Shape of two tensors on one grid, their channels one behind the other."""
    return (*a[:-1], a[-1] + b[-1])


def serialize(layer):
    """Configuration of a layer inside a ladder, which is built by the ladder only."""
    if layer is None:
        return None
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config


def policy_of(kwargs):
    return {"dtype": kwargs["dtype"]} if "dtype" in kwargs else {}
