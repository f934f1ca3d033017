"""Write RESULTS.md from `zoo/results/runs.csv` and the paper's figures beside it.

`python -m zoo.report` writes it, and the results table of the README.md beside it.
`python -m zoo.report --check` fails if they are not what the files give. Runs at a
reduced size stand in tables of their own, where the paper's figures do not.
"""

import argparse
import csv
import math
import statistics
import sys
from pathlib import Path

from zoo.experiments import EXPERIMENTS
from zoo.experiments.records import COLUMNS, DIVERGED, check_runs
from zoo.experiments.summary import summary, with_summary
from zoo.files import write_whole
from zoo.models.occluded_mnist import FIG_9C

RESULTS = Path(__file__).parent / "results"
TITLES = {
    "table-1": "Table 1: Occluded Moving MNIST",
    "table-2": "Table 2: Occluded Moving MNIST with few labels",
    "table-3": "Table 3: polyphonic music, negative log-likelihood (nats per step)",
    "table-4": "Table 4: textured MNIST",
    "section-4.3": "Section 4.3: Moving MNIST",
    "appendix-b": "Appendix B: denoising, learned against exact",
    "appendix-c": "Appendix C: next-step prediction, learned against exact",
}
# Rows of the tables that differ from those of Fig. 9c in the skip connections only.
WITHOUT_SKIPS = {
    "appendix-c": ("RLadder, 1 iteration", ["excess mean squared error (%)"]),
    "table-1": ("RLadder", ["classification error (%)", "prediction error (1e-5)"]),
}
HEAD = """# Results

Written by `python -m zoo.report` from `zoo/results/runs.csv`, which only
`python -m zoo.reproduce` writes, and `zoo/results/paper.csv`, the figures printed in
the paper. Figures are means ± standard deviations over seeds, with the number of seeds.
Each run that ended is counted, whatever its figure; a run that diverged has no figure.
Runs that were stopped, and those that were judged on the validation set only, have no
line here: the [lab notebook](docs/lab-notebook.md) describes them. A seed on another
backend counts as another seed. A row without training has the same figure for all
seeds. A cell is empty where a row has no such figure.
"""
SKIPS = """## The open question of Appendix C

"It would be interesting to see if adding those skip connections help": the dotted
arrows of Fig. 9c, in runs that differ from those without in nothing else, compared seed
by seed. A connection helps where it is better with every seed; a run that diverged is
not.
"""


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m zoo.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    parser.add_argument("--out", type=Path, default=Path("RESULTS.md"))
    parser.add_argument("--runs", type=Path, default=RESULTS / "runs.csv")
    args = parser.parse_args(argv)
    try:
        runs = read_runs(args.runs)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    paper = read(RESULTS / "paper.csv")
    pages = {args.out: render(paper, runs)}
    readme = args.out.with_name("README.md")
    if readme.exists():
        page = readme.read_text(encoding="utf-8")
        pages[readme] = with_summary(page, summary(paper, runs, figure))
    for path, text in pages.items():
        if path.is_dir():
            sys.exit(f"error: {path} is a folder: give --out the name of a file.")
        if not args.check:
            write_whole(path, text.encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"error: {path} is stale: run `python -m zoo.report`.")


def read(path):
    """Rows of a CSV file as dictionaries; none if there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_runs(path):
    """Rows of a file of runs.

    Raises:
        ValueError: If there is no such file, or it is another one or not whole.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}: choose another --runs.")
    check_runs(path)
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines)
        torn = [lines.line_num for line in lines if line and not is_whole(line)]
        if not path.read_bytes().endswith(b"\n"):
            torn.append(lines.line_num)
    if torn:
        raise ValueError(
            f"{path} is damaged in line {torn[0]}: mend it, or choose another --runs."
        )
    return read(path)


def is_whole(line):
    """Whether a line has all columns, and each what belongs there."""
    if len(line) != len(COLUMNS):
        return False
    row = dict(zip(COLUMNS, line, strict=True))
    try:
        known = row["row"] in EXPERIMENTS[row["table"]].rows
        finite = math.isfinite(float(row["value"]) + float(row["seconds"]))
    except (ValueError, KeyError):
        return False
    return known and finite and row["size"] != ""


def render(paper, runs):
    """The text of RESULTS.md."""
    sections = [section(table, paper, runs) for table in TITLES]
    return "\n".join([HEAD, *sections, skip_connections(runs)]).rstrip() + "\n"


