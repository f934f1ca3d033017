"""Records of runs: where, when and with what they were trained, and `runs.csv`."""

import csv
import datetime
import io
import json
import os
import platform
import re
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import keras
import numpy as np

from zoo.files import read_json, write_whole
from zoo.training import protocol

RUNS = Path(__file__).parents[1] / "results" / "runs.csv"
DIVERGED = "diverged in epoch"  # a metric of runs that have no other
COLUMNS = (
    "table,row,seed,metric,value,size,epochs,examples,"
    "commit,backend,versions,device,seconds,date"
).split(",")


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
    """What `zoo.training.protocol` remembers of each epoch."""
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
