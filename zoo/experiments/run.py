"""A run: one row of a table, trained with one seed, and the record of its figures."""

import argparse
import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras

from zoo import weights
from zoo.data.epochs import EpochDataset
from zoo.experiments import EXPERIMENTS
from zoo.experiments.records import (
    DIVERGED,
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
from zoo.training import checkpoint, protocol

# Arguments that do not change the result of a run, and may differ when it is resumed.
HOW = (
    "seeds",
    "unroll",
    "out",
    "resume",
    "time_budget",
    "runs",
    "verbose",
    "publish",
)


class Run(NamedTuple):
    """A run that is ready to be trained.

    Attributes:
        args: The parsed command line, with the seed of this run.
        row: Label of the row.
        folder: Folder of the checkpoints.
        build: Function without arguments that builds the compiled model.
        train: Training set.
        test: Test set.
        epochs: What `zoo.training.protocol.run` yields.
    """

    args: argparse.Namespace
    row: str
    folder: Path
    build: Any
    train: EpochDataset
    test: EpochDataset
    epochs: Iterator[protocol.Epoch]


def prepare(args: argparse.Namespace, row: str) -> Run:
    """Check the arguments of a run, claim its folder and load its data.

    Args:
        args: The parsed command line, with the seed of this run.
        row: Label of the row.

    Raises:
        ValueError: If an argument is invalid, or if the folder holds another run.
    """
    folder = place(args, row)
    commit()  # cached now: the code may change on disk while this process trains
    experiment = EXPERIMENTS[args.table]
    keras.config.set_dtype_policy(args.dtype or "float32")
    schedule = experiment.schedule(args)
    train, valid, merged, test = experiment.data(args, row)
    build = experiment.build(args, row, train)
    if args.publish:
        weights.check_publishable(build, args.publish)
    optimizer = experiment.optimizer(args, train)
    check_writable(args.runs, "--runs")
    if args.runs.exists() and args.runs.stat().st_size:  # others may just create it
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
    epochs = protocol.run(
        partial(build_or_free, build, folder),
        (train, valid),
        merged,
        experiment.steer(args, row),
        folder,
        seed=args.seed,
        schedule=schedule,
        epochs=args.epochs,
        phases=args.phases,
        optimizer=optimizer,
        average=getattr(args, "average", None),
        loss_weights=partial(experiment.loss_weights, args, row),
        time_budget=args.time_budget,
        circumstances=present,
    )
    return Run(args, row, folder, build, train, test, epochs)


def build_or_free(build: Callable[[], keras.Model], folder: Path) -> keras.Model:
    """Build the model; if this fails before any training, free the claimed folder."""
    try:
        return build()
    except Exception:
        if not checkpoint.progress(folder):
            (folder / "run.json").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds other files
                folder.rmdir()
        raise


def place(args: argparse.Namespace, row: str) -> Path:
    """Return the folder of a run.

    With `--out` it is this folder, or a folder in it if there are several runs.

    Raises:
        ValueError: If `--out` is the folder of a single run and there are several.
    """
    seed = f"seed-{args.seed}"
    if not args.out:
        cell = [slug(getattr(args, k)) for k in ("column", "dataset") if k in args]
        return Path("runs", args.table, *cell, slug(row), seed)
    several = [slug(row)] * (args.row == "all") + [seed] * (len(args.seeds) > 1)
    if several and (args.out / "run.json").exists():
        raise ValueError(
            f"--out must be a folder for several runs; {args.out} holds a single run. "
            "Name its --row and --seed, or choose another folder."
        )
    return args.out.joinpath(*several)


def conclude(
    run: Run, trained: protocol.Trained | FloatingPointError
) -> protocol.Trained:
    """Record the test figures of a run, and publish its weights if asked for.

    Args:
        run: The run.
        trained: The trained model and the progress of the protocol, or the error of a
            run that diverged.

    Returns:
        `trained`.

    Raises:
        FloatingPointError: If the run diverged.
    """
    args, row, folder = run.args, run.row, run.folder
    if isinstance(trained, FloatingPointError):
        record_divergence(args, row, folder)
        raise trained
    model, progress = trained
    progress["backends"] = backends(folder, progress)
    if not progress["done"]:
        print("stopped within the time budget; continue with --resume", flush=True)
        return trained
    new = recorded(folder) != progress["epoch"]
    if new or args.publish:
        figures = EXPERIMENTS[args.table].figures(args, model, run.test)
    if new:
        record(args, row, figures, progress)
        write_whole(folder / "recorded.json", json.dumps(progress["epoch"]).encode())
    else:
        print("the figures of this run are already recorded", flush=True)
    if args.publish:
        about = about_weights(args, row, run.test.origin, figures, progress)
        card = weights.publish(model, run.build, args.publish, about)
        print(f"the weights are published: {card}", flush=True)
    return trained


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
            values = value if isinstance(value, list) else [value]
            command += [option] if value is True else [option, *map(str, values)]
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
