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
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo import checkpoint, occluded_mnist, protocol
from zoo.files import read_json, write_whole
from zoo.heap import keep_freed_memory

RUNS = Path(__file__).parent / "results" / "runs.csv"
COLUMNS = (
    "table,row,seed,metric,value,size,epochs,examples,"
    "commit,backend,versions,device,seconds,date"
).split(",")

TABLES = {"table-1": occluded_mnist.TABLE_1}
BATCH_SIZE = 100  # of the same authors' other papers; this one gives none
LADDERS = {"paper": occluded_mnist.table_5, "small": occluded_mnist.small_table}
# Metric of the model -> name in runs.csv, and factor to its unit.
FIGURES = {
    "class_error": ("classification error (%)", 100),
    "frame_mse": ("prediction error (1e-5)", 1e5),
}


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m zoo.reproduce",
        description="Train one row of a table and record its test figures.",
    )
    add = parser.add_argument
    add("table", choices=sorted(TABLES))
    add("--row", required=True, help="label of the row as printed, or 'all'")
    add(
        "--seed",
        type=partial(integer, 0),
        default=0,
        help="of the weights and the training sequences",
    )
    add("--ladder", choices=sorted(LADDERS), default="paper", help="table of levels")
    add("--width", type=positive, default=1.0, help="factor on the channels")
    add(
        "--epochs",
        type=partial(integer, 1),
        help="epochs of a phase; default: until the error settles",
    )
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
    add("--phases", type=int, choices=(1, 2), default=2, help="1: training set only")
    add("--batch-size", type=partial(integer, 1), default=BATCH_SIZE)
    add("--frame-weight", type=positive, default=occluded_mnist.FRAME_WEIGHT)
    add("--digits", default="mnist", help="'mnist', 'sklearn' or a file, see README")
    add("--unroll", choices=("auto", "yes", "no"), default="auto", help="the loop")
    add("--out", type=Path, help="folder of the checkpoints; default: below runs/")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add("--time-budget", type=float, metavar="SECONDS", help="stop, and resume later")
    add("--runs", type=Path, default=RUNS, help="file of the figures")
    add("--verbose", type=int, default=2, help="as in model.fit")
    return parser.parse_args(argv)


