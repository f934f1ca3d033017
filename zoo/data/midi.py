"""MIDI files as piano rolls, and back, through mido.

A piano roll is an array of shape `(T, 88)`: which of the keys of a piano, from A0 (MIDI
note 21) to C8 (108), sound in each time step.
"""

import io
import math
import os
from collections import Counter
from numbers import Real
from pathlib import Path

import numpy as np

from zoo.files import write_whole

KEYS, LOWEST = 88, 21
DRUMS = 9  # the channel whose notes are no pitches
TICKS = 480  # of a quarter note, in files that are written
MIDI_SUFFIXES = (".mid", ".midi")


def read_midi(
    path: str | os.PathLike, step: float = 0.5, unit: str = "quarters"
) -> np.ndarray:
    """Piano roll of a MIDI file: all tracks together, without the drums.

    A note sounds from the step nearest to its beginning to the one nearest to its end,
    and for one step at least. One that is never released sounds to the end of the file.
    Where a key has fewer releases than strikes, each ends all of its notes.

    Args:
        path: File in the standard MIDI format.
        step: Length of a time step: 0.5 quarter notes are an eighth note.
        unit: `"quarters"`, or `"seconds"`, which follow the tempo map of the file.

    Returns:
        `uint8` of shape `(T, 88)`, zeros and ones. Silence before the first note is
        left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, has no notes, or notes beyond the 88 keys.

    Examples:
        >>> from zoo.data.midi import read_midi, write_midi
        >>> path = write_midi("scale.mid", np.eye(88), step=0.5)
        >>> read_midi(path, step=0.25).shape
        (176, 88)
    """
    check_time_step(step, unit)
    notes = list(read_notes(Path(path), unit))
    beyond = sorted({key for *_, key in notes if not 0 <= key - LOWEST < KEYS})
    if beyond:
        raise ValueError(
            f"{path} has notes beyond the 88 keys of a piano (MIDI notes 21 to 108): "
            f"{beyond}. Transpose it, or leave it out (errors='skip')."
        )
    if not notes:
        raise ValueError(f"{path} has no notes: leave it out (errors='skip').")
    return roll_of(notes, step)


def check_time_step(step, unit="quarters"):
    """Raises a `ValueError` unless they are what `read_midi` takes."""
    if unit not in ("quarters", "seconds"):
        raise ValueError(f"`unit` must be 'quarters' or 'seconds', not {unit!r}.")
    if not isinstance(step, Real) or not 0 < step < float("inf"):
        raise ValueError(f"`step` must be above 0 and finite, not {step!r}.")


def roll_of(notes, step):
    """Piano roll of notes: beginning, end and MIDI note number of each."""
    notes = [(nearest(start / step), nearest(end / step), k) for start, end, k in notes]
    first = min(start for start, *_ in notes)
    last = max(max(end, start + 1) for start, end, _ in notes)
    roll = np.zeros((last - first, KEYS), np.uint8)
    for start, end, key in notes:
        roll[start - first : max(end, start + 1) - first, key - LOWEST] = 1
    return roll


def nearest(x):
    """The nearest integer, the later one of two: `round` would take the even one."""
    return math.floor(x + 0.5)


