"""Occluded Moving MNIST (Section 3.1, Appendix D.1): Tables 1, 2, 5, 6 and 7, Fig. 4.

A digit flies behind bars. After five frames the network names it (`"class"`), and after
each frame it predicts the next one (`"frame"`), bars included. All builders return a
compiled `keras.Model` from frames `(batch, T, 32, 32, 1)` in [0, 1] to a dictionary:

- `"class"`: probabilities of the ten digits after each frame, `(batch, T, 10)`;
- `"frame"`: the predicted next frame after each frame, shape of the input;
- `"probe"`: the read-out of Fig. 4, the next frame without bars, shape of the input.

Training data gives `y` with the same keys: the label, the observed frames and the
frames without bars; a model takes of it what it has outputs for.
"""

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
from zoo.metrics.frames import FrameLoss, frame_loss
from zoo.metrics.sample_weights import stands_for
from zoo.models.tables import AveragePool, MaxPool, channels, rows
from zoo.models.videos import bottom, compiled, pixels
from zoo.weights import takes_weights

FRAMES = 5
FRAME_SHAPE = (32, 32, 1)
FRAME_WEIGHT = 1.0  # the weight of the prediction task, see PAPER.md

register = keras.saving.register_keras_serializable("zoo")


def table_5(width=1.0, literal=False):
    """Structure of RLadder for Occluded Moving MNIST, without its row "Input".

    Args:
        width: Factor on the channels of all convolutions.
        literal: Whether the inner convolutions of `ConvG3` have the printed filter size
            too, instead of 1x1: 3.99 million parameters at full width.

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


def table_6(width=1.0, table=table_5):
    """Temporal baseline network: Table 5's encoder without the convolutional LSTMs.

    Args:
        width: Factor on the channels of all convolutions.
        table: Another table whose encoder to take.
    """
    return [Level(e) for e, _ in rows(table, width) if type(e) is not ConvLSTMCell]


def table_7(width=1.0, table=table_5):
    """Feed-forward network for optimal reconstructions: Table 6 without the LSTM."""
    return [Level(row) for row, _ in table_6(width, table) if type(row) is not LSTMCell]


def small_table(width=1.0):
    """A ladder for CPUs, which is not in the paper: half the rows of Table 5.

    Like Table 5 it has two convolutional LSTMs, an LSTM on top, and convolutions
    between. Its first row has no decoder: from there up everything lies on half the
    grid.

    Args:
        width: Factor on the channels of all convolutions.
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


def reduced_table(width=1.0):
    """A ladder for runs of Table 1 on CPUs, which is not in the paper.

    Few channels where the grid is large, many where it is small, so that the static
    classifier, which is this table without its recurrent rows, errs less often than
    that of `small_table`. As in Table 5 a convolutional LSTM stands below
    each block of convolutions, and an LSTM on top.

    Args:
        width: Factor on the channels of all convolutions.
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
    width=1.0,
    *,
    table=table_5,
    feedback="recurrent",
    classification=True,
    prediction=True,
    frame_weight=FRAME_WEIGHT,
    skip=(),
    learning_rate=1e-3,
    unroll="auto",
):
    """The RLadder of Table 5, and its ablations in Table 1.

    The read-outs of the predicted frame and of the probe are 1x1 convolutions of `d_1`,
    the output of the lowest decoder. No gradient of the probe reaches the ladder.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        classification: Whether the class is among the tasks.
        prediction: Whether the next frame is among the tasks.
        frame_weight: Weight of the squared error, summed over the pixels of a frame,
            against the cross-entropy of the class.
        skip: Skip connections that the paper leaves out, see
            `rladder_keras.LadderCell`.
        learning_rate: Of Adam (Appendix D.1).
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the outputs `"class"` and `"frame"`, according to its tasks,
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
    # The probe is trained whether or not there is a prediction task.
    weights = {"frame": frame_weight, "probe": frame_weight or 1.0}
    return compiled(frames, outputs, learning_rate, weights, probe=ProbeLoss())


@takes_weights
def occluded_mnist_hierarchical_rnn(
    width=1.0, *, table=table_5, learning_rate=1e-3, unroll="auto"
):
    """The hierarchical RNN of Table 1: the RLadder amputated of its decoder.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

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
    width=1.0, *, table=table_5, learning_rate=1e-3, unroll="auto"
):
    """The temporal baseline of Table 1: convolutions under an LSTM (Table 6).

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels, see `table_6`.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

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
    width=1.0, *, table=table_5, learning_rate=1e-3, unroll="auto"
):
    """The gold standard of Table 1: a static network (Table 7) for ideal inputs.

    Train it with `zoo.data.occluded_mnist(inputs="reconstruction")`, sequences of a
    single frame: what an ideal observer has seen of the digit by the last one.

    Args:
        width: Factor on the channels of all convolutions.
        table: Function from `width` to the list of levels, see `table_7`.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model with the output `"class"`.

    Examples:
        >>> small = zoo.occluded_mnist.small_table
        >>> zoo.occluded_mnist_static_classifier(0.1, table=small).output["class"].shape
        (None, None, 10)
    """
    return classifier(table_7(width, table), 1, learning_rate, unroll)


TABLE_1 = {
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

# The connections that the paper leaves out: "it would be interesting to see if adding
# those skip connections help" (Appendix C).
FIG_9C = {
    "RLadder with diagonal skips": ("diagonal",),
    "RLadder with a recurrent decoder": ("recurrent",),
    "RLadder with both skips of Fig. 9c": ("diagonal", "recurrent"),
}
WITH_SKIPS = {
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


def classifier(levels, iterations, learning_rate, unroll):
    """A compiled model of a ladder without decoders."""
    frames = keras.Input((None, *FRAME_SHAPE), name="frames")
    ladder = RecurrentLadder(levels, "none", iterations, unroll=unroll, name="ladder")
    top = layers.Identity(dtype="float32", name="class")(ladder(frames)["top"])
    return compiled(frames, {"class": top}, learning_rate, {})


@register
class ProbeLoss(FrameLoss):
    """`FrameLoss`, against frames without bars."""


@register
@stands_for(ProbeLoss)
def probe_loss(unoccluded, predicted):
    """`frame_loss`, against frames without bars."""
    return frame_loss(unoccluded, predicted)
