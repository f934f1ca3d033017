"""The tables of the paper as experiments: rows, data, models, protocol, figures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from zoo import (
    data,
    gaussian_chain,
    moving_mnist,
    music,
    occluded_mnist,
    protocol,
    textured_mnist,
)
from zoo.arguments import integer, positive
from zoo.data.music import FILES
from zoo.mean_teacher import CONSISTENCY, NOISE, RAMP, MeanTeacher


class Experiment(NamedTuple):
    """A table of the paper.

    Attributes:
        rows: Builder of the model of each row, by the label as printed.
        options: Adds the arguments of the command line that others do not have. It gets
            `add_argument`.
        data: Function of the arguments and the row that gives the training, validation,
            merged and test set.
        build: Function of the arguments, the row and the training set that gives the
            builder.
        schedule: Of `zoo.protocol`.
        steer: Function of the arguments and the row: the validation metric that steers
            the protocol.
        figures: Function of the arguments, the model and the test set that gives the
            test figures, by name.
        batch_size: Function of the arguments that gives that of the full size.
        smaller: Function of the arguments: in which ways the run is not the paper's.
        tuned: Function of the arguments: what was chosen by searches on validation.
        inputs: What trained models take, for the cards of their weights.
        phases: 2, or 1 where the paper trains on the training set only.
    """

    rows: dict
    options: Callable
    data: Callable
    build: Callable
    schedule: protocol.Schedule
    steer: Callable
    figures: Callable
    batch_size: Callable
    smaller: Callable
    tuned: Callable = lambda args: ()
    inputs: str = ""
    phases: int = 2


def unroll(args):
    return {"auto": "auto", "yes": True, "no": False}[args.unroll]


def common_smaller(args, experiment):
    """Ways in which runs of any table may be smaller than the paper's."""
    if args.width != 1:
        yield f"width {args.width:g}"
    sequences = getattr(args, "sequences", None)
    if args.epochs is not None or sequences is not None:
        epochs = "" if args.epochs is None else f"{args.epochs} "
        length = f" of {sequences} sequences" if sequences else ""
        yield f"{epochs}epochs{length}"
    if args.batch_size != experiment.batch_size(args):
        yield f"batches of {args.batch_size}"
    if args.phases < experiment.phases:
        yield "training set only"


def sequences_options(add):
    add(
        "--sequences",
        type=partial(integer, 1),
        help="samples in an epoch; default: one for each digit",
    )
    add(
        "--validation",
        type=partial(integer, 1),
        help="validation samples; default: all",
    )
    add("--digits", default="mnist", help="'mnist', 'sklearn' or a file, see README")


def digits_smaller(args):
    if args.digits != "mnist":
        yield f"digits {Path(args.digits).name}"


# Table 1: Occluded Moving MNIST (Section 3.1, Appendix D.1)

LADDERS = {"paper": occluded_mnist.table_5, "small": occluded_mnist.small_table}


def table_1_options(add):
    add("--ladder", choices=sorted(LADDERS), default="paper", help="table of levels")
    sequences_options(add)
    add("--frame-weight", type=positive, default=occluded_mnist.FRAME_WEIGHT)


def table_1_data(args, row, **labels):
    sets = partial(
        data.occluded_mnist,
        args.digits,
        args.batch_size,
        seed=args.seed,
        sequences=args.sequences,
        inputs="reconstruction" if row.startswith("Optimal") else "frames",
        **labels,
    )
    train, valid, _ = sets(evaluation_sequences=args.validation)
    merged, _, test = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def table_1_build(args, row, train):
    build = partial(
        TABLE_1.rows[row],
        args.width,
        table=LADDERS[args.ladder],
        unroll=unroll(args),
    )
    if row.startswith("RLadder"):
        build = partial(build, frame_weight=args.frame_weight)
    return build


def table_1_steer(args, row):
    return "frame_mse" if "w/o classification" in row else "class_error"


def table_1_figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    figures = {
        "classification error (%)": ("class_error", 100),
        "prediction error (1e-5)": ("frame_mse", 1e5),
    }
    return {
        name: values[metric] * factor
        for name, (metric, factor) in figures.items()
        if metric in values
    }


