"""The results tables of the README, with the paper's figures beside ours."""

import re
from collections.abc import Callable
from itertools import takewhile

Line = dict[str, str]  # a row of a CSV file by the names of its columns
Figure = Callable[[list[Line], str, str], str]  # one cell, of runs, row and metric

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
STATIC = "Optimal reconstruction and static classifier"
ENCODER = "Hierarchical RNN (encoder only)"
NO_FEEDBACK = "RLadder w/o decoder-to-encoder conn."
ERROR, PREDICTION = "classification error (%)", "prediction error (1e-5)"
FEW = "error (%), 1k + 59k"
GROUPS = "RTagger, 50k labelled"
AMI, ONCE = "AMI, iteration 3", "AMI, iteration 1"
SQUARED = "squared error of a frame, sum over pixels"
EIGHTHS = "JSB Chorales in eighth notes"
NATS = "negative log-likelihood (nats per time step)"
# Experiment, table, row, metric, and the name of the metric in the README. Rows without
# an experiment belong to the one above.
ROWS = [
    ("Occluded Moving MNIST, Table 1", "table-1", STATIC, ERROR, ERROR),
    ("", "table-1", ENCODER, ERROR, ERROR),
    ("", "table-1", "RLadder w/o prediction task", ERROR, ERROR),
    ("", "table-1", NO_FEEDBACK, ERROR, ERROR),
    ("", "table-1", "RLadder", ERROR, ERROR),
    ("", "table-1", "RLadder", PREDICTION, PREDICTION),
    (
        "Table 2, 1,000 labelled digits, without Mean Teacher",
        "table-2",
        "Temporal baseline",
        FEW,
        ERROR,
    ),
    ("", "table-2", "RLadder", FEW, ERROR),
    ("Table 3, chorales, quarter notes", "table-3", "RLadder", "JSB Chorales", NATS),
    ("chorales, eighth notes", "table-3", "RLadder", EIGHTHS, NATS),
    ("Piano-midi.de", "table-3", "RLadder", "Piano-midi.de", NATS),
    ("Nottingham", "table-3", "RLadder", "Nottingham", NATS),
    ("MuseData", "table-3", "RLadder", "MuseData", NATS),
    ("Textured MNIST, Table 4", "table-4", GROUPS, AMI, "AMI"),
    ("", "table-4", "one mask for all images, 50k labelled", ONCE, "AMI"),
    ("Moving MNIST, Section 4.3", "section-4.3", "RTagger", "AMI", "AMI"),
    ("", "section-4.3", "left and right half", "AMI", "AMI"),
    ("Moving MNIST, ten frames to ten", "moving-mnist", "ladder", "MSE", SQUARED),
    ("", "moving-mnist", "ConvLSTM2D stack", "MSE", SQUARED),
    ("", "moving-mnist", "copy of the last frame", "MSE", SQUARED),
]
# The best models of the joint distribution in Table 3, and ours.
JOINT_ROWS = (
    "RNN-NADE (joint)",
    "LSTM-NADE (joint)",
    "TP-LSTM-NADE (joint)",
    "BALSTM (joint)",
    "RLadder (joint)",
)
CORPORA = "Piano-midi.de", "Nottingham", "MuseData", "JSB Chorales"
TEXT = """\
Figures on the test sets, written by `python -m zoo.report`: means ± standard deviations
over seeds. A "full size" run has the paper's model and training. A "reduced" run has a
smaller model, less training or lower precision, and often other hyperparameters, chosen
on the validation set. A "tuned" run has such hyperparameters at full size. If there are
several such sizes, the table has the one with most rows, and of these the newest.
Compare reduced and tuned figures only within an experiment. A cell is empty if the run
is missing, or if the paper has no such figure. AMI is the adjusted mutual information
of predicted and true groups of pixels: 1 is perfect, 0 is chance. An asterisk marks
networks with inputs that the paper's network does not have: the position in bars of
several lengths, and the notes that followed earlier occurrences of the passage just
played.
"""
TEXT_JOINT = """\
Models of the joint distribution of the keys, as negative log-likelihood in nats per
time step. The figures of the other models are from Table 3. The RLadder has half the
width of Table 8. JSB Chorales are in quarter notes.
"""


