"""The benchmark of training time trains real models, and writes its table."""

import pytest

from benchmarks import command, table, time_to_error

pytestmark = pytest.mark.once

MODEL = "Temporal baseline"


def test_time_until_the_error_is_below_each_threshold(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    small = "--digits sklearn --ladder small --width 0.2 --cosine 0.005 --phases 1"
    monkeypatch.setattr(time_to_error, "PROTOCOL", small)
    monkeypatch.setattr(time_to_error, "EACH", 40)
    monkeypatch.setattr(time_to_error, "PERCENT", (101, 100.5, 0))
    results, page = tmp_path / "errors.csv", tmp_path / "speed.md"
    page.write_text("\n".join(time_to_error.MARKERS))
    options = f"--sequences 80 --validation 20 --out {results} --page {page}".split()
    time_to_error.main(["--models", MODEL, *options])
    (row,) = table.read(results)
    assert row["sequences_to_101"] == row["sequences_to_100.5"] == "40"
    assert 0 < float(row["s_to_101"]) and "sequences_to_0" not in row
    assert f"| {row['backend']} | {MODEL} | 40 | " in page.read_text()
    assert page.read_text().count("|  |  |") == 1


def test_threshold_that_is_not_reached_is_blank(tmp_path):
    results, page = tmp_path / "errors.csv", tmp_path / "speed.md"
    row = dict(device="CPU", cores=1, batch=20, date="2026-01-01", commit="abc")
    row |= {"versions": "Keras 3, torch 2", "backend": "torch", "model": MODEL}
    row |= {"s_to_10": 150.0, "sequences_to_10": 12_500}
    table.save(results, [row], time_to_error.KEY)
    page.write_text("\n".join(["before", *time_to_error.MARKERS, "after"]))
    time_to_error.main(["--render", "--out", str(results), "--page", str(page)])
    written = page.read_text()
    assert written.startswith("before\n") and written.endswith("after")
    assert f"| torch | {MODEL} | 12,500 | 2.5 |  |  |" in written
    assert "on CPU (1 core), measured" in written


def test_markers_are_in_the_page():
    table.parts(command.PAGE, time_to_error.MARKERS)
