"""Table 3: polyphonic music (Section 3.2, Appendix D.2)."""

from functools import partial

from zoo import data
from zoo.arguments import fraction, integer, positive
from zoo.data.music.corpora import FILES
from zoo.experiments.experiment import Experiment, common_smaller, unroll
from zoo.models import music
from zoo.training import protocol

WINDOW = 25


def options(add):
    add("--dataset", choices=list(FILES), default="jsb")
    add(
        "--window",
        type=partial(integer, 1),
        default=WINDOW,
        help="steps of a training batch",
    )
    add(
        "--transpose",
        type=partial(integer, 1),
        metavar="KEYS",
        help="move training pieces up or down by up to that many keys",
    )
    add("--rate", type=positive, help="learning rate; default: that of the row")
    add(
        "--halve-rate",
        action="store_true",
        default=None,  # so that runs which began without this option go on
        help="whenever the validation error rose, as Appendix D.1 does",
    )
    add(
        "--average",
        type=fraction,
        metavar="MOMENTUM",
        help="judge the moving average of the weights, such as 0.99, not the last ones",
    )


def load(args, row):
    sets = partial(
        data.piano_rolls,
        args.dataset,
        args.batch_size,
        args.window,
        seed=args.seed,
        joint="joint" in row,
        transpose=args.transpose or 0,
    )
    train, valid, test = sets()
    merged, _, _ = sets(merge_validation=True, verbose=False)
    return train, valid, merged, test


def build(args, row, train):
    rate = {"learning_rate": args.rate} if args.rate else {}
    return partial(
        music.TABLE_3[row](args.width),
        frequencies=train.frequencies,
        carry=train.batch_size,
        unroll=unroll(args),
        **rate,
    )


def schedule(args):
    if args.halve_rate:
        return protocol.D2._replace(next_rate=protocol.next_rate)
    return protocol.D2


def figures(args, model, test):
    title = FILES[args.dataset].title
    return {title: music.negative_log_likelihood(model, test.pieces)}


def batch_size(args):
    # The paper gives none. Rows are cheap, but small corpora need many updates, and in
    # 32 rows of Piano-midi.de there would be the longest piece and padding.
    return {"jsb": 8, "jsb_8th": 16, "piano_midi": 16}.get(args.dataset, 32)


def smaller(args):
    if args.window != WINDOW:
        yield f"windows of {args.window}"
    yield from common_smaller(args, batch_size(args), phases=2)


def tuned(args):
    if args.rate:
        yield f"learning rate {args.rate:g}"
    if args.halve_rate:
        yield "rate halved where the error rose"
    if args.average:
        yield f"weights averaged with {args.average:g}"
    if args.transpose:
        yield f"training pieces moved by up to {args.transpose} keys"


TABLE_3 = Experiment(
    rows=music.TABLE_3,
    options=options,
    data=load,
    build=build,
    schedule=schedule,
    steer=lambda args, row: "notes_nll",
    figures=figures,
    batch_size=batch_size,
    smaller=smaller,
    inputs="Piano rolls (batch, T, 88) of 0 and 1, the keys 21 to 108 of MIDI, as "
    "zoo.data.piano_rolls makes them.",
    tuned=tuned,
)
