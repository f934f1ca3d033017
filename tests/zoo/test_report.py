"""RESULTS.md, from runs and the paper's figures."""

import pytest

from zoo import report
from zoo.experiments import records
from zoo.experiments.summary import (
    BEGIN,
    END,
    JOINT_ROWS,
    ROWS,
    group,
    other_size,
    summary,
)

pytestmark = pytest.mark.once


def line(seed, value, size="full", row="RLadder", backend="jax"):
    return {
        **dict.fromkeys(records.COLUMNS, ""),
        "table": "table-1",
        "row": row,
        "metric": "classification error (%)",
        "seed": seed,
        "value": value,
        "size": size,
        "backend": backend,
        "seconds": "60",
    }


def test_the_report_keeps_reduced_runs_away_from_the_papers_figures():
    paper = report.read(report.RESULTS / "paper.csv")
    text = report.render(
        paper, [line("0", "1.0"), line("1", "2.0"), line("0", "30", "reduced: tiny")]
    )
    full, reduced = text.split("### Reduced: tiny")
    reduced = reduced.split("## Table")[0]
    assert "| 0.74 ± 0.09 | 1.50 ± 0.71 (2 seeds) |" in full
    assert "30.00 (1 seed)" in reduced and "0.74" not in reduced
    # Only rows that were run have a line; the others of the full size are named.
    assert "| Temporal baseline |" not in full.split("## Table 2")[0]
    assert (
        "Not run at full size: Optimal reconstruction and static classifier; " in full
    )
    assert "| Temporal baseline |" not in reduced
    # Figures of the paper that no run stands beside are left to the paper.
    assert "2.02 ± 0.16" not in text


def test_a_task_that_a_row_does_not_have_leaves_its_cell_empty():
    size, row = "reduced: tiny", "RLadder w/o classification task"
    run = {**line("0", "250", size, row), "metric": "prediction error (1e-5)"}
    text = report.render(report.read(report.RESULTS / "paper.csv"), [run])
    assert f"| {row} |  | 250.0 (1 seed) | 1.0 |" in text


def test_a_seed_that_was_run_again_counts_once():
    runs = [line("0", "1.0"), line("0", "3.0")]
    name = "classification error (%)"
    assert report.figure(runs, "RLadder", name) == "3.00 (1 seed)"
    elsewhere = [*runs, line("0", "5.0", backend="torch")]
    assert report.figure(elsewhere, "RLadder", name) == "4.00 ± 1.41 (2 seeds)"


def test_what_is_not_trained_has_one_figure_and_no_seeds():
    name = "classification error (%)"
    runs = [{**line(seed, "45.56"), "epochs": "0"} for seed in "012"]
    assert report.figure(runs, "RLadder", name) == "45.56 (not trained)"
    random = [*runs, {**line("3", "45.58"), "epochs": "0"}]  # drawn without training
    assert report.figure(random, "RLadder", name).endswith("± 0.01 (4 seeds)")
    trained = [{**line(seed, "45.56"), "epochs": "5"} for seed in "01"]
    assert report.figure(trained, "RLadder", name) == "45.56 ± 0.00 (2 seeds)"


def test_a_stale_report_is_found(tmp_path):
    out = tmp_path / "RESULTS.md"
    with pytest.raises(SystemExit, match="stale"):
        report.main(["--check", "--out", str(out)])
    report.main(["--out", str(out)])
    report.main(["--check", "--out", str(out)])
    with pytest.raises(SystemExit, match="is a folder. Add the name of a file"):
        report.main(["--out", str(tmp_path)])


HEADER = ",".join(records.COLUMNS) + "\n"
ROW = ",".join(line("0", "1.0").values()) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must be an existing file; got .*runs.csv. Choose"),
        (b"", "runs.csv is not a file of runs"),
        (b"\x89PNG\r\n\xff", "runs.csv is not a file of runs"),
        ((HEADER + ROW + ROW[:-30] + "\n" + ROW).encode(), "damaged in line 3"),
        ((HEADER + ROW + ROW[:-30]).encode(), "damaged in line 3"),
        ((HEADER + ROW + ROW[:-1]).encode(), "damaged in line 3"),
        ((HEADER + ROW.replace("1.0", "one")).encode(), "damaged in line 2"),
        ((HEADER + ROW.replace("1.0", "nan")).encode(), "damaged in line 2"),
        ((HEADER + ROW.replace(",full,", ",,")).encode(), "damaged in line 2"),
        ((HEADER + ROW.replace("RLadder", "Rladder")).encode(), "damaged in line 2"),
        ((HEADER + ROW.replace("table-1", "table-7")).encode(), "damaged in line 2"),
    ],
)
def test_a_file_that_holds_no_runs_or_half_of_one_is_refused(
    tmp_path, content, message
):
    runs, out = tmp_path / "runs.csv", tmp_path / "RESULTS.md"
    if content is not None:
        runs.write_bytes(content)
    out.write_text("before")
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        report.main(["--runs", str(runs), "--out", str(out)])
    assert out.read_text() == "before"


