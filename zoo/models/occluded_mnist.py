"""Occluded Moving MNIST (Section 3.1, Appendix D.1): Tables 1, 2, 5, 6 and 7, Fig. 4.

A digit moves behind bars. The network classifies it (`"class"`), which is scored after
five frames, and after each frame it predicts the next frame (`"frame"`), including the
bars. All builders return a compiled `keras.Model` from frames `(batch, T, 32, 32, 1)`
in [0, 1] to a dictionary:

- `"class"`: probabilities of the ten digits after each frame, `(batch, T, 10)`;
- `"frame"`: the predicted next frame after each frame, with the shape of the input;
- `"probe"`: the read-out of Fig. 4, the next frame without bars, with the shape of the
  input.

The dataset gives `y` with the same keys: the label, the observed frames, and the frames
without bars. A model uses the entries for which it has outputs.

The file is longer than others because every builder and layer documents its arguments.
"""

from collections.abc import Iterable
from functools import partial

import keras
from keras import layers, ops

from rladder_keras import (
    G1,
    Conv,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
)
from rladder_keras.typing import Feedback, Unroll
from zoo.metrics.frames import FrameLoss
from zoo.models.tables import AveragePool, Builders, MaxPool, Table, channels, rows
from zoo.models.videos import VideoModel, bottom, compiled, pixels
from zoo.weights import takes_weights

FRAMES = 5
FRAME_SHAPE = (32, 32, 1)
FRAME_WEIGHT = 1.0  # weight of the prediction task, see PAPER.md

register = keras.saving.register_keras_serializable("zoo")


def table_5(width: float = 1.0, literal: bool = False) -> list[Level]:
    """Return the levels of Table 5, the RLadder for Occluded Moving MNIST, without
    "Input".

    Args:
        width: Factor on the channels of all convolutions.
        literal: Whether the inner convolutions of `ConvG3` also have the printed filter
            size, instead of 1x1: 3.99 million parameters at full width.

    Returns:
        List of `Level`, bottom row first.

    Examples:
        >>> len(zoo.occluded_mnist.table_5())
        16
    """
    c = partial(channels, width)

    def G3(kernel_size):
        return ConvG3(kernel_size, kernel_size if literal else 1)

    # fmt: off
    return [
        #     Encoder                 Decoder
        Level(ConvLSTMCell(c(32), 3), G3(9)),
        Level(Conv(c(32), 3),         G3(3)),
        Level(Conv(c(32), 3),         G3(3)),
        Level(Conv(c(32), 3),         G3(3)),
        Level(MaxPool(2),             G3(6)),
        Level(ConvLSTMCell(c(32), 3), G3(9)),
        Level(Conv(c(64), 3),         G3(3)),
        Level(Conv(c(64), 3),         G3(3)),
        Level(Conv(c(64), 3),         G3(3)),
        Level(MaxPool(2),             G3(6)),
        Level(Conv(c(128), 3),        G3(3)),
        Level(Conv(c(64), 1),         G3(3)),
        Level(Conv(c(32), 1),         G3(3)),
        Level(AveragePool(2),         G1()),
        Level(LSTMCell(16),           G1()),
        Level(Softmax(10)),
    ]  # fmt: on


def table_6(width: float = 1.0, table: Table = table_5) -> list[Level]:
    """Return the temporal baseline: Table 5's encoder without the convolutional LSTMs.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels whose encoder is used.

    Returns:
        List of `Level`, bottom row first.
    """
    encoders = [encoder for encoder, _ in rows(table, width)]
    return [
        Level(e)
        for e in encoders
        if not hasattr(e, "state_size") or getattr(e, "kernel_size", None) is None
    ]


def table_7(width: float = 1.0, table: Table = table_5) -> list[Level]:
    """Return the network for optimal reconstructions: Table 6 without the LSTM.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels whose encoder is used.

    Returns:
        List of `Level`, bottom row first.
    """
    return [Level(e) for e, _ in table_6(width, table) if not hasattr(e, "state_size")]