def integer(least, text):
    """Argument of the command line: an integer of that size or above."""
    if not re.fullmatch(r"\d+", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer of {least} or more")
    return int(text)


def positive(text):
    """Argument of the command line: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return number


def main(argv=None):
    """Run the command line; bad arguments and bad data end with one sentence."""
    args = arguments(argv)
    keep_freed_memory()
    try:
        rows = TABLES[args.table]
        for row in rows if args.row == "all" else [args.row]:
            if row not in rows:
                known = ", ".join(repr(row) for row in rows)
                raise ValueError(f"{args.table} has no row {row!r}; its rows: {known}.")
            reproduce(args, row)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


def reproduce(args, row):
    """Train, or go on training, one row; record its figures once it is done.

    Returns:
        The trained model and the progress of the protocol.
    """
    folder = args.out or Path("runs", args.table, slug(row), f"seed-{args.seed}")
    if args.row == "all" and args.out:
        if (args.out / "run.json").exists():
            raise ValueError(f"{args.out} holds a single run: name its --row.")
        folder = args.out / slug(row)
    data = partial(
        zoo.data.occluded_mnist,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        inputs="reconstruction" if row.startswith("Optimal") else "frames",
    )
    train, valid, _ = data(evaluation_sequences=args.validation)
    merged, _, test = data(merge_validation=True, verbose=False)
    check_runs(args.runs)
    claim(folder, identify(args, row), args.resume)
    build = partial(
        TABLES[args.table][row],
        args.width,
        table=LADDERS[args.ladder],
        unroll={"auto": "auto", "yes": True, "no": False}[args.unroll],
    )
    if row.startswith("RLadder"):
        build = partial(build, frame_weight=args.frame_weight)
    steer = "frame_mse" if "w/o classification" in row else "class_error"
    over = (checkpoint.progress(folder) or {"epoch": 0})["epoch"]
    how = f"goes on after epoch {over}" if over else "starts"
    print(
        f"{args.table}, {row}, seed {args.seed}: {size(args)}, {how}, in {folder}",
        flush=True,
    )
    model, progress = protocol.train(
        build,
        (train, valid),
        merged,
        steer,
        folder,
        seed=args.seed,
        epochs=args.epochs,
        phases=args.phases,
        time_budget=args.time_budget,
        verbose=args.verbose,
    )
    if not progress["done"]:
        print("stopped within the time budget; go on with --resume", flush=True)
    elif recorded(folder) == progress["epoch"]:
        print(f"this run is in {args.runs} already", flush=True)
    else:
        record(args, row, model, progress, test)
        write_whole(folder / "recorded.json", json.dumps(progress["epoch"]).encode())
    return model, progress


def record(args, row, model, progress, test):
    """Append the test figures of a finished run to the file of all runs."""
    values = model.evaluate(test, verbose=0, return_dict=True)
    common = {
        "table": args.table,
        "row": row,
        "seed": args.seed,
        "size": size(args),
        "epochs": progress["epoch"],
        "examples": progress["sequences"],
        "commit": commit(),
        "backend": keras.backend.backend(),
        "versions": versions(),
        "device": device(),
        "seconds": round(progress["seconds"]),
        "date": datetime.date.today().isoformat(),
    }
    lines = [
        {**common, "metric": name, "value": f"{values[key] * factor:.4g}"}
        for key, (name, factor) in FIGURES.items()
        if key in values
    ]
    append(args.runs, lines)
    for line in lines:
        print(f"{row}, seed {args.seed}: {line['metric']} {line['value']}", flush=True)


def recorded(folder):
    """After how many epochs the figures of this run were recorded last."""
    file = folder / "recorded.json"
    return read_json(file) if file.exists() else None


def check_runs(path):
    """Refuse a file that is something else; before the training, and after it."""
    if path.exists() and path.read_text().splitlines()[:1] != [",".join(COLUMNS)]:
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
    """Make `folder` the home of this run, or check that it is."""
    file = folder / "run.json"
    if file.exists():
        known = read_json(file)
        different = sorted(k for k in identity if known.get(k) != identity[k])
        if different:
            what = ", ".join(
                f"{k} {known.get(k)!r} and not {identity[k]!r}" for k in different
            )
            raise ValueError(
                f"{folder} holds another run, with {what}: choose another --out, or "
                "give what that run had (for a backend, set KERAS_BACKEND)."
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
    names = (
        "table,seed,ladder,width,epochs,sequences,validation,phases,batch_size,"
        "frame_weight,digits"
    ).split(",")
    if args.phases == 1:
        names.remove("epochs")  # a longer run begins like a shorter one
    identity = {name: getattr(args, name) for name in names}
    return {**identity, "row": row, "backend": keras.backend.backend()}


def size(args):
    """`full`, or in which ways a run is smaller than the paper's."""
    parts = [] if args.ladder == "paper" else [f"{args.ladder} ladder"]
    if args.width != 1:
        parts.append(f"width {args.width:g}")
    if args.epochs is not None or args.sequences is not None:
        epochs = "" if args.epochs is None else f"{args.epochs} "
        length = f" of {args.sequences} sequences" if args.sequences else ""
        parts.append(f"{epochs}epochs{length}")
    if args.frame_weight != occluded_mnist.FRAME_WEIGHT:
        parts.append(f"frame weight {args.frame_weight:g}")
    if args.batch_size != BATCH_SIZE:
        parts.append(f"batches of {args.batch_size}")
    if args.phases == 1:
        parts.append("training set only")
    if args.digits != "mnist":
        parts.append(f"digits {Path(args.digits).name}")
    return "reduced: " + ", ".join(parts) if parts else "full"


def slug(row):
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


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