def table_1_smaller(args):
    if args.ladder != "paper":
        yield f"{args.ladder} ladder"
    if args.frame_weight != occluded_mnist.FRAME_WEIGHT:
        yield f"frame weight {args.frame_weight:g}"
    yield from common_smaller(args, TABLE_1)
    yield from digits_smaller(args)


TABLE_1 = Experiment(
    rows=occluded_mnist.TABLE_1 | occluded_mnist.WITH_SKIPS,
    options=table_1_options,
    data=table_1_data,
    build=table_1_build,
    schedule=protocol.D1,
    steer=table_1_steer,
    figures=table_1_figures,
    # That of the same authors' other papers; this one gives none.
    batch_size=lambda args: 100,
    smaller=table_1_smaller,
    inputs="Frames (batch, T, 32, 32, 1) from 0 to 1, as zoo.data.occluded_mnist makes "
    "them of the digits of MNIST, scaled to 14 x 14 pixels.",
)


# Table 2: few labels (Section 3.1)

FEW, MORE, TEACHER = COLUMNS = ("1k labelled", "1k + 59k", "1k + 59k, MT")


def table_2_options(add):
    add("--column", choices=COLUMNS, required=True, help="of the table")
    table_1_options(add)
    add("--labelled", type=partial(integer, 10), default=1000, help="labelled digits")
    add("--share", type=positive, default=0.5, help="labelled part of a batch")
    add("--consistency", type=positive, default=CONSISTENCY, help="its weight")
    add("--ramp", type=partial(integer, 0), default=RAMP, help="steps of the ramp")
    add("--noise", type=positive, default=NOISE, help="on the frames, in training")


def table_2_data(args, row):
    # Without a task for them, samples without a label are left out.
    useless = args.column == MORE and row != "RLadder"
    share = 1 if args.column == FEW or useless else args.share
    return table_1_data(args, row, labelled=args.labelled, labelled_share=share)


def table_2_build(args, row, train):
    build = table_1_build(args, row, train)
    if args.column != TEACHER:
        return build
    options = {"consistency": args.consistency, "ramp": args.ramp, "noise": args.noise}
    return lambda: MeanTeacher(build(), **options)


def table_2_steer(args, row):
    return "teacher_class_error" if args.column == TEACHER else "class_error"


def table_2_figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    name = f"error (%), {args.column}"
    if args.column == TEACHER:
        return {
            name: 100 * values["teacher_class_error"],
            f"{name}, student": 100 * values["student_class_error"],
        }
    # Models without the task of prediction are the same in both columns.
    both = args.column == FEW and "frame" not in model.output_names
    columns = (FEW, MORE) if both else (args.column,)
    return {f"error (%), {c}": 100 * values["class_error"] for c in columns}


def table_2_smaller(args):
    if args.labelled != 1000:
        yield f"{args.labelled} labels"
    if args.share != 0.5:
        yield f"{args.share:g} of a batch labelled"
    if args.column == TEACHER:
        if args.consistency != CONSISTENCY:
            yield f"consistency {args.consistency:g}"
        if args.ramp != RAMP:
            yield f"ramp of {args.ramp} steps"
        if args.noise != NOISE:
            yield f"noise {args.noise:g}"
    yield from table_1_smaller(args)


TABLE_2 = TABLE_1._replace(
    rows=occluded_mnist.TABLE_2,
    options=table_2_options,
    data=table_2_data,
    build=table_2_build,
    steer=table_2_steer,
    figures=table_2_figures,
    smaller=table_2_smaller,
)


# Table 3: polyphonic music (Section 3.2, Appendix D.2)


def table_3_options(add):
    add("--dataset", choices=list(FILES), default="jsb")
    add(
        "--window",
        type=partial(integer, 1),
        default=WINDOW,
        help="steps of a training batch",
    )
    add("--rate", type=positive, help="learning rate; default: that of the row")


