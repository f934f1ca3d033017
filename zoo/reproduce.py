"""Reproduce a number of the paper: `python -m zoo.reproduce table-1 --row RLadder`.

The command trains one row of a table by the paper's protocol, with one seed or several.
It can be stopped at any moment and resumed from its last checkpoint. At the end it
appends the test figures to `zoo/results/runs.csv`; no other program writes this file.
`python -m zoo.report` writes RESULTS.md from it.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from zoo.arguments import integer, positive
from zoo.experiments import EXPERIMENTS
from zoo.experiments.records import RUNS
from zoo.experiments.run import Run, conclude, prepare
from zoo.listing import is_asked_for, listing
from zoo.training import protocol
from zoo.training.memory import keep_freed_memory
from zoo.training.together import stackable, train_together


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.reproduce",
        description="Train one row of a table and record its test figures.",
    )
    tables = parser.add_subparsers(dest="table", required=True, metavar="table")
    for name, experiment in EXPERIMENTS.items():
        table = tables.add_parser(name)
        add = table.add_argument
        add("--row", required=True, help="label of the row as in the paper, or 'all'")
        experiment.options(add)
        common_options(table, experiment.phases)
    args = parser.parse_args(argv)
    if args.seeds is None:
        args.seeds = [args.seed]
    elif len(set(args.seeds)) < len(args.seeds):
        parser.error("argument --seeds: must be different seeds")
    if args.batch_size is None:
        args.batch_size = EXPERIMENTS[args.table].batch_size(args)
    return args


def common_options(parser: argparse.ArgumentParser, phases: int) -> None:
    """Add the options that all tables have.

    Args:
        parser: Parser of the table.
        phases: Number of phases of the table's protocol.
    """
    add = parser.add_argument
    seeds = parser.add_mutually_exclusive_group().add_argument
    seeds(
        "--seed",
        type=partial(integer, 0),
        default=0,
        help="seed of the initial weights and of the training data; default: 0",
    )
    seeds(
        "--seeds",
        type=partial(integer, 0),
        nargs="+",
        metavar="SEED",
        help="several seeds, one run each; on JAX with a GPU, tables of images train "
        "all of them in one vectorised step",
    )
    add(
        "--width",
        type=positive,
        default=1.0,
        help="multiplier of all channels; default: 1",
    )
    add(
        "--epochs",
        type=partial(integer, 1),
        help="epochs of phase 1; default: those of the table's protocol",
    )
    add(
        "--phases",
        type=int,
        choices=range(1, phases + 1),
        default=phases,
        help="1: skip phase 2, the training on training and validation set together",
    )
    add(
        "--batch-size",
        type=partial(integer, 1),
        help="samples in a batch; default: that of the full size",
    )
    add(
        "--dtype",
        choices=("mixed_bfloat16", "mixed_float16"),
        help="dtype policy of the model; default: float32",
    )
    add(
        "--unroll",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether to unroll the loop over time; default: auto",
    )
    add("--out", type=Path, help="folder of the checkpoints; default: below runs/")
    add("--resume", action="store_true", help="resume from the checkpoint in --out")
    add(
        "--time-budget",
        type=positive,
        metavar="SECONDS",
        help="stop at the end of an epoch after about this time; continue with "
        "--resume",
    )
    add("--runs", type=Path, default=RUNS, help="CSV file that gets the test figures")
    add(
        "--publish",
        metavar="NAME",
        help="save the trained weights, to be loaded with `weights=NAME`",
    )
    add("--verbose", type=int, default=2, help="as in model.fit; default: 2")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; exit with one sentence for invalid arguments or data."""
    if is_asked_for(sys.argv[1:] if argv is None else argv):
        print(listing(), end="")
        return
    args = arguments(argv)
    keep_freed_memory()
    diverged = []
    try:
        rows = EXPERIMENTS[args.table].rows
        if args.publish and (args.row == "all" or len(args.seeds) > 1):
            raise ValueError(
                "--publish must come with a single row and a single seed; got --row "
                f"{args.row} and {len(args.seeds)} seeds. Name its --row and --seed."
            )
        for row in rows if args.row == "all" else [args.row]:
            if row not in rows:
                known = ", ".join(repr(row) for row in rows)
                raise ValueError(
                    f"--row must be a row of {args.table}; got {row!r}. Choose one of "
                    f"{known}, or 'all'."
                )
            try:
                reproduce(args, row)
            except FloatingPointError as error:  # continue with the other rows
                diverged.append(str(error))
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    if diverged:
        sys.exit("error: " + "\n".join(diverged))


def reproduce(args: argparse.Namespace, row: str) -> list[protocol.Trained]:
    """Train one row with each seed, or resume its training, and record its figures.

    Args:
        args: What `arguments` returns.
        row: Label of the row.

    Returns:
        For each of `args.seeds`, the trained model and the progress of the protocol.

    Raises:
        FloatingPointError: If a run diverged. The other runs are finished before.
    """
    runs = [
        prepare(argparse.Namespace(**{**vars(args), "seed": seed}), row)
        for seed in args.seeds
    ]
    results: Iterable[protocol.Trained | FloatingPointError]
    if len(runs) > 1 and stackable(runs[0].train):
        results = train_together([run.epochs for run in runs], args.verbose)
    else:
        results = map(train_alone, runs)
    trained, diverged = [], []
    for run, result in zip(runs, results, strict=True):
        try:
            trained.append(conclude(run, result))
        except FloatingPointError as error:
            diverged.append(f"{row}, seed {run.args.seed}: {error}")
    if diverged:
        raise FloatingPointError("\n".join(diverged))
    return trained


def train_alone(run: Run) -> protocol.Trained | FloatingPointError:
    """Train one run; return its model and progress, or the error if it diverged."""
    try:
        return protocol.train(run.epochs, run.args.verbose)
    except FloatingPointError as error:
        return error


if __name__ == "__main__":
    main()
