"""`python -m zoo.demo`: use a trained RLadder, then train a small one.

The demo first draws predictions of an RLadder with the weights of this package. It then
trains a small RLadder and the temporal baseline of Table 1 for the same number of steps
on the digits of scikit-learn, and compares both on test sequences. It writes a picture
like Fig. 4, an animation, a picture of the data (Fig. 2) and the trained RLadder. It
takes less than five minutes on two idle CPU cores.
"""

import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np

import zoo
from zoo.arguments import integer, positive
from zoo.data.digits.occlusion import Sequences, copy_error
from zoo.data.digits.sources import Digits
from zoo.files import check_writable
from zoo.models.occluded_mnist import small_table
from zoo.training.memory import keep_freed_memory
from zoo.training.muon import KernelMuon
from zoo.training.protocol import compiled_with
from zoo.training.schedules import cosine_decay
from zoo.weights import card

BATCH_SIZE, STEPS = 10, 100  # sequences of a step, steps of an epoch
RLADDER = "occluded_mnist_rladder"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.demo",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for pictures and model")
    add(
        "--digits", default="sklearn", help="'sklearn', 'mnist', 'auto' or an .npz file"
    )
    epochs = f"epochs for each model, of {STEPS} steps of {BATCH_SIZE} sequences"
    add("--epochs", type=partial(integer, 1), default=10, help=epochs)
    add("--width", type=positive, default=1.0, help="multiplier of all channels")
    seed = "seed of the initial weights and of the training data"
    add("--seed", type=partial(integer, 0), default=0, help=seed)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo."""
    args = arguments(argv)
    keep_freed_memory()
    keras.utils.set_random_seed(args.seed)
    try:
        check_writable(args.out / "data.png", "--out")
        digits = zoo.data.load_digits(args.digits)
        train, _, test = zoo.data.occluded_mnist(
            digits,
            BATCH_SIZE,
            sequences=STEPS * BATCH_SIZE,
            evaluation_sequences=1000,
            seed=args.seed,
        )
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    test.batch_size = 100  # fewer and larger steps
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
    # With a frame weight of 1, the class is learned only after the demo has ended.
    ladder = zoo.occluded_mnist_rladder(args.width, table=small_table, frame_weight=0.1)
    # Muon needs fewer steps than Adam, see docs/lab-notebook.md.
    optimizer = partial(KernelMuon, cosine_decay(5e-3, args.epochs * STEPS))
    models = {
        name: compiled_with(model, optimizer)
        for name, model in (("temporal baseline", baseline), ("RLadder", ladder))
    }
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
        f"Both models are undertrained: each was trained on {seen:,} sequences, and "
        "errors fall until about a million. Train longer with --epochs."
    )
    for name in names[:1]:
        print(f"For comparison, the trained weights {name!r}: {reached(name)}.")

    with room_in(args.out):
        for path in pictures(args.out, "sequence", models["RLadder"], shown):
            print("wrote", path)
        print("wrote", save(args.out, models["RLadder"]))


@contextlib.contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Exit with one sentence if a file cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        sys.exit(
            f"error: --out must be a folder with free space; got {folder} ({error}). "
            "Free some space, or choose another folder."
        )


def different_digits(digits: Digits) -> Sequences:
    """Return one test sequence of each class, in the order of the file."""
    _, _, test = zoo.data.occluded_mnist(
        digits, 100, evaluation_sequences=100, verbose=False
    )
    sequences = test.sequences(0)
    _, first = np.unique(sequences.labels, return_index=True)
    fields = ("digits", "labels", "positions", "velocities")
    chosen = {name: getattr(sequences, name)[np.sort(first)] for name in fields}
    return dataclasses.replace(sequences, **chosen)


def reached(name: str) -> str:
    """Return test figures and training length of trained weights, from their card."""
    known = card(RLADDER, name)
    figures = ", ".join(f"{k} {v:g}" for k, v in known["metrics"].items())
    return f"{figures} after {known['examples']:,} sequences"


def pictures(
    folder: Path, name: str, model: keras.Model, sequences: Sequences
) -> Iterator[Path]:
    """Draw Fig. 4 for the first sequence, as a picture and as an animation."""
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


def save(folder: Path, model: keras.Model) -> Path:
    """Save the model under a temporary name first, then replace an older one."""
    temporary = folder / f".{os.getpid()}.keras"
    try:
        model.save(temporary)
        os.replace(temporary, folder / "rladder.keras")
    finally:
        temporary.unlink(missing_ok=True)
    return folder / "rladder.keras"


if __name__ == "__main__":
    main()
