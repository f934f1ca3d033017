"""Section 4.3: Moving MNIST."""

from functools import partial

from zoo import data
from zoo.arguments import integer, positive
from zoo.experiments.experiment import (
    Experiment,
    common_smaller,
    digit_sets,
    digits_smaller,
    sequences_options,
    sized_table,
    unroll,
)
from zoo.models import moving_mnist
from zoo.training import protocol

SIZE, RATE, BATCH_SIZE, GROUPS = 64, 1e-3, 16, 3
LADDERS = {
    "paper": moving_mnist.table_of_motion,
    "connected": moving_mnist.connected_table_of_motion,
    "bottleneck": moving_mnist.bottleneck_table_of_motion,
}
ROWS = moving_mnist.SECTION_4_3 | moving_mnist.BASELINES


def options(add):
    add("--ladder", choices=sorted(LADDERS), default="paper", help="table of levels")
    add("--groups", type=partial(integer, 1), default=GROUPS, help="K")
    add("--size", type=partial(integer, 20), default=SIZE, help="side of the frames")
    add("--frames", type=partial(integer, 2), default=moving_mnist.FRAMES)
    add("--rate", type=positive, default=RATE, help="learning rate")
    sequences_options(add)


def load(args, row):
    return digit_sets(data.moving_mnist, args, size=args.size, frames=args.frames)


def build(args, row, train):
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


def figures(args, model, test):
    found = model.evaluate(test, verbose=0, return_dict=True)
    return {
        "AMI": found["groups_ami"],
        "AMI, frame seen": found["posterior_ami"],
        "AMI, last frame, seen": found["posterior_ami_last"],
    }


def smaller(args):
    if args.ladder != "paper":
        yield f"{args.ladder} ladder"
    if args.groups != GROUPS:
        yield f"{args.groups} groups"
    if args.size != SIZE:
        yield f"size {args.size}"
    if args.frames != moving_mnist.FRAMES:
        yield f"{args.frames} frames"
    if args.rate != RATE:
        yield f"rate {args.rate:g}"
    yield from common_smaller(args, BATCH_SIZE, phases=1)
    yield from digits_smaller(args)


SECTION_4_3 = Experiment(
    rows=ROWS,
    options=options,
    data=load,
    build=build,
    schedule=lambda args: protocol.FILMS,
    steer=lambda args, row: "cost_last",
    figures=figures,
    batch_size=lambda args: BATCH_SIZE,
    smaller=smaller,
    phases=1,
    inputs="Films (batch, T, side, side, 1) from 0 to 1, as zoo.data.moving_mnist "
    "makes them of digits.",
)