def test_a_report_is_made_of_the_runs_that_are_named(tmp_path):
    runs, out = tmp_path / "runs.csv", tmp_path / "RESULTS.md"
    runs.write_text(HEADER + ROW)
    report.main(["--runs", str(runs), "--out", str(out)])
    assert "1.00 (1 seed)" in out.read_text(encoding="utf-8")


def lost(*args, **kwargs):
    return {**line(*args, **kwargs), "metric": records.DIVERGED}


def test_a_run_that_diverged_is_counted():
    name = "classification error (%)"
    runs = [line("0", "1.0"), lost("1", "4")]
    assert report.figure(runs, "RLadder", name) == "1.00 (1 seed, 1 diverged)"
    assert report.figure(runs[1:], "RLadder", name) == "1 diverged"
    again = [*runs, line("1", "2.0")]
    assert report.figure(again, "RLadder", name) == "1.50 ± 0.71 (2 seeds)"
    assert "diverged in" not in report.render([], runs)


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        (("2.0", "1.0"), "helps (lower in 2 of 2 seeds)"),
        (("2.0", "5.0"), "is no clear gain (lower in 1 of 2 seeds)"),
        (("4.0", "5.0"), "does not help (lower in 0 of 2 seeds)"),
        (("2.0", None), "is no clear gain (lower in 1 of 2 seeds)"),
        (("2.0", ""), "helps (lower in 1 of 1 seed)"),
        (("", "", "2.0"), "could not be compared: no seed was run with both"),
    ],
)
def test_the_question_of_the_skip_connections_is_answered_by_seeds(values, answer):
    row = "RLadder with diagonal skips"
    runs = [line("0", "3.0"), line("1", "4.0")]
    for seed, value in enumerate(values):
        if value is None:
            runs.append(lost(str(seed), "1", row=row))
        elif value:
            runs.append(line(str(seed), value, row=row))
    text = report.skip_connections(runs)
    assert f"Table 1, full, classification error (%): {row} {answer}." in text


def test_the_readme_beside_the_results_gets_their_table(tmp_path):
    out, readme = tmp_path / "RESULTS.md", tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    report.main(["--out", str(out)])
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n")
    assert "stale" not in text
    blocks = [block.splitlines() for block in text.split("\n\n")]
    lines, joint = (block for block in blocks if block[0].startswith("|"))
    assert len(lines) == 2 + len(ROWS) and len(joint) == 2 + len(JOINT_ROWS)
    for table in lines, joint:
        assert len({line.count("|") for line in table}) == 1
    runs = report.read(report.RESULTS / "runs.csv")
    full = [line for line in runs if line["size"] == "full"]
    cell = report.figure(full, "RLadder", "JSB Chorales")
    assert sum(f"| {cell} |" in line for line in lines) == 1
    assert "| TP-LSTM-NADE | 5.49 | 1.64 | 4.34 | 5.92 |" in joint
    report.main(["--out", str(out), "--check"])
    readme.write_text(text.replace(cell, "0.00"))
    with pytest.raises(SystemExit, match="README.md must be up to date; it is stale"):
        report.main(["--out", str(out), "--check"])


def test_figures_with_inputs_that_the_paper_does_not_have_are_marked():
    size = "reduced: tiny, position in the bar as input"
    music = {"table": "table-3", "metric": "Nottingham", "value": "1.5"}
    three = (size, "RLadder"), (size, "RLadder (joint)"), ("full", "RLadder")
    runs = [{**line("0", "", *run), **music, "date": "2026-01-01"} for run in three]
    text = summary([], runs, report.figure)
    assert "|  | 1.50 (1 seed) | 1.50 (1 seed) * |" in text
    assert "| RLadder |  | 1.50 (1 seed) * |  |  |" in text


def test_the_last_column_is_the_size_that_has_most_rows_of_an_experiment():
    runs = [
        {**line("0", "1", size, row), "date": date}
        for size, row, date in (
            ("reduced: a", "RLadder", "2026-01-01"),
            ("reduced: a", "Hierarchical RNN (encoder only)", "2026-01-01"),
            ("reduced: b", "RLadder", "2026-01-02"),
            ("tuned: c", "RLadder", "2026-01-03"),
            ("reduced: d", "RLadder", "2026-01-01"),
            ("full", "RLadder", "2026-01-04"),
        )
    ]
    assert other_size(group(0), runs) == "reduced: a"
    assert other_size(group(0), runs[2:]) == "tuned: c"
    assert other_size(group(0), runs[5:]) is None
    seeds = [{**line(seed, "1", "reduced: e"), "date": "2026-01-03"} for seed in "01"]
    assert other_size(group(0), runs[2:] + seeds) == "reduced: e"
    music = [{**x, "table": "table-3", "metric": "Nottingham"} for x in runs[2:4]]
    (nottingham,) = (i for i, row in enumerate(ROWS) if row[0] == "Nottingham")
    assert other_size(group(nottingham), runs + music[:1]) == "reduced: b"
    assert len(group(nottingham)) == 1 and len(group(0)) == 6