def small_table(width: float = 1.0) -> list[Level]:
    """Return a ladder for CPUs, with half the rows of Table 5. Not in the paper.

    Like Table 5, it has two convolutional LSTMs, an LSTM on top, and convolutions
    between them. Its first row has no decoder and halves the resolution.

    Args:
        width: Factor on the channels of all convolutions.

    Returns:
        List of `Level`, bottom row first.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                    Decoder
        Level(Conv(c(16), 4, strides=2)),
        Level(ConvLSTMCell(c(16), 3),    ConvG3(5)),
        Level(MaxPool(2),                ConvG3(4)),
        Level(Conv(c(32), 3),            ConvG3(3)),
        Level(ConvLSTMCell(c(16), 3),    ConvG3(3)),
        Level(Conv(c(32), 3),            ConvG3(3)),
        Level(AveragePool(2),            G1()),
        Level(LSTMCell(16),              G1()),
        Level(Softmax(10)),
    ]  # fmt: on


def reduced_table(width: float = 1.0) -> list[Level]:
    """Return a ladder for reduced runs of Table 1 on CPUs. Not in the paper.

    It has few channels where the grid is large, and many channels where it is small.
    Its static classifier, which is this table without the recurrent rows, therefore has
    a lower error than the static classifier of `small_table`. As in Table 5, there is a
    convolutional LSTM below each block of convolutions, and an LSTM on top.

    Args:
        width: Factor on the channels of all convolutions.

    Returns:
        List of `Level`, bottom row first.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                    Decoder
        Level(Conv(c(32), 4, strides=2)),
        Level(ConvLSTMCell(c(16), 3),    ConvG3(3)),
        Level(Conv(c(32), 3),            ConvG3(1)),
        Level(MaxPool(2),                ConvG3(4)),
        Level(ConvLSTMCell(c(32), 3),    ConvG3(3)),
        Level(Conv(c(64), 3),            ConvG3(1)),
        Level(Conv(c(64), 3),            ConvG3(3)),
        Level(MaxPool(2),                ConvG3(4)),
        Level(Conv(c(128), 3),           ConvG3(1)),
        Level(Conv(c(64), 1),            ConvG3(1)),
        Level(AveragePool(2),            G1()),
        Level(LSTMCell(16),              G1()),
        Level(Softmax(10)),
    ]  # fmt: on


