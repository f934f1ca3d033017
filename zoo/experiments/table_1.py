"""Table 1: Occluded Moving MNIST (Section 3.1, Appendix D.1)."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras

from zoo import data
from zoo.arguments import OneOrMore, positive
from zoo.data.epochs import EpochDataset
from zoo.experiments.experiment import (
    Experiment,
    Sets,
    changed,
    common_smaller,
    cosine_optimizer,
    cosine_options,
    cosine_or,
    cosine_words,
    digits_smaller,
    sequences_options,
    sized_sets,
    unroll,
)
from zoo.models import occluded_mnist
from zoo.training import schedules

ROWS = occluded_mnist.TABLE_1 | occluded_mnist.WITH_SKIPS
BATCH_SIZE = 100  # from other papers of the same authors; this paper does not say
LADDERS = {
    "paper": occluded_mnist.table_5,
    "reduced": occluded_mnist.reduced_table,
    "small": occluded_mnist.small_table,
}


def options(add: Callable) -> None:
    ladder = "table of levels; default: paper"
    add("--ladder", choices=sorted(LADDERS), default="paper", help=ladder)
    sequences_options(add)
    add(
        "--frame-weight",
        type=positive,
        nargs="+",
        action=OneOrMore,
        metavar="WEIGHT",
        default=occluded_mnist.FRAME_WEIGHT,
        help="weight of the loss of the predicted frames; several weights: one for "
        "each epoch, the last one for the rest; default: "
        f"{occluded_mnist.FRAME_WEIGHT:g}",
    )
    cosine_options(add)


def load(args: Namespace, row: str, **labels: Any) -> Sets:
    sets = partial(
        data.occluded_mnist,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        inputs="reconstruction" if row.startswith("Optimal") else "frames",
        **labels,
    )
    train, valid, test = sized_sets(sets, args)
    merged, _, _ = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def build(args: Namespace, row: str, train: EpochDataset) -> Callable:
    options = {}
    if row.startswith("RLadder"):
        options["frame_weight"] = frame_weights(args)[0]
    return partial(
        ROWS[row],
        args.width,
        table=LADDERS[args.ladder],
        unroll=unroll(args),
        **options,
    )


def frame_weights(args: Namespace) -> list[float]:
    """Return the weights of the predicted frames in the first epochs."""
    given = args.frame_weight
    return given if isinstance(given, list) else [given]


def loss_weights(args: Namespace, row: str, number: int) -> dict[str, float]:
    if not row.startswith("RLadder"):
        return {}
    weights = frame_weights(args)
    weight = weights[min(number, len(weights) - 1)]
    return dict.fromkeys(("frame", "probe"), weight)


def schedule(args: Namespace) -> schedules.Schedule:
    return cosine_or(schedules.D1, args)


def steer(args: Namespace, row: str) -> str:
    return "frame_mse" if "w/o classification" in row else "class_error"


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    values = model.evaluate(test, verbose=0, return_dict=True)
    metrics = {
        "classification error (%)": ("class_error", 100),
        "prediction error (1e-5)": ("frame_mse", 1e5),
    }
    return {
        name: values[metric] * factor
        for name, (metric, factor) in metrics.items()
        if metric in values
    }


def smaller(args: Namespace) -> Iterator[str]:
    yield from changed(args, ladder=("paper", "{} ladder"))
    if args.frame_weight != occluded_mnist.FRAME_WEIGHT:
        # "then", because commas separate the differences.
        yield "frame weight " + " then ".join(f"{w:g}" for w in frame_weights(args))
    yield from cosine_words(args)
    yield from common_smaller(args, BATCH_SIZE, phases=2)
    yield from digits_smaller(args)


TABLE_1 = Experiment(
    rows=ROWS,
    options=options,
    data=load,
    build=build,
    schedule=schedule,
    optimizer=cosine_optimizer,
    steer=steer,
    figures=figures,
    batch_size=lambda args: BATCH_SIZE,
    smaller=smaller,
    loss_weights=loss_weights,
    inputs="Sequences of frames, shape (batch, T, 32, 32, 1), values from 0 to 1, with "
    "digits of 14 x 14 pixels, as in zoo.data.occluded_mnist.",
)