def section(table, paper, runs):
    paper = [line for line in paper if line["table"] == table]
    runs = [line for line in runs if line["table"] == table]
    full = [line for line in runs if line["size"] == "full"]
    parts = [f"## {TITLES[table]}\n", "### Full size\n", *full_size(table, paper, full)]
    for size in sorted(set(unique("size", runs)) - {"full"}):
        of_size = [line for line in runs if line["size"] == size]
        parts += [f"### {size[0].upper()}{size[1:]}\n", *other(table, paper, of_size)]
    return "\n".join(parts)


def full_size(table, paper, runs):
    """Runs as long and as wide as the paper's, beside the figures printed there."""
    printed = {(line["row"], line["metric"]): line for line in paper}
    known = list(dict.fromkeys([*unique("row", paper), *EXPERIMENTS[table].rows]))
    yield not_run(table, runs)
    if not runs:
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
    header = [f"{metric}, {who}" for metric in metrics for who in ("paper", "ours")]
    yield f"Ours: {'; '.join(facts(runs))}.\n"
    yield grid(["", *header], lines)


def other(table, paper, runs):
    """Runs of one size that is not the paper's, without the figures printed there."""
    printed = {(line["row"], line["metric"]): line for line in paper}
    metrics = metrics_of([*paper, *runs])
    remark = "Not comparable with the paper's figures"
    if runs[0]["size"].startswith("tuned"):
        remark = "Full size, tuned on the validation set"
    yield f"{remark}. {'; '.join(facts(runs))}.\n"
    lines = []
    for row in EXPERIMENTS[table].rows:
        if row in unique("row", runs):
            cells = [ours(runs, printed, table, row, metric) for metric in metrics]
            lines.append([row, *cells, seconds(runs, row)])
    yield grid(["", *metrics, "minutes"], lines)


def not_run(table, runs):
    """One line that names the rows without a run at full size."""
    rows = [row for row in EXPERIMENTS[table].rows if row not in unique("row", runs)]
    return f"Not run at full size: {'; '.join(rows)}.\n" if rows else ""


def unique(name, lines):
    """Values of a column, each once, in the order of their first appearance."""
    return list(dict.fromkeys(line[name] for line in lines))


def metrics_of(lines):
    """Names of the figures; that a run diverged is none."""
    return unique("metric", [line for line in lines if line["metric"] != DIVERGED])


def ours(runs, printed, table, row, metric):
    """Our figure; empty where the row is not ours, or has no such figure."""
    if row not in EXPERIMENTS[table].rows:
        return ""
    has_figures = {m for r, m in printed if r == row}
    if (
        has_figures
        and metric not in has_figures
        and metric
        not in unique("metric", [line for line in runs if line["row"] == row])
    ):
        return ""
    return figure(runs, row, metric)


def latest(runs, row, metric):
    """Value of each seed of each backend; where it was run again, the last one."""
    return {
        (line["backend"], line["seed"]): float(line["value"])
        for line in runs
        if (line["row"], line["metric"]) == (row, metric)
    }


def figure(runs, row, metric):
    """Mean and standard deviation over the seeds of runs of one size."""
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


def is_trained(runs, row):
    """Whether some run of a row had epochs: others have no use for a seed."""
    return any(line["epochs"] != "0" for line in runs if line["row"] == row)


def skip_connections(runs):
    """The question of Appendix C, answered by runs that differ in nothing else."""
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


def compared(runs, row, without, metric):
    """A row beside the same without skip connections, seed by seed, and a verdict."""
    base, skips = latest(runs, without, metric), latest(runs, row, metric)
    lost = latest(runs, row, DIVERGED).keys() & base.keys() - skips.keys()
    both = base.keys() & skips.keys()
    better, n = sum(skips[k] < base[k] for k in both), len(both | lost)
    figures = figure(runs, without, metric), figure(runs, row, metric)
    if not n:
        return [*figures, ""], "was not compared, no seed being the same"
    verdict = {0: "does not help", n: "helps"}.get(better, "is no clear gain")
    found = f"lower in {better} of {n} seed{'s' if n > 1 else ''}"
    return [*figures, f"{better} of {n}"], f"{verdict} ({found})"


def seconds(runs, row):
    spent = {
        (line["backend"], line["seed"], line["metric"]): float(line["seconds"])
        for line in runs
        if line["row"] == row
    }
    return f"{statistics.mean(spent.values()) / 60:.1f}" if spent else ""


def facts(runs):
    """What else a reader must know of these runs, each value once."""
    for name in ("backend", "versions", "device", "commit", "date"):
        values = sorted({line[name] for line in runs if line[name]})
        if values:
            yield f"{name} {', '.join(values)}"


def grid(header, lines):
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


if __name__ == "__main__":
    main()
