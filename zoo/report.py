"""Write RESULTS.md from `zoo/results/runs.csv` and `zoo/results/paper.csv`.

`python -m zoo.report` writes RESULTS.md, and the table of results in the README.md of
the same folder. `python -m zoo.report --check` exits with an error if one of them is
not up to date. Runs at a reduced size have separate tables without the paper's figures,
because the two cannot be compared.
"""

import argparse
import csv
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from zoo.experiments import EXPERIMENTS
from zoo.experiments.records import COLUMNS, DIVERGED, check_runs
from zoo.experiments.summary import summary, with_summary
from zoo.files import write_whole
from zoo.models.occluded_mnist import FIG_9C

Line = dict[str, str]  # a row of a CSV file by the names of its columns

RESULTS = Path(__file__).parent / "results"
TITLES = {
    "table-1": "Table 1: Occluded Moving MNIST",
    "table-2": "Table 2: Occluded Moving MNIST with few labels",
    "table-3": "Table 3: polyphonic music, negative log-likelihood (nats per step)",
    "table-4": "Table 4: textured MNIST",
    "section-4.3": "Section 4.3: Moving MNIST",
    "appendix-b": "Appendix B: denoising, learned against exact",
    "appendix-c": "Appendix C: next-step prediction, learned against exact",
    "moving-mnist": "Moving MNIST, ten frames to ten (not in the paper)",
}
NOTES = {
    "table-1": "Rows without the prediction task do not depend on the frame weight; "
    'the same runs are in the tables of 2 epochs with and without "frame weight 1 then '
    '0.1". The ladders of the latter were trained by one command for each epoch, see '
    "the lab notebook.",
    "table-2": "Columns have the names of the paper; for runs with fewer than 1,000 "
    'labels, read their number for "1k". MT is the Mean Teacher: the error is that of '
    'the teacher, and "student" that of the student.',
    "table-4": "AMI is the adjusted mutual information of predicted and true groups.",
    "section-4.3": "AMI is the adjusted mutual information of true groups and groups "
    "predicted before the frame is seen. Frame seen: groups of a frame inferred "
    "after it is seen. Last frame, seen: the same for the last frame only.",
}
# The published figures of the other tables are those of several papers.
OF_THE_PAPER = set(TITLES) - {"moving-mnist"}
# For each table: the row without skip connections, which is otherwise the same model as
# the rows with the skip connections of Fig. 9c, and the metrics to compare.
WITHOUT_SKIPS = {
    "appendix-c": ("RLadder, 1 iteration", ["excess mean squared error (%)"]),
    "table-1": ("RLadder", ["classification error (%)", "prediction error (1e-5)"]),
}
HEAD = """# Results

`python -m zoo.report` writes this file from `zoo/results/runs.csv`, the runs of
`python -m zoo.reproduce`, and from `zoo/results/paper.csv`, the figures of the paper.

- Figures are means ± standard deviations over seeds on the test set, with the number of
  seeds. The same seed on another backend counts as another seed.
- All finished runs are included. A run that diverged is counted but has no figure. The
  [lab notebook](docs/lab-notebook.md) describes runs that were stopped, or evaluated
  only on the validation set.
- A row without training has the same figure for all seeds.
- Minutes are wall-clock time of training. Other programs ran on some of the machines,
  so the minutes of two rows may not be comparable. Seeds that were trained together
  each have the minutes of all of them.
- A cell is empty if the row has no such figure, and reads "not run" if no run is
  finished. A commit with `+` had uncommitted changes.
"""
SKIPS = """## The open question of Appendix C

"It would be interesting to see if adding those skip connections help": these are the
dotted arrows of Fig. 9c. The table compares runs that differ only in these connections,
seed by seed. A connection helps if it is better with every seed. A run that diverged
counts as worse.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo.report", description=__doc__)
    check = "compare with the existing file, do not write"
    parser.add_argument("--check", action="store_true", help=check)
    out = "Markdown file to write; default: RESULTS.md"
    parser.add_argument("--out", type=Path, default=Path("RESULTS.md"), help=out)
    source = "CSV file of the runs; default: zoo/results/runs.csv"
    parser.add_argument("--runs", type=Path, default=RESULTS / "runs.csv", help=source)
    args = parser.parse_args(argv)
    paper = read(RESULTS / "paper.csv")
    try:
        runs = read_runs(args.runs)
        pages = {args.out: render(paper, runs)}
        readme = args.out.with_name("README.md")
        if readme.exists():
            page = readme.read_text(encoding="utf-8")
            pages[readme] = with_summary(page, summary(paper, runs, figure))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    for path, text in pages.items():
        if path.is_dir():
            sys.exit(
                f"error: --out must be a file; {path} is a folder. Add the name of a "
                "file."
            )
        if not args.check:
            write_whole(path, text.encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(
                f"error: {path} must be up to date; it is stale. Run `python -m "
                "zoo.report`."
            )


def read(path: Path) -> list[Line]:
    """Read the rows of a CSV file; return an empty list if there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_runs(path: Path) -> list[Line]:
    """Read the rows of a file of runs.

    Raises:
        ValueError: If the file does not exist, is not a file of runs, or is damaged.
    """
    if not path.is_file():
        raise ValueError(
            f"--runs must be an existing file; got {path}. Choose another file."
        )
    check_runs(path)
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines)
        torn = [lines.line_num for line in lines if line and not is_whole(line)]
        if not path.read_bytes().endswith(b"\n"):
            torn.append(lines.line_num)
    if torn:
        raise ValueError(
            f"{path} must be a file of complete runs; it is damaged in line {torn[0]}. "
            "Repair the line, or choose another --runs."
        )
    return read(path)


