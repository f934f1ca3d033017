"""Polyphonic music (Section 3.2 and Appendix D.2): Tables 3 and 8.

After each time step the network predicts, for each of the 88 keys of a piano, the
probability that the key sounds in the next step. All builders return a compiled
`keras.Model` from piano rolls `(batch, T, 88)`, which are 1 where a key sounds, 0 where
it does not, and -1 at steps of padding, to a dictionary:

- `"notes"`: probabilities of the keys in the next step, `(batch, T, 88)`.

A step of padding between two pieces resets the state of the network. The dataset is
`zoo.data.piano_rolls`.

"RLadder does not do that" (Section 3.2): its probabilities are marginals, as if the
keys of a step were struck independently of each other. With `joint=True`, the read-out
processes the keys from low to high, and gives the probability of each key given the
keys below it. The product is the probability of the whole step, which can be compared
with the upper half of Table 3. The input of such a model is a dictionary: `"roll"` as
above, and `"next"`, the step to predict, `(batch, T, 88)`.
"""

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops
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
)
from rladder_keras.typing import Feedback, Unroll
from zoo.data.epochs import check_boolean, check_integer
from zoo.data.music.midi import KEYS
from zoo.metrics.notes import FrameAccuracy, NegativeLogLikelihood, nll
from zoo.models.beat import Beat
from zoo.models.generation import generate as generate
from zoo.models.key_readout import KeyReadout
from zoo.models.likelihood import negative_log_likelihood as negative_log_likelihood
from zoo.models.music_model import MusicModel
from zoo.models.repeats import Repeats
from zoo.models.tables import SAME, Builders, Table, channels, rows
from zoo.weights import takes_weights

SILENCE = -3.0  # initial bias of the read-outs: logit of an average key

register = keras.saving.register_keras_serializable("zoo")