def table_3_data(args, row):
    sets = partial(
        data.piano_rolls,
        args.dataset,
        args.batch_size,
        args.window,
        seed=args.seed,
        joint="joint" in row,
    )
    train, valid, test = sets()
    merged, _, _ = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def table_3_build(args, row, train):
    rate = {"learning_rate": args.rate} if args.rate else {}
    return partial(
        music.TABLE_3[row],
        args.width,
        frequencies=train.frequencies,
        carry=train.batch_size,
        unroll=unroll(args),
        **rate,
    )


def table_3_figures(args, model, test):
    title = FILES[args.dataset].title
    return {title: music.negative_log_likelihood(model, test.pieces)}


def table_3_smaller(args):
    if args.window != WINDOW:
        yield f"windows of {args.window}"
    yield from common_smaller(args, TABLE_3)


def table_3_tuned(args):
    if args.rate:
        yield f"learning rate {args.rate:g}"


WINDOW = 25

TABLE_3 = Experiment(
    rows=music.TABLE_3,
    options=table_3_options,
    data=table_3_data,
    build=table_3_build,
    schedule=protocol.D2,
    steer=lambda args, row: "notes_nll",
    figures=table_3_figures,
    # The paper gives none. Rows are cheap, and small corpora need many updates.
    batch_size=lambda args: {"jsb": 8, "jsb_8th": 16}.get(args.dataset, 32),
    smaller=table_3_smaller,
    inputs="Piano rolls (batch, T, 88) of 0 and 1, the keys 21 to 108 of MIDI, as "
    "zoo.data.piano_rolls makes them.",
    tuned=table_3_tuned,
)


# Table 4: textured MNIST (Section 4.2, Appendix D.3)

GROUPERS = {"paper": textured_mnist.table_9, "small": textured_mnist.small_table_9}
LABELS = {"50k labelled": None, "1k + 49k": 1000}


def table_4_options(add):
    add("--ladder", choices=sorted(GROUPERS), default="paper", help="table of levels")
    add("--size", type=partial(integer, 24), default=96, help="side of the images")
    add("--rate", type=positive, default=4e-4, help="learning rate")
    add("--variance", type=positive, help="of a pixel, before training")
    sequences_options(add)
    add("--textures", default="brodatz", help="'brodatz', 'generated' or a folder")


def table_4_data(args, row):
    return with_training_set_only(
        data.textured_mnist(
            args.digits,
            args.batch_size,
            size=args.size,
            textures=args.textures,
            seed=args.seed,
            sequences=args.sequences,
            evaluation_sequences=args.validation,
            labelled=LABELS[row.split(", ")[1]],
        )
    )


def with_training_set_only(sets):
    """Training, validation, merged and test set where there is no second phase."""
    train, valid, test = sets
    return train, valid, None, test


def table_4_build(args, row, train):
    name = row.split(", ")[0]
    build = partial(
        TABLE_4.rows[row],
        args.width,
        size=args.size,
        learning_rate=args.rate,
    )
    if name == "ConvNet":
        return build
    build = partial(build, table=GROUPERS[args.ladder], unroll=unroll(args))
    return partial(build, variance=args.variance) if args.variance else build


def table_4_steer(args, row):
    if row.startswith("ConvNet"):
        return "class_error_1"
    return "cost_1" if "one iteration" in row else "cost_3"


def table_4_figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    figures = {
        f"AMI, iteration {t}": values[f"groups_ami_{t}"]
        for t in (1, 2, 3)
        if f"groups_ami_{t}" in values
    }
    errors = [value for key, value in values.items() if "class_error" in key]
    first = 1 if figures else 3  # the paper's column for the ConvNet
    for t, error in enumerate(errors, first):
        figures[f"error (%), iteration {t}"] = 100 * error
    return figures


def table_4_smaller(args):
    if args.size != 96:
        yield f"size {args.size}"
    if args.ladder != "paper":
        yield f"{args.ladder} ladder"
    if args.rate != 4e-4:
        yield f"rate {args.rate:g}"
    if args.variance:
        yield f"variance {args.variance:g}"
    yield from common_smaller(args, TABLE_4)
    yield from digits_smaller(args)
    if args.textures != "brodatz":
        yield f"textures {Path(args.textures).name}"


