"""Reproduce a number of the paper: `python -m zoo.reproduce table-1 --row RLadder`.

Trains one row of a table with one seed by the paper's protocol, can be stopped at any
moment and resumed, and writes its figures on the test set to `zoo/results/runs.csv`,
whose only writer it is. `python -m zoo.report` makes RESULTS.md of that file.
"""

import argparse
import csv
import datetime
import io
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import keras
import numpy as np

from zoo import checkpoint, protocol, weights
from zoo.arguments import integer, positive
from zoo.experiments import EXPERIMENTS
from zoo.files import check_writable, read_json, write_whole
from zoo.heap import keep_freed_memory
from zoo.listing import is_asked_for, listing

# Arguments that say how a run is done, and not which run it is.
HOW = ("unroll", "out", "resume", "time_budget", "runs", "verbose", "publish")
RUNS = Path(__file__).parent / "results" / "runs.csv"
DIVERGED = "diverged in epoch"  # a metric of runs that have no other
COLUMNS = (
    "table,row,seed,metric,value,size,epochs,examples,"
    "commit,backend,versions,device,seconds,date"
).split(",")


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


def circumstances(progress):
    """How long a run was, and where, when and with what it was trained.

    Values that changed in the course of the run stand side by side, and its date is
    that of the last epoch. A run from before `protocol.remember` has none of them.
    """
    if not progress["epoch"]:  # nothing was trained
        protocol.remember(progress, **present())
    made = {name: progress.get(name, [""]) for name in present()}
    return {
        "epochs": progress["epoch"],
        "examples": progress["sequences"],
        "commit": ", ".join(made["commits"]),
        "backend": ", ".join(progress["backends"]),
        "versions": ", ".join(made["versions"]),
        "device": ", ".join(made["devices"]),
        "seconds": round(progress["seconds"]),
        "date": made["dates"][-1],
    }


def present():
    """What `zoo.protocol` remembers of each epoch."""
    return {
        "commits": commit(),
        "versions": versions(),
        "devices": device(),
        "dates": datetime.date.today().isoformat(),
    }


def backends(folder, progress):
    """Of the epochs of a run: that with which it began, and others that went on."""
    begun = read_json(folder / "run.json")["backend"].split(", ")
    return list(dict.fromkeys([*begun, *(progress.get("backends") or ())]))


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


def check_runs(path):
    """Refuse a file that is something else; before the training, and after it."""
    header = ",".join(COLUMNS).encode()
    if path.exists() and path.read_bytes().splitlines()[:1] != [header]:
        raise ValueError(f"{path} is not a file of runs: choose another --runs.")


def append(path, lines):
    """Add rows to a CSV file in a single write, so that none is ever half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    check_runs(path)
    writer.writerows(lines)
    with open(path, "ab", buffering=0) as file:
        file.write(text.getvalue().encode())


def claim(folder, identity, resume):
    """Make `folder` the home of this run, or check that it is.

    A run may go on with another backend.
    """
    file = folder / "run.json"
    if file.exists():
        known = read_json(file, f"delete {folder} and train anew")
        different = sorted(
            k for k in identity if k != "backend" and known.get(k) != identity[k]
        )
        if different:
            what = ", ".join(
                f"{k} {known.get(k)!r} and not {identity[k]!r}" for k in different
            )
            raise ValueError(
                f"{folder} holds another run, with {what}: choose another --out, or "
                "give what that run had."
            )
        if not resume:
            raise ValueError(f"{folder} holds this run: go on with --resume.")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty and holds no run: choose another --out."
        )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(identity, indent=1).encode())


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


def slug(row):
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


@cache
def commit():
    """Commit of the code, `+` if it was changed since; empty outside of a checkout."""
    git = partial(
        subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True
    )
    try:
        head = git(["git", "rev-parse", "--short=10", "HEAD"])
        changed = git(["git", "status", "--porcelain", "--", "*.py", "../*.py"])
    except OSError:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def versions():
    backend = sys.modules[keras.backend.backend()].__version__
    return (
        f"python {platform.python_version()}; keras {keras.__version__}; "
        f"{keras.backend.backend()} {backend}; numpy {np.__version__}"
    )


def device():
    """The accelerator if the backend has one, else the processor and its cores."""
    name, module = keras.backend.backend(), sys.modules[keras.backend.backend()]
    if name == "torch" and module.cuda.is_available():
        return module.cuda.get_device_name()
    if name == "jax" and module.default_backend() != "cpu":
        return module.devices()[0].device_kind
    if name == "tensorflow" and module.config.list_physical_devices("GPU"):
        return module.config.list_physical_devices("GPU")[0].name
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        model = found.group(1) if found else model
    return f"{model}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
