"""Grouping by movement (Section 4.3).

Two digits move about, and the network predicts the next frame: what moves together is
one group. Models take frames `(batch, T, size, size, 1)` in [0, 1]; for their outputs
see `zoo.grouping`. What they say at frame t is of frame t + 1. Data are those of
`zoo.data.moving_mnist`.
"""

from functools import partial

import keras
import numpy as np

from rladder_keras import Conv, ConvG1, Level, TaggerCell, TopDown
from zoo.data.epochs import check_integer
from zoo.metrics.groups import AMI, CostAt, OwnCost
from zoo.models.grouping import BatchLSTMCell, GroupingModel, explained
from zoo.models.tables import channels, rows
from zoo.models.unlearned_groups import FixedGroups, unlearned
from zoo.weights import takes_weights

FRAMES = 20
DARK = -2.0  # logit of a pixel of which nothing is known: about one in ten is ink


def table_of_motion(width=1.0, recurrent=BatchLSTMCell):
    """Levels for Moving MNIST; the paper gives none: a shorter Table 9.

    Args:
        width: Factor on the channels.
        recurrent: What stands for "ConvLSTM"; `Conv` in the original Tagger.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                 Decoder
        Level(recurrent(c(32), 4, 2), ConvG1(3)),
        Level(Conv(c(32), 3),         ConvG1(4)),
        Level(recurrent(c(64), 4, 2), ConvG1(3)),
        Level(Conv(c(64), 3),         ConvG1(4)),
        Level(recurrent(c(64), 4, 2), ConvG1(3)),
    ]  # fmt: on


def connected_table_of_motion(width=1.0, recurrent=BatchLSTMCell, *, size=20):
    """Fully connected levels with few units, to be trained on a CPU.

    The filter of the lowest row covers the whole frame. All that a group knows passes
    the second row, whose units have room for one digit and hardly for two: the rows
    below have no decoder that would lead past it.

    Args:
        width: Factor on the channels.
        recurrent: See `table_of_motion`.
        size: Side of the frames.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                   Decoder
        Level(Conv(c(256), size, size)),
        Level(recurrent(c(32), 1)),
        Level(Conv(c(256), 1),          ConvG1(1)),
    ]  # fmt: on


def bottleneck_table_of_motion(width=1.0, recurrent=BatchLSTMCell, *, size=20):
    """Convolutions around a vector of few units, to be trained on a CPU.

    As in `connected_table_of_motion`, all that a group knows passes those units; here
    digits are seen and drawn by filters that are the same in all places.

    Args:
        width: Factor on the channels.
        recurrent: See `table_of_motion`.
        size: Side of the frames.
    """
    c, side = partial(channels, width), -(-size // 4)
    # fmt: off
    return [
        #     Encoder                         Decoder
        Level(Conv(c(32), 5, 2),              TopDown(4)),
        Level(Conv(c(64), 4, 2),              TopDown(side)),
        Level(recurrent(c(32), side, side)),
        Level(Conv(c(256), 1),                ConvG1(1)),
    ]  # fmt: on


@takes_weights
def moving_mnist_rtagger(
    width=1.0,
    *,
    table=table_of_motion,
    size=64,
    frames=FRAMES,
    groups=3,
    digits=2,
    pixels="binary",
    noise=0.1,
    mu_gain=0.5,
    pi_gain=1.0,
    learned_pi_gain=False,
    learning_rate=1e-3,
    feedback="recurrent",
    unroll="auto",
    remat=False,
):
    """The RTagger that predicts frames.

    Args:
        width: Factor on the channels.
        table: Function from `width` to the list of levels.
        size: Side of the frames.
        frames: How many there are in a sequence.
        groups: Number of groups, K. They share their weights, so that trained weights
            can be used with any number of groups.
        digits: Number of digits in a film, for the metric.
        pixels: `"binary"` or `"gaussian"`.
        noise: What the likelihood takes into account, see `rladder_keras.TaggerCell`.
            The frames get none.
        mu_gain: See `rladder_keras.TaggerCell`.
        pi_gain: See there.
        learned_pi_gain: See there.
        learning_rate: Of Adam.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        unroll: See `rladder_keras.RecurrentLadder`.
        remat: See there: less memory for more time.

    Returns:
        Compiled model with the outputs `"groups"`, `"reconstructions"`, `"posterior"`
        and `"cost"`.

    Examples:
        >>> def table(width):
        ...     rows = zoo.moving_mnist.table_of_motion(width)
        ...     return rows[:2]
        >>> model = zoo.moving_mnist_rtagger(0.1, table=table, size=16, frames=4)
        >>> model.output["groups"].shape
        (None, None, 3, 16, 16)
    """
    check_integer("frames", frames, 2)
    check_integer("size", size, 1)
    check_integer("digits", digits, 1)
    film = keras.Input((None, size, size, 1), name="film")
    levels = rows(table, width)
    cell = TaggerCell(
        levels,
        groups,
        levels[0].encoder.kernel_size,
        pixels=pixels,
        noise=noise,
        start=DARK if pixels == "binary" else 0.1,
        mu_gain=mu_gain,
        pi_gain=pi_gain,
        learned_pi_gain=learned_pi_gain,
        feedback=feedback,
        iterations=frames,
    )
    outputs, _ = explained(
        cell, film, film[:, 1:], ahead=True, unroll=unroll, remat=remat
    )
    model = GroupingModel(film, outputs)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={"cost": OwnCost()},
        weighted_metrics=metrics_of_films(digits),
    )
    return model


def metrics_of_films(digits):
    return {
        "groups": [AMI(digits, ahead=True)],
        "posterior": [AMI(digits), AMI(digits, -1, name="ami_last")],
        "cost": [CostAt(-1, name="last")],
    }


@takes_weights
def moving_mnist_tagger(width=1.0, *, table=table_of_motion, **kwargs):
    """The Tagger for comparison: no recurrent rows, no feedback.

    Args:
        width: Factor on the channels.
        table: Function from `width` and what stands for "ConvLSTM" to the levels.
        **kwargs: As in `moving_mnist_rtagger`.

    Returns:
        Compiled model as `moving_mnist_rtagger`.
    """
    table = partial(rows, table, recurrent=Conv)
    return moving_mnist_rtagger(width, table=table, feedback="none", **kwargs)


def moving_mnist_halves(width=1.0, *, size=64, digits=2, **kwargs):
    """Left and right half of the frame: how much of a score is due to places alone.

    Two digits are rarely in the same place, so that halves tell them apart quite well.

    Args:
        width: Not used: there are no channels.
        size: Side of the frames.
        digits: Number of digits in a film, for the metric.
        **kwargs: Not used: those of models that learn.

    Returns:
        Compiled model as `moving_mnist_rtagger`; its cost is that of the frame it sees.

    Examples:
        >>> model = zoo.moving_mnist.moving_mnist_halves(size=8)
        >>> model.output["groups"].shape
        (None, None, 2, 8, 8)
    """
    film = keras.Input((None, size, size, 1), name="film")
    mask = np.tile(np.arange(size) >= size / 2, (size, 1))
    outputs = FixedGroups(mask, name="fixed")(film)
    outputs["posterior"] = outputs["groups"][:, 1:]  # to see a frame changes nothing
    return unlearned(film, outputs, metrics_of_films(digits))


SECTION_4_3 = {"RTagger": moving_mnist_rtagger, "Tagger": moving_mnist_tagger}
# What grouping must be better than; not in the paper.
BASELINES = {"left and right half": moving_mnist_halves}
