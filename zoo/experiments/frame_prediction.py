"""Moving MNIST, ten frames to ten (Srivastava et al., 2015). Not in the paper."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import keras
import numpy as np

from zoo import data
from zoo.arguments import integer, positive
from zoo.data.digits.prediction import GIVEN
from zoo.data.epochs import EpochDataset
from zoo.experiments.experiment import (
    Experiment,
    Sets,
    changed,
    common_smaller,
    digits_smaller,
    sequences_options,
    sized_sets,
    unroll,
    with_training_set_only,
)
from zoo.metrics.pictures import picture_quality, similarity_metrics
from zoo.models import frame_prediction
from zoo.training import schedules

# The protocol of public collections of models: 200 epochs of 10,000 sequences.
SIZE, RATE, BATCH_SIZE, EPOCHS, SEQUENCES = 64, 1e-3, 16, 200, 10_000
ROWS = frame_prediction.ROWS


def options(add: Callable) -> None:
    size = f"side of the frames in pixels; default: {SIZE}"
    add("--size", type=partial(integer, 20), default=SIZE, help=size)
    add(
        "--cosine",
        type=positive,
        default=RATE,
        metavar="RATE",
        help=f"highest learning rate of the cosine decay; default: {RATE:g}",
    )
    sequences_options(add)
    add(
        "--test-file", help="published test set, mnist_test_seq.npy; default: generated"
    )


def load(args: Namespace, row: str) -> Sets:
    similarity_metrics()  # a missing package is noticed before the training
    sets = partial(
        data.moving_mnist_prediction,
        args.digits,
        args.batch_size,
        size=args.size,
        seed=args.seed,
        sequences=args.sequences or SEQUENCES,
        test_file=args.test_file,
    )
    return with_training_set_only(sized_sets(sets, args))


def build(args: Namespace, row: str, train: EpochDataset) -> Callable:
    loop = {"unroll": unroll(args)} if row.startswith("ladder") else {}
    return partial(ROWS[row], args.width, size=args.size, **loop)


def optimizer(args: Namespace, train: EpochDataset) -> Callable | None:
    rate = schedules.cosine_decay(args.cosine, (args.epochs or EPOCHS) * len(train))
    return partial(keras.optimizers.Adam, rate)


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    """Return means over the predictions of hidden frames."""
    given, count = GIVEN, 0
    sums: dict[str, float] = {}
    for i in range(len(test)):
        x, y, _ = test[i]
        predicted = model.predict_on_batch(x)["frame"][:, given - 1 : -1]
        for name, value in picture_quality(y["frame"][:, given:], predicted).items():
            sums[name] = sums.get(name, 0.0) + len(x) * value
        count += len(x)
    return {name: float(np.divide(total, count)) for name, total in sums.items()}


def smaller(args: Namespace) -> Iterator[str]:
    if args.size == SIZE and not args.test_file:
        yield "generated test sequences"
    yield from changed(args, size=(SIZE, "size {}"), cosine=(RATE, "rate {:g}"))
    yield from common_smaller(args, BATCH_SIZE, phases=1)
    yield from digits_smaller(args)


FRAME_PREDICTION = Experiment(
    rows=ROWS,
    options=options,
    data=load,
    build=build,
    # Without --epochs it ends after those of the full size.
    schedule=lambda args: schedules.COSINE._replace(
        settled=lambda rates: len(rates) >= EPOCHS
    ),
    optimizer=optimizer,
    steer=lambda args, row: "frame_mse",
    figures=figures,
    batch_size=lambda args: BATCH_SIZE,
    smaller=smaller,
    phases=1,
    inputs="Sequences of frames, shape (batch, T, side, side, 1), values from 0 to 1, "
    "black from the eleventh frame on, as in zoo.data.moving_mnist_prediction.",
)