def read_notes(path, unit):
    """Yield beginning, end and MIDI note number of each note of a file."""
    mido = import_mido()
    if not path.is_file():
        if path.is_symlink():
            raise FileNotFoundError(
                f"{path} is a link that leads to no file: mend it, or leave it out "
                "(errors='skip')."
            )
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        file = mido.MidiFile(path)
    except Exception as error:  # mido raises many kinds
        raise ValueError(
            f"{path} is no MIDI file or is damaged "
            f"({str(error) or 'it ends too early'}): replace it, or leave it out "
            "(errors='skip')."
        ) from error
    if file.type == 2:
        raise ValueError(
            f"{path} holds several pieces (a MIDI file of type 2): save each as a file "
            "of its own, or leave it out (errors='skip')."
        )
    if file.ticks_per_beat <= 0:
        raise ValueError(
            f"{path} counts time in frames of film, not in notes: save it with a "
            "number of ticks per quarter note."
        )
    messages = list(timed(mido.merge_tracks(file.tracks), file.ticks_per_beat, unit))
    notes = [
        (now, (m.channel, m.note), m.type == "note_on" and m.velocity > 0)
        for now, m in messages
        if m.type in ("note_on", "note_off") and m.channel != DRUMS
    ]
    strikes = Counter(voice for _, voice, struck in notes if struck)
    releases = Counter(voice for _, voice, struck in notes if not struck)
    sounding = {}
    for now, voice, struck in notes:
        starts = sounding.setdefault(voice, [])
        if struck:
            starts.append(now)
            continue
        # A release is of the first strike, but where some are missing of all so far.
        ended = starts if strikes[voice] > releases[voice] else starts[:1]
        for start in ended:
            yield start, now, voice[1]
        sounding[voice] = starts[len(ended) :]
    for (_, key), starts in sounding.items():
        for start in starts:
            yield start, messages[-1][0], key


def timed(messages, ticks_per_beat, unit):
    """Yield each message with its time, in quarter notes or seconds.

    Whole ticks are counted, in seconds from the last change of the tempo: sums of
    fractions would fall short of the middle between two steps.
    """
    ticks, begin, tempo = 0, 0.0, 500_000  # microseconds for a quarter note: default
    for message in messages:
        ticks += message.time
        if unit == "quarters":
            yield ticks / ticks_per_beat, message
            continue
        now = begin + ticks * tempo / (1e6 * ticks_per_beat)
        if message.type == "set_tempo":
            ticks, begin, tempo = 0, now, message.tempo
        yield now, message


def write_midi(
    path: str | os.PathLike, roll: np.ndarray, step: float = 0.5, tempo: float = 100
) -> Path:
    """Write a piano roll as a MIDI file.

    A key that is down in steps that follow each other is one held note, since a roll
    does not say whether it is struck anew.

    Args:
        path: Where to write.
        roll: Shape `(T, 88)`; above 0 means that the key sounds.
        step: Length of a time step in quarter notes.
        tempo: Quarter notes in a minute, at least 4.

    Returns:
        The path.

    Raises:
        ValueError: If the roll does not have that shape, or another argument is not as
            above.

    Examples:
        >>> from zoo.data.midi import read_midi, write_midi
        >>> path = write_midi("scale.mid", np.eye(88))
        >>> read_midi(path).shape
        (88, 88)
    """
    mido = import_mido()
    roll = np.asarray(roll)
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ValueError(f"a piano roll has shape (T, {KEYS}), and not {roll.shape}.")
    check_time_step(step)
    if not 4 <= tempo <= 60_000_000:  # what three bytes of microseconds can say
        raise ValueError(
            "`tempo` must be from 4 to 60,000,000 quarter notes in a minute, not "
            f"{tempo!r}."
        )
    file = mido.MidiFile(ticks_per_beat=TICKS)
    track = file.add_track("piano")
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    silence = np.zeros((1, KEYS), int)
    changes = np.diff(np.concatenate([silence, roll > 0, silence]).astype(int), axis=0)
    last = 0
    # Releases before attacks, so that a key can be struck where it was released.
    for t, key in sorted(np.argwhere(changes), key=lambda c: (c[0], changes[tuple(c)])):
        tick = round(t * step * TICKS)
        kind = "note_on" if changes[t, key] > 0 else "note_off"
        note = int(key) + LOWEST
        track.append(mido.Message(kind, note=note, velocity=80, time=tick - last))
        last = tick
    buffer = io.BytesIO()
    file.save(file=buffer)
    return write_whole(Path(path), buffer.getvalue())


def import_mido():
    try:
        import mido
    except ImportError:
        raise ImportError("MIDI files need mido: pip install mido.") from None
    return mido
