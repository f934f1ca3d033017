"""Moving MNIST, ten frames to ten (Srivastava et al., 2015). Not in the paper.

A ladder, and a stack of `keras.layers.ConvLSTM2D` with as many multiply-accumulates.
Both read blocks of 4 x 4 pixels, as other ConvLSTMs for these data do. The dataset is
`zoo.data.moving_mnist_prediction`: from the eleventh frame on, the input is black, and
the models must continue the movement from memory.
"""

from functools import partial

import keras
from keras import layers, ops

from rladder_keras import Conv, ConvG3, ConvLSTMCell, Level
from rladder_keras.typing import Feedback, Unroll
from zoo.models.tables import LAST, SAME, Builders, Table, channels, rows
from zoo.models.videos import Held, VideoModel, compiled, pixels, rladder
from zoo.weights import takes_weights

FRAMES = 20
BLOCK = 4  # side of the blocks of pixels


def prediction_table(width: float = 1.0) -> list[Level]:
    """Return levels for the prediction of Moving MNIST. Not in the paper.

    Args:
        width: Factor on the channels.

    Returns:
        List of `Level`, bottom row first.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                      Decoder
        Level(Conv(c(32), BLOCK, BLOCK)),
        Level(ConvLSTMCell(c(64), 5),      ConvG3(3)),
        Level(ConvLSTMCell(c(96), 5, 2),   ConvG3(4)),
        Level(ConvLSTMCell(c(96), 3),      ConvG3(3)),
    ]  # fmt: on


@takes_weights
def moving_mnist_predictor(
    width: float = 1.0,
    *,
    table: Table = prediction_table,
    size: int = 64,
    feedback: Feedback = "recurrent",
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> VideoModel:
    """Build a ladder that predicts the frames of Moving MNIST.

    Args:
        width: Factor on the channels.
        table: Function from `width` to the list of levels.
        size: Side of the frames, in pixels.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model from frames `(batch, T, size, size, 1)` in [0, 1] to
        `{"frame": the predicted next frame after each frame}`.

    Examples:
        >>> zoo.moving_mnist_predictor(0.1, size=32).output["frame"].shape
        (None, None, 32, 32, 1)
    """
    return rladder(
        rows(table, width),
        (size, size, 1),
        iterations=FRAMES,
        feedback=feedback,
        learning_rate=learning_rate,
        unroll=unroll,
    )


@takes_weights
def moving_mnist_convlstm(
    width: float = 1.0, *, size: int = 64, learning_rate: float = 1e-3
) -> VideoModel:
    """Build a stack of `keras.layers.ConvLSTM2D`, as a baseline.

    Args:
        width: Factor on the channels. At each width, the stack has as many
            multiply-accumulates as `moving_mnist_predictor`, within 5 %.
        size: Side of the frames, in pixels.
        learning_rate: Learning rate of Adam.

    Returns:
        Compiled model with the input and output of `moving_mnist_predictor`.

    Examples:
        >>> zoo.moving_mnist_convlstm(0.1, size=32).output["frame"].shape
        (None, None, 32, 32, 1)
    """
    c = partial(channels, width)
    frames = keras.Input((None, size, size, 1), name="frames")
    blocks = layers.Conv2D(c(32), BLOCK, BLOCK, activation="relu", **LAST)
    x = layers.TimeDistributed(blocks)(frames)
    for _ in range(3):
        x = layers.ConvLSTM2D(c(60), 5, return_sequences=True, **SAME)(x)
    predicted = pixels(x, (size, size, 1), "frame")
    return compiled(frames, {"frame": predicted}, learning_rate, {})


def moving_mnist_copy(width: float = 1.0, *, size: int = 64) -> VideoModel:
    """Build a model that predicts the last frame that is not black, as a baseline.

    Args:
        width: Ignored, because there are no weights. All rows of a table have this
            argument.
        size: Side of the frames, in pixels.

    Returns:
        Compiled model with the input and output of `moving_mnist_predictor`.
    """
    frames = keras.Input((None, size, size, 1), name="frames")
    exact = {"dtype": "float32"}  # pixels are copied, in mixed precision too
    flat = layers.Reshape((-1, size * size), **exact)(frames)
    held = Held(**exact)(flat, ops.any(flat > 0, axis=-1))
    predicted = layers.Reshape((-1, size, size, 1), name="frame", **exact)(held)
    return compiled(frames, {"frame": predicted}, 1e-3, {})


ROWS: Builders = {
    "ladder": moving_mnist_predictor,
    "ladder w/o decoder-to-encoder conn.": partial(
        moving_mnist_predictor, feedback="none"
    ),
    "ConvLSTM2D stack": moving_mnist_convlstm,
    "copy of the last frame": moving_mnist_copy,
}