@takes_weights
def occluded_mnist_rladder(
    width: float = 1.0,
    *,
    table: Table = table_5,
    feedback: Feedback = "recurrent",
    classification: bool = True,
    prediction: bool = True,
    frame_weight: float = FRAME_WEIGHT,
    skip: Iterable[str] = (),
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> VideoModel:
    """Build the RLadder of Table 5, or one of its ablations in Table 1.

    The read-outs of the predicted frame and of the probe are 1x1 convolutions of `d_1`,
    the output of the lowest decoder. No gradient of the probe flows into the ladder.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        classification: Whether the model has the classification task.
        prediction: Whether the model has the task to predict the next frame.
        frame_weight: Weight of the squared error, summed over the pixels of a frame,
            relative to the cross-entropy of the class.
        skip: Skip connections that the paper's models do not have, see
            `rladder_keras.LadderCell`.
        learning_rate: Learning rate of Adam (Appendix D.1).
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the outputs `"class"` and `"frame"`, depending on its tasks,
        and `"probe"`.

    Examples:
        >>> small = zoo.occluded_mnist.small_table
        >>> model = zoo.occluded_mnist_rladder(0.1, table=small)
        >>> model.output["class"].shape, model.output["frame"].shape
        ((None, None, 10), (None, None, 32, 32, 1))
    """
    frames = keras.Input((None, *FRAME_SHAPE), name="frames")
    ladder = RecurrentLadder(
        rows(table, width), feedback, FRAMES, unroll, skip=skip, name="ladder"
    )
    ends = ladder(frames)
    d, outputs = bottom(ends), {}
    if classification:
        outputs["class"] = layers.Identity(dtype="float32", name="class")(ends["top"])
    if prediction:
        outputs["frame"] = pixels(d, FRAME_SHAPE, name="frame")
    outputs["probe"] = pixels(ops.stop_gradient(d), FRAME_SHAPE, name="probe")
    # The probe is trained with and without the prediction task.
    weights = {"frame": frame_weight, "probe": frame_weight or 1.0}
    return compiled(frames, outputs, learning_rate, weights, probe=ProbeLoss())


@takes_weights
def occluded_mnist_hierarchical_rnn(
    width: float = 1.0,
    *,
    table: Table = table_5,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> VideoModel:
    """Build the hierarchical RNN of Table 1: the RLadder without its decoder.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"class"`.

    Examples:
        >>> small = zoo.occluded_mnist.small_table
        >>> zoo.occluded_mnist_hierarchical_rnn(0.1, table=small).output["class"].shape
        (None, None, 10)
    """
    levels = [Level(encoder) for encoder, _ in rows(table, width)]
    return classifier(levels, FRAMES, learning_rate, unroll)


@takes_weights
def occluded_mnist_temporal_baseline(
    width: float = 1.0,
    *,
    table: Table = table_5,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> VideoModel:
    """Build the temporal baseline of Table 1: convolutions below an LSTM (Table 6).

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels, see `table_6`.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"class"`.

    Examples:
        >>> small = zoo.occluded_mnist.small_table
        >>> zoo.occluded_mnist_temporal_baseline(0.1, table=small).output["class"].shape
        (None, None, 10)
    """
    return classifier(table_6(width, table), FRAMES, learning_rate, unroll)


@takes_weights
def occluded_mnist_static_classifier(
    width: float = 1.0,
    *,
    table: Table = table_5,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
) -> VideoModel:
    """Build the gold standard of Table 1: a static network (Table 7) for ideal inputs.

    Train it with `zoo.data.occluded_mnist(inputs="reconstruction")`, sequences of a
    single frame that contains all pixels of the digit that were visible up to the last
    frame.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels, see `table_7`.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"class"`.

    Examples:
        >>> small = zoo.occluded_mnist.small_table
        >>> zoo.occluded_mnist_static_classifier(0.1, table=small).output["class"].shape
        (None, None, 10)
    """
    return classifier(table_7(width, table), 1, learning_rate, unroll)


TABLE_1: Builders = {
    "Optimal reconstruction and static classifier": occluded_mnist_static_classifier,
    "Temporal baseline": occluded_mnist_temporal_baseline,
    "Hierarchical RNN (encoder only)": occluded_mnist_hierarchical_rnn,
    "RLadder w/o prediction task": partial(occluded_mnist_rladder, prediction=False),
    "RLadder w/o decoder-to-encoder conn.": partial(
        occluded_mnist_rladder, feedback="none"
    ),
    "RLadder w/o classification task": partial(
        occluded_mnist_rladder, classification=False
    ),
    "RLadder": occluded_mnist_rladder,
}

# The skip connections of Fig. 9c, which the paper's models do not have: "it would be
# interesting to see if adding those skip connections help" (Appendix C).
FIG_9C = {
    "RLadder with diagonal skips": ("diagonal",),
    "RLadder with a recurrent decoder": ("recurrent",),
    "RLadder with both skips of Fig. 9c": ("diagonal", "recurrent"),
}
WITH_SKIPS: Builders = {
    row: partial(occluded_mnist_rladder, skip=skip) for row, skip in FIG_9C.items()
}

TABLE_2 = {
    row: TABLE_1[row]
    for row in (
        "Optimal reconstruction and static classifier",
        "Temporal baseline",
        "RLadder",
    )
}


def classifier(
    levels: list[Level], iterations: int, learning_rate: float, unroll: Unroll
) -> VideoModel:
    """Build the compiled model of a ladder without decoders."""
    frames = keras.Input((None, *FRAME_SHAPE), name="frames")
    ladder = RecurrentLadder(levels, "none", iterations, unroll=unroll, name="ladder")
    top = layers.Identity(dtype="float32", name="class")(ladder(frames)["top"])
    return compiled(frames, {"class": top}, learning_rate, {})


@register
class ProbeLoss(FrameLoss):
    """Loss `FrameLoss` with frames without bars as targets."""
