"""Appendices B and C: Gaussian chains."""

from functools import partial

from zoo import data
from zoo.arguments import integer, positive
from zoo.experiments.experiment import (
    Experiment,
    common_smaller,
    unroll,
    with_training_set_only,
)
from zoo.models import gaussian_chain
from zoo.training import protocol

RATE = 0.01


def options(sequences, add):
    add(
        "--sequences",
        type=partial(integer, 1),
        help=f"samples in an epoch, and to evaluate; default: {sequences}",
    )
    add(
        "--rate",
        type=positive,
        default=RATE,
        help="learning rate of the first epoch",
    )


def load(chain, steps, sequences, args, row):
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


def build(rows, chain, output, args, row, train):
    return partial(
        rows[row],
        width=args.width,
        chain=chain,
        output=output,
        learning_rate=args.rate,
        unroll=unroll(args),
    )


def figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    return {
        "excess mean squared error (%)": gaussian_chain.excess(model, test),
        "mean squared error": values[f"{model.output_names[0]}_mse"],
    }


def tuned(args):
    if args.rate != RATE:
        yield f"learning rate {args.rate:g}"


def appendix(rows, chain, steps, output, sequences, batch_size):
    return Experiment(
        rows=rows,
        options=partial(options, sequences),
        data=partial(load, chain, steps, sequences),
        build=partial(build, rows, chain, output),
        schedule=lambda args: protocol.CHAINS,
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