def table_8(width: float = 1.0) -> list[Level]:
    """Return the levels of Table 8, the RLadder for music, without the row "Input".

    The image of 1 x 88 is a sequence of 88 here, and filters (1, 3) have size 3.

    Args:
        width: Factor on the channels of all convolutions.

    Returns:
        List of `Level`, bottom row first.

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


def context(beat: bool, repeats: bool) -> list[Level]:
    """Return the rows below a network that append the context to its input."""
    check_boolean("beat", beat)
    check_boolean("repeats", repeats)
    # `Repeats` is lowest: it searches for notes, not for beats.
    below = [Level(Repeats())] if repeats else []
    return [*below, Level(Beat())] if beat else below


@takes_weights
def polyphonic_music_rladder(
    width: float = 1.0,
    *,
    table: Table = table_8,
    feedback: Feedback = "recurrent",
    joint: bool = False,
    beat: bool = False,
    repeats: bool = False,
    frequencies: Any = None,
    carry: int | None = None,
    learning_rate: float = 0.01,
    unroll: Unroll = "auto",
) -> MusicModel:
    """Build the RLadder of Table 8.

    The read-out is a 1x1 convolution of `d_1`, the output of the lowest decoder, with a
    bias for each key.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        joint: Whether the read-out gives the joint distribution of the keys.
        beat: Whether the network is also given the position in bars of several lengths,
            see `zoo.models.beat.Beat`. The paper's network is not. Train with `carry`:
            without it, the count starts again in each training batch.
        repeats: Whether the network is also given the notes that followed earlier
            occurrences of the passage just played, see `zoo.models.repeats.Repeats`.
            The paper's network is not. Train with `carry`: without it, the network
            forgets the piece after each training batch.
        frequencies: Relative frequency of each key, shape `(88,)`: `train.frequencies`.
            It sets the initial bias of the read-out. Without it, the bias needs many
            updates.
        carry: Batch size, to carry the state from one training batch to the next:
            `train.batch_size`. By default no state is carried. The pieces of
            `zoo.data.piano_rolls` continue in the next batch.
        learning_rate: Learning rate of Adam (Appendix D.2).
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> def table(width):
        ...     return zoo.music.table_8(width)[4:]
        >>> model = zoo.polyphonic_music_rladder(0.1, table=table, repeats=True)
        >>> model.output["notes"].shape
        (None, None, 88)
    """
    readout = KeyReadout(channels(width, 32) if joint else None, name="readout")
    return music_model(
        [*context(beat, repeats), *rows(table, width)],
        readout,
        feedback,
        frequencies,
        carry,
        learning_rate,
        unroll,
    )


@takes_weights
def polyphonic_music_lstm(
    units: int = 850,
    *,
    beat: bool = False,
    repeats: bool = False,
    frequencies: Any = None,
    carry: int | None = None,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> MusicModel:
    """Build a baseline: `keras.layers.LSTM` of about the size of the RLadder.

    Args:
        units: Number of units of `keras.layers.LSTMCell`.
        beat: As for `zoo.polyphonic_music_rladder`.
        repeats: As for `zoo.polyphonic_music_rladder`.
        frequencies: Relative frequency of each key, shape `(88,)`: `train.frequencies`.
            It sets the initial bias of the read-out.
        carry: Batch size, to carry the state from one training batch to the next:
            `train.batch_size`. By default no state is carried.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_lstm(units=4).output["notes"].shape
        (None, None, 88)
    """
    units = check_integer("units", units, 1)
    levels = [*context(beat, repeats), Level(StockCell(layers.LSTMCell(units)))]
    readout = layers.Dense(KEYS, name="readout")
    return music_model(
        levels, readout, "none", frequencies, carry, learning_rate, unroll
    )


@takes_weights
def polyphonic_music_gru(
    units: int = 990,
    *,
    beat: bool = False,
    repeats: bool = False,
    frequencies: Any = None,
    carry: int | None = None,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> MusicModel:
    """Build a baseline: `keras.layers.GRU` of about the size of the RLadder.

    Args:
        units: Number of units of `keras.layers.GRUCell`.
        beat: As for `zoo.polyphonic_music_rladder`.
        repeats: As for `zoo.polyphonic_music_rladder`.
        frequencies: Relative frequency of each key, shape `(88,)`: `train.frequencies`.
            It sets the initial bias of the read-out.
        carry: Batch size, to carry the state from one training batch to the next:
            `train.batch_size`. By default no state is carried.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_gru(units=4).output["notes"].shape
        (None, None, 88)
    """
    units = check_integer("units", units, 1)
    levels = [*context(beat, repeats), Level(StockCell(layers.GRUCell(units)))]
    readout = layers.Dense(KEYS, name="readout")
    return music_model(
        levels, readout, "none", frequencies, carry, learning_rate, unroll
    )


def polyphonic_music_repeat(
    *,
    frequencies: Any = None,
    carry: int | None = None,
    learning_rate: float = 0.1,
    unroll: Unroll = "auto",
) -> MusicModel:
    """Build a baseline: a logistic regression for each key on its last step.

    Args:
        frequencies: Relative frequency of each key, shape `(88,)`: `train.frequencies`.
            It sets the initial bias of the read-out.
        carry: Batch size, to carry the state from one training batch to the next:
            `train.batch_size`. By default no state is carried.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.

    Examples:
        >>> zoo.polyphonic_music_repeat().count_params()  # two for each key
        176
    """
    return key_by_key(1.0, frequencies, carry, learning_rate, unroll)


def polyphonic_music_frequency(
    *,
    frequencies: Any = None,
    carry: int | None = None,
    learning_rate: float = 0.1,
    unroll: Unroll = "auto",
) -> MusicModel:
    """Build a baseline: the frequency of each key, independent of the input.

    Args:
        frequencies: Relative frequency of each key, shape `(88,)`: `train.frequencies`.
            It sets the initial bias of the read-out.
        carry: Batch size, to carry the state from one training batch to the next:
            `train.batch_size`. By default no state is carried.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"notes"`.
    """
    return key_by_key(0.0, frequencies, carry, learning_rate, unroll)


def key_by_key(scale: float, *args: Any) -> MusicModel:
    """Build a model whose logits are linear in `scale` times the last step."""
    readout = layers.EinsumDense(
        "btkc,kc->btk", (None, KEYS), bias_axes="k", name="readout"
    )
    return music_model([Level(layers.Rescaling(scale))], readout, "none", *args)


# Row -> function from the factor on the channels, which also scales the units of a
# stock layer, to a builder.
TABLE_3: Builders = {
    "RLadder": lambda width: partial(polyphonic_music_rladder, width),
    "RLadder (joint)": lambda width: partial(
        polyphonic_music_rladder, width, joint=True
    ),
    "LSTM of Keras": lambda width: partial(polyphonic_music_lstm, channels(width, 850)),
    "GRU of Keras": lambda width: partial(polyphonic_music_gru, channels(width, 990)),
    "repeat the last step": lambda width: polyphonic_music_repeat,
    "frequency of each key": lambda width: polyphonic_music_frequency,
}
KEY_BY_KEY = "repeat the last step", "frequency of each key"  # rows without a network


def music_model(
    levels: list[Level],
    readout: layers.Layer,
    feedback: Feedback,
    frequencies: Any,
    carry: int | None,
    learning_rate: float,
    unroll: Unroll,
) -> MusicModel:
    """Build the compiled model of a ladder.

    The read-out uses the lowest decoder, or the top row without decoders.
    """
    roll = keras.Input((None, KEYS), name="roll")
    mask = ops.any(roll >= 0.0, axis=-1)  # 0 would become an integer in ONNX
    x = layers.Reshape((-1, KEYS, 1))(roll)
    ladder = RecurrentLadder(levels, feedback, 1, unroll, carry, name="ladder")
    outputs = ladder(x, mask=mask)
    # Only the ladder uses the mask, because the data have weights for the loss. `copy`
    # drops the mask: Keras would warn that the read-out does not support it.
    d = ops.copy(outputs.get("bottom", outputs["top"]))
    if isinstance(readout, KeyReadout) and tuple(d.shape[2:-1]) != (KEYS,):
        raise ValueError(
            f"The lowest decoder must return a map of the {KEYS} keys, from which to "
            f"read notes; got no map of the {KEYS} keys. Give the lowest level a "
            "decoder on the grid of its input."
        )
    if getattr(readout, "filters", None) is None:
        inputs, logits = roll, readout(d)
    else:
        following = keras.Input((None, KEYS), name="next")
        inputs, logits = {"roll": roll, "next": following}, readout(d, following)
    odds = np.full(KEYS, SILENCE)
    if frequencies is not None:
        f = np.asarray(frequencies)
        numbers = np.issubdtype(f.dtype, np.number)
        good = (f > 0) & (f < 1) if numbers else np.zeros(f.shape, bool)
        if f.shape != (KEYS,) or not good.all():
            raise ValueError(
                f"`frequencies` must be {KEYS} numbers above 0 and below 1; got an "
                f"array of shape {f.shape} with {np.sum(~good)} other values. Use "
                "`train.frequencies` of `zoo.data.piano_rolls`, where "
                "also keys that never sound are above 0."
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
