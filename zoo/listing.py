"""The list of tables and rows that `python -m zoo.reproduce` can train.

Why this module exists: importing Keras and a backend takes several seconds, which is
too long for `python -m zoo.reproduce --help`. Python imports the package `zoo` before
it runs `zoo.reproduce`, and `zoo` imports this module first. The last lines of this
module print the list and exit before anything imports Keras.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from zoo.arguments import module_to_run


class Table(NamedTuple):
    """A table of the paper.

    Attributes:
        title: What the table is about.
        rows: Labels of its rows, as printed.
        example: Arguments of a command that trains one row.
    """

    title: str
    rows: tuple[str, ...]
    example: str


TABLES = {
    "table-1": Table(
        "Occluded Moving MNIST",
        (
            "Optimal reconstruction and static classifier",
            "Temporal baseline",
            "Hierarchical RNN (encoder only)",
            "RLadder w/o prediction task",
            "RLadder w/o decoder-to-encoder conn.",
            "RLadder w/o classification task",
            "RLadder",
            "RLadder with diagonal skips",
            "RLadder with a recurrent decoder",
            "RLadder with both skips of Fig. 9c",
        ),
        "--row RLadder --ladder small --batch-size 10 --phases 1 --epochs 6",
    ),
    "table-2": Table(
        "Occluded Moving MNIST with few labels",
        (
            "Optimal reconstruction and static classifier",
            "Temporal baseline",
            "RLadder",
        ),
        '--row RLadder --column "1k + 59k, MT"',
    ),
    "table-3": Table(
        "Polyphonic music",
        (
            "RLadder",
            "RLadder (joint)",
            "LSTM of Keras",
            "GRU of Keras",
            "repeat the last step",
            "frequency of each key",
        ),
        "--dataset jsb --row RLadder",
    ),
    "table-4": Table(
        "Textured MNIST",
        (
            "RTagger, 50k labelled",
            "Tagger, 50k labelled",
            "ConvNet, 50k labelled",
            "RTagger, 1k + 49k",
            "Tagger, 1k + 49k",
            "ConvNet, 1k + 49k",
            "RTagger with one iteration, 50k labelled",
            "K-means of pixels, 50k labelled",
            "one mask for all images, 50k labelled",
        ),
        '--row "RTagger, 50k labelled"',
    ),
    "section-4.3": Table(
        "Moving MNIST",
        ("RTagger", "Tagger", "left and right half"),
        "--row RTagger",
    ),
    "appendix-b": Table(
        "Gaussian chain, messages between levels",
        (
            "exact posterior",
            "hand-derived messages, 1 iteration",
            "hand-derived messages, 4 iterations",
            "hand-derived messages, 1000 iterations",
            "RLadder, 1 iteration",
            "RLadder, 4 iterations",
            "RLadder w/o feedback",
            "RLadder w/o decoder",
        ),
        "--row all",
    ),
    "appendix-c": Table(
        "Gaussian chain, messages in time",
        (
            "Kalman filter",
            "hand-derived messages, 1 iteration",
            "hand-derived messages, 20 iterations",
            "RLadder, 1 iteration",
            "RLadder, 2 iterations",
            "RLadder with diagonal skips",
            "RLadder with a recurrent decoder",
            "RLadder with both skips of Fig. 9c",
            "RLadder w/o feedback",
            "RLadder w/o decoder",
        ),
        "--row all",
    ),
    "moving-mnist": Table(
        "Moving MNIST, ten frames to ten (not in the paper)",
        (
            "ladder",
            "ladder w/o decoder-to-encoder conn.",
            "ConvLSTM2D stack",
            "copy of the last frame",
        ),
        "--row ladder --width 0.5 --epochs 10",
    ),
}
COMMAND = "python -m zoo.reproduce"


def listing() -> str:
    """Return the text that `--help` prints."""
    lines = [
        f"usage: {COMMAND} TABLE --row ROW [options]",
        "",
        "Train one row of a table and record its test figures. ROW is a label from",
        f"this list, or 'all'. `{COMMAND} TABLE --help` lists the options.",
    ]
    for name, table in TABLES.items():
        lines += ["", f"{name}: {table.title}", *(f"    {row}" for row in table.rows)]
        lines += [f"  for example: {COMMAND} {name} {table.example}"]
    return "\n".join(lines) + "\n"


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Return whether the command line of `zoo.reproduce` asks for the list."""
    return list(arguments) in ([], ["-h"], ["--help"])


module, arguments = module_to_run()
if module == "zoo.reproduce" and is_asked_for(arguments):
    print(listing(), end="")
    sys.exit()