def is_whole(line: list[str]) -> bool:
    """Return whether a line has all columns, each with a valid value."""
    if len(line) != len(COLUMNS):
        return False
    row = dict(zip(COLUMNS, line, strict=True))
    try:
        known = row["row"] in EXPERIMENTS[row["table"]].rows
        finite = math.isfinite(float(row["value"]) + float(row["seconds"]))
    except (ValueError, KeyError):
        return False
    return known and finite and row["size"] != ""


def render(paper: list[Line], runs: list[Line]) -> str:
    """Return the text of RESULTS.md."""
    sections = [section(table, paper, runs) for table in TITLES]
    return "\n".join([HEAD, *sections, skip_connections(runs)]).rstrip() + "\n"


def section(table: str, paper: list[Line], runs: list[Line]) -> str:
    """Return the section of one table."""
    paper = [line for line in paper if line["table"] == table]
    runs = [line for line in runs if line["table"] == table]
    full = [line for line in runs if line["size"] == "full"]
    parts = [f"## {TITLES[table]}\n"]
    if table in NOTES:
        parts.append(NOTES[table] + "\n")
    parts += ["### Full size\n", *full_size(table, paper, full)]
    for size in sorted(set(unique("size", runs)) - {"full"}):
        of_size = [line for line in runs if line["size"] == size]
        parts += [f"### {size[0].upper()}{size[1:]}\n", *other(table, paper, of_size)]
    return "\n".join(parts)


def full_size(table: str, paper: list[Line], runs: list[Line]) -> Iterator[str]:
    """Yield the part about runs of the paper's size, beside the paper's figures."""
    printed = {(line["row"], line["metric"]): line for line in paper}
    known = list(dict.fromkeys([*unique("row", paper), *EXPERIMENTS[table].rows]))
    yield not_run(table, runs)
    others = [row for row in known if row not in EXPERIMENTS[table].rows]
    if not runs and not others:
        return
    metrics = metrics_of([*paper, *runs])
    lines = []
    for row in known:
        if row in EXPERIMENTS[table].rows and row not in unique("row", runs):
            continue
        cells = []
        for metric in metrics:
            line = printed.get((row, metric), {"value": "", "sd": ""})
            cells.append(" ± ".join(x for x in (line["value"], line["sd"]) if x))
            cells.append(ours(runs, printed, table, row, metric))
        lines.append([row, *cells])
    source = "paper" if table in OF_THE_PAPER else "published"
    header = [f"{metric}, {who}" for metric in metrics for who in (source, "ours")]
    if runs:
        yield f"Ours: {'; '.join(facts(runs))}.\n"
    yield grid(["", *header], lines)


def other(table: str, paper: list[Line], runs: list[Line]) -> Iterator[str]:
    """Yield the part about runs of another size, without the paper's figures."""
    printed = {(line["row"], line["metric"]): line for line in paper}
    metrics = metrics_of([*paper, *runs])
    remark = "Smaller model, less training or lower precision than in the paper"
    if runs[0]["size"].startswith("tuned"):
        remark = "Full size, tuned on the validation set"
    yield f"{remark}. {'; '.join(facts(runs))}.\n"
    lines = []
    for row in EXPERIMENTS[table].rows:
        if row in unique("row", runs):
            cells = [ours(runs, printed, table, row, metric) for metric in metrics]
            lines.append([row, *cells, minutes(runs, row)])
    yield grid(["", *metrics, "minutes"], lines)


def not_run(table: str, runs: list[Line]) -> str:
    """Return one line that names the rows without a run at full size."""
    rows = [row for row in EXPERIMENTS[table].rows if row not in unique("row", runs)]
    return f"Not run at full size: {'; '.join(rows)}.\n" if rows else ""


def unique(name: str, lines: Iterable[Line]) -> list[str]:
    """Return the unique values of a column, in the order of first appearance."""
    return list(dict.fromkeys(line[name] for line in lines))


