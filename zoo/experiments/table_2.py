"""Table 2: Occluded Moving MNIST with few labels (Section 3.1)."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import keras

from zoo.arguments import integer, positive
from zoo.data.epochs import EpochDataset
from zoo.experiments import table_1
from zoo.experiments.experiment import Sets, changed
from zoo.models import occluded_mnist
from zoo.models.mean_teacher import CONSISTENCY, NOISE, RAMP, MeanTeacher

FEW, MORE, TEACHER = COLUMNS = ("1k labelled", "1k + 59k", "1k + 59k, MT")


def options(add: Callable) -> None:
    add(
        "--column",
        choices=COLUMNS,
        required=True,
        metavar="COLUMN",
        help=f"column of the table: {', '.join(map(repr, COLUMNS))}",
    )
    table_1.options(add)
    add(
        "--labelled",
        type=partial(integer, 10),
        default=1000,
        help="number of labelled training digits; default: 1000",
    )
    add(
        "--share",
        type=positive,
        default=0.5,
        help="labelled fraction of each training batch; default: 0.5",
    )
    add(
        "--consistency",
        type=positive,
        default=CONSISTENCY,
        help=f"weight of the consistency loss of the Mean Teacher; default: "
        f"{CONSISTENCY:g}",
    )
    add(
        "--ramp",
        type=partial(integer, 0),
        default=RAMP,
        help=f"steps over which the consistency weight rises from 0; default: {RAMP}",
    )
    add(
        "--noise",
        type=positive,
        default=NOISE,
        help="standard deviation of the noise on training frames for the Mean Teacher; "
        f"default: {NOISE:g}",
    )


def load(args: Namespace, row: str) -> Sets:
    # Models without the task of prediction cannot learn from samples without a label.
    useless = args.column == MORE and row != "RLadder"
    share = 1 if args.column == FEW or useless else args.share
    return table_1.load(args, row, labelled=args.labelled, labelled_share=share)


def build(args: Namespace, row: str, train: EpochDataset) -> Callable:
    student = table_1.build(args, row, train)
    if args.column != TEACHER:
        return student
    weights = {"consistency": args.consistency, "ramp": args.ramp, "noise": args.noise}
    return lambda: MeanTeacher(student(), **weights)


def steer(args: Namespace, row: str) -> str:
    return "teacher_class_error" if args.column == TEACHER else "class_error"


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    values = model.evaluate(test, verbose=0, return_dict=True)
    name = f"error (%), {args.column}"
    if args.column == TEACHER:
        return {
            name: 100 * values["teacher_class_error"],
            f"{name}, student": 100 * values["student_class_error"],
        }
    # Models without the task of prediction have the same error in both columns.
    both = args.column == FEW and "frame" not in model.output_names
    columns = (FEW, MORE) if both else (args.column,)
    return {f"error (%), {c}": 100 * values["class_error"] for c in columns}


def smaller(args: Namespace) -> Iterator[str]:
    yield from changed(
        args,
        labelled=(1000, "{} labels"),
        share=(0.5, "{:g} of a batch labelled"),
    )
    if args.column == TEACHER:
        yield from changed(
            args,
            consistency=(CONSISTENCY, "consistency {:g}"),
            ramp=(RAMP, "ramp of {} steps"),
            noise=(NOISE, "noise {:g}"),
        )
    yield from table_1.smaller(args)


TABLE_2 = table_1.TABLE_1._replace(
    rows=occluded_mnist.TABLE_2,
    options=options,
    data=load,
    build=build,
    steer=steer,
    figures=figures,
    smaller=smaller,
)
