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
from zoo.data.epochs import check_integer
from zoo.data.music.midi import (
    KEYS,
)
from zoo.metrics.notes import FrameAccuracy, NegativeLogLikelihood, nll
from zoo.models.generation import generate as generate
from zoo.models.generation import negative_log_likelihood as negative_log_likelihood
from zoo.models.key_readout import KeyReadout
from zoo.models.music_model import MusicModel
from zoo.models.tables import SAME, channels, rows
from zoo.weights import takes_weights

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
