"""Polyphonic music (Section 3.2 and Appendix D.2): Tables 3 and 8.

After each time step the network gives, for each of the 88 keys of a piano, the
probability that it sounds in the next one. All builders return a compiled
`keras.Model` from piano rolls `(batch, T, 88)`, 1 where a key sounds, 0 where it does
not, and -1 at steps of padding, to a dictionary:

- `"notes"`: probabilities of the keys in the next step, `(batch, T, 88)`.

A step of padding between two pieces makes the network forget the first one. Data are
those of `zoo.data.piano_rolls`.

"RLadder does not do that" (Section 3.2): its probabilities are marginals, as if the
keys of a step were struck independently of each other. With `joint=True` a read-out
goes up the keys instead, and gives for each one the probability given the keys below
it. The product is the probability of the whole step, and may be compared with the upper
half of Table 3. Such a model takes a dictionary, `"roll"` as above, and `"next"`, the
step to be predicted, `(batch, T, 88)`.
"""

from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops, tree
from keras.layers import AveragePooling1D

from rladder_keras import (
    G1,
    ConvG2,
    ConvLSTMCell,
    Identity,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
    StockCell,
    step_model,
)
from zoo import show
from zoo.checks import as_arrays, check_shape
from zoo.data.epochs import check_integer
from zoo.data.midi import (
    KEYS,
    MIDI_SUFFIXES,
    check_time_step,
    import_mido,
    write_midi,
)
from zoo.data.rolls import PianoRolls
from zoo.interrupts import step_kept
from zoo.model import ZooModel
from zoo.occluded_mnist import SAME, channels, rows
from zoo.sample_weights import StepLoss, by_step
from zoo.weights import check_origin, takes_weights

SILENCE = -3.0  # initial bias of the read-outs, the logit of an average key

register = keras.saving.register_keras_serializable("zoo")


