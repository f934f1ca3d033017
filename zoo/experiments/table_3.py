"""Table 3: polyphonic music (Section 3.2, Appendix D.2)."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial

import keras

from zoo import data
from zoo.arguments import fraction, integer, positive
from zoo.data.epochs import EpochDataset
from zoo.data.music.corpora import FILES
from zoo.experiments.experiment import (
    Experiment,
    Sets,
    changed,
    common_smaller,
    cosine_optimizer,
    cosine_options,
    cosine_or,
    cosine_words,
    unroll,
)
from zoo.models import music
from zoo.training import schedules

WINDOW = 25


def options(add: Callable) -> None:
    corpora = "corpus, a column of the table; default: jsb"
    add("--dataset", choices=list(FILES), default="jsb", help=corpora)
    add(
        "--window",
        type=partial(integer, 1),
        default=WINDOW,
        help=f"time steps of a training batch; default: {WINDOW}",
    )
    add(
        "--beat",
        action="store_true",
        # Not False: runs that were started before this option existed have no value.
        default=None,
        help="give the network the position of each time step in bars of several "
        "lengths",
    )
    add(
        "--repeats",
        action="store_true",
        default=None,  # as --beat
        help="give the network the notes that followed earlier occurrences of the "
        "passage just played",
    )
    add(
        "--transpose",
        type=partial(integer, 1),
        metavar="KEYS",
        help="transpose training pieces at random, by up to this many keys",
    )
    add("--rate", type=positive, help="learning rate; default: that of the row")
    cosine_options(add)
    add(
        "--halve-rate",
        action="store_true",
        default=None,  # as --beat
        help="halve the learning rate whenever the validation error rises, as in "
        "Appendix D.1",
    )
    add(
        "--average",
        type=fraction,
        metavar="MOMENTUM",
        help="evaluate a moving average of the weights with this momentum, such as "
        "0.99",
    )


def load(args: Namespace, row: str) -> Sets:
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


def build(args: Namespace, row: str, train: EpochDataset) -> Callable:
    options = {"learning_rate": args.rate} if args.rate else {}
    context = {name: True for name in ("beat", "repeats") if getattr(args, name)}
    if context and row in music.KEY_BY_KEY:
        raise ValueError(
            "--beat and --repeats must come with a row of a network; got --row "
            f"{row!r}. Leave them out."
        )
    return partial(
        music.TABLE_3[row](args.width),
        frequencies=train.frequencies,
        carry=train.batch_size,
        unroll=unroll(args),
        **options,
        **context,
    )


def schedule(args: Namespace) -> schedules.Schedule:
    if args.cosine and (args.rate or args.halve_rate):
        raise ValueError(
            "--cosine must come without --rate and --halve-rate, because it sets all "
            f"learning rates; got --rate {args.rate} and --halve-rate "
            f"{args.halve_rate}. Leave them out."
        )
    usual = schedules.D2
    if args.halve_rate:
        usual = usual._replace(next_rate=schedules.next_rate)
    return cosine_or(usual, args)


def figures(
    args: Namespace, model: keras.Model, test: EpochDataset
) -> dict[str, float]:
    title = FILES[args.dataset].title
    return {title: music.negative_log_likelihood(model, test.pieces)}


def batch_size(args: Namespace) -> int:
    # The paper does not say. Larger batches cost little more time, but small corpora
    # need many updates. With 32 rows, batches of Piano-midi.de would be mostly padding,
    # because a row is at least as long as the longest piece.
    return {"jsb": 8, "jsb_8th": 16, "piano_midi": 16}.get(args.dataset, 32)


def smaller(args: Namespace) -> Iterator[str]:
    yield from changed(args, window=(WINDOW, "windows of {}"))
    yield from common_smaller(args, batch_size(args), phases=2)


def tuned(args: Namespace) -> Iterator[str]:
    # These words are in `runs.csv`.
    yield from cosine_words(args)
    yield from changed(
        args,
        rate=(None, "learning rate {:g}"),
        halve_rate=(None, "rate halved where the error rose"),
        beat=(None, "position in the bar as input"),
        repeats=(None, "repeated passages as input"),
        average=(None, "weights averaged with {:g}"),
        transpose=(None, "training pieces moved by up to {} keys"),
    )


TABLE_3 = Experiment(
    rows=music.TABLE_3,
    options=options,
    data=load,
    build=build,
    schedule=schedule,
    optimizer=cosine_optimizer,
    steer=lambda args, row: "notes_nll",
    figures=figures,
    batch_size=batch_size,
    smaller=smaller,
    inputs="Piano rolls, shape (batch, T, 88), values 0 and 1, the keys 21 to 108 of "
    "MIDI, as in zoo.data.piano_rolls.",
    tuned=tuned,
)