def summary(paper: list[Line], runs: list[Line], figure: Figure) -> str:
    """Return the tables as Markdown, with texts that explain them.

    Args:
        paper: Rows of `paper.csv`.
        runs: Rows of `runs.csv`.
        figure: Function that writes one cell.
    """
    lines = ["| experiment | model | metric | paper | full size | reduced or tuned |"]
    lines += ["| --- | --- | --- | ---: | ---: | ---: |"]
    other = None
    for i, (experiment, table, row, metric, name) in enumerate(ROWS):
        if experiment:
            other = other_size(group(i), runs)
        printed = [
            " ± ".join(filter(None, (line["value"], line["sd"])))
            for line in paper
            if (line["table"], line["row"], line["metric"]) == (table, row, metric)
        ]
        of_table = [line for line in runs if line["table"] == table]
        cells = [cell(of_table, size, row, metric, figure) for size in ("full", other)]
        cells = [experiment, row, name, *(printed or [""]), *cells]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", TEXT_JOINT, *joint(paper, runs, figure)]
    return "\n".join(["", TEXT, *lines, ""])


def cell(
    runs: list[Line], size: str | None, row: str, metric: str, figure: Figure
) -> str:
    """Return the figure of the runs of one size, or an empty cell."""
    found = figure([line for line in runs if line["size"] == size], row, metric)
    more = " *" if size and "as input" in size else ""
    return "" if found == "not run" else found + more


def joint(paper: list[Line], runs: list[Line], figure: Figure) -> list[str]:
    """Return the table of the joint distribution of the keys, as lines of Markdown."""
    printed = {(line["row"], line["metric"]): line["value"] for line in paper}
    lines = [f"| {' | '.join(['model', *CORPORA])} |"]
    lines += [f"| --- | {' | '.join('---:' for _ in CORPORA)} |"]
    for row in JOINT_ROWS:
        cells = []
        for corpus in CORPORA:
            size = other_size([("", "table-3", row, corpus, NATS)], runs)
            ours = cell(runs, size, row, corpus, figure)
            cells.append(printed.get((row, corpus), ours))
        lines.append(f"| {' | '.join([row.removesuffix(' (joint)'), *cells])} |")
    return lines


def group(first: int) -> list[tuple[str, ...]]:
    """Return the rows of the experiment that begins with the row of this index."""
    rest = takewhile(lambda row: not row[0], ROWS[first + 1 :])
    return [ROWS[first], *rest]


def other_size(rows: list[tuple[str, ...]], runs: list[Line]) -> str | None:
    """Return the reduced or tuned size that has most rows of an experiment.

    Among several sizes it is the one of the newest run, and among those of one day the
    one with most seeds. The result is `None` if there is no such run.

    Args:
        rows: Rows of the experiment, from `ROWS`.
        runs: Rows of `runs.csv`.
    """
    wanted = {(table, row, metric) for _, table, row, metric, _ in rows}
    sizes: dict[str, list] = {}
    for line in runs:
        cell, size = (line["table"], line["row"], line["metric"]), line["size"]
        if cell in wanted and size != "full":
            sizes.setdefault(size, []).append((cell, line["date"]))

    def rank(size):
        cells, dates = zip(*sizes[size], strict=True)
        return len(set(cells)), max(dates), len(cells)

    return max(sizes, key=rank, default=None)


def with_summary(page: str, text: str) -> str:
    """Return a page with `text` between the two markers."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if not re.search(pattern, page, re.DOTALL):
        raise ValueError(
            f"README.md must have the lines {BEGIN} and {END}; got none. Add them."
        )
    block = f"{BEGIN}\n{text}\n{END}"
    return re.sub(pattern, lambda _: block, page, flags=re.DOTALL)