def table_8(width=1.0):
    """Structure of RLadder for polyphonic music, without its row "Input".

    The image of 1 x 88 is a series of 88 here, and filters (1, 3) have size 3.

    Args:
        width: Factor on the channels of all convolutions.

    Examples:
        >>> len(zoo.music.table_8())
        8
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                              Decoder
        Level(ConvLSTMCell(c(32), 3),              ConvG2(3)),
        Level(ConvLSTMCell(c(64), 3, 2),           ConvG2(3)),
        Level(ConvLSTMCell(c(96), 3, 2),           ConvG2(3)),
        Level(ConvLSTMCell(c(128), 3, 2),          ConvG2(3)),
        Level(ConvLSTMCell(c(160), 3, 2),          ConvG2(3)),
        Level(AveragePooling1D(2, **SAME), G1()),
        Level(LSTMCell(96),                        G1()),
        Level(Softmax(19),                         Identity()),
    ]  # fmt: on


@takes_weights
def polyphonic_music_rladder(
    width=1.0,
    *,
    table=table_8,
    feedback="recurrent",
    joint=False,
    frequencies=None,
    carry=None,
    learning_rate=0.01,
    unroll="auto",
):
    """The RLadder of Table 8.

    The read-out is a 1x1 convolution of `d_1`, the output of the lowest decoder, with a
    bias for each key.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        joint: Whether the read-out gives the joint distribution of the keys.
        frequencies: How often each key sounds, shape `(88,)`, to begin with:
            `train.frequencies`. A bias has a long way to go else.
        carry: `train.batch_size`, for a state that goes on from one training batch to
            the next, as the pieces of `zoo.data.piano_rolls` do.
        learning_rate: Of Adam (Appendix D.2).
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> def table(width):
        ...     return zoo.music.table_8(width)[4:]
        >>> model = zoo.polyphonic_music_rladder(0.1, table=table)
        >>> model.output["notes"].shape
        (None, None, 88)
    """
    readout = KeyReadout(channels(width, 32) if joint else None, name="readout")
    return music_model(
        rows(table, width),
        readout,
        feedback,
        frequencies,
        carry,
        learning_rate,
        unroll,
    )


@takes_weights
def polyphonic_music_lstm(
    units=850, *, frequencies=None, carry=None, learning_rate=1e-3, unroll="auto"
):
    """A stock LSTM, of about the size of the RLadder: a baseline.

    Args:
        units: Of `keras.layers.LSTMCell`.
        frequencies: How often each key sounds, see `polyphonic_music_rladder`.
        carry: See there.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_lstm(units=4).output["notes"].shape
        (None, None, 88)
    """
    check_integer("units", units, 1)
    levels = [Level(StockCell(layers.LSTMCell(units)))]
    readout = layers.Dense(KEYS, name="readout")
    return music_model(
        levels, readout, "none", frequencies, carry, learning_rate, unroll
    )


@takes_weights
def polyphonic_music_gru(
    units=990, *, frequencies=None, carry=None, learning_rate=1e-3, unroll="auto"
):
    """A stock GRU, of about the size of the RLadder: a baseline.

    Args:
        units: Of `keras.layers.GRUCell`.
        frequencies: How often each key sounds, see `polyphonic_music_rladder`.
        carry: See there.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_gru(units=4).output["notes"].shape
        (None, None, 88)
    """
    check_integer("units", units, 1)
    levels = [Level(StockCell(layers.GRUCell(units)))]
    readout = layers.Dense(KEYS, name="readout")
    return music_model(
        levels, readout, "none", frequencies, carry, learning_rate, unroll
    )


def polyphonic_music_repeat(
    *, frequencies=None, carry=None, learning_rate=0.1, unroll="auto"
):
    """Whether a key sounds, from whether it sounded in the last step: a baseline.

    A logistic regression for each key by itself.

    Args:
        frequencies: How often each key sounds, see `polyphonic_music_rladder`.
        carry: See there.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_repeat().count_params()  # two for each key
        176
    """
    return key_by_key(1.0, frequencies, carry, learning_rate, unroll)


def polyphonic_music_frequency(
    *, frequencies=None, carry=None, learning_rate=0.1, unroll="auto"
):
    """How often each key sounds, whatever is played: a baseline.

    Args:
        frequencies: To begin with, see `polyphonic_music_rladder`.
        carry: See there.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.
    """
    return key_by_key(0.0, frequencies, carry, learning_rate, unroll)


def key_by_key(scale, *args):
    """Logits linear in `scale` times what the same key did."""
    readout = layers.EinsumDense(
        "btkc,kc->btk", (None, KEYS), bias_axes="k", name="readout"
    )
    return music_model([Level(layers.Rescaling(scale))], readout, "none", *args)


# Rows by the factor on the channels, with which the units of a stock layer are scaled.
TABLE_3 = {
    "RLadder": lambda width: partial(polyphonic_music_rladder, width),
    "RLadder (joint)": lambda width: partial(
        polyphonic_music_rladder, width, joint=True
    ),
    "LSTM of Keras": lambda width: partial(polyphonic_music_lstm, channels(width, 850)),
    "GRU of Keras": lambda width: partial(polyphonic_music_gru, channels(width, 990)),
    "repeat the last step": lambda width: polyphonic_music_repeat,
    "frequency of each key": lambda width: polyphonic_music_frequency,
}


def music_model(levels, readout, feedback, frequencies, carry, learning_rate, unroll):
    """The compiled model of a ladder; one without decoders is read out at its top."""
    roll = keras.Input((None, KEYS), name="roll")
    mask = ops.any(roll >= 0.0, axis=-1)  # 0 would be an integer in ONNX
    x = layers.Reshape((-1, KEYS, 1))(roll)
    ladder = RecurrentLadder(levels, feedback, 1, unroll, carry, name="ladder")
    outputs = ladder(x, mask=mask)
    # The mask ends with the ladder: the data have weights for the loss. Keras would
    # warn that the read-out loses it, but does not follow it into a copy.
    d = ops.copy(outputs.get("bottom", outputs["top"]))
    if isinstance(readout, KeyReadout) and tuple(d.shape[2:-1]) != (KEYS,):
        raise ValueError(
            "the lowest decoder of this table gives no map of the "
            f"{KEYS} keys to read notes from: give the lowest level a decoder, on the "
            "grid of its input."
        )
    if getattr(readout, "filters", None) is None:
        inputs, logits = roll, readout(d)
    else:
        following = keras.Input((None, KEYS), name="next")
        inputs, logits = {"roll": roll, "next": following}, readout(d, following)
    odds = np.full(KEYS, SILENCE)
    if frequencies is not None:
        f = np.asarray(frequencies)
        if f.shape != (KEYS,) or not ((f > 0) & (f < 1)).all():
            raise ValueError(
                f"`frequencies` must be {KEYS} numbers above 0 and below 1, such as "
                "`train.frequencies` of `zoo.data.piano_rolls`, which lifts those of "
                "keys that never sound."
            )
        odds = np.log(f) - np.log1p(-f)
    readout.bias.assign(odds)
    notes = layers.Activation("sigmoid", dtype="float32", name="notes")(logits)
    model = MusicModel(inputs, {"notes": notes})
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={"notes": NegativeLogLikelihood()},
        weighted_metrics={"notes": [nll, FrameAccuracy()]},
    )
    return model.make_variables()


@register
class KeyReadout(layers.Layer):
    """Logits of the keys from `d_1`: a 1x1 convolution and a bias for each key.

    With `filters` it gives the joint distribution of a step: the logit of a key depends
    on the keys below it in the same step too, through causal convolutions up the keys.
    The first reaches an octave down, the others three and six more.

    Args:
        filters: Channels of the convolutions up the keys; `None`: marginals.

    Call arguments:
        d: Shape `(batch, T, keys, channels)`.
        following: The notes of the next step, shape `(batch, T, keys)`, for the joint
            distribution.

    Output shape:
        `(batch, T, keys)`.
    """

    REACH = ((12, 1), (4, 12), (4, 24))  # kernel size and dilation

    def __init__(self, filters=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.read = layers.Dense(1, use_bias=False, dtype=self.dtype_policy)
        self.up = self.across = None
        if filters is not None:
            self.across = layers.Dense(filters, dtype=self.dtype_policy)
            self.up = [
                layers.Conv1D(
                    filters,
                    size,
                    padding="causal",
                    dilation_rate=dilation,
                    dtype=self.dtype_policy,
                )
                for size, dilation in self.REACH
            ]

    def build(self, d_shape, following_shape=None):
        keys, channels = d_shape[-2:]
        inner = channels
        if self.filters is not None:
            inner = self.filters
            self.across.build((None, keys, channels))
            for i, convolution in enumerate(self.up):
                convolution.build((None, keys, inner if i else 1))
        self.read.build((None, keys, inner))
        self.bias = self.add_weight((keys,), "zeros", name="bias")

    def call(self, d, following=None):
        keys, channels = d.shape[-2:]
        x = ops.reshape(d, (-1, keys, channels))
        if self.filters is not None:
            x = self.joint(x, ops.reshape(following, (-1, keys, 1)))
        logits = self.read(x)[..., 0] + self.bias
        return ops.reshape(logits, (-1, ops.shape(d)[1], keys))

    def joint(self, x, notes):
        """Features of each key, from `d_1` and the keys below."""
        below = ops.pad(ops.cast(notes, x.dtype)[:, :-1], [[0, 0], [1, 0], [0, 0]])
        first, *others = self.up
        x = self.across(x) + first(below)
        for convolution in others:
            x = x + convolution(ops.relu(x))
        return ops.relu(x)

    def compute_output_shape(self, d_shape, following_shape=None):
        return tuple(d_shape[:-1])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@register
class MusicModel(ZooModel):
    """A `ZooModel` of piano rolls."""

    def check_inputs(self, x):
        """Refuse arrays that are no piano rolls; other inputs pass."""
        if isinstance(x, PianoRolls) and x.joint != is_joint(self):
            raise ValueError(
                f"these data are made with joint={x.joint}, and this model needs "
                f"`zoo.data.piano_rolls(..., joint={is_joint(self)})`."
            )
        alone = isinstance(x, np.ndarray) or (isinstance(x, dict) and "next" not in x)
        if alone and is_joint(self):
            raise ValueError(
                "this model gives the joint distribution of the notes of a step, and "
                "takes a dictionary with 'roll' and, the notes to be predicted, "
                "'next', see `joint=True` of `zoo.data.piano_rolls`; to compose step "
                "by step use `zoo.music.generate`."
            )
        for roll in x.values() if isinstance(x, dict) else [x]:
            self.check_roll(roll)

    @staticmethod
    def check_roll(x):
        if not isinstance(x, np.ndarray) or x.size == 0:
            return
        if x.ndim != 3 or x.shape[-1] != KEYS:
            raise ValueError(
                f"the piano rolls have shape {x.shape}, and must have (batch, T, "
                f"{KEYS}), the keys of a piano from A0 to C8."
            )
        if not np.isin(x, (-1, 0, 1)).all():
            raise ValueError(
                "the piano rolls have other values than 1 (sounds), 0 (does not) and "
                "-1 (padding)."
            )

    def check_batch(self, x):
        """Notes may be of any type."""

    def check_labels(self, x, y):
        """Refuse notes that are none, or not those of the rolls."""
        notes = y.get("notes") if isinstance(y, dict) else None
        if not isinstance(notes, np.ndarray):
            return
        roll = as_arrays(x.get("roll") if isinstance(x, dict) else x)
        if isinstance(roll, np.ndarray):
            check_shape(notes.shape, roll.shape, "notes of y['notes']")
        if not np.isin(notes, (0, 1)).all():
            raise ValueError(
                "y['notes'] has other values than 0 and 1: what is padding, -1 in the "
                "piano rolls, is 0 there, and its steps have a sample_weight of 0."
            )

    def fit(self, x=None, y=None, *args, **kwargs):
        """As of `ZooModel`; an epoch that was stopped leaves no state to the next.

        Rows that the ladder cannot carry on are refused.
        """
        if isinstance(x, PianoRolls):
            ladder = self.get_layer("ladder")
            ladder.check_carry(x.batch_size)
            ladder.reset_state()
        return super().fit(x, y, *args, **kwargs)

    @staticmethod
    def _weights(sample_weight, y_pred):
        """Those of whole sequences as weights of their steps."""

        weights = ZooModel._weights(sample_weight, y_pred)
        notes = y_pred["notes"]
        return tree.map_structure(lambda weight: by_step(weight, notes), weights)

    def step_below(self, notes, state):
        """As `step`, but up to the read-out, which then draws the notes key by key.

        Args:
            notes: Shape `(batch, 88)`.
            state: See `step`.

        Returns:
            What the read-out takes, `(batch, 88, channels)`, and the next state.
        """
        if not hasattr(self, "_step_below"):
            inputs = self.input["roll"] if is_joint(self) else self.input
            d = tree.flatten(self.get_layer("readout").input)[0]
            # A method, because Keras would take a model for a part of this one.
            self._step_below = step_model(keras.Model(inputs, d)).predict_on_batch
        with step_kept():
            return self._step_below([notes, state])

    def next_frame(self, outputs):
        raise ValueError(
            "the keys of a step are drawn by their probabilities: use "
            "`zoo.music.generate`."
        )


@register
class NegativeLogLikelihood(StepLoss):
    """`nll`, its mean over the steps of a batch that have weight.

    Keras gives the mean of the batches; over all steps the mean is the metric `nll`.
    """

    def __init__(
        self, reduction="mean_with_sample_weight", name="negative_log_likelihood", **k
    ):
        super().__init__(reduction, name, **k)

    def call(self, notes, probabilities):
        return nll(notes, probabilities)


@register
def nll(notes, probabilities):
    """Negative log-likelihood of a step in nats: a sum over the keys (Table 3).

    Args:
        notes: 0 or 1, shape `(batch, T, 88)`.
        probabilities: Of the same shape.

    Returns:
        Tensor of shape `(batch, T)`.
    """
    notes = ops.cast(notes, probabilities.dtype)
    crossentropy = ops.binary_crossentropy(notes, probabilities)
    return ops.sum(crossentropy, axis=-1)


@register
class FrameAccuracy(keras.metrics.Metric):
    """Accuracy of Bay et al. (2009): TP / (TP + FP + FN) of all steps together."""

    def __init__(self, name="frame_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.hits = self.add_weight(name="hits", initializer="zeros")
        self.all = self.add_weight(name="all", initializer="zeros")

    def update_state(self, notes, probabilities, sample_weight=None):
        notes = ops.cast(notes, probabilities.dtype)
        notes, sounding = notes > 0.5, probabilities > 0.5
        both = ops.cast(ops.logical_and(notes, sounding), "float32")
        either = ops.cast(ops.logical_or(notes, sounding), "float32")
        weight = by_step(sample_weight, probabilities)
        if weight is not None:
            weight = ops.cast(weight, "float32")[..., None]
            both, either = both * weight, either * weight
        self.hits.assign_add(ops.sum(both))
        self.all.assign_add(ops.sum(either))

    def result(self):
        return self.hits / ops.maximum(self.all, 1)


def is_joint(model):
    return isinstance(model.input, dict)


def negative_log_likelihood(model, pieces):
    """Figure of Table 3: nats per step, all steps of all pieces weighted equally.

    Computed in NumPy in double precision. Probabilities are clipped to
    [1e-7, 1 - 1e-7]: a key that a model is sure of, and wrong, costs 16.1 nats.

    Args:
        model: A model of this module.
        pieces: Piano rolls of shape `(n, 88)`, or `PianoRolls`.

    Returns:
        A number.

    Examples:
        >>> model = zoo.polyphonic_music_frequency(frequencies=np.full(88, 0.5))
        >>> loss = zoo.music.negative_log_likelihood(model, [np.eye(88)])
        >>> round(loss / np.log(2))  # bits: one for each key
        88
    """
    check_origin(model, pieces)
    pieces = getattr(pieces, "pieces", pieces)
    total, data = 0.0, PianoRolls(pieces, joint=is_joint(model))
    for x, y, weight in (data[i] for i in range(len(data))):
        y, p = y["notes"], model.predict_on_batch(x)["notes"].astype(np.float64)
        p = np.clip(p, 1e-7, 1 - 1e-7)
        terms = y * np.log(p) + (1 - y) * np.log1p(-p)
        total -= (terms * weight["notes"][..., None]).sum()
    return total / data.num_steps


def generate(model, prompt, steps=64, path=None, *, step=0.5, seed=None):
    """Let a model go on with a piece of music, a step at a time.

    Each key is drawn by its probability, from the lowest to the highest.

    Args:
        model: A model of this module.
        prompt: Piano roll to begin with, shape `(n, 88)`, n at least 1.
        steps: How many steps to add, at least 0.
        path: MIDI file to write the whole to, if given: `.mid` or `.midi`. A picture
            of it as a piano roll goes beside it, with the suffix `.png`.
        step: Length of a time step in the file, in quarter notes.
        seed: Integer for music that can be repeated.

    Returns:
        Piano roll of the prompt and what follows, `uint8` of shape `(n + steps, 88)`.

    Raises:
        ValueError: If an argument is not as above.

    Examples:
        >>> model = zoo.polyphonic_music_lstm(units=4)
        >>> zoo.music.generate(model, np.eye(88)[:4], steps=6, seed=0).shape
        (10, 88)
    """
    if not isinstance(model, MusicModel):
        raise ValueError(
            f"a {type(model).__name__} does not compose: give a model of `zoo.music`, "
            "such as `zoo.polyphonic_music_rladder()`."
        )
    check_integer("steps", steps, 0)
    check_time_step(step)
    if seed is not None:
        check_integer("seed", seed, 0)
    if path is not None:
        path = Path(path).expanduser()
        check_midi_path(path)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2:
        raise ValueError(f"the prompt must have shape (n, {KEYS}), not {prompt.shape}.")
    model.check_roll(prompt[None].astype(np.float32))
    if len(prompt) < 1 or (prompt < 0).any():
        raise ValueError("the prompt must have at least one step, and no padding.")
    rng = np.random.default_rng(seed)
    readout, state = model.get_layer("readout"), model.init_state(1)
    roll = np.zeros((len(prompt) + steps, KEYS), np.uint8)
    roll[: len(prompt)] = prompt
    for t in range(len(roll) - 1):
        d, state = model.step_below(roll[t, None].astype(np.float32), state)
        if t + 1 >= len(prompt):
            roll[t + 1] = draw(readout, d[:, None], rng, is_joint(model))
    if path is not None:
        write_midi(path, roll, step)
        picture = path.with_suffix(".png")
        show.piano_roll(picture, roll, prompt=len(prompt))
    return roll


def check_midi_path(path):
    """Make its folder; refused, before any work, is where no MIDI file can be."""
    if path.suffix.lower() not in MIDI_SUFFIXES:
        raise ValueError(f"{str(path)!r} must end in {' or '.join(MIDI_SUFFIXES)}.")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder: give the name of a file.")
    import_mido()
    path.parent.mkdir(parents=True, exist_ok=True)


def draw(readout, d, rng, joint):
    """One step of music, shape `(88,)`, from what the ladder says of it."""
    step, chance = np.zeros(KEYS, np.uint8), rng.random(KEYS)
    d = ops.convert_to_tensor(d)

    def probabilities():
        following = [ops.convert_to_tensor(step[None, None].astype(np.float32))]
        logits = ops.cast(readout(d, *following[: int(joint)]), "float32")
        return ops.convert_to_numpy(ops.sigmoid(logits))[0, 0]

    struck = np.flatnonzero(chance < probabilities())
    if not joint:
        step[struck] = 1
    while joint and len(struck):
        # A key depends on those below: the lowest one struck stays, and those above it
        # are asked once more.
        step[struck[0]] = 1
        later = np.flatnonzero(chance < probabilities())
        struck = later[later > struck[0]]
    return step
