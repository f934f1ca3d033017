"""Grouping by motion (Section 4.3).

Two digits move, and the network predicts the next frame: pixels that move together form
one group. Models take frames `(batch, T, size, size, 1)` in [0, 1]; for their outputs
see `zoo.grouping`. The outputs after frame t are for frame t + 1. The dataset is
`zoo.data.moving_mnist`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from rladder_keras import Conv, ConvG1, Level, TaggerCell, TopDown
from rladder_keras.typing import Feedback, Unroll
from zoo.data.epochs import check_integer
from zoo.metrics.groups import AMI, CostAt, OwnCost
from zoo.models.grouping import (
    BatchLSTMCell,
    GroupingModel,
    explained,
    lowest_kernel,
)
from zoo.models.tables import Builders, Table, channels, rows
from zoo.models.unlearned_groups import FixedGroups, unlearned
from zoo.weights import takes_weights

FRAMES = 20
DARK = -2.0  # logit of an unknown pixel: about one in ten is part of a digit


def table_of_motion(
    width: float = 1.0, recurrent: Callable[..., Any] = BatchLSTMCell
) -> list[Level]:
    """Return levels for Moving MNIST: a shorter Table 9. The paper prints no table.

    Args:
        width: Factor on the channels.
        recurrent: Class or function for the recurrent rows; `Conv` in the original
            Tagger.

    Returns:
        List of `Level`, bottom row first.
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


def connected_table_of_motion(
    width: float = 1.0, recurrent: Callable[..., Any] = BatchLSTMCell, *, size: int = 20
) -> list[Level]:
    """Return fully connected levels with few units, for training on a CPU.

    The filter of the lowest row covers the whole frame. All information about a group
    passes through the second row, whose units can describe one digit but hardly two:
    the rows below have no decoder that would bypass it.

    Args:
        width: Factor on the channels.
        recurrent: Class or function for the recurrent rows; `Conv` in the original
            Tagger.
        size: Side of the frames, in pixels.

    Returns:
        List of `Level`, bottom row first.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                   Decoder
        Level(Conv(c(256), size, size)),
        Level(recurrent(c(32), 1)),
        Level(Conv(c(256), 1),          ConvG1(1)),
    ]  # fmt: on


def bottleneck_table_of_motion(
    width: float = 1.0, recurrent: Callable[..., Any] = BatchLSTMCell, *, size: int = 20
) -> list[Level]:
    """Return convolutions around a vector with few units, for training on a CPU.

    As in `connected_table_of_motion`, all information about a group passes through
    these units. Here, convolutions encode and draw the digits, with the same filters at
    all positions.

    Args:
        width: Factor on the channels.
        recurrent: Class or function for the recurrent rows; `Conv` in the original
            Tagger.
        size: Side of the frames, in pixels.

    Returns:
        List of `Level`, bottom row first.
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
    width: float = 1.0,
    *,
    table: Table = table_of_motion,
    size: int = 64,
    frames: int = FRAMES,
    groups: int = 3,
    digits: int = 2,
    pixels: str = "binary",
    noise: float = 0.1,
    mu_gain: float = 0.5,
    pi_gain: float = 1.0,
    learned_pi_gain: bool = False,
    learning_rate: float = 1e-3,
    feedback: Feedback = "recurrent",
    unroll: Unroll = "auto",
    remat: bool = False,
) -> GroupingModel:
    """Build the RTagger that predicts frames.

    Args:
        width: Factor on the channels.
        table: Function from `width` to the list of levels.
        size: Side of the frames, in pixels.
        frames: Number of frames of a sequence.
        groups: Number of groups, K. All groups share their weights, so that trained
            weights can be used with any number of groups.
        digits: Number of digits in a video, for the metric.
        pixels: `"binary"` or `"gaussian"`.
        noise: Noise that the likelihood accounts for, see `rladder_keras.TaggerCell`.
            No noise is added to the frames.
        mu_gain: Standard deviation of `mu` in an untrained cell.
        pi_gain: Standard deviation of the logits of `pi` in an untrained cell.
        learned_pi_gain: Whether `pi_gain` is learned.
        learning_rate: Learning rate of Adam.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.
        remat: Whether to recompute iterations in the backward pass: less memory, more
            time.

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
    frames = check_integer("frames", frames, 2)
    size = check_integer("size", size, 1)
    digits = check_integer("digits", digits, 1)
    film = keras.Input((None, size, size, 1), name="film")
    levels = rows(table, width)
    cell = TaggerCell(
        levels,
        groups,
        lowest_kernel(levels),
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


def metrics_of_films(digits: int) -> dict[str, list[Any]]:
    """Return the metrics of videos with this number of digits."""
    return {
        "groups": [AMI(digits, ahead=True)],
        "posterior": [AMI(digits), AMI(digits, -1, name="ami_last")],
        "cost": [CostAt(-1, name="last")],
    }


@takes_weights
def moving_mnist_tagger(
    width: float = 1.0, *, table: Table = table_of_motion, **kwargs: Any
) -> GroupingModel:
    """Build the Tagger for comparison: without recurrent rows and feedback.

    Args:
        width: Factor on the channels.
        table: Function from `width` and `recurrent` to the list of levels.
        **kwargs: Other arguments of `moving_mnist_rtagger`.

    Returns:
        Compiled model with the outputs of `moving_mnist_rtagger`.
    """
    table = partial(rows, table, recurrent=Conv)
    return moving_mnist_rtagger(width, table=table, feedback="none", **kwargs)


def moving_mnist_halves(
    width: float = 1.0, *, size: int = 64, digits: int = 2, **kwargs: Any
) -> GroupingModel:
    """Build a baseline that splits the frame into a left and a right half.

    It measures how much of a score is due to position alone. Two digits are rarely at
    the same position, so that halves separate them quite well.

    Args:
        width: Ignored, because there are no channels.
        size: Side of the frames, in pixels.
        digits: Number of digits in a video, for the metric.
        **kwargs: Ignored; accepted for the same signature as models that are trained.

    Returns:
        Compiled model with the outputs of `moving_mnist_rtagger`. Its cost at a
        transition is that of a frame which it has seen.

    Examples:
        >>> model = zoo.moving_mnist.moving_mnist_halves(size=8)
        >>> model.output["groups"].shape
        (None, None, 2, 8, 8)
    """
    film = keras.Input((None, size, size, 1), name="film")
    mask = np.tile(np.arange(size) >= size / 2, (size, 1))
    outputs = FixedGroups(mask, name="fixed")(film)
    outputs["posterior"] = outputs["groups"][:, 1:]  # the posterior equals the prior
    outputs["cost"] = outputs["cost"][:, 1:]
    return unlearned(film, outputs, metrics_of_films(digits))


SECTION_4_3: Builders = {"RTagger": moving_mnist_rtagger, "Tagger": moving_mnist_tagger}
# Baselines that grouping must surpass; not in the paper.
BASELINES: Builders = {"left and right half": moving_mnist_halves}
