"""Reproduce a number of the paper: `python -m zoo.reproduce table-1 --row RLadder`.

The command trains one row of a table with one seed by the paper's protocol. It can be
stopped at any moment and resumed from its last checkpoint. At the end it appends the
test figures to `zoo/results/runs.csv`; no other program writes this file.
`python -m zoo.report` writes RESULTS.md from it.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from zoo import weights
from zoo.arguments import integer, positive
from zoo.experiments import EXPERIMENTS
from zoo.experiments.records import (
    DIVERGED,
    RUNS,
    append,
    backends,
    check_runs,
    circumstances,
    claim,
    commit,
    present,
    slug,
)
from zoo.files import check_writable, read_json, write_whole
from zoo.listing import is_asked_for, listing
from zoo.training import checkpoint, protocol
from zoo.training.memory import keep_freed_memory

# Arguments that do not change the result of a run, and may differ when it is resumed.
HOW = ("unroll", "out", "resume", "time_budget", "runs", "verbose", "publish")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.reproduce",
        description="Train one row of a table and record its test figures.",
    )
    tables = parser.add_subparsers(dest="table", required=True, metavar="table")
    for name, experiment in EXPERIMENTS.items():
        add = tables.add_parser(name).add_argument
        add("--row", required=True, help="label of the row as in the paper, or 'all'")
        experiment.options(add)
        common_options(add, experiment.phases)
    args = parser.parse_args(argv)
    if args.batch_size is None:
        args.batch_size = EXPERIMENTS[args.table].batch_size(args)
    return args


def common_options(add: Callable, phases: int) -> None:
    """Add the options that all tables have.

    Args:
        add: `add_argument` of the table's parser.
        phases: Number of phases of the table's protocol.
    """
    add(
        "--seed",
        type=partial(integer, 0),
        default=0,
        help="seed of the initial weights and of the training data; default: 0",
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
        if args.row == "all" and args.publish:
            raise ValueError(
                "--publish must come with a single row; got --row all. Name its --row."
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
                diverged.append(f"{row}: {error}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if diverged:
        sys.exit("error: " + "\n".join(diverged))


def reproduce(args: argparse.Namespace, row: str) -> tuple[keras.Model, dict[str, Any]]:
    """Train one row, or resume its training, and record its figures at the end.

    Args:
        args: What `arguments` returns.
        row: Label of the row.

    Returns:
        The trained model and the progress of the protocol.
    """
    place = [slug(row), f"seed-{args.seed}"]
    if "dataset" in args:
        place.insert(0, args.dataset)
    if "column" in args:
        place.insert(0, slug(args.column))
    folder = args.out or Path("runs", args.table, *place)
    if args.row == "all" and args.out:
        if (args.out / "run.json").exists():
            raise ValueError(
                f"--out must be a folder for all rows; {args.out} holds a single run. "
                "Name its --row, or choose another folder."
            )
        folder = args.out / slug(row)
    commit()  # cached now: the code may change on disk while this process trains
    experiment = EXPERIMENTS[args.table]
    keras.config.set_dtype_policy(args.dtype or "float32")
    schedule = experiment.schedule(args)
    train, valid, merged, test = experiment.data(args, row)
    build = experiment.build(args, row, train)
    if args.publish:
        weights.check_publishable(build, args.publish)
    check_writable(args.runs, "--runs")
    check_runs(args.runs)
    claim(folder, identify(args, row), args.resume)
    before = checkpoint.progress(folder)
    how = "starts"
    if before:
        how = f"resumes after epoch {before['epoch']} of phase {before['phase']}"
        if backends(folder, before) != [keras.backend.backend()]:
            how += f" on {', '.join(backends(folder, before))}"
    cell = f"{row}, {args.column}" if "column" in args else row
    print(
        f"{args.table}, {cell}, seed {args.seed}: {size(args)}, {how}, in {folder}",
        flush=True,
    )
    try:
        model, progress = protocol.train(
            build,
            (train, valid),
            merged,
            experiment.steer(args, row),
            folder,
            seed=args.seed,
            schedule=schedule,
            epochs=args.epochs,
            phases=args.phases,
            optimizer=experiment.optimizer(args, train),
            average=getattr(args, "average", None),
            time_budget=args.time_budget,
            verbose=args.verbose,
            circumstances=present,
        )
    except FloatingPointError:
        record_divergence(args, row, folder)
        raise
    progress["backends"] = backends(folder, progress)
    if not progress["done"]:
        print("stopped within the time budget; continue with --resume", flush=True)
        return model, progress
    new = recorded(folder) != progress["epoch"]
    if new or args.publish:
        figures = experiment.figures(args, model, test)
    if new:
        record(args, row, figures, progress)
        write_whole(folder / "recorded.json", json.dumps(progress["epoch"]).encode())
    else:
        print("the figures of this run are already recorded", flush=True)
    if args.publish:
        about = about_weights(args, row, test.origin, figures, progress)
        card = weights.publish(model, build, args.publish, about)
        print(f"the weights are published: {card}", flush=True)
    return model, progress


def about_weights(
    args: argparse.Namespace,
    row: str,
    data: str | None,
    figures: dict[str, float],
    progress: dict[str, Any],
) -> dict[str, Any]:
    """Return the part of a card of weights that describes the run.

    Args:
        args: What `arguments` returns.
        row: Label of the row.
        data: Name of the training data, `origin` of a dataset of the zoo.
        figures: Test figures by name.
        progress: Progress of the protocol.
    """
    identity = identify(args, row)
    del identity["table"], identity["backend"]
    if args.epochs:
        identity["epochs"] = args.epochs
    command = ["python", "-m", "zoo.reproduce", args.table]
    for name, value in sorted(identity.items()):
        if value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            command += [option] if value is True else [option, str(value)]
    return {
        "table": args.table,
        "row": row,
        "inputs": EXPERIMENTS[args.table].inputs,
        "data": data,
        "protocol": size(args),
        "seed": args.seed,
        "metrics": {name: float(f"{value:.4g}") for name, value in figures.items()},
        "command": shlex.join(command),
        **circumstances(progress),
    }


def record(
    args: argparse.Namespace,
    row: str,
    figures: dict[str, float],
    progress: dict[str, Any],
) -> None:
    """Append the test figures of a finished run to the file of all runs."""
    common = {
        "table": args.table,
        "row": row,
        "seed": args.seed,
        "size": size(args),
        **circumstances(progress),
    }
    lines = [
        {**common, "metric": name, "value": f"{value:.4g}"}
        for name, value in figures.items()
    ]
    append(args.runs, lines)
    for line in lines:
        print(f"{row}, seed {args.seed}: {line['metric']} {line['value']}", flush=True)


def record_divergence(args: argparse.Namespace, row: str, folder: Path) -> None:
    """Append once that a run diverged, so that the statistics include bad seeds."""
    progress = checkpoint.progress(folder) or protocol.begun()
    if recorded(folder) != DIVERGED:
        progress["backends"] = backends(folder, progress)
        protocol.remember(progress, **present())  # those of the epoch that diverged
        record(args, row, {DIVERGED: progress["epoch"] + 1}, progress)
        write_whole(folder / "recorded.json", json.dumps(DIVERGED).encode())


def recorded(folder: Path) -> int | str | None:
    """Return the epoch whose figures were recorded last, `DIVERGED`, or `None`."""
    file = folder / "recorded.json"
    return read_json(file) if file.exists() else None


def identify(args: argparse.Namespace, row: str) -> dict[str, Any]:
    """Return the arguments that must be equal for a run to be resumed."""
    names = set(vars(args)) - {"row", *HOW}
    if args.phases == 1 and not getattr(args, "cosine", None):
        names.remove("epochs")  # the first epochs do not depend on their total number
    identity = {name: getattr(args, name) for name in sorted(names)}
    return {**identity, "row": row, "backend": keras.backend.backend()}


def size(args: argparse.Namespace) -> str:
    """Return `full`, or how the run differs from the paper's, for `runs.csv`."""
    experiment = EXPERIMENTS[args.table]
    smaller, tuned = list(experiment.smaller(args)), list(experiment.tuned(args))
    if args.dtype:
        smaller.append(args.dtype)
    kind = "reduced: " if smaller else "tuned: " if tuned else "full"
    return kind + ", ".join([*smaller, *tuned])


if __name__ == "__main__":
    main()
