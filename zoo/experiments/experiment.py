"""What a table of the paper is, and what several of them have in common."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from zoo.arguments import integer


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
        schedule: Function of the arguments that gives that of `zoo.training.protocol`.
        steer: Function of the arguments and the row: the validation metric that steers
            the protocol.
        figures: Function of the arguments, the model and the test set that gives the
            test figures, by name.
        batch_size: Function of the arguments that gives that of the full size.
        smaller: Function of the arguments: in which ways the run is not the paper's.
        tuned: Function of the arguments: what was chosen by searches on validation.
        optimizer: Function of the arguments and the training set that gives that of
            `zoo.training.protocol.train`.
        inputs: What trained models take, for the cards of their weights.
        phases: 2, or 1 where the paper trains on the training set only.
    """

    rows: dict
    options: Callable
    data: Callable
    build: Callable
    schedule: Callable
    steer: Callable
    figures: Callable
    batch_size: Callable
    smaller: Callable
    tuned: Callable = lambda args: ()
    optimizer: Callable = lambda args, train: None
    inputs: str = ""
    phases: int = 2


def unroll(args):
    return {"auto": "auto", "yes": True, "no": False}[args.unroll]


def sized_table(ladders, args):
    """The table that `--ladder` names; filters of the whole map need `--size`, too."""
    table = ladders[args.ladder]
    whole = "size" in inspect.signature(table).parameters
    return partial(table, size=args.size) if whole else table


def common_smaller(args, batch_size, phases):
    """Ways in which runs of any table may be smaller than the paper's.

    Args:
        args: The arguments.
        batch_size: Of the full size.
        phases: Of the full size.
    """
    if args.width != 1:
        yield f"width {args.width:g}"
    sequences = getattr(args, "sequences", None)
    if args.epochs is not None or sequences is not None:
        epochs = "" if args.epochs is None else f"{args.epochs} "
        length = f" of {sequences} sequences" if sequences else ""
        yield f"{epochs}epochs{length}"
    if getattr(args, "validation", None):
        yield f"validation by {args.validation} samples"
    if args.batch_size != batch_size:
        yield f"batches of {args.batch_size}"
    if args.phases < phases:
        yield "training set only"


def with_training_set_only(sets):
    """Training, validation, merged and test set where there is no second phase."""
    train, valid, test = sets
    return train, valid, None, test


def sequences_options(add):
    add(
        "--sequences",
        type=partial(integer, 1),
        help="samples in an epoch; default: one for each digit",
    )
    add(
        "--validation",
        type=partial(integer, 1),
        help="validation samples; default: all",
    )
    add("--digits", default="mnist", help="'mnist', 'sklearn' or a file, see README")


def sized_sets(sets, args):
    """Training, validation and test set; `--validation` shortens the second of them."""
    train, valid, test = sets()
    if args.validation:
        _, valid, _ = sets(evaluation_sequences=args.validation, verbose=False)
    return train, valid, test


def digit_sets(load, args, **more):
    """The sets that `sequences_options` ask for, where there is no second phase.

    Args:
        load: Function of `zoo.data`.
        args: The arguments.
        **more: What else it is to get.
    """
    sets = partial(
        load,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        **more,
    )
    return with_training_set_only(sized_sets(sets, args))


def digits_smaller(args):
    if args.digits != "mnist":
        yield f"digits {Path(args.digits).name}"