def metrics_of(lines: Iterable[Line]) -> list[str]:
    """Return the names of the figures, without the mark of a run that diverged."""
    return unique("metric", [line for line in lines if line["metric"] != DIVERGED])


def ours(
    runs: list[Line],
    printed: dict[tuple[str, str], Line],
    table: str,
    row: str,
    metric: str,
) -> str:
    """Return our figure; empty if we do not train the row, or it has no such figure."""
    if row not in EXPERIMENTS[table].rows:
        return ""
    in_paper = {m for r, m in printed if r == row}
    measured = {line["metric"] for line in runs if line["row"] == row}
    if in_paper and metric not in in_paper | measured:
        return ""
    return figure(runs, row, metric)


def latest(runs: list[Line], row: str, metric: str) -> dict[tuple[str, str], float]:
    """Return the value for each backend and seed: the last one of repeated runs."""
    return {
        (line["backend"], line["seed"]): float(line["value"])
        for line in runs
        if (line["row"], line["metric"]) == (row, metric)
    }


def figure(runs: list[Line], row: str, metric: str) -> str:
    """Return mean and standard deviation over the seeds of runs of one size."""
    finished = latest(runs, row, metric)
    values = list(finished.values())
    diverged = latest(runs, row, DIVERGED).keys() - finished.keys()
    lost = f"{len(diverged)} diverged" if diverged else ""
    if not values:
        return lost or "not run"
    mean, n = statistics.mean(values), len(values)
    digits = 2 if mean < 100 else 1
    if len(set(values)) == 1 and not is_trained(runs, row):
        return f"{mean:.{digits}f} (not trained)"
    seeds = ", ".join(x for x in (f"{n} seed{'s' if n > 1 else ''}", lost) if x)
    spread = f" ± {statistics.stdev(values):.{digits}f}" if n > 1 else ""
    return f"{mean:.{digits}f}{spread} ({seeds})"


def is_trained(runs: list[Line], row: str) -> bool:
    """Return whether a row has trained runs. Other rows do not depend on a seed."""
    return any(line["epochs"] != "0" for line in runs if line["row"] == row)


def skip_connections(runs: list[Line]) -> str:
    """Return the section on skip connections (Appendix C).

    It compares runs that differ in the skip connections only.
    """
    lines, answers = [], []
    for table, (without, metrics) in WITHOUT_SKIPS.items():
        of_table = [line for line in runs if line["table"] == table]
        asked = [line for line in of_table if line["row"] in FIG_9C]
        for size in unique("size", asked):
            of_size = [line for line in of_table if line["size"] == size]
            where = f"{TITLES[table].split(':')[0]}, {size}"
            for row in unique("row", [line for line in asked if line["size"] == size]):
                for metric in metrics:
                    cells, answer = compared(of_size, row, without, metric)
                    lines.append([where, row, metric, *cells])
                    answers.append(f"- {where}, {metric}: {row} {answer}.")
    header = ["", "row", "metric", "without skips", "with them", "better seeds"]
    return "\n".join([SKIPS, grid(header, lines), *answers, ""])


def compared(
    runs: list[Line], row: str, without: str, metric: str
) -> tuple[list[str], str]:
    """Compare a row with the row without skip connections, seed by seed.

    Returns:
        Cells of the table, and a verdict in words.
    """
    base, skips = latest(runs, without, metric), latest(runs, row, metric)
    lost = latest(runs, row, DIVERGED).keys() & base.keys() - skips.keys()
    both = base.keys() & skips.keys()
    better, n = sum(skips[k] < base[k] for k in both), len(both | lost)
    figures = figure(runs, without, metric), figure(runs, row, metric)
    if not n:
        return [*figures, ""], "could not be compared: no seed was run with both"
    verdict = {0: "does not help", n: "helps"}.get(better, "is no clear gain")
    found = f"lower in {better} of {n} seed{'s' if n > 1 else ''}"
    return [*figures, f"{better} of {n}"], f"{verdict} ({found})"


def minutes(runs: list[Line], row: str) -> str:
    """Return the mean training time of a row in minutes."""
    spent = {
        (line["backend"], line["seed"], line["metric"]): float(line["seconds"])
        for line in runs
        if line["row"] == row
    }
    return f"{statistics.mean(spent.values()) / 60:.1f}" if spent else ""


def facts(runs: list[Line]) -> Iterator[str]:
    """Yield backend, versions, device, commit and date of the runs, each value once."""
    for name in ("backend", "versions", "device", "commit", "date"):
        values = {line[name] for line in runs if line[name]}
        if name in ("commit", "date"):  # a resumed run may have several
            values = {value for several in values for value in several.split(", ")}
        separator = " and " if name == "versions" else ", "
        if values:
            yield f"{name} {separator.join(sorted(values))}"


def grid(header: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


if __name__ == "__main__":
    main()
