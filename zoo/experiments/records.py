"""Records of runs: `runs.csv`, with the commit, versions, device and date of each."""

import csv
import datetime
import io
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.files import appending, read_json, write_whole
from zoo.training import protocol

RUNS = Path(__file__).parents[1] / "results" / "runs.csv"
DIVERGED = "diverged in epoch"  # the only metric of a run that diverged
COLUMNS = (
    "table,row,seed,metric,value,size,epochs,examples,"
    "commit,backend,versions,device,seconds,date"
).split(",")


def circumstances(progress: dict[str, Any]) -> dict[str, Any]:
    """Return length, commit, backend, versions, device and date of a run.

    A value that changed during the run is a list, separated by commas. The date is that
    of the last epoch. The values are empty for runs from before they were recorded.

    Args:
        progress: Progress of `zoo.training.protocol`.
    """
    if not progress["epoch"]:  # a row without training
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


def present() -> dict[str, str]:
    """Return commit, versions, device and date, which are recorded for each epoch."""
    return {
        "commits": commit(),
        "versions": versions(),
        "devices": device(),
        "dates": datetime.date.today().isoformat(),
    }


def backends(folder: Path, progress: dict[str, Any]) -> list[str]:
    """Return the backends of a run: the first one, then those that resumed it."""
    begun = read_json(folder / "run.json")["backend"].split(", ")
    return list(dict.fromkeys([*begun, *(progress.get("backends") or ())]))


def check_runs(path: Path) -> None:
    """Raise `ValueError` if a file exists and is not a file of runs."""
    header = ",".join(COLUMNS).encode()
    if path.exists() and path.read_bytes().splitlines()[:1] != [header]:
        raise ValueError(
            f"--runs must be a file of runs; {path} is not a file of runs. Choose "
            "another file."
        )


def append(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append rows to a CSV file in a single write, so that each row is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    with appending(path) as file:
        before = path.read_bytes()
        if not before:
            writer.writeheader()
        else:
            check_runs(path)
            if not before.endswith(b"\n"):
                text.write("\n")  # so that a damaged row stays alone
        writer.writerows(lines)
        file.write(text.getvalue().encode())


def claim(folder: Path, identity: dict[str, Any], resume: bool) -> None:
    """Create the folder of a run, or check that it is the folder of this run.

    A run may be resumed with another backend.

    Args:
        folder: The folder.
        identity: Arguments that must be equal when a run is resumed.
        resume: Whether the user asked to resume the run.

    Raises:
        ValueError: If the folder holds another run or other files, or holds this run
            and `resume` is false.
    """
    file = folder / "run.json"
    if file.exists():
        known = read_json(file, f"Delete {folder} and train from scratch")
        different = sorted(
            k for k in identity if k != "backend" and known.get(k) != identity[k]
        )
        if different:
            what = ", ".join(
                f"{k} {known.get(k)!r} and not {identity[k]!r}" for k in different
            )
            raise ValueError(
                f"--out must be the folder of this run; {folder} holds another run, "
                f"with {what}. Choose another --out, or the same arguments."
            )
        if not resume:
            raise ValueError(
                f"--out must be a new folder; {folder} holds this run already. Add "
                "--resume to continue it."
            )
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"--out must be empty or the folder of this run; {folder} is not empty and "
            "holds no run. Choose another --out."
        )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(identity, indent=1).encode())


def slug(row: str) -> str:
    """Return the label of a row as a name for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


@cache
def commit() -> str:
    """Return the commit of the code, with a `+` if the code has changed since.

    The result is empty outside of a Git checkout.
    """
    git = partial(
        subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True
    )
    try:
        head = git(["git", "rev-parse", "--short=10", "HEAD"])
        packages = ":(top)rladder_keras/*.py", ":(top)zoo/*.py"
        changed = git(["git", "status", "--porcelain", "--", *packages])
    except OSError:
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def versions() -> str:
    """Return the versions of Python, Keras, the backend and NumPy."""
    backend = sys.modules[keras.backend.backend()].__version__
    return (
        f"python {platform.python_version()}; keras {keras.__version__}; "
        f"{keras.backend.backend()} {backend}; numpy {np.__version__}"
    )


def device() -> str:
    """Return the accelerator of the backend; otherwise the CPU and its cores."""
    name, module = keras.backend.backend(), sys.modules[keras.backend.backend()]
    if name == "torch" and module.cuda.is_available():
        return module.cuda.get_device_name()
    if name == "jax" and module.default_backend() != "cpu":
        return module.devices()[0].device_kind
    if name == "tensorflow" and module.config.list_physical_devices("GPU"):
        gpu = module.config.list_physical_devices("GPU")[0]
        details = module.config.experimental.get_device_details(gpu)
        return details.get("device_name", gpu.name)
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        model = found.group(1) if found else model
    return f"{model}, {os.cpu_count()} cores"
