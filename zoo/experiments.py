"""The tables of the paper as experiments: rows, data, models, protocol, figures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from zoo import data, music, occluded_mnist, protocol
from zoo.arguments import integer, positive
from zoo.data.music import FILES

LADDERS = {"paper": occluded_mnist.table_5, "small": occluded_mnist.small_table}


class Experiment(NamedTuple):
    """A table of the paper.

    Attributes:
        rows: Builder of the model of each row, by the label as printed.
        options: Adds the arguments of the command line that others do not have. It gets
            `add_argument`.
        data: Function of the arguments and the row that gives the training, validation,
            merged and test set.
        build: Function of the arguments, the row and the training set that gives the
            builder.
        schedule: Of `zoo.protocol`.
        steer: Function of the row: the validation metric that steers the protocol.
        figures: Function of the arguments, the model and the test set that gives the
            test figures, by name.
        batch_size: Function of the arguments that gives that of the full size.
        smaller: Function of the arguments: in which ways the run is not the paper's.
    """

    rows: dict
    options: Callable
    data: Callable
    build: Callable
    schedule: protocol.Schedule
    steer: Callable
    figures: Callable
    batch_size: Callable
    smaller: Callable


def unroll(args):
    return {"auto": "auto", "yes": True, "no": False}[args.unroll]


# Table 1: Occluded Moving MNIST (Section 3.1, Appendix D.1)


def table_1_options(add):
    add("--ladder", choices=sorted(LADDERS), default="paper", help="table of levels")
    add(
        "--sequences",
        type=partial(integer, 1),
        help="sequences in an epoch; default: one for each digit",
    )
    add(
        "--validation",
        type=partial(integer, 1),
        help="validation sequences; default: all",
    )
    add("--frame-weight", type=positive, default=occluded_mnist.FRAME_WEIGHT)
    add("--digits", default="mnist", help="'mnist', 'sklearn' or a file, see README")


def table_1_data(args, row):
    sets = partial(
        data.occluded_mnist,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        inputs="reconstruction" if row.startswith("Optimal") else "frames",
    )
    train, valid, _ = sets(evaluation_sequences=args.validation)
    merged, _, test = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def table_1_build(args, row, train):
    build = partial(
        occluded_mnist.TABLE_1[row],
        args.width,
        table=LADDERS[args.ladder],
        unroll=unroll(args),
    )
    if row.startswith("RLadder"):
        build = partial(build, frame_weight=args.frame_weight)
    return build


def table_1_figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    figures = {
        "classification error (%)": ("class_error", 100),
        "prediction error (1e-5)": ("frame_mse", 1e5),
    }
    return {
        name: values[metric] * factor
        for name, (metric, factor) in figures.items()
        if metric in values
    }


def table_1_smaller(args):
    if args.ladder != "paper":
        yield f"{args.ladder} ladder"
    if args.width != 1:
        yield f"width {args.width:g}"
    if args.epochs is not None or args.sequences is not None:
        epochs = "" if args.epochs is None else f"{args.epochs} "
        length = f" of {args.sequences} sequences" if args.sequences else ""
        yield f"{epochs}epochs{length}"
    if args.frame_weight != occluded_mnist.FRAME_WEIGHT:
        yield f"frame weight {args.frame_weight:g}"
    if args.batch_size != TABLE_1.batch_size(args):
        yield f"batches of {args.batch_size}"
    if args.phases == 1:
        yield "training set only"
    if args.digits != "mnist":
        yield f"digits {Path(args.digits).name}"


TABLE_1 = Experiment(
    rows=occluded_mnist.TABLE_1,
    options=table_1_options,
    data=table_1_data,
    build=table_1_build,
    schedule=protocol.D1,
    steer=lambda row: "frame_mse" if "w/o classification" in row else "class_error",
    figures=table_1_figures,
    # That of the same authors' other papers; this one gives none.
    batch_size=lambda args: 100,
    smaller=table_1_smaller,
)


# Table 3: polyphonic music (Section 3.2, Appendix D.2)


def table_3_options(add):
    add("--dataset", choices=list(FILES), default="jsb")
    add(
        "--window",
        type=partial(integer, 1),
        default=WINDOW,
        help="steps of a training batch",
    )


def table_3_data(args, row):
    sets = partial(
        data.piano_rolls,
        args.dataset,
        args.batch_size,
        args.window,
        seed=args.seed,
        joint="joint" in row,
    )
    train, valid, test = sets()
    merged, _, _ = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def table_3_build(args, row, train):
    return partial(
        music.TABLE_3[row],
        args.width,
        frequencies=train.frequencies,
        carry=train.batch_size,
        unroll=unroll(args),
    )


def table_3_figures(args, model, test):
    title = FILES[args.dataset].title
    return {title: music.negative_log_likelihood(model, test.pieces)}


def table_3_smaller(args):
    if args.width != 1:
        yield f"width {args.width:g}"
    if args.epochs is not None:
        yield f"{args.epochs} epochs"
    if args.window != WINDOW:
        yield f"windows of {args.window}"
    if args.batch_size != TABLE_3.batch_size(args):
        yield f"batches of {args.batch_size}"
    if args.phases == 1:
        yield "training set only"


WINDOW = 25

TABLE_3 = Experiment(
    rows=music.TABLE_3,
    options=table_3_options,
    data=table_3_data,
    build=table_3_build,
    schedule=protocol.D2,
    steer=lambda row: "notes_nll",
    figures=table_3_figures,
    # The paper gives none. Rows are cheap, and small corpora need many updates.
    batch_size=lambda args: {"jsb": 8, "jsb_8th": 16}.get(args.dataset, 32),
    smaller=table_3_smaller,
)


EXPERIMENTS = {"table-1": TABLE_1, "table-3": TABLE_3}
