"""Datasets of piano rolls for `fit`, `evaluate` and `predict` (Section 3.2)."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from zoo.data.epochs import EpochDataset, check_boolean, check_integer
from zoo.data.music.corpora import Corpus, load_corpus
from zoo.data.music.midi import KEYS

PADDING = -1.0  # value of all keys in a time step of padding


class PianoRolls(EpochDataset):
    """Batches of music, for the prediction of each time step from all earlier ones.

    A row of a batch contains one or more pieces, each followed by a time step of
    padding. A batch is `(x, y, weight)`:

    - `x`: the notes, `float32` of shape `(B, T, 88)`: 1 where a key sounds, 0 where it
      does not, -1 for padding;
    - `y["notes"]`: the notes one time step later, shape `(B, T, 88)`, 0 for padding;
    - `weight["notes"]`: 1, and 0 for padding, shape `(B, T)`.

    The first time step of a piece is not predicted, so that a piece of n time steps has
    n - 1 predictions. All batches have the same shape.

    With a `window`, pieces are concatenated to long rows, which are cut into windows:
    row b of a batch continues row b of the previous batch, often in the middle of a
    piece (truncated back-propagation through time). Without a window, a batch contains
    complete pieces.

    With `joint=True`, for models of the joint distribution of the keys, `x` is a
    dictionary. `x["roll"]` are the notes, and `x["next"]` equals `y["notes"]`. When
    such a model predicts a key, it may use the lower keys of the same time step.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        pieces: Piano rolls of shape `(n, 88)`, values 0 and 1, n at least 2.
        batch_size: Number of rows in a batch, `B`.
        window: Number of time steps in a batch, `T`. By default, the length of the
            longest piece.
        seed: Seed of order and transposition, an integer of at least 0.
        fresh: Whether pieces are shuffled again for each epoch.
        joint: Whether `x` contains the next time step, too.
        transpose: Largest number of keys by which a piece is transposed up or down. The
            number is random for each piece, and new in each epoch if `fresh`. No note
            is moved beyond the 88 keys.

    Attributes:
        num_sequences: Number of pieces.
        num_steps: Number of predictions in an epoch.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.data.music.rolls import PianoRolls
        >>> rolls = PianoRolls([np.eye(88), np.eye(88)], batch_size=2, window=25)
        >>> x, y, weight = rolls[0]
        >>> x.shape, y["notes"].shape, weight["notes"].shape
        ((2, 25, 88), (2, 25, 88), (2, 25))
    """

    def __init__(
        self,
        pieces: Iterable[np.ndarray],
        batch_size: int = 8,
        window: int | None = None,
        *,
        seed: int = 0,
        fresh: bool = False,
        joint: bool = False,
        transpose: int = 0,
    ):
        super().__init__()
        self.pieces = tuple(check_piece(i, piece) for i, piece in enumerate(pieces))
        if not self.pieces:
            raise ValueError(
                "`pieces` must contain at least one piece; got none. Pass piano rolls."
            )
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, 0)
        check_integer("transpose", transpose, 0)
        check_boolean("fresh", fresh)
        check_boolean("joint", joint)
        if window is not None:
            check_integer("window", window, 1)
        self.batch_size = batch_size
        self.seed = seed
        self.fresh = fresh
        self.joint = joint
        self.transpose = transpose
        self.num_sequences = len(self.pieces)
        self.num_steps = sum(len(piece) - 1 for piece in self.pieces)
        # Without the first time step, which is not predicted, and with one of padding.
        lengths = [len(piece) for piece in self.pieces]
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
        """Frequency of each key, shape `(88,)`, above 0 and below 1.

        With `transpose`, it is the mean over all transpositions.
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

    def batch(self, index: int) -> tuple:
        x = np.full((self.batch_size, self.window, KEYS), PADDING, np.float32)
        y = np.zeros_like(x)
        weight = np.zeros(x.shape[:2], np.float32)
        up = self._transposition()
        rows, first = self._order(self._rows), index * self.window
        if not self._along:
            begin = index * self.batch_size
            rows, first = rows[begin : begin + self.batch_size], 0
        for b, row in enumerate(rows):
            t = -first  # start of the piece, relative to the start of this batch
            for i in row:
                n = len(self.pieces[i]) - 1
                start, end = max(0, -t), min(n, self.window - t)
                if start < end:
                    place = b, slice(t + start, t + end)
                    notes = np.roll(self.pieces[i][start : end + 1], up[i], axis=1)
                    x[place], y[place], weight[place] = notes[:-1], notes[1:], 1
                t += n + 1
        inputs = {"roll": x, "next": y} if self.joint else x
        return inputs, {"notes": y}, {"notes": weight}

    def _order(self, rows: list[list[int]]) -> Sequence[Sequence[int]]:
        """Return the rows, and the pieces of each row, in the order of this epoch."""
        if not self.fresh:
            return rows
        rng = np.random.default_rng([self.seed, self.epoch])
        shuffled = [rng.permutation(row).tolist() for row in rows]
        if not self._along:  # a row along several batches keeps its place
            shuffled = [shuffled[i] for i in rng.permutation(len(rows))]
        return shuffled

    def _transposition(self) -> np.ndarray:
        """Draw the number of keys by which each piece is moved up in this epoch."""
        rng = np.random.default_rng([self.seed, self.epoch * self.fresh, 1])
        most = self.transpose
        up = rng.integers(-most, most, len(self.pieces), endpoint=True)
        return np.clip(up, *self._reach)


