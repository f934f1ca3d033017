"""The description of a table of the paper, and functions that several tables share."""

import inspect
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras

from zoo.arguments import integer, positive
from zoo.data.epochs import EpochDataset
from zoo.models.tables import Builders
from zoo.training import schedules
from zoo.training.muon import KernelMuon
from zoo.training.schedules import Schedule

OPTIMIZERS = {"adam": keras.optimizers.Adam, "muon": KernelMuon}

# Training, validation, merged and test set. Merged is the training set of phase 2.
Sets = tuple[EpochDataset, EpochDataset, EpochDataset | None, EpochDataset]


class Experiment(NamedTuple):
    """A table of the paper.

    `args` stands for the parsed command line, `row` for the label of a row.

    Attributes:
        rows: Builder of the model of each row, by its label in the paper.
        options: Function of `add_argument`. It adds the options that only this table
            has.
        data: Function of `args` and `row`. It returns training, validation, merged and
            test set.
        build: Function of `args`, `row` and the training set. It returns a function
            without arguments that builds the compiled model.
        schedule: Function of `args`. It returns the schedule of the protocol.
        steer: Function of `args` and `row`. It returns the name of the validation
            metric that steers the protocol.
        figures: Function of `args`, the trained model and the test set. It returns the
            test figures by name.
        batch_size: Function of `args`. It returns the batch size of the full size.
        smaller: Function of `args`. It yields each difference between this run and the
            paper's, in words.
        tuned: Function of `args`. It yields each hyperparameter that was chosen on the
            validation set, in words.
        loss_weights: Function of `args`, `row` and the number of an epoch, counted from
            0. It returns the weights of the losses that change from epoch to epoch.
        optimizer: Function of `args` and the training set. It returns a function
            without arguments that returns the optimiser, or `None` for the optimiser of
            the model.
        inputs: Description of the model's inputs, for the cards of its weights.
        phases: 2, or 1 if the paper trains on the training set only.
    """

    rows: Builders
    options: Callable[[Callable], None]
    data: Callable[..., Sets]
    build: Callable[..., Any]
    schedule: Callable[[Namespace], Schedule]
    steer: Callable[[Namespace, str], str]
    figures: Callable[..., dict[str, float]]
    batch_size: Callable[[Namespace], int]
    smaller: Callable[[Namespace], Iterable[str]]
    tuned: Callable[[Namespace], Iterable[str]] = lambda args: ()
    loss_weights: Callable[..., dict[str, float]] = lambda args, row, number: {}
    optimizer: Callable[..., Callable | None] = lambda args, train: None
    inputs: str = ""
    phases: int = 2


def unroll(args: Namespace) -> bool | str:
    """Return the argument `unroll` of a builder for `--unroll`."""
    values: dict[str, bool | str] = {"auto": "auto", "yes": True, "no": False}
    return values[args.unroll]


def sized_table(ladders: dict[str, Callable], args: Namespace) -> Callable:
    """Return the table of levels for `--ladder`, with `--size` if the table needs it.

    A table needs the size of the frames if it has filters that cover a whole map.
    """
    table = ladders[args.ladder]
    whole = "size" in inspect.signature(table).parameters
    return partial(table, size=args.size) if whole else table


def changed(args: Namespace, **options: tuple[Any, str]) -> Iterator[str]:
    """Yield, in words, the options that differ from the paper's values.

    Args:
        args: The parsed command line.
        **options: For the name of each option, the paper's value and a format string
            for another value.
    """
    for name, (usual, words) in options.items():
        value = getattr(args, name)
        if value != usual:
            yield words.format(value)


def common_smaller(args: Namespace, batch_size: int, phases: int) -> Iterator[str]:
    """Yield the differences from the paper's runs that any table may have.

    Args:
        args: The parsed command line.
        batch_size: Batch size of the full size.
        phases: Number of phases of the full size.
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


def cosine_options(add: Callable) -> None:
    """Add the options of short runs with a cosine decay."""
    add(
        "--cosine",
        type=positive,
        metavar="RATE",
        help="use a cosine decay over all --epochs from this highest learning rate, "
        "instead of the learning rates of the paper",
    )
    add(
        "--optimizer",
        choices=sorted(OPTIMIZERS),
        help="optimiser, only with --cosine; default: adam",
    )


def cosine_or(schedule: Schedule, args: Namespace) -> Schedule:
    """Return the schedule for `--cosine`, or `schedule` without it.

    Raises:
        ValueError: If `--optimizer`, `--epochs` and `--phases` do not fit `--cosine`.
    """
    if args.cosine is None:
        if args.optimizer:
            raise ValueError(
                "--optimizer must come with --cosine; got --optimizer only. Add "
                "--cosine RATE."
            )
        return schedule
    if args.epochs is None or args.phases != 1:
        raise ValueError(
            "--cosine must come with --epochs and --phases 1, because the decay "
            f"depends on the number of all updates; got --epochs {args.epochs} and "
            f"--phases {args.phases}. Give --epochs and --phases 1."
        )
    return schedules.COSINE


def cosine_optimizer(args: Namespace, train: EpochDataset) -> Callable | None:
    """Return the function that returns the optimiser for `--cosine`, if given."""
    if args.cosine is None:
        return None
    rate = schedules.cosine_decay(args.cosine, args.epochs * len(train))
    return partial(OPTIMIZERS[args.optimizer or "adam"], rate)


def cosine_words(args: Namespace) -> Iterator[str]:
    """Yield the optimiser and the highest rate of `--cosine`, if given."""
    if args.cosine:
        yield f"{args.optimizer or 'adam'}, cosine decay from {args.cosine:g}"


def with_training_set_only(sets: tuple) -> Sets:
    """Return the sets of a table without a second phase: the merged set is `None`."""
    train, valid, test = sets
    return train, valid, None, test


def sequences_options(add: Callable) -> None:
    """Add the options of datasets of digits."""
    add(
        "--sequences",
        type=partial(integer, 1),
        help="training samples in an epoch; default: one for each digit",
    )
    add(
        "--validation",
        type=partial(integer, 1),
        help="number of validation samples; default: one for each digit",
    )
    add(
        "--digits",
        default="mnist",
        help="'mnist', 'sklearn', 'auto' or an .npz file; default: mnist",
    )


def sized_sets(sets: Callable[..., tuple], args: Namespace) -> tuple:
    """Return training, validation and test set, with `--validation` samples.

    Args:
        sets: Function of `zoo.data` with all arguments except
            `evaluation_sequences`, which would also shorten the test set.
        args: The parsed command line.
    """
    train, valid, test = sets()
    if args.validation:
        _, valid, _ = sets(evaluation_sequences=args.validation, verbose=False)
    return train, valid, test


def digit_sets(load: Callable[..., tuple], args: Namespace, **more: Any) -> Sets:
    """Return the datasets of digits of a table without a second phase.

    Args:
        load: Function of `zoo.data`.
        args: The parsed command line, with `sequences_options`.
        **more: Further arguments of `load`.
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


def digits_smaller(args: Namespace) -> Iterator[str]:
    """Yield the source of the digits if it is not MNIST."""
    if args.digits != "mnist":
        yield f"digits {Path(args.digits).name}"
