"""Training time until the error on Occluded Moving MNIST falls below 10 % and 5 %.

    KERAS_BACKEND=tensorflow TF_ENABLE_ONEDNN_OPTS=1 \\
        python -m benchmarks.time_to_error --page docs/guides/speed.md

Each model is trained on real digits by the protocol of the reduced Table 1. After every
2,500 sequences its error is measured on 2,000 sequences of the validation set. The time
includes compilation, and not the validation. Training ends when the error has fallen
below all thresholds.
"""

import argparse
import os
import time

from benchmarks import command, table
from benchmarks.step_time import described

MODELS = "RLadder", "Hierarchical RNN (encoder only)", "Temporal baseline"
PROTOCOL = "--ladder reduced --optimizer muon --cosine 0.005 --phases 1"
EACH = 2_500  # training sequences between two validations
PERCENT = 10, 5
KEY = "device", "cores", "backend", "model"
MARKERS = "<!-- error-benchmark:begin -->", "<!-- error-benchmark:end -->"
LEGEND = f"""\
Time of training, with compilation and without validation, until the classification
error on 2,000 validation sequences falls below a threshold for the first time. One run
of each model, by the protocol of the reduced Table 1
(`python -m zoo.reproduce table-1 {PROTOCOL}
--batch-size 20 --epochs 2`)."""


def course(args, model):
    """Yield the seconds of training, the number of sequences, and the error in %.

    Args:
        args: The parsed command line.
        model: Label of a row of Table 1.
    """
    from zoo import reproduce
    from zoo.experiments import EXPERIMENTS
    from zoo.training import protocol

    options = f"{PROTOCOL} --epochs {args.sequences // EACH} --sequences {EACH} "
    options += f"--validation {args.validation} --batch-size {args.batch}"
    run = reproduce.arguments(["table-1", "--row", model, *options.split()])
    experiment = EXPERIMENTS[run.table]
    train, valid, *_ = experiment.data(run, model)
    build, optimizer = experiment.build(run, model, train), experiment.optimizer
    net = protocol.fresh_model(build, run.seed, optimizer(run, train))
    seconds = 0.0
    for part in range(run.epochs):
        train.epoch = part
        start = time.perf_counter()
        net.fit(train, shuffle=False, verbose=0)
        seconds += time.perf_counter() - start
        error = net.evaluate(valid, verbose=0, return_dict=True)["class_error"]
        yield seconds, (part + 1) * train.num_sequences, 100 * error


def measure(args, model):
    """Yield the row of results of a model, each time that it is below a threshold."""
    import keras

    from benchmarks import steps

    backend = keras.backend.backend()
    row = {"model": model, **described(args, steps.machine(backend))}
    row["backend"] = backend
    for seconds, sequences, error in course(args, model):
        print(
            f"{model}: {seconds:.0f} s, {sequences} sequences, {error:.2f} %",
            flush=True,
        )
        for percent in PERCENT:
            if error < percent and f"s_to_{percent}" not in row:
                row[f"s_to_{percent}"] = seconds
                row[f"sequences_to_{percent}"] = sequences
                yield row
        if error < min(PERCENT):
            return


def lines_of(rows):
    """Return the lines of the table."""
    return [
        f"Batches of {rows[0]['batch']} sequences {table.measured(rows)}:",
        "",
        "| backend | model |"
        + "".join(f" sequences to {n} % | minutes to {n} % |" for n in PERCENT),
        f"|---|---|{'---:|' * 2 * len(PERCENT)}",
        *(f"| {' | '.join(cells(row))} |" for row in rows),
        "",
        LEGEND,
    ]


def cells(row):
    """Return the cells of a line of the table."""
    results = []
    for percent in PERCENT:
        sequences = table.number(row.get(f"sequences_to_{percent}", ""))
        minutes = table.number(row.get(f"s_to_{percent}", "")) / 60
        results += [f"{sequences:,.0f}", f"{minutes:.1f}"] if sequences else ["", ""]
    return [row["backend"], row["model"], *results]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    models = "rows of Table 1; default: " + ", ".join(MODELS)
    add("--models", nargs="+", default=MODELS, help=models)
    sequences = "most training sequences; the learning rate falls to 0 until then"
    add("--sequences", type=int, default=100_000, help=sequences)
    add("--validation", type=int, default=2_000, help="validation sequences")
    add("--batch", type=int, default=20, help="sequences in a batch; default: 20")
    add("--threads", type=int, help="number of CPU threads; default: all cores")
    command.place(parser, "errors.csv")
    args = parser.parse_args(argv)
    if not args.render:
        from zoo.training.memory import keep_freed_memory

        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
        keep_freed_memory()
    command.run(args, measure, args.models, KEY, lines_of, MARKERS)


if __name__ == "__main__":
    main()
