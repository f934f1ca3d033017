"""The loop over time: a recurrent ladder as a layer of sequences.

The file is longer than others because it holds everything that depends on the loop: the
choice between unrolled and scanned loops, masks, carried states and rematerialisation.
"""

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import keras
from keras import layers, ops, tree

from rladder_keras.ladder import LadderCell, serialize
from rladder_keras.typing import (
    Config,
    Feedback,
    Shape,
    Shapes,
    State,
    Tensor,
    Unroll,
)
from rladder_keras.validation import (
    check_boolean,
    check_initial_state,
    check_integer,
    check_mask,
)
from rladder_keras.wiring import Level, draws_numbers, is_plain, moves_averages

# Longest sequence that `unroll="auto"` unrolls. Table 5 takes TensorFlow 4 s of
# compilation per unrolled iteration, and then runs as fast as in the loop of the
# backend. On JAX, whose loops convolve slowly on CPUs, the unrolled loop is seven times
# as fast.
LONGEST_UNROLLED = 20

# A context variable, because the setting must reach ladders at any depth of a model,
# and Keras passes only `training` and masks through the layers of a model.
_last_is_unread: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "last_is_unread", default=False
)


@contextlib.contextmanager
def last_unread() -> Iterator[None]:
    """Context in which training ignores `"bottom"` of the last iteration.

    `"bottom"` may be zeros there: an unrolled loop skips the decoders that would
    compute it.
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
        levels: List of `Level`, bottom row first, or a cell with the same protocol as
            `LadderCell`.
        feedback: Which encoder rows receive the last output of their decoder:
            `"recurrent"`, `"all"` or `"none"`, see `LadderCell`.
        iterations: Number of iterations with separate moving statistics of batch
            normalisation. By default, the length of the sequences; if it is unknown
            when the layer is built, and a level has batch normalisation, `iterations`
            must be given. Later iterations use the statistics of the last one, or of
            the last one that training has reached. With 1, all iterations share their
            statistics, which suits long sequences only.
        unroll: `True` for a Python loop, `False` for a loop of the backend. `"auto"`
            chooses the faster one that works (see `benchmarks/`): with rows that draw
            random numbers, such as dropout, JAX can only train the Python loop.
        carry: Batch size, for truncated back-propagation through time. In training each
            batch then starts from the final state of the batch before, and no gradient
            flows back into that batch. At inference the initial state is zeros. By
            default no state is carried.
        skip: Skip connections that the paper's models do not have: any of `"diagonal"`
            and `"recurrent"`, see `LadderCell`.
        remat: Whether to recompute the inside of each iteration in the backward pass
            (`keras.remat`), so that only the states between the iterations are stored.
            This needs less memory and more time. The loop is then unrolled. On
            TensorFlow it saves no memory, because Grappler merges the second
            computation with the first.
        dtype: Dtype policy of the ladder and of all its levels; the layers of a model
            that is a row keep their own, and so does a cell given as `levels`. By
            default every layer keeps its own policy.

    Call arguments:
        sequences: Shape `(batch, T, ...)`.
        initial_state: Initial state, with the structure that `cell.get_initial_state`
            returns. Defaults to zeros.
        mask: Booleans of shape `(batch, T)`, `False` at padding. Padding is excluded
            from the batch statistics. After padding the ladder restarts from zeros, so
            that one row can hold several sequences separated by a step of padding. With
            batch statistics for more than one iteration, put padding last: the first
            frame after padding does not use the statistics of first frames. Ignore the
            outputs at padding, and also pass the mask to the loss, as `sample_weight`.

    Output shape:
        A dictionary: `"top"`, the output of the highest encoder row, shape `(batch, T,
        ...)`, and, if there is a decoder, `"bottom"`, the output of the lowest decoder
        cell, shape `(batch, T, ...)`.

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
        levels: Sequence[Level] | layers.Layer,
        feedback: Feedback = "recurrent",
        iterations: int | None = None,
        unroll: Unroll = "auto",
        carry: int | None = None,
        skip: Iterable[str] = (),
        remat: bool = False,
        **kwargs: Any,
    ) -> None:
        for name in set(kwargs) - {
            "name",
            "dtype",
            "trainable",
            "activity_regularizer",
        }:
            raise ValueError(
                "The keyword arguments of RecurrentLadder must be documented ones; "
                f"got {name!r}. Remove it."
            )
        cell = levels
        if isinstance(levels, (list, tuple)):
            cell = LadderCell(levels, feedback, iterations, skip, **policy_of(kwargs))
            if kwargs.get("dtype") is not None:
                for layer in (layer for level in cell.levels for layer in level):
                    if layer is not None:
                        set_policy(layer, kwargs["dtype"])
        elif not hasattr(levels, "resolve_iterations"):
            raise ValueError(
                "`levels` must be a list of Level, or a cell such as LadderCell; got "
                f"{levels!r}. Give the rows as [Level(encoder, decoder), ...]."
            )
        elif feedback != "recurrent" or iterations is not None or skip:
            raise ValueError(
                "`feedback`, `iterations` and `skip` must keep their defaults if "
                f"`levels` is a cell; got {feedback!r}, {iterations!r} and {skip!r}. "
                "Pass them to the cell."
            )
        if not isinstance(unroll, bool) and unroll != "auto":
            raise ValueError(
                f"`unroll` must be True, False or 'auto'; got {unroll!r}. Use 'auto' "
                "to choose the faster loop."
            )
        check_boolean("`remat`", remat)
        if remat and not unroll:
            raise ValueError(
                "`unroll` must be True or 'auto' with remat=True, which unrolls the "
                f"loop; got {unroll!r}. Omit `unroll`."
            )
        if carry is not None:
            carry = check_integer("`carry`", carry)
        if carry is not None and not getattr(cell, "starts_from_zeros", True):
            raise ValueError(
                "`carry` must be None for a cell that does not start from zeros; got "
                f"{carry!r} for a {type(cell).__name__}. Omit `carry`."
            )
        # In the base class `unroll` selects the loop inside `inner_loop`, which this
        # class calls only for scanned loops: hence always False.
        super().__init__(cell, return_sequences=True, unroll=False, **kwargs)
        self.unroll_setting = unroll
        self.remat = remat
        self.carry = carry
        self.carried: list[Any] = []

    def build(self, sequences_shape: Shape, initial_state_shape: Shapes = None) -> None:
        if len(sequences_shape) < 3:
            raise ValueError(
                "The input of RecurrentLadder must have shape (batch, time, ...); got "
                f"shape {tuple(sequences_shape)}. Add the time axis; for a still "
                "image, repeat it once for each iteration."
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

    def load_own_variables(self, store: Any) -> None:
        """Load the carried state if the batch size is the same; otherwise skip it.

        The carried state holds nothing that was learned.
        """
        shapes = [tuple(store[str(i)].shape) for i in range(len(store.keys()))]
        if shapes == [tuple(x.shape) for x in self.carried]:
            super().load_own_variables(store)

    def call(
        self,
        sequences: Tensor,
        initial_state: State | None = None,
        mask: Tensor | None = None,
        sequences_mask: Tensor | None = None,
        training: bool = False,
    ) -> dict[str, Tensor]:
        if not is_float(sequences):
            dtype = keras.backend.standardize_dtype(sequences.dtype)
            raise ValueError(
                "The input of RecurrentLadder must have a floating-point type; got "
                f"type {dtype}. Cast it to float32, and divide 8-bit images by 255."
            )
        carries = training and self.carried and initial_state is None
        state = initial_state
        if state is None:
            state = self.cell.get_initial_state(ops.shape(sequences)[0])
        elif getattr(self.cell, "starts_from_zeros", False):  # others may draw numbers
            first = self.cell.get_initial_state(1)
            check_initial_state(state, first, sequences.shape[0])
        if carries:
            self.check_carry(sequences.shape[0])
            if sequences.shape[0] is None:  # fails for other batch sizes
                shape = (self.carry, *ops.shape(sequences)[1:])
                sequences = ops.reshape(sequences, shape)
            # Copies, because torch assigns in place, which would change the state
            # before the backward pass has used it.
            state = tree.pack_sequence_as(state, [ops.copy(x) for x in self.carried])
        # Keras passes the mask of the sequences as `mask`; if an initial state is given
        # too, it passes the mask as `sequences_mask`.
        mask = sequences_mask if mask is None else mask
        if mask is not None:
            # Masks of numbers are true where they are not 0, as in NumPy.
            mask = ops.cast(ops.convert_to_tensor(mask), "bool")
            check_mask(mask, sequences)
            # The mask travels in the state, because Keras' loop takes a single
            # sequence. It has the dtype to which Keras casts the states of a cell.
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
            # The mask is the last tensor of the state, and is not carried.
            for variable, x in zip(self.carried, tree.flatten(state), strict=False):
                variable.assign(ops.stop_gradient(x))
        self.cell.statistics.update(outputs.moments)
        return self.named(outputs)

    def known(
        self, steps: int, from_zeros: bool, training: bool
    ) -> dict[int, dict[str, bool]]:
        """Return call arguments of the cell, by iteration, that skip unused work."""
        if not getattr(self.cell, "starts_from_zeros", False):
            return {}
        taken = inspect.signature(self.cell.call).parameters  # a subclass may take none
        first = {"first": True} if from_zeros and "first" in taken else {}
        unread = training and _last_is_unread.get() and "unread" in taken
        return {0: first, steps - 1: {"unread": True} if unread else {}}

    def reset_state(self) -> None:
        """Set the carried state to zeros, for the next training batch."""
        for variable in self.carried:
            variable.assign(ops.zeros(variable.shape, variable.dtype))

    def reset_dropout(self) -> None:
        """Reset the dropout masks of stock cells once per batch, as Keras' RNN does."""
        for row in self.cell.encoders:
            getattr(row, "reset_dropout", lambda: None)()

    def check_carry(self, rows: int | None) -> None:
        """Raise `ValueError` if a batch size is not that of the carried state."""
        if self.carry is not None and rows not in (None, self.carry):
            raise ValueError(
                f"A batch must have {self.carry} rows for this ladder, which carries "
                f"its state from batch to batch; got {rows} rows. Train in batches of "
                f"{self.carry}, or build the ladder with carry={rows}."
            )

    def compute_mask(self, sequences: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the mask of the sequences for each output."""
        frame = (None, *self.input_spec.shape[2:])
        names = self.named(self.cell.compute_output_shape(frame))
        return dict.fromkeys(names, tree.flatten(mask)[0])

    def unrolls(self, steps: int | None, training: bool = False) -> bool:
        """Return whether a sequence of `steps` steps (`None`: unknown) is unrolled."""
        if self.remat and training and self.changes_variables():
            raise ValueError(
                "`remat` must be False to train this ladder: a row draws random "
                "numbers (dropout, noise) or updates moving statistics, which would "
                "happen a second time in the backward pass; got True. Omit `remat`, or "
                "put the noise before the ladder."
            )
        if self.remat or self.unroll_setting is True:
            return True
        backend = keras.backend.backend()
        # A loop of JAX cannot update variables in its steps.
        only_unrolled = backend == "jax" and training and self.changes_variables()
        if self.unroll_setting is False:
            if only_unrolled:
                raise ValueError(
                    "`unroll` must be True or 'auto' to train this ladder on JAX: a "
                    "row draws random numbers (dropout, noise) or updates moving "
                    "statistics, which a loop of JAX cannot do; got False. Omit "
                    "`unroll`."
                )
            return False
        if steps is None:
            return False
        # On torch both are Python loops, but `inner_loop` computes the first step
        # twice.
        return only_unrolled or backend == "torch" or steps <= LONGEST_UNROLLED

    def changes_variables(self) -> bool:
        """Return whether a training step changes variables inside an iteration.

        Such variables are the seeds of random numbers, and the moving averages of stock
        layers.
        """
        encoders = self.cell.encoders
        decoders = [row for row in self.cell.decoders if row is not None]
        foreign = [row for row in encoders if is_plain(row)]
        foreign += [row.cell for row in encoders if hasattr(row, "cell")]
        return any(map(draws_numbers, [*encoders, *decoders])) or any(
            map(moves_averages, foreign)
        )

    def compute_output_shape(
        self, sequences_shape: Shape, initial_state_shape: Shapes = None
    ) -> dict[str, Shape]:
        batch, steps, *frame = sequences_shape
        shapes = self.cell.compute_output_shape((batch, *frame))
        return {k: (batch, steps, *n[1:]) for k, n in self.named(shapes).items()}

    def compute_output_spec(
        self, sequences: Any, *args: Any, **kwargs: Any
    ) -> dict[str, keras.KerasTensor]:
        dtypes = getattr(self.cell, "output_dtypes", {})
        return {
            name: keras.KerasTensor(shape, dtypes.get(name, self.compute_dtype))
            for name, shape in self.compute_output_shape(sequences.shape).items()
        }

    @staticmethod
    def named(outputs: Any) -> dict[str, Any]:
        """Return the public outputs as a dictionary, without the batch statistics."""
        named = outputs._asdict()
        del named["moments"]
        return {k: v for k, v in named.items() if not isinstance(v, tuple) or v}

    def get_config(self) -> Config:
        return {
            **layers.Layer.get_config(self),
            "levels": serialize(self.cell),
            "unroll": self.unroll_setting,
            "carry": self.carry,
            "remat": self.remat,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        levels = keras.saving.deserialize_keras_object(config.pop("levels"))
        return cls(levels, **config)


def recomputed(cell: layers.Layer) -> Callable[[Tensor, State], Any]:
    """Return the cell in training, with its inside recomputed in the backward pass."""

    def step(x, state):
        arguments = tree.flatten((x, state))
        floats = [i for i, a in enumerate(arguments) if is_float(a)]
        outputs = []

        # TensorFlow supports flat arguments only. `training=True` is explicit because
        # torch recomputes outside of Keras' call context.
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


def keep_frozen(layer: layers.Layer | None) -> None:
    """Freeze the sublayers that a frozen layer created when it was built."""
    if layer is not None and not layer.trainable:
        layer.trainable = True  # otherwise TensorFlow does not notice the change
        layer.trainable = False


def is_float(x: Tensor) -> bool:
    """Return whether a tensor has a floating-point dtype."""
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def set_policy(layer: layers.Layer, policy: Any) -> None:
    """Set the dtype policy of a row that is not built, and of stock cells inside."""
    layer.dtype_policy = policy
    if hasattr(layer, "stock_cells"):
        for cell in (layer.cell, *layer.stock_cells):
            cell.dtype_policy = policy


def policy_of(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return `dtype` from the arguments of a layer, if it is given."""
    return {"dtype": kwargs["dtype"]} if "dtype" in kwargs else {}
