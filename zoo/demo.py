"""`python -m zoo.demo`: look at a trained RLadder, then train a small one.

First writes pictures of what the trained weights of the package see. Then trains the
RLadder and the temporal baseline of Table 1, at a size for CPUs and for the same number
of steps, on the digits that scikit-learn carries, and compares them on test sequences.
Writes a picture like the paper's Fig. 4, an animation, a picture of the data (Fig. 2)
and the model that was trained. Takes less than five minutes on two idle cores.
"""

import argparse
import contextlib
import dataclasses
import os
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo.arguments import integer, positive
from zoo.data.digits.occlusion import copy_error
from zoo.models.occluded_mnist import small_table
from zoo.training.memory import keep_freed_memory
from zoo.weights import card

BATCH_SIZE, STEPS = 10, 100  # of an epoch
RLADDER = "occluded_mnist_rladder"


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m zoo.demo",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for pictures and model")
    add("--digits", default="sklearn", help="'sklearn', 'mnist', 'auto' or a file")
    epochs = f"epochs of {STEPS} steps of {BATCH_SIZE} sequences, for each model"
    add("--epochs", type=partial(integer, 1), default=20, help=epochs)
    add("--width", type=positive, default=1.0, help="factor on the channels")
    add("--seed", type=partial(integer, 0), default=0, help="of weights and data")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    keep_freed_memory()
    keras.utils.set_random_seed(args.seed)
    try:
        digits = zoo.data.load_digits(args.digits)
        train, _, test = zoo.data.occluded_mnist(
            digits,
            BATCH_SIZE,
            sequences=STEPS * BATCH_SIZE,
            evaluation_sequences=1000,
            seed=args.seed,
        )
        args.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"backend {keras.backend.backend()}; pictures and model go to {args.out}/")

    shown = different_digits(digits)
    with room_in(args.out):
        print("wrote", zoo.show.dataset(args.out / "data.png", shown))
    names = zoo.list_weights(RLADDER, data=test.origin)
    for name in names[:1]:
        print(f"\nRLadder with the trained weights {name!r}:")
        print(f"  {reached(name)}")
        trained = zoo.occluded_mnist_rladder(weights=name)
        with room_in(args.out):
            for path in pictures(args.out, "trained", trained, shown):
                print("wrote", path)

    baseline = zoo.occluded_mnist_temporal_baseline(args.width, table=small_table)
    # With a weight of 1 the class would be learned later than a demo lasts.
    ladder = zoo.occluded_mnist_rladder(args.width, table=small_table, frame_weight=0.1)
    models = {"temporal baseline": baseline, "RLadder": ladder}
    figures = {}
    for name, model in models.items():
        steps = f"{args.epochs * STEPS:,} steps"
        print(f"\n{name}: {model.count_params():,} parameters, {steps}", flush=True)
        train.epoch = 0
        verbose = 1 if sys.stdout.isatty() else 2
        model.fit(train, epochs=args.epochs, verbose=verbose)
        figures[name] = model.evaluate(test, verbose=0, return_dict=True)

    frames = np.concatenate([x for x, _ in (test[i] for i in range(len(test)))])
    print(f"\non {len(frames)} test sequences, each model after {steps}:")
    for name, values in figures.items():
        print(f"  classification error, {name}: {100 * values['class_error']:.1f} %")
    copied = 1e5 * float(np.mean(copy_error(frames)))
    predicted = 1e5 * figures["RLadder"]["frame_mse"]
    print(f"  next-frame error (1e-5), copy of the last frame: {copied:.0f}")
    print(f"  next-frame error (1e-5), RLadder: {predicted:.0f}")
    seen = args.epochs * STEPS * BATCH_SIZE
    print(
        f"Both models are undertrained: each saw {seen:,} sequences, and errors fall "
        "for a million. Train longer with --epochs."
    )
    for name in names[:1]:
        print(f"For comparison, the trained weights {name!r}: {reached(name)}.")

    with room_in(args.out):
        for path in pictures(args.out, "sequence", ladder, shown):
            print("wrote", path)
        print("wrote", save(args.out, ladder))


@contextlib.contextmanager
def room_in(folder):
    """Exit with one sentence where a file cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        sys.exit(f"error: --out must be a folder with room; got {folder} ({error}).")


def different_digits(digits):
    """A test sequence of each digit, in the order of the file."""
    _, _, test = zoo.data.occluded_mnist(
        digits, 100, evaluation_sequences=100, verbose=False
    )
    sequences = test.sequences(0)
    _, first = np.unique(sequences.labels, return_index=True)
    fields = ("digits", "labels", "positions", "velocities")
    chosen = {name: getattr(sequences, name)[np.sort(first)] for name in fields}
    return dataclasses.replace(sequences, **chosen)


def reached(name):
    """How long these weights were trained, and what they reach by their card."""
    known = card(RLADDER, name)
    figures = ", ".join(f"{k} {v:g}" for k, v in known["metrics"].items())
    return f"{figures} after {known['examples']:,} sequences"


def pictures(folder, name, model, sequences):
    """Fig. 4 for the first sequence, as a picture and as an animation."""
    outputs = model.predict(sequences.frames, verbose=0)
    rows = {
        "observed": sequences.frames[0],
        "predicted": outputs["frame"][0],
        "unoccluded": sequences.unoccluded[0],
        "probe": outputs["probe"][0],
        "probabilities": outputs["class"][0],
        "label": int(sequences.labels[0]),
    }
    for suffix in (".png", ".gif"):
        yield zoo.show.sequence(folder / f"{name}{suffix}", **rows)


def save(folder, model):
    temporary = folder / f".{os.getpid()}.keras"
    model.save(temporary)
    os.replace(temporary, folder / "rladder.keras")
    return folder / "rladder.keras"


if __name__ == "__main__":
    main()