def reach(piece: np.ndarray) -> tuple[int, int]:
    """Return the lowest (negative) and highest possible transposition of a piece."""
    keys = np.flatnonzero(piece.any(axis=0))
    return (-keys[0], KEYS - 1 - keys[-1]) if len(keys) else (0, 0)


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Pack pieces into rows of a fixed length by first fit.

    Args:
        lengths: Lengths of the pieces.
        room: Length of a row, at least that of the longest piece.

    Returns:
        List of rows, each a list of indices of pieces.
    """
    rows: list[list[int]] = []
    left: list[int] = []  # free time steps of each row
    for i, n in enumerate(lengths):
        j = next((j for j, free in enumerate(left) if n <= free), None)
        if j is None:
            j = len(rows)
            rows.append([])
            left.append(room)
        rows[j].append(i)
        left[j] -= n
    return rows


def share(lengths: Sequence[int], n: int) -> list[list[int]]:
    """Distribute pieces over `n` rows of nearly equal length, longest pieces first.

    Args:
        lengths: Lengths of the pieces.
        n: Number of rows.

    Returns:
        List of rows, each a list of indices of pieces.
    """
    rows: list[list[int]] = [[] for _ in range(n)]
    filled = [0] * n
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
    **folder: Any,
) -> tuple[PianoRolls, PianoRolls, PianoRolls]:
    """Return datasets of polyphonic music (Section 3.2), for Table 3.

    Args:
        source: Source of the pieces, an argument of `zoo.data.load_corpus` (`"jsb"`,
            `"nottingham"`, `"muse"`, `"piano_midi"` and others, or a folder of MIDI
            files), or its result.
        batch_size: Number of rows in a batch.
        window: Number of time steps in a training batch. Validation and test batches
            contain complete pieces.
        seed: Seed of order and transposition of the training pieces.
        joint: Whether the datasets are for a model of the joint distribution, see
            `PianoRolls`.
        transpose: Largest number of keys by which training pieces are transposed at
            random, new in each epoch. The paper does not mention transposition.
        merge_validation: Whether the training set also contains the pieces of the
            validation set, as in phase 2 of Appendix D.2.
        verbose: Whether to print what was loaded.
        **folder: `step`, `unit`, `errors`, `pedal` and `strict` for a folder of MIDI
            files, as in `zoo.data.load_corpus`.

    Returns:
        Training, validation and test set, each `PianoRolls`.

    Raises:
        ValueError: If an argument is invalid, or if `zoo.data.load_corpus` raises it.

    Examples:
        >>> from zoo.data.music.corpora import Corpus
        >>> scales = [np.eye(88)] * 32
        >>> corpus = Corpus("scales", train=scales, valid=scales, test=scales)
        >>> train, valid, test = zoo.data.piano_rolls(corpus)
        scales: training 32 (2,784), validation 32 (2,784), test 32 (2,784) pieces ...
        >>> train.frequencies.shape
        (88,)
    """
    check_boolean("merge_validation", merge_validation)
    corpus = load_corpus(source, **folder)
    train = (*corpus.train, *(corpus.valid if merge_validation else ()))
    sets = (
        PianoRolls(
            train,
            batch_size,
            window,
            joint=joint,
            seed=seed,
            fresh=True,
            transpose=transpose,
        ),
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


def tell_of_padding(rolls: PianoRolls) -> None:
    """Print a hint if more than 20 % of the time steps are padding."""
    padding = 1 - rolls.num_steps / (len(rolls) * rolls.batch_size * rolls.window)
    longest = max(len(piece) for piece in rolls.pieces)
    rows = max(1, (rolls.num_steps + rolls.num_sequences) // longest)
    if padding > 0.2 and rows < rolls.batch_size:
        print(
            f"{padding:.0%} of the time steps in training batches are padding, because "
            f"the longest of {rolls.num_sequences} pieces has {longest:,} steps. With "
            f"batch_size={rows} there is less padding."
        )


def check_piece(i: int, piece: np.ndarray) -> np.ndarray:
    """Return piece number `i`, or raise `ValueError` if it is not a piano roll."""
    piece = np.asarray(piece)
    if piece.ndim != 2 or piece.shape[1] != KEYS or len(piece) < 2:
        raise ValueError(
            f"Piece {i} must have shape (steps, {KEYS}), with at least two steps; got "
            f"{piece.shape}. Reshape it, or leave it out."
        )
    if not np.isin(piece, (0, 1)).all():
        raise ValueError(
            f"Piece {i} must have only the values 0 and 1; got other values. Pass "
            "`roll > 0`."
        )
    return piece
