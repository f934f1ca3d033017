"""The tables that `python -m zoo.reproduce` trains, as text that needs no Keras.

Keras takes longer to load than `--help` should. This module is therefore the first one
that `zoo` loads, and it answers `python -m zoo.reproduce` and its `--help` at once.
"""

import sys
from typing import NamedTuple


class Table(NamedTuple):
    """What a table is, its rows, and the arguments of one example."""

    title: str
    rows: tuple
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
}
COMMAND = "python -m zoo.reproduce"


def listing():
    """What `--help` prints."""
    lines = [
        f"usage: {COMMAND} TABLE --row ROW [options]",
        "",
        "Train one row of a table and record its test figures. ROW is a label as",
        f"listed here, or 'all'. `{COMMAND} TABLE --help` lists the options.",
    ]
    for name, table in TABLES.items():
        lines += ["", f"{name}: {table.title}", *(f"    {row}" for row in table.rows)]
        lines += [f"  for example: {COMMAND} {name} {table.example}"]
    return "\n".join(lines) + "\n"


def is_asked_for(arguments):
    """Whether the command line of `zoo.reproduce` names no table."""
    return arguments in ([], ["-h"], ["--help"])


# While Python looks for the module of `-m`, "-m" stands in `sys.argv` for its path.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] == "zoo.reproduce":
    if is_asked_for(sys.argv[1:]):
        print(listing(), end="")
        sys.exit()
