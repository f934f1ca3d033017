"""Train many rows side by side on one GPU, within the seconds that are left.

    code/benchmarks/gpu/queue.sh RUNS --seconds 540 --out OUT

Starts the runs of a queue in their order, each as soon as its share of the GPU is free,
by `run.sh`. Stops them when the time is over, and packs checkpoints into OUT, in few
files of a limited size. The same command resumes every run that is not finished;
`--parts` brings checkpoints from another machine. README.md has the details.

This process imports no framework.
"""

import argparse
import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

STARTED = time.monotonic()
HERE = Path(__file__).parent
WHOLE = 0.9  # of the GPU's memory; the rest is for contexts and what is not pooled
STARTING = 30  # seconds of a run before its first step
LEAST = 120  # seconds below which no run is started
PACKING = 20  # seconds to stop all runs and to pack them
MEGABYTES = 60  # of checkpoints: all files that come home
PART_BYTES = 15 * 2**20  # leaves room for tar's own bytes below 16 MiB
CACHE = "cache"  # of XLA's programs, beside the runs
MPS = "nvidia-cuda-mps-control"
PR_SET_PDEATHSIG = 1  # prctl(2)


class Run(NamedTuple):
    """A line of the queue.

    Attributes:
        share: Of the GPU's memory.
        arguments: Of `zoo.reproduce`.
    """

    share: float
    arguments: tuple

    @property
    def name(self):
        return re.sub(r"[^a-z0-9.]+", "-", " ".join(self.arguments).lower()).strip("-")


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="queue.sh", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("runs", type=Path, help="folder of the runs, kept from command to command")
    add("--seconds", type=float, required=True, help="until this command must be over")
    add("--out", type=Path, required=True, help="folder of what comes home")
    add("--parts", type=Path, help="what came home before: resume these runs")
    add("--queue", type=Path, default=HERE / "queue.txt", help="list of runs")
    add("--megabytes", type=float, default=MEGABYTES, help="that may come home")
    return parser.parse_args(argv)


def main(argv=None):
    """Run the command line; wrong arguments end with one sentence."""
    args = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by a signal"))
    try:
        if args.seconds < LEAST + PACKING:
            raise ValueError(
                f"--seconds must be at least {LEAST + PACKING}, for an epoch and for "
                f"packing; got {args.seconds:g}. Give the queue more time."
            )
        queue = read_queue(args.queue)
        args.runs.mkdir(parents=True, exist_ok=True)
        if args.parts:
            unpack(args.parts, args.runs)
        try:
            with mps():
                failed = work(queue, args.runs, STARTED + args.seconds - PACKING)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            bring_home(queue, args.runs, args.out, args.megabytes * 2**20)
    except (ValueError, OSError, tarfile.TarError, subprocess.SubprocessError) as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit(f"error: {failed} runs failed; OUT has their logs.")


def read_queue(path):
    """The runs of a file, in its order.

    Raises:
        ValueError: If a line is not a share and arguments, or stands there twice.
    """
    queue = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        share, *words = shlex.split(line, comments=True) or [None]
        if share is None:
            continue
        try:
            run = Run(float(share), tuple(words))
        except ValueError:
            run = Run(0.0, tuple(words))
        if not (0 < run.share <= WHOLE and words):
            raise ValueError(
                f"{path}:{number} must be a share of the GPU, above 0 and at most "
                f"{WHOLE}, and the arguments of zoo.reproduce; got {line!r}."
            )
        if run.name in [other.name for other in queue]:
            raise ValueError(
                f"{path}:{number} must be another run than those above; got {line!r}. "
                "Remove the line, or change its --seed."
            )
        queue.append(run)
    return queue


@contextlib.contextmanager
def mps():
    """NVIDIA's Multi-Process Service, if installed: runs then share the GPU at once."""
    if not shutil.which(MPS):
        yield
        return
    for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
        os.makedirs(os.environ.setdefault(name, "/tmp/mps"), exist_ok=True)
    quit_mps()  # that of a command which was killed
    subprocess.run([MPS, "-d"])  # without it runs take turns
    try:
        yield
    finally:
        quit_mps()


def quit_mps():
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [MPS], input="quit -t 5\n", text=True, capture_output=True, timeout=10
        )


def work(queue, folder, end):
    """Keep the GPU full of runs until the time is over, then stop them.

    Args:
        queue: The runs. Those that are over are left out.
        folder: Where each run has a folder of its name.
        end: The time of `time.monotonic` by which all must have stopped.

    Returns:
        How many runs failed.
    """
    waiting = deque(run for run in queue if not over(folder / run.name))
    active, failed = {}, 0
    try:
        while (left := end - time.monotonic()) > 0:
            for run, process in list(active.items()):
                if process.poll() is not None:
                    del active[run]
                    failed += process.returncode != 0
                    print(f"{run.name}: {state(folder / run.name)}", flush=True)
            while waiting and left > LEAST and fits(waiting[0], active):
                run = waiting.popleft()
                active[run] = start(run, folder / run.name, left - STARTING)
            if not active:
                break
            time.sleep(0.1)
    finally:
        stop(active.values())
    return failed


