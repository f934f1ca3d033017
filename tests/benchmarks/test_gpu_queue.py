"""`benchmarks/gpu/queue.sh` trains many rows side by side and loses none of them."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
from zoo.occluded_mnist import TABLE_1

from benchmarks.gpu import queue
from zoo import report, reproduce
from zoo.experiments import EXPERIMENTS
from zoo.experiments.run import size as size_of

pytestmark = pytest.mark.once

BACKEND = keras.backend.backend()
ROOT = Path(__file__).parent.parent.parent
SHORT = """
# A run that is over soon, and then one that is stopped in the middle.
.6 appendix-b --row "RLadder w/o decoder" --sequences 200 --batch-size 100 --epochs 2
.6 table-1 --row "Optimal reconstruction and static classifier" --ladder small \
--width .1 --digits sklearn --sequences 100 --validation 50 --batch-size 50 \
--phases 1 --epochs 40
"""
FIRST = [
    "RLadder",
    "Hierarchical RNN (encoder only)",
    "RLadder w/o decoder-to-encoder conn.",
    "Optimal reconstruction and static classifier",
    "Temporal baseline",
]


@pytest.mark.skipif(BACKEND != "torch", reason="starts processes, on one backend")
def test_a_killed_queue_loses_nothing_and_is_resumed_on_another_machine(tmp_path):
    here, there = machine(tmp_path / "here"), machine(tmp_path / "there")

    killed = command(here)
    wait_until(lambda: epochs(here) > 0)
    killed.kill()
    killed.communicate()
    wait_until(lambda: not processes_of(here))  # no run outlives the queue
    first = epochs(here)
    assert not (here / "out").exists()

    stopped = command(here)
    wait_until(lambda: epochs(here) > first)
    stopped.terminate()
    output, _ = stopped.communicate(timeout=300)
    second = epochs(here)
    assert stopped.returncode == 1 and f"epoch {second} of phase 1" in output
    assert not processes_of(here)
    files = list((here / "out").iterdir())
    assert len(files) <= 8 and all(f.stat().st_size < 16 * 2**20 for f in files)
    over = report.read(here / "out" / "runs.csv")
    assert [run["table"] for run in over] == ["appendix-b", "appendix-b"]

    (here / "out").rename(there / "parts")
    shutil.rmtree(here / "runs")
    last = command(there, "--parts", "parts")
    output, _ = last.communicate(timeout=300)
    assert last.returncode == 0, output
    (log,) = there.glob("runs/table-1-*/log.txt")
    lines = log.read_text().splitlines()
    starts = [line for line in lines if line.startswith("table-1, ")]
    assert len(starts) == 3 and "starts" in starts[0]
    assert f"resumes after epoch {first} of" in starts[1]
    assert f"resumes after epoch {second} of" in starts[2]
    runs = report.read(there / "out" / "runs.csv")
    assert runs[:-1] == over
    assert (runs[-1]["epochs"], runs[-1]["examples"]) == ("40", "4000")


def machine(folder):
    """A packed folder; the wheels are installed already."""
    (folder / "site").mkdir(parents=True)
    (folder / "code").symlink_to(ROOT)
    (folder / "queue.txt").write_text(SHORT.replace("\\\n", ""))
    return folder


def command(folder, *more):
    """The command of the README, at work."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = "code/benchmarks/gpu/queue.sh runs --seconds 3000 --out out".split()
    return subprocess.Popen(
        [*words, "--queue", "queue.txt", *more],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": BACKEND, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def epochs(folder):
    """How many epochs of the longer run are in its checkpoint."""
    found = folder.glob("runs/table-1-*/run/checkpoint-*")
    return max((int(path.name[-6:]) for path in found), default=0)


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def processes_of(folder):
    """The processes whose command names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] * (os.fsencode(folder) in path.read_bytes())
        except OSError:  # it ended meanwhile
            continue
    return found


def test_each_line_of_the_default_queue_is_a_run_of_full_size():
    runs = queue.read_queue(ROOT / "benchmarks" / "gpu" / "queue.txt")
    arguments = [run.arguments for run in runs]
    sizes = {
        "table-3": "tuned: weights averaged with 0.99, "
        "training pieces moved by up to 6 keys",
        "moving-mnist": "reduced: generated test sequences",
    }
    for args in map(reproduce.arguments, arguments):
        assert args.row in EXPERIMENTS[args.table].rows
        assert size_of(args) == sizes.get(args.table, "full")
    tables = [table for table, *_ in arguments]
    assert list(dict.fromkeys(tables)) == [
        *("table-1", "table-2", "table-3", "table-4", "section-4.3", "moving-mnist")
    ]
    rows = [args.row for args in map(reproduce.arguments, arguments)]
    assert rows[:5] == FIRST and {*rows[: tables.index("table-2")]} == {*TABLE_1}


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("table-1 --row RLadder", "queue.txt:3 must be a share"),
        (".95 table-1 --row RLadder", "queue.txt:3 must be a share"),
        (".2", "queue.txt:3 must be a share"),
        (".2 table-1 --row 'RLadder'", "queue.txt:3 must be another run"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, complaint):
    file = tmp_path / "queue.txt"
    file.write_text(f".1 table-1 --row RLadder # first\n\n{line}\n")
    with pytest.raises(ValueError, match=complaint):
        queue.read_queue(file)


@pytest.fixture
def idle(tmp_path, monkeypatch):
    """Runs that only note what they were given, wait, and end as their line says."""
    script = tmp_path / "run.sh"
    script.write_text(
        '#!/bin/bash\necho "$2 $SECONDS_LEFT $XLA_PYTHON_CLIENT_MEM_FRACTION"\n'
        'echo "begin $2" >> "$1/../events"\nsleep "$3"\n'
        'echo "end $2" >> "$1/../events"\nexit "$4"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(queue, "HERE", tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_a_run_starts_when_its_share_is_free(idle):
    runs = [
        queue.Run(s, (n, w, "0"))
        for s, n, w in zip((0.5, 0.4, 0.3), "abc", ("1", "0.2", "0"), strict=True)
    ]
    assert queue.work(runs, idle, time.monotonic() + 200) == 0
    events = (idle / "events").read_text().split("\n")
    assert set(events[:2]) == {"begin a", "begin b"}
    assert events[2:-1] == ["end b", "begin c", "end c", "end a"]
    _, seconds, share = (idle / runs[0].name / "log.txt").read_text().split()
    assert share == "0.5" and 200 - queue.STARTING - 5 < int(seconds) < 200


def test_runs_are_stopped_when_the_time_is_over(idle, monkeypatch):
    monkeypatch.setattr(queue, "LEAST", 0)
    start = time.monotonic()
    runs = [queue.Run(0.4, (name, "60", "0")) for name in "abc"]
    assert queue.work(runs, idle, start + 0.5) == 0
    assert time.monotonic() - start < 10
    assert "end" not in (idle / "events").read_text()


def test_runs_that_are_over_do_not_start_and_failures_are_counted(idle, capsys):
    done, failing = queue.Run(0.4, ("a", "0", "0")), queue.Run(0.4, ("b", "0", "3"))
    (idle / done.name / "run").mkdir(parents=True)
    (idle / done.name / "run" / "recorded.json").write_text("2")
    assert queue.work([done, failing], idle, time.monotonic() + 200) == 1
    assert "b-0-3: no epoch; it said last: b " in capsys.readouterr().out
    assert "a" not in (idle / "events").read_text()


def a_run(folder, name, *sizes, over=False):
    """A folder of a run as it is on disk, with a checkpoint of files of these sizes."""
    checkpoint = folder / name / "run" / "checkpoint-000003"
    checkpoint.mkdir(parents=True)
    (folder / name / "log.txt").write_text("epoch 3\n")
    progress = {"epoch": 3, "phase": 1, "errors": [0.5]}
    (checkpoint / "progress.json").write_text(json.dumps(progress))
    for i, size in enumerate(sizes):
        (checkpoint / f"shard-{i:03d}.npz").write_bytes(os.urandom(size))
    if over:
        (folder / name / "run" / "recorded.json").write_text("3")
    return folder / name


def test_parts_hold_the_checkpoints_that_fit_and_bring_them_back(tmp_path):
    runs, out = tmp_path / "runs", tmp_path / "out"
    out.mkdir()
    (out / "part-9.tar").write_text("of an earlier command")
    m = 2**20
    done = a_run(runs, "done", 3 * m, over=True)
    first = a_run(runs, "first", 12 * m, 10 * m)
    large = a_run(runs, "large", 12 * m, 12 * m, 8 * m)
    small = a_run(runs, "small", 4 * m)
    (first / "run" / "incomplete-000004").mkdir()
    (first / "run" / "incomplete-000004" / "shard-000.npz").write_bytes(b"torn")
    assert queue.pack([done, first, large, small], out, 29 * m) == [large, done]
    parts = sorted(out.iterdir())
    assert [part.name for part in parts] == ["part-1.tar", "part-2.tar"]
    assert all(part.stat().st_size < 16 * m for part in parts)

    back = tmp_path / "back"
    newer = a_run(back, "small", 10)
    queue.unpack(out, back)
    assert {path.name for path in back.iterdir()} == {p.name for p in runs.iterdir()}
    files = sorted((first / "run" / "checkpoint-000003").iterdir())
    for path in files:
        copy = back / path.relative_to(runs)
        assert copy.read_bytes() == path.read_bytes()
    assert not (back / "first" / "run" / "incomplete-000004").exists()
    assert (newer / "run/checkpoint-000003/shard-000.npz").stat().st_size == 10
    for home in ("large", "done"):  # their logs and figures came along
        assert not (back / home / "run" / "checkpoint-000003").exists()
        assert (back / home / "log.txt").exists()
    assert queue.over(back / "done")


def test_wrong_arguments_end_with_a_sentence(tmp_path):
    arguments = [str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--seconds"]
    with pytest.raises(SystemExit, match="must be at least 140"):
        queue.main([*arguments, "139"])
    with pytest.raises(SystemExit, match="must be a folder with part"):
        queue.main([*arguments, "600", "--parts", str(tmp_path)])
    assert not (tmp_path / "out").exists()


def test_nvidias_service_begins_before_the_runs_and_ends_after_them(
    tmp_path, monkeypatch
):
    control, log = tmp_path / queue.MPS, tmp_path / "log"
    control.write_text(f'#!/bin/bash\necho "$@ $([ $1 ] || cat)" >> {log}\n')
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("PIPE", "LOG"):
        monkeypatch.setenv(f"CUDA_MPS_{name}_DIRECTORY", str(tmp_path / "mps"))
    with pytest.raises(KeyboardInterrupt), queue.mps():
        with open(log, "a") as file:
            file.write("runs\n")
        raise KeyboardInterrupt
    said = [line.split()[0] for line in log.read_text().splitlines() if line.strip()]
    assert said == ["quit", "-d", "runs", "quit"]
    assert (tmp_path / "mps").is_dir()
