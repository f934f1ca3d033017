"""Section 4.3: Moving MNIST."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import keras

from zoo import data
from zoo.arguments import integer, positive
from zoo.data.epochs import EpochDataset
from zoo.experiments.experiment import (
    Experiment,
    Sets,
    changed,
    common_smaller,
    digit_sets,
    digits_smaller,
    sequences_options,
    sized_table,
    unroll,
)
from zoo.models import moving_mnist
from zoo.training import schedules

SIZE, RATE, BATCH_SIZE, GROUPS = 64, 1e-3, 16, 3
LADDERS = {
    "paper": moving_mnist.table_of_motion,
    "connected": moving_mnist.connected_table_of_motion,
    "bottleneck": moving_mnist.bottleneck_table_of_motion,
}
ROWS = moving_mnist.SECTION_4_3 | moving_mnist.BASELINES


def options(add: Callable) -> None:
    ladder = "table of levels; default: paper"
    add("--ladder", choices=sorted(LADDERS), default="paper", help=ladder)
    groups = f"number of groups, K; default: {GROUPS}"
    add("--groups", type=partial(integer, 1), default=GROUPS, help=groups)
    size = f"side of the frames in pixels; default: {SIZE}"
    add("--size", type=partial(integer, 20), default=SIZE, help=size)
    frames = f"frames in a sequence; default: {moving_mnist.FRAMES}"
    add("--frames", type=partial(integer, 2), default=moving_mnist.FRAMES, help=frames)
    rate = f"learning rate; default: {RATE:g}"
    add("--rate", type=positive, default=RATE, help=rate)
    sequences_options(add)


def load(args: Namespace, row: str) -> Sets:
    return digit_sets(data.moving_mnist, args, size=args.size, frames=args.frames)


def build(args: Namespace, row: str, train: EpochDataset) -> Callable:
    return partial(
        ROWS[row],
        args.width,
        table=sized_table(LADDERS, args),
        size=args.size,
        groups=args.groups,
        frames=args.frames,
        learning_rate=args.rate,
        unroll=unroll(args),
    )


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    found = model.evaluate(test, verbose=0, return_dict=True)
    return {
        "AMI": found["groups_ami"],
        "AMI, frame seen": found["posterior_ami"],
        "AMI, last frame, seen": found["posterior_ami_last"],
    }


def smaller(args: Namespace) -> Iterator[str]:
    yield from changed(
        args,
        ladder=("paper", "{} ladder"),
        groups=(GROUPS, "{} groups"),
        size=(SIZE, "size {}"),
        frames=(moving_mnist.FRAMES, "{} frames"),
        rate=(RATE, "rate {:g}"),
    )
    yield from common_smaller(args, BATCH_SIZE, phases=1)
    yield from digits_smaller(args)


SECTION_4_3 = Experiment(
    rows=ROWS,
    options=options,
    data=load,
    build=build,
    schedule=lambda args: schedules.FILMS,
    steer=lambda args, row: "cost_last",
    figures=figures,
    batch_size=lambda args: BATCH_SIZE,
    smaller=smaller,
    phases=1,
    inputs="Sequences of frames, shape (batch, T, side, side, 1), values from 0 to 1, "
    "as in zoo.data.moving_mnist.",
)