TABLE_4 = Experiment(
    rows={
        f"{name}, {labels}": build
        for labels in LABELS
        for name, build in textured_mnist.TABLE_4.items()
    }
    | {
        f"{name}, 50k labelled": build
        for name, build in textured_mnist.BASELINES.items()
    },
    options=table_4_options,
    data=table_4_data,
    build=table_4_build,
    schedule=protocol.D3,
    steer=table_4_steer,
    figures=table_4_figures,
    batch_size=lambda args: 16,
    smaller=table_4_smaller,
    phases=1,
)


# Section 4.3: Moving MNIST


def section_4_3_options(add):
    add("--size", type=partial(integer, 20), default=64, help="side of the frames")
    add("--frames", type=partial(integer, 2), default=moving_mnist.FRAMES)
    add("--rate", type=positive, default=1e-3, help="learning rate")
    sequences_options(add)


def section_4_3_data(args, row):
    return with_training_set_only(
        data.moving_mnist(
            args.digits,
            args.batch_size,
            size=args.size,
            frames=args.frames,
            seed=args.seed,
            sequences=args.sequences,
            evaluation_sequences=args.validation,
        )
    )


def section_4_3_build(args, row, train):
    return partial(
        moving_mnist.SECTION_4_3[row],
        args.width,
        size=args.size,
        frames=args.frames,
        learning_rate=args.rate,
        unroll=unroll(args),
    )


def section_4_3_figures(args, model, test):
    return {"AMI": model.evaluate(test, verbose=0, return_dict=True)["groups_ami"]}


def section_4_3_smaller(args):
    if args.size != 64:
        yield f"size {args.size}"
    if args.frames != moving_mnist.FRAMES:
        yield f"{args.frames} frames"
    if args.rate != 1e-3:
        yield f"rate {args.rate:g}"
    yield from common_smaller(args, SECTION_4_3)
    yield from digits_smaller(args)


SECTION_4_3 = Experiment(
    rows=moving_mnist.SECTION_4_3,
    options=section_4_3_options,
    data=section_4_3_data,
    build=section_4_3_build,
    schedule=protocol.D3,  # the paper gives none
    steer=lambda args, row: "cost_last",
    figures=section_4_3_figures,
    batch_size=lambda args: 16,
    smaller=section_4_3_smaller,
    phases=1,
)


# Appendices B and C: Gaussian chains

CHAIN_RATE = 0.01


def chain_options(sequences, add):
    add(
        "--sequences",
        type=partial(integer, 1),
        help=f"samples in an epoch, and to evaluate; default: {sequences}",
    )
    add(
        "--rate",
        type=positive,
        default=CHAIN_RATE,
        help="learning rate of the first epoch",
    )


def chain_data(chain, steps, sequences, args, row):
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


def chain_build(rows, chain, output, args, row, train):
    return partial(
        rows[row],
        width=args.width,
        chain=chain,
        output=output,
        learning_rate=args.rate,
        unroll=unroll(args),
    )


def chain_figures(args, model, test):
    values = model.evaluate(test, verbose=0, return_dict=True)
    return {
        "excess mean squared error (%)": gaussian_chain.excess(model, test),
        "mean squared error": values[f"{model.output_names[0]}_mse"],
    }


def chain_smaller(args):
    yield from common_smaller(args, EXPERIMENTS[args.table])


def chain_tuned(args):
    if args.rate != CHAIN_RATE:
        yield f"learning rate {args.rate:g}"


def appendix(rows, chain, steps, output, sequences, batch_size):
    return Experiment(
        rows=rows,
        options=partial(chain_options, sequences),
        data=partial(chain_data, chain, steps, sequences),
        build=partial(chain_build, rows, chain, output),
        schedule=protocol.CHAINS,
        steer=lambda args, row: f"{output}_mse",
        figures=chain_figures,
        batch_size=lambda args: batch_size,
        smaller=chain_smaller,
        tuned=chain_tuned,
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


EXPERIMENTS = {
    "table-1": TABLE_1,
    "table-2": TABLE_2,
    "table-3": TABLE_3,
    "table-4": TABLE_4,
    "section-4.3": SECTION_4_3,
    "appendix-b": APPENDIX_B,
    "appendix-c": APPENDIX_C,
}
