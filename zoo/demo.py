"""`python -m zoo.demo`: train a small RLadder and look at what it has learned.

Trains the RLadder and the temporal baseline of Table 1, at a size for CPUs, on the
digits that scikit-learn carries, and compares them on test sequences. Writes a picture
like the paper's Fig. 4, an animation, a picture of the data (Fig. 2) and the trained
model.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo.arguments import integer, positive
from zoo.data.occluded_mnist import copy_error
from zoo.heap import keep_freed_memory
from zoo.occluded_mnist import small_table


class TimeLimit(keras.callbacks.Callback):
    """Stops training after a number of seconds, in the midst of an epoch if need be."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.end = time.monotonic() + self.seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() > self.end:
            self.model.stop_training = True


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m zoo.demo", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for pictures and model")
    add("--digits", default="sklearn", help="'sklearn', 'mnist', 'auto' or a file")
    add("--seconds", type=positive, default=190, help="time to train each model")
    add("--epochs", type=partial(integer, 1), default=20, help="of 1000 sequences")
    add("--width", type=positive, default=1.0, help="factor on the channels")
    add("--seed", type=partial(integer, 0), default=0)
    args = parser.parse_args(argv)
    keep_freed_memory()
    keras.utils.set_random_seed(args.seed)
    try:
        train, valid, test = zoo.data.occluded_mnist(
            args.digits, 10, sequences=1000, evaluation_sequences=1000, seed=args.seed
        )
        args.out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"backend {keras.backend.backend()}; pictures and model go to {args.out}/")

    baseline = zoo.occluded_mnist_temporal_baseline(args.width, table=small_table)
    # With a weight of 1 the class would be learned later than a demo lasts.
    ladder = zoo.occluded_mnist_rladder(args.width, table=small_table, frame_weight=0.1)
    models = {"temporal baseline": baseline, "RLadder": ladder}
    figures = {}
    for name, model in models.items():
        print(f"\n{name}: {model.count_params():,} parameters", flush=True)
        train.epoch = 0
        model.fit(
            train,
            epochs=args.epochs,
            callbacks=[TimeLimit(args.seconds)],
            verbose=1 if sys.stdout.isatty() else 2,
        )
        figures[name] = model.evaluate(test, verbose=0, return_dict=True)

    frames = np.concatenate([x for x, _ in (test[i] for i in range(len(test)))])
    print(f"\non {len(frames)} test sequences:")
    for name, values in figures.items():
        error = f"{100 * values['class_error']:.1f} %"
        steps = int(models[name].optimizer.iterations)
        print(f"  classification error, {name}: {error} after {steps} steps")
    copied = 1e5 * float(np.mean(copy_error(frames)))
    predicted = 1e5 * figures["RLadder"]["frame_mse"]
    print(f"  next-frame error (1e-5), copy of the last frame: {copied:.0f}")
    print(f"  next-frame error (1e-5), RLadder: {predicted:.0f}")

    try:
        for path in [*pictures(args.out, ladder, test), save(args.out, ladder)]:
            print("wrote", path)
    except OSError as error:  # such as a full disk
        sys.exit(f"error: --out must be a folder with room; got {args.out} ({error}).")


def pictures(folder, model, test):
    """Figs. 2 and 4 for the first test sequences."""
    sequences = test.sequences(0)
    x, y = test[0]
    outputs = model.predict(x, verbose=0)
    rows = {
        "observed": x[0],
        "predicted": outputs["frame"][0],
        "unoccluded": y["probe"][0],
        "probe": outputs["probe"][0],
        "probabilities": outputs["class"][0],
        "label": int(y["class"][0]),
    }
    yield zoo.show.dataset(folder / "data.png", sequences)
    yield zoo.show.sequence(folder / "sequence.png", **rows)
    yield zoo.show.sequence(folder / "sequence.gif", **rows)


def save(folder, model):
    temporary = folder / f".{os.getpid()}.keras"
    model.save(temporary)
    os.replace(temporary, folder / "rladder.keras")
    return folder / "rladder.keras"


if __name__ == "__main__":
    main()
