"""Appendices B and C: Gaussian chains."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import keras

from zoo import data
from zoo.arguments import integer, positive
from zoo.data.chains import Chain
from zoo.data.epochs import EpochDataset
from zoo.experiments.experiment import (
    Experiment,
    Sets,
    changed,
    common_smaller,
    unroll,
    with_training_set_only,
)
from zoo.models import gaussian_chain
from zoo.training import schedules

RATE = 0.01


def options(sequences: int, add: Callable) -> None:
    add(
        "--sequences",
        type=partial(integer, 1),
        help="sequences in an epoch, in the validation and in the test set; default: "
        f"{sequences}",
    )
    add(
        "--rate",
        type=positive,
        default=RATE,
        help=f"learning rate of the first epoch; default: {RATE:g}",
    )


def load(chain: Chain, steps: int, sequences: int, args: Namespace, row: str) -> Sets:
    sequences = args.sequences or sequences
    sets = data.gaussian_chain(
        chain,
        args.batch_size,
        steps=steps,
        sequences=sequences,
        evaluation=sequences,
        seed=args.seed,
    )
    return with_training_set_only(sets)


def build(
    rows: dict[str, Callable],
    chain: Chain,
    output: str,
    args: Namespace,
    row: str,
    train: EpochDataset,
) -> Callable:
    return partial(
        rows[row],
        width=args.width,
        chain=chain,
        output=output,
        learning_rate=args.rate,
        unroll=unroll(args),
    )


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    values = model.evaluate(test, verbose=0, return_dict=True)
    return {
        "excess mean squared error (%)": gaussian_chain.excess(model, test),
        "mean squared error": values[f"{model.output_names[0]}_mse"],
    }


def tuned(args: Namespace) -> Iterator[str]:
    yield from changed(args, rate=(RATE, "learning rate {:g}"))


def appendix(
    rows: dict,
    chain: data.chains.Chain,
    steps: int,
    output: str,
    sequences: int,
    batch_size: int,
) -> Experiment:
    """Return the experiment of an appendix.

    Args:
        rows: Builder of the model of each row.
        chain: The Gaussian chain.
        steps: Length of a sequence.
        output: Name of the model's output.
        sequences: Sequences in an epoch, in the validation and in the test set.
        batch_size: Batch size of the full size.
    """
    return Experiment(
        rows=rows,
        options=partial(options, sequences),
        data=partial(load, chain, steps, sequences),
        build=partial(build, rows, chain, output),
        schedule=lambda args: schedules.CHAINS,
        steer=lambda args, row: f"{output}_mse",
        figures=figures,
        batch_size=lambda args: batch_size,
        smaller=lambda args: common_smaller(args, batch_size, phases=1),
        tuned=tuned,
        phases=1,
    )


APPENDIX_B = appendix(
    gaussian_chain.APPENDIX_B,
    gaussian_chain.CHAIN_B,
    steps=1,
    output="x",
    sequences=10000,
    batch_size=100,
)
APPENDIX_C = appendix(
    gaussian_chain.APPENDIX_C,
    gaussian_chain.CHAIN_C,
    steps=gaussian_chain.STEPS,
    output="next",
    sequences=20000,
    batch_size=200,
)
