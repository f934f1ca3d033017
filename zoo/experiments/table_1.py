"""Table 1: Occluded Moving MNIST (Section 3.1, Appendix D.1)."""

from functools import partial

from zoo import data, occluded_mnist, protocol
from zoo.arguments import positive
from zoo.experiments.experiment import (
    Experiment,
    common_smaller,
    digits_smaller,
    sequences_options,
    sized_sets,
    unroll,
)

ROWS = occluded_mnist.TABLE_1 | occluded_mnist.WITH_SKIPS
BATCH_SIZE = 100  # of the same authors' other papers; this one gives none
LADDERS = {"paper": occluded_mnist.table_5, "small": occluded_mnist.small_table}


def options(add):
    add("--ladder", choices=sorted(LADDERS), default="paper", help="table of levels")
    sequences_options(add)
    add("--frame-weight", type=positive, default=occluded_mnist.FRAME_WEIGHT)


def load(args, row, **labels):
    sets = partial(
        data.occluded_mnist,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        inputs="reconstruction" if row.startswith("Optimal") else "frames",
        **labels,
    )
    train, valid, test = sized_sets(sets, args)
    merged, _, _ = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def build(args, row, train):
    weight = {"frame_weight": args.frame_weight} if row.startswith("RLadder") else {}
    return partial(
        ROWS[row],
        args.width,
        table=LADDERS[args.ladder],
        unroll=unroll(args),
        **weight,
    )


def steer(args, row):
    return "frame_mse" if "w/o classification" in row else "class_error"


def figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    metrics = {
        "classification error (%)": ("class_error", 100),
        "prediction error (1e-5)": ("frame_mse", 1e5),
    }
    return {
        name: values[metric] * factor
        for name, (metric, factor) in metrics.items()
        if metric in values
    }


def smaller(args):
    if args.ladder != "paper":
        yield f"{args.ladder} ladder"
    if args.frame_weight != occluded_mnist.FRAME_WEIGHT:
        yield f"frame weight {args.frame_weight:g}"
    yield from common_smaller(args, BATCH_SIZE, phases=2)
    yield from digits_smaller(args)


TABLE_1 = Experiment(
    rows=ROWS,
    options=options,
    data=load,
    build=build,
    schedule=lambda args: protocol.D1,
    steer=steer,
    figures=figures,
    batch_size=lambda args: BATCH_SIZE,
    smaller=smaller,
    inputs="Frames (batch, T, 32, 32, 1) from 0 to 1, as zoo.data.occluded_mnist makes "
    "them of digits, scaled to 14 x 14 pixels.",
)
