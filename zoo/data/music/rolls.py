"""Piano rolls in batches that `fit`, `evaluate` and `predict` take (Section 3.2)."""

import os

import numpy as np

from zoo.data.epochs import EpochDataset, check_integer
from zoo.data.music.corpora import Corpus, load_corpus
from zoo.data.music.midi import KEYS

PADDING = -1.0


class PianoRolls(EpochDataset):
    """Batches of music, to predict each time step from those before it.

    Pieces share a row, with a step of padding after each. With a `window` the rows are
    long, and the batches go along them: row b of a batch is where row b of the batch
    before left off, in the midst of a piece (truncated back-propagation through time).
    Without one a batch has whole pieces. A batch is `(x, y, weight)`:

    - `x`: the notes, `float32` of shape `(B, T, 88)`: 1 where a key sounds, 0 where it
      does not, -1 at padding;
    - `y["notes"]`: the notes one step later, `(B, T, 88)`, 0 at padding;
    - `weight["notes"]`: 0 at padding, else 1, `(B, T)`.

    The first step of a piece is not predicted, and the last one predicts nothing: a
    piece of n steps has n - 1 predictions. All batches have one shape.

    With `joint=True`, for models of the joint distribution, `x` is a dictionary: the
    notes are `x["roll"]`, and `x["next"]` is what `y["notes"]` is. Such a model may use
    of the next step the keys below the one that it predicts.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        pieces: Piano rolls: arrays of shape `(n, 88)`, 0 or 1, n at least 2.
        batch_size: Number of rows in a batch, `B`.
        window: Steps of a batch, `T`. Default: as many as the longest piece has, the
            step of padding included.
        seed: Integer, at least 0.
        fresh: Whether each epoch has the pieces in an order of its own.
        joint: Whether `x` has the next step too.
        transpose: By up to how many keys a piece is moved up or down, as far as its own
            keys allow; drawn for each piece, anew in each epoch if `fresh`.

    Attributes:
        num_sequences: Number of pieces.
        num_steps: Number of predictions in an epoch.

    Raises:
        ValueError: If an argument is not as above.

    Examples:
        >>> from zoo.data.music.rolls import PianoRolls
        >>> rolls = PianoRolls([np.eye(88), np.eye(88)], batch_size=2, window=25)
        >>> x, y, weight = rolls[0]
        >>> x.shape, y["notes"].shape, weight["notes"].shape
        ((2, 25, 88), (2, 25, 88), (2, 25))
    """

    def __init__(
        self,
        pieces,
        batch_size=8,
        window=None,
        *,
        seed=0,
        fresh=False,
        joint=False,
        transpose=0,
    ):
        super().__init__()
        self.pieces = tuple(check_piece(i, piece) for i, piece in enumerate(pieces))
        if not self.pieces:
            raise ValueError("There are no pieces of music: give at least one.")
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        check_integer("transpose", transpose, 0)
        if window is not None:
            check_integer("window", window, 1)
        self.batch_size = batch_size
        self.seed = seed
        self.fresh = fresh
        self.joint = joint
        self.transpose = transpose
        self.num_sequences = len(self.pieces)
        self.num_steps = sum(len(piece) - 1 for piece in self.pieces)
        lengths = [len(piece) for piece in self.pieces]  # with the step of padding
        if window is None:
            self.window = max(lengths)
            self._rows = pack(lengths, self.window)
            self._batches = -(-len(self._rows) // batch_size)
        else:
            self.window = window
            self._rows = share(lengths, batch_size)
            longest = max(sum(lengths[i] for i in row) for row in self._rows)
            self._batches = -(-longest // window)
        self._along = window is not None
        self._reach = np.transpose([reach(piece) for piece in self.pieces])

    @property
    def frequencies(self) -> np.ndarray:
        """How often each key sounds, shape `(88,)`; never quite 0 or 1.

        With `transpose` it is the mean over the moves that may be drawn.
        """
        shifts = np.arange(-self.transpose, self.transpose + 1)
        sounding = np.zeros(KEYS)
        for piece, *ends in zip(self.pieces, *self._reach, strict=True):
            counts = piece.sum(axis=0, dtype=int)
            moved = [np.roll(counts, up) for up in np.clip(shifts, *ends)]
            sounding += np.mean(moved, axis=0)
        return (sounding + 0.5) / (sum(map(len, self.pieces)) + 1)

    def __len__(self) -> int:
        return self._batches

    def batch(self, index: int):
        x = np.full((self.batch_size, self.window, KEYS), PADDING, np.float32)
        y = np.zeros_like(x)
        weight = np.zeros(x.shape[:2], np.float32)
        up = self._transposition()
        rows, first = self._rows, index * self.window
        if not self._along:
            begin = index * self.batch_size
            rows, first = rows[begin : begin + self.batch_size], 0
        for b, row in enumerate(self._order(rows)):
            t = -first  # where a piece begins, in this batch
            for i in row:
                n = len(self.pieces[i]) - 1
                start, end = max(0, -t), min(n, self.window - t)
                if start < end:
                    place = b, slice(t + start, t + end)
                    notes = np.roll(self.pieces[i][start : end + 1], up[i], axis=1)
                    x[place], y[place], weight[place] = notes[:-1], notes[1:], 1
                t += n + 1
        x = {"roll": x, "next": y} if self.joint else x
        return x, {"notes": y}, {"notes": weight}

    def _order(self, rows):
        """The pieces of each row, in the order of this epoch."""
        if not self.fresh:
            return rows
        rng = np.random.default_rng([self.seed, self.epoch])
        return [rng.permutation(row) for row in rows]

    def _transposition(self):
        """By how many keys each piece is moved up in this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch * self.fresh, 1])
        most = self.transpose
        up = rng.integers(-most, most, len(self.pieces), endpoint=True)
        return np.clip(up, *self._reach)


def reach(piece):
    """By how many keys a piece can be moved up: the least, at most 0, and the most."""
    keys = np.flatnonzero(piece.any(axis=0))
    return (-keys[0], KEYS - 1 - keys[-1]) if len(keys) else (0, 0)


def pack(lengths, room):
    """Put pieces into rows of that length: first fit.

    Args:
        lengths: Of the pieces.
        room: Length of a row, at least the longest piece.

    Returns:
        List of rows, each a list of indices of pieces.
    """
    rows, left = [], []
    for i, n in enumerate(lengths):
        j = next((j for j, free in enumerate(left) if n <= free), None)
        if j is None:
            j = len(rows)
            rows.append([])
            left.append(room)
        rows[j].append(i)
        left[j] -= n
    return rows


def share(lengths, n):
    """Share pieces among `n` rows of nearly equal length: the longest first.

    Args:
        lengths: Of the pieces.
        n: Number of rows.

    Returns:
        List of rows, each a list of indices of pieces.
    """
    rows, filled = [[] for _ in range(n)], [0] * n
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        j = filled.index(min(filled))
        rows[j].append(i)
        filled[j] += lengths[i]
    return rows


def piano_rolls(
    source: str | os.PathLike | Corpus,
    batch_size: int = 8,
    window: int | None = 25,
    *,
    seed: int = 0,
    joint: bool = False,
    transpose: int = 0,
    merge_validation: bool = False,
    verbose: bool = True,
    **folder,
) -> tuple[PianoRolls, PianoRolls, PianoRolls]:
    """Polyphonic music (Section 3.2): the data of Table 3.

    Args:
        source: `"jsb"`, `"nottingham"`, `"muse"`, `"piano_midi"`, ... or a folder of
            MIDI files, see `zoo.data.load_corpus`, or what that function returns.
        batch_size: Number of rows in a batch.
        window: Steps of a training batch. In validation and test set no piece is cut.
        seed: Seed of the order of the training pieces.
        joint: Whether for a model of the joint distribution, see `PianoRolls`.
        transpose: By up to how many keys the training pieces are moved up or down, anew
            in each epoch. The paper does not say that it did.
        merge_validation: Whether the pieces of the validation set are in the training
            set too, as in the second phase of the protocol of Appendix D.2.
        verbose: Whether to print what was loaded.
        **folder: `step`, `unit`, `errors`, `pedal` and `strict` for a folder of MIDI
            files, see `zoo.data.load_corpus`, which refuses them where they do not
            apply.

    Returns:
        Training, validation and test set, each `PianoRolls`.

    Examples:
        >>> from zoo.data.music.corpora import Corpus
        >>> scales = [np.eye(88)] * 32
        >>> corpus = Corpus("scales", train=scales, valid=scales, test=scales)
        >>> train, valid, test = zoo.data.piano_rolls(corpus)
        scales: training 32 (2,784), validation 32 (2,784), test 32 (2,784) pieces ...
        >>> train.frequencies.shape
        (88,)
    """
    corpus = load_corpus(source, **folder)
    train = (*corpus.train, *(corpus.valid if merge_validation else ()))
    fresh = {"seed": seed, "fresh": True, "transpose": transpose}
    sets = (
        PianoRolls(train, batch_size, window, joint=joint, **fresh),
        PianoRolls(corpus.valid, batch_size, joint=joint),
        PianoRolls(corpus.test, batch_size, joint=joint),
    )
    for rolls in sets:
        rolls.origin = corpus.name
    if verbose:
        counts = "training {}, validation {}, test {}".format(
            *(f"{data.num_sequences:,} ({data.num_steps:,})" for data in sets)
        )
        print(f"{corpus.name}: {counts} pieces (steps to predict).")
        if window is not None:
            tell_of_padding(sets[0])
    return sets


def tell_of_padding(rolls):
    """Say so if a good part of the batches is padding, and which size has less."""
    padding = 1 - rolls.num_steps / (len(rolls) * rolls.batch_size * rolls.window)
    longest = max(len(piece) for piece in rolls.pieces)
    rows = max(1, (rolls.num_steps + rolls.num_sequences) // longest)
    if padding > 0.2 and rows < rolls.batch_size:
        print(
            f"{padding:.0%} of the training batches is padding, because the longest of "
            f"{rolls.num_sequences} pieces has {longest:,} steps: with "
            f"batch_size={rows} there would be less."
        )


def check_piece(i, piece):
    """The piece as it is, or a `ValueError`."""
    piece = np.asarray(piece)
    if piece.ndim != 2 or piece.shape[1] != KEYS or len(piece) < 2:
        raise ValueError(
            f"Piece {i} has shape {piece.shape}, and must have (steps, {KEYS}), with "
            "at least two steps."
        )
    if not np.isin(piece, (0, 1)).all():
        raise ValueError(f"Piece {i} has other values than 0 and 1.")
    return piece
