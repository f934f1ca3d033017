"""Table 2: Occluded Moving MNIST with few labels (Section 3.1)."""

from functools import partial

from zoo.arguments import integer, positive
from zoo.experiments import table_1
from zoo.models import occluded_mnist
from zoo.models.mean_teacher import CONSISTENCY, NOISE, RAMP, MeanTeacher

FEW, MORE, TEACHER = COLUMNS = ("1k labelled", "1k + 59k", "1k + 59k, MT")


def options(add):
    add("--column", choices=COLUMNS, required=True, help="of the table")
    table_1.options(add)
    add("--labelled", type=partial(integer, 10), default=1000, help="labelled digits")
    add("--share", type=positive, default=0.5, help="labelled part of a batch")
    add("--consistency", type=positive, default=CONSISTENCY, help="its weight")
    add("--ramp", type=partial(integer, 0), default=RAMP, help="steps of the ramp")
    add("--noise", type=positive, default=NOISE, help="on the frames, in training")


def load(args, row):
    # Without a task for them, samples without a label are left out.
    useless = args.column == MORE and row != "RLadder"
    share = 1 if args.column == FEW or useless else args.share
    return table_1.load(args, row, labelled=args.labelled, labelled_share=share)


def build(args, row, train):
    student = table_1.build(args, row, train)
    if args.column != TEACHER:
        return student
    weights = {"consistency": args.consistency, "ramp": args.ramp, "noise": args.noise}
    return lambda: MeanTeacher(student(), **weights)


def steer(args, row):
    return "teacher_class_error" if args.column == TEACHER else "class_error"


def figures(args, model, test):
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


def smaller(args):
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
