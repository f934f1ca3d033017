"""Errors of trained rows of Table 1 under different conditions.

    python -m benchmarks.conditions RUN [RUN ...] --into docs/lab-notebook.md

RUN is the folder of a run of `python -m zoo.reproduce table-1`. All runs see the same
test sequences. The table shows where they differ: with the number of frames, with the
share of the digit that was visible, with bars at another place, in sequences longer
than those of the training, and from transition to transition.
"""

import argparse
from argparse import Namespace
from pathlib import Path

import numpy as np

from benchmarks import table
from zoo.data import load_digits
from zoo.data.digits.occluded import OccludedMNIST
from zoo.data.digits.occlusion import ink_seen
from zoo.data.digits.sets import TEST_SEED
from zoo.experiments import EXPERIMENTS
from zoo.files import read_json
from zoo.training import checkpoint

MARKERS = "<!-- conditions:begin -->", "<!-- conditions:end -->"
OTHER_PHASE, LONG = 8, 10
QUARTERS = 4


def load(folder):
    """Return the row of a run, and its model with the weights of its checkpoint."""
    run = read_json(folder / "run.json")
    args = Namespace(**run, unroll="auto")
    if run["table"] != "table-1":
        raise SystemExit(
            f"{folder} must be a run of table-1; got {run['table']}. Choose another "
            "folder."
        )
    model = EXPERIMENTS["table-1"].build(args, run["row"], None)()
    checkpoint.load(folder, model, optimizer=False)
    return run["row"], model


def wrong(outputs, sequences, t=-1):
    """Return which sequences have a wrong class after frame t, booleans of `(B,)`."""
    return outputs["class"][:, t].argmax(axis=-1) != sequences.labels


def squared(outputs, name, frames):
    """Return the squared errors of an output in frames 2 to T, `(B, T - 1)`, in 1e-5.

    Args:
        outputs: Outputs of the model.
        name: `"frame"` or `"probe"`.
        frames: The frames that this output predicts, one step later.
    """
    errors = np.square(outputs[name][:, :-1] - frames[:, 1:])
    return 1e5 * errors.mean(axis=(2, 3, 4))


def conditions(model, usual, moved, long):
    """Return the errors of a model, by the name of the condition.

    Args:
        model: Model of Table 1.
        usual: `Sequences` of the test set.
        moved: The same digits and movements behind bars at another place.
        long: `Sequences` of more frames.
    """
    found = {}
    outputs = [model.predict(s.frames, verbose=0) for s in (usual, moved, long)]
    if "class" in model.output_names:
        for t in range(usual.frames.shape[1]):
            rate = 100 * wrong(outputs[0], usual, t).mean()
            found[f"class error (%) after frame {t + 1}"] = rate
        seen = ink_seen(usual)[:, -1]
        order = np.argsort(seen, kind="stable")
        for part in np.array_split(order, QUARTERS):
            low, high = 100 * seen[part].min(), 100 * seen[part].max()
            name = f"class error (%), {low:.0f} to {high:.0f} % of the ink was visible"
            found[name] = 100 * wrong(outputs[0], usual)[part].mean()
        name = f"class error (%), bars moved by {OTHER_PHASE - usual.phase} pixels"
        found[name] = 100 * wrong(outputs[1], moved).mean()
        for t in range(usual.frames.shape[1], long.frames.shape[1]):
            rate = 100 * wrong(outputs[2], long, t).mean()
            found[f"class error (%) after frame {t + 1} of {LONG}"] = rate
    for name, frames, words in (
        ("frame", usual.frames, "prediction error (1e-5)"),
        ("probe", usual.unoccluded, "error of the probe (1e-5)"),
    ):
        if name in model.output_names:
            for t, error in enumerate(squared(outputs[0], name, frames).mean(axis=0)):
                found[f"{words}, {t + 1} to {t + 2}"] = error
    if "frame" in model.output_names:
        later = squared(outputs[2], "frame", long.frames)[:, usual.frames.shape[1] :]
        found[f"prediction error (1e-5), 6 to {LONG}"] = later.mean()
    return found


def lines_of(found, n):
    """Return the lines of the table in Markdown.

    Args:
        found: Result of `conditions` for each run, by a name of the run.
        n: Number of sequences.
    """
    names = list(dict.fromkeys(name for errors in found.values() for name in errors))
    head = f"| {n:,} test sequences | {' | '.join(found)} |"
    lines = [head, "| --- |" + " ---: |" * len(found)]
    for name in names:
        digits = 0 if "1e-5" in name else 2
        cells = [
            f"{errors[name]:.{digits}f}" if name in errors else ""
            for errors in found.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("runs", type=Path, nargs="+", help="folders of runs of zoo.reproduce table-1")
    add("--digits", default="mnist", help="'mnist', 'sklearn' or an .npz file")
    add("--sequences", type=int, help="test sequences; default: one for each digit")
    add("--into", type=Path, help="file with markers to write the table into")
    args = parser.parse_args(argv)
    if args.into:
        table.parts(args.into, MARKERS)
    digits = load_digits(args.digits)
    n = args.sequences or len(digits.test.images)
    sets = [
        OccludedMNIST(*digits.test, n, seed=TEST_SEED, sequences=n, **more).sequences(0)
        for more in ({}, {"phase": OTHER_PHASE}, {"frames": LONG})
    ]
    found = {}
    for folder in args.runs:
        row, model = load(folder)
        name = row if row not in found else f"{row}, {folder.name}"
        found[name] = conditions(model, *sets)
        print(name, {k: round(float(v), 2) for k, v in found[name].items()}, flush=True)
    lines = lines_of(found, n)
    print("\n".join(lines))
    if args.into:
        table.put(args.into, MARKERS, ["", *lines, ""])


if __name__ == "__main__":
    main()
