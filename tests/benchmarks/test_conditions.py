"""The errors by condition have the test figures of the run as their means."""

import csv

import numpy as np
import pytest

from benchmarks import conditions
from zoo import reproduce

pytestmark = pytest.mark.once
ROWS = ["RLadder", "Hierarchical RNN (encoder only)"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    digits = {}
    for part in ("train", "test"):
        digits[f"x_{part}"] = rng.integers(256, size=(24, 28, 28), dtype=np.uint8)
        digits[f"y_{part}"] = rng.integers(10, size=24, dtype=np.uint8)
    np.savez(folder / "digits.npz", **digits)
    common = (
        f"table-1 --ladder small --width 0.1 --digits {folder / 'digits.npz'} "
        f"--sequences 8 --validation 4 --batch-size 4 --epochs 1 --phases 1 "
        f"--verbose 0 --runs {folder / 'runs.csv'}"
    ).split()
    for row in ROWS:
        reproduce.main([*common, "--row", row, "--out", str(folder / row[:7])])
    with open(folder / "runs.csv", newline="") as file:
        return folder, list(csv.DictReader(file))


def test_their_means_are_the_figures_of_the_run(runs, tmp_path):
    folder, lines = runs
    page = tmp_path / "page.md"
    page.write_text("\n".join(["before", *conditions.MARKERS, "after"]))
    folders = [str(folder / row[:7]) for row in ROWS]
    conditions.main(
        [*folders, "--digits", str(folder / "digits.npz"), "--into", str(page)]
    )
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()]
    head = next(row for row in rows if row[-1] == ROWS[-1])
    assert head[1:] == ROWS
    errors = {row[0]: row[1:] for row in rows if len(row) > 1}
    for i, row in enumerate(ROWS):
        figures = {x["metric"]: float(x["value"]) for x in lines if x["row"] == row}
        last = float(errors["class error (%) after frame 5"][i])
        assert last == pytest.approx(figures["classification error (%)"], abs=0.02)
        quarters = [v[i] for k, v in errors.items() if "of the ink" in k]
        assert np.mean([float(q) for q in quarters]) == pytest.approx(last, abs=0.02)
    steps = [errors[f"prediction error (1e-5), {t} to {t + 1}"][0] for t in range(1, 5)]
    mean = np.mean([float(step) for step in steps])
    figures = {x["metric"]: float(x["value"]) for x in lines if x["row"] == "RLadder"}
    assert mean == pytest.approx(figures["prediction error (1e-5)"], rel=2e-3)


def test_a_run_of_another_table_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"table": "table-2", "row": "RLadder"}')
    with pytest.raises(SystemExit, match="must be a run of table-1; got table-2"):
        conditions.load(tmp_path)
