"""Reproduce a number of the paper: `python -m zoo.reproduce table-1 --row RLadder`.

Trains one row of a table with one seed by the paper's protocol, can be stopped at any
moment and resumed, and writes its figures on the test set to `zoo/results/runs.csv`,
whose only writer it is. `python -m zoo.report` makes RESULTS.md of that file.
"""

import argparse
import json
import shlex
import sys
from functools import partial
from pathlib import Path

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

# Arguments that say how a run is done, and not which run it is.
HOW = ("unroll", "out", "resume", "time_budget", "runs", "verbose", "publish")


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m zoo.reproduce",
        description="Train one row of a table and record its test figures.",
    )
    tables = parser.add_subparsers(dest="table", required=True, metavar="table")
    for name, experiment in EXPERIMENTS.items():
        add = tables.add_parser(name).add_argument
        add("--row", required=True, help="label of the row as printed, or 'all'")
        experiment.options(add)
        common_options(add, experiment.phases)
    args = parser.parse_args(argv)
    if args.batch_size is None:
        args.batch_size = EXPERIMENTS[args.table].batch_size(args)
    return args


def common_options(add, phases):
    add(
        "--seed",
        type=partial(integer, 0),
        default=0,
        help="of the weights and the training data",
    )
    add("--width", type=positive, default=1.0, help="factor on the channels")
    add(
        "--epochs",
        type=partial(integer, 1),
        help="epochs of phase 1; default: until the error settles",
    )
    choices = range(1, phases + 1)
    add("--phases", type=int, choices=choices, default=phases, help="1: no validation")
    add("--batch-size", type=partial(integer, 1), help="default: of the full size")
    policies = "mixed_bfloat16", "mixed_float16"
    add("--dtype", choices=policies, help="policy of the model; default: float32")
    add("--unroll", choices=("auto", "yes", "no"), default="auto", help="the loop")
    add("--out", type=Path, help="folder of the checkpoints; default: below runs/")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add(
        "--time-budget",
        type=positive,
        metavar="SECONDS",
        help="stop a row, and resume later",
    )
    add("--runs", type=Path, default=RUNS, help="file of the figures")
    add("--publish", metavar="NAME", help="write weights that `weights=NAME` finds")
    add("--verbose", type=int, default=2, help="as in model.fit")


def main(argv=None):
    """Run the command line; bad arguments and bad data end with one sentence."""
    if is_asked_for(sys.argv[1:] if argv is None else argv):
        print(listing(), end="")
        return
    args = arguments(argv)
    keep_freed_memory()
    diverged = []
    try:
        rows = EXPERIMENTS[args.table].rows
        if args.row == "all" and args.publish:
            raise ValueError("--publish is for a single run: name its --row.")
        for row in rows if args.row == "all" else [args.row]:
            if row not in rows:
                known = ", ".join(repr(row) for row in rows)
                raise ValueError(f"{args.table} has no row {row!r}; its rows: {known}.")
            try:
                reproduce(args, row)
            except FloatingPointError as error:  # other rows may do better
                diverged.append(f"{row}: {error}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if diverged:
        sys.exit("error: " + "\n".join(diverged))


def reproduce(args, row):
    """Train, or go on training, one row; record its figures once it is done.

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
            raise ValueError(f"{args.out} holds a single run: name its --row.")
        folder = args.out / slug(row)
    commit()  # remembered: that of the code which trains
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
        how = f"goes on after epoch {before['epoch']} of phase {before['phase']}"
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
        print("stopped within the time budget; go on with --resume", flush=True)
        return model, progress
    new = recorded(folder) != progress["epoch"]
    if new or args.publish:
        figures = experiment.figures(args, model, test)
    if new:
        record(args, row, figures, progress)
        write_whole(folder / "recorded.json", json.dumps(progress["epoch"]).encode())
    else:
        print("the figures of this run were recorded before", flush=True)
    if args.publish:
        about = about_weights(args, row, test.origin, figures, progress)
        card = weights.publish(model, build, args.publish, about)
        print(f"the weights are published: {card}", flush=True)
    return model, progress


def about_weights(args, row, data, figures, progress):
    """What the card of this run's weights says of it, see `zoo.weights.card`."""
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


def record(args, row, figures, progress):
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


def record_divergence(args, row, folder):
    """Append, once, that a run ended without figures: bad seeds are not to be lost."""
    progress = checkpoint.progress(folder) or protocol.begun()
    if recorded(folder) != DIVERGED:
        progress["backends"] = backends(folder, progress)
        protocol.remember(progress, **present())  # of the epoch that was lost
        record(args, row, {DIVERGED: progress["epoch"] + 1}, progress)
        write_whole(folder / "recorded.json", json.dumps(DIVERGED).encode())


def recorded(folder):
    """After how many epochs the figures of this run were recorded last, if at all."""
    file = folder / "recorded.json"
    return read_json(file) if file.exists() else None


def identify(args, row):
    """What makes two runs the same run."""
    names = set(vars(args)) - {"row", *HOW}
    if args.phases == 1 and not getattr(args, "cosine", None):
        names.remove("epochs")  # a longer run begins like a shorter one
    identity = {name: getattr(args, name) for name in sorted(names)}
    return {**identity, "row": row, "backend": keras.backend.backend()}


def size(args):
    """`full`, or in which ways a run is smaller, or other, than the paper's."""
    experiment = EXPERIMENTS[args.table]
    smaller, tuned = list(experiment.smaller(args)), list(experiment.tuned(args))
    if args.dtype:
        smaller.append(args.dtype)
    kind = "reduced: " if smaller else "tuned: " if tuned else "full"
    return kind + ", ".join([*smaller, *tuned])


if __name__ == "__main__":
    main()