def fits(run, active):
    """Whether the share of a run is free beside those that are at work."""
    return sum(other.share for other in active) + run.share < WHOLE + 1e-6


def start(run, home, seconds):
    """A process that trains, or resumes, a run, and dies with this one."""
    home.mkdir(exist_ok=True)
    env = {
        **os.environ,
        "SECONDS_LEFT": str(int(seconds)),
        "XLA_PYTHON_CLIENT_MEM_FRACTION": str(run.share),
        "JAX_COMPILATION_CACHE_DIR": str(home.parent.resolve() / CACHE),
    }
    with open(home / "log.txt", "a") as log:
        print(f"{run.name}: starts", flush=True)
        return subprocess.Popen(
            [HERE / "run.sh", home, *run.arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )


def die_with_parent():
    """Have Linux kill this process when its parent is gone, however that ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop(processes):
    """End processes; a run loses the epoch that it is in."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def over(home):
    """Whether the figures of a run are recorded, or that it diverged."""
    return (home / "run" / "recorded.json").exists()


def newest_checkpoint(home):
    """The folder of the last checkpoint of a run, or `None`."""
    return max(home.glob("run/checkpoint-*"), default=None)


def state(home):
    """How far a run is: a sentence."""
    checkpoint = newest_checkpoint(home)
    begun = "no epoch"
    if checkpoint:
        progress = json.loads((checkpoint / "progress.json").read_text())
        begun = "epoch {epoch} of phase {phase}".format(**progress)
        if progress["errors"]:
            begun += f", validation error {progress['errors'][-1]:.5f}"
    if over(home):
        return f"over after {begun}"
    said = (home / "log.txt").read_text().splitlines() or [""]
    return f"{begun}; it said last: {said[-1]}"


def bring_home(queue, folder, out, most):
    """Fill `out` with checkpoints, logs and figures, and print how far all runs are."""
    out.mkdir(parents=True, exist_ok=True)
    order = [run.name for run in queue]
    homes = sorted(
        (log.parent for log in folder.glob("*/log.txt")),
        key=lambda home: order.index(home.name) if home.name in order else len(order),
    )
    stays = pack(homes, out, most)
    for home in homes:
        here = " (its checkpoint stays here: no room)" if home in stays else ""
        print(f"{home.name}: {state(home)}{here}", flush=True)
    if figures := [home / "runs.csv" for home in homes if over(home)]:
        merge = [sys.executable, "-P", "-m", "benchmarks.gpu.merge", *figures]
        subprocess.run([*merge, "--runs", out / "runs.csv"], check=True)


def pack(homes, out, most):
    """Write all files of runs into parts: tar files below 16 MiB, of whole files.

    Logs and figures come first, then the checkpoints that fit: first of runs that are
    not over, in the order of `homes`.

    Args:
        homes: Folders of the runs.
        out: Folder of the parts. Parts of an earlier command are removed.
        most: Bytes of all parts together.

    Returns:
        The folders whose checkpoint does not fit.
    """
    files = [
        path
        for home in homes
        for path in sorted(home.rglob("*"))
        if path.is_file() and not re.search(r"/run/(checkpoint|incomplete)-", str(path))
    ]
    stays = []
    for home in sorted(homes, key=over):
        checkpoint = newest_checkpoint(home)
        of_home = sorted(checkpoint.iterdir()) if checkpoint else []
        whole = max(map(size, of_home), default=0) <= PART_BYTES
        if whole and sum(map(size, [*files, *of_home])) <= most:
            files += of_home
        else:
            stays.append(home)
    parts = []
    for path in sorted(files, key=size, reverse=True):
        for part in parts:
            if sum(map(size, [*part, path])) <= PART_BYTES:
                part.append(path)
                break
        else:
            parts.append([path])
    for old in out.glob("part-*.tar"):
        old.unlink()
    for number, part in enumerate(parts, 1):
        with tarfile.open(out / f"part-{number}.tar", "w") as tar:
            for path in part:
                tar.add(path, path.relative_to(homes[0].parent))
    return stays


def size(path):
    """Bytes of a file and of its header in a tar file."""
    return path.stat().st_size + 2048


def unpack(parts, folder):
    """Put runs from another machine into `folder`, but for those that are there.

    Raises:
        ValueError: If there are no parts.
    """
    found = sorted(parts.glob("part-*.tar"))
    if not found:
        raise ValueError(
            f"--parts must be a folder with part-*.tar; got {parts}. Leave --parts out "
            "to start from scratch."
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as temporary:
        for part in found:
            with tarfile.open(part) as tar:
                tar.extractall(temporary, filter="data")
        for home in Path(temporary).iterdir():
            if not (folder / home.name).exists():
                home.rename(folder / home.name)


if __name__ == "__main__":
    main()
