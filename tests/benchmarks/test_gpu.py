"""`benchmarks/gpu/run.sh` resumes a run on another machine; `merge` adds its runs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from benchmarks.gpu import merge
from zoo import report

pytestmark = pytest.mark.once

BACKEND = keras.backend.backend()
ROOT = Path(__file__).parent.parent.parent
RUN = "code/benchmarks/gpu/run.sh out appendix-b --row 'RLadder, 1 iteration'"
SHORT = " --sequences 200 --batch-size 100 --epochs 2 --verbose 0"


def elsewhere(folder, seconds):
    """The command of the README in a packed folder; the wheels are there already."""
    environment = {"SECONDS_LEFT": str(seconds), "KERAS_BACKEND": BACKEND}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(RUN + SHORT),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.everywhere
@pytest.mark.skipif(BACKEND != "jax", reason="starts processes, on one backend")
def test_a_run_elsewhere_goes_on_and_comes_home(tmp_path, capsys):
    (tmp_path / "code").symlink_to(ROOT)
    (tmp_path / "site").mkdir()
    assert "stopped within the time budget" in elsewhere(tmp_path, 1)
    runs = tmp_path / "out" / "runs.csv"
    assert not runs.exists()
    assert "resumes after epoch 1" in elsewhere(tmp_path, 600)
    assert len(report.read(runs)) == 2
    home = tmp_path / "home.csv"
    for new in (2, 0):
        merge.main([str(runs), "--runs", str(home)])
        assert capsys.readouterr().out == f"{new} new lines in {home}\n"
    assert report.read(home) == report.read(runs)


def test_what_is_no_file_of_runs_is_not_merged(tmp_path):
    diary = tmp_path / "diary.csv"
    with pytest.raises(SystemExit, match="has no figures yet"):
        merge.main([str(diary), "--runs", str(tmp_path / "runs.csv")])
    diary.write_text("dear diary\n")
    with pytest.raises(SystemExit, match="not a file of runs"):
        merge.main([str(diary), "--runs", str(tmp_path / "runs.csv")])
    assert not (tmp_path / "runs.csv").exists()
