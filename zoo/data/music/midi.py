"""MIDI files as piano rolls, and back; mido writes them.

A piano roll is an array of shape `(T, 88)`: which of the keys of a piano, from A0 (MIDI
note 21) to C8 (108), sound in each time step.
"""

import io
import math
import os
import warnings
from collections import Counter, defaultdict
from numbers import Real
from pathlib import Path

import numpy as np

from zoo.data.music.midi_events import (
    CONTROL,
    META,
    NOTE_OFF,
    NOTE_ON,
    TEMPO,
    fault,
    read_events,
)
from zoo.files import write_whole

KEYS, LOWEST = 88, 21
DRUMS = 9  # the channel whose notes are no pitches
TICKS = 480  # of a quarter note, in files that are written
MIDI_SUFFIXES = (".mid", ".midi")
# Controllers. Those above "all notes off" change the mode, which ends all notes too.
PEDAL, ALL_SOUND_OFF, RESET, ALL_NOTES_OFF = 64, 120, 121, 123
BEYOND = "note(s) beyond the 88 keys"


def read_midi(
    path: str | os.PathLike,
    step: float = 0.5,
    unit: str = "quarters",
    *,
    pedal: bool = False,
    strict: bool = False,
) -> np.ndarray:
    """Read a MIDI file as a piano roll: all tracks together, without the drums.

    A note sounds from the step nearest to its beginning to the one nearest to its end,
    and for one step at least. It ends with its release or with "all notes off" or "all
    sound off" in its channel; if it has no end, it sounds to the end of the file. Where
    a key has fewer releases than strikes, each ends all of its notes.

    Notes beyond the 88 keys and damaged events that move no notes, such as key
    signatures and exclusive messages, are left out, with a warning that counts them.

    Args:
        path: File in the standard MIDI format.
        step: Length of a time step: 0.5 quarter notes are an eighth note.
        unit: `"quarters"`, or `"seconds"`, which follow the tempo map of the file.
        pedal: Whether the sustain pedal (controller 64) holds notes until it is lifted
            or their key is struck again. By default a note ends when its key is
            released, as it is written in a score.
        strict: Whether to raise a `ValueError` where something would be left out.

    Returns:
        `uint8` of shape `(T, 88)`, zeros and ones. Silence before the first note is
        left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or has no notes on the 88 keys, or if
            `strict` and something would be left out.

    Examples:
        >>> from zoo.data.music.midi import read_midi, write_midi
        >>> path = write_midi("scale.mid", np.eye(88), step=0.5)
        >>> read_midi(path, step=0.25).shape
        (176, 88)
    """
    roll, left_out = read_roll(Path(path), step, unit, pedal, strict)
    if left_out:
        warnings.warn(f"{path}: {counted(left_out)}", stacklevel=2)
    return roll


def read_roll(path, step, unit, pedal, strict):
    """See `read_midi`; also a `Counter` of what was left out."""
    check_time_step(step, unit)
    file = read_file(path)
    notes = list(notes_of(file, unit, pedal))
    on_piano = [note for note in notes if 0 <= note[-1] - LOWEST < KEYS]
    left_out = file.faults + Counter({BEYOND: len(notes) - len(on_piano)})
    if strict and left_out[BEYOND]:
        beyond = sorted({key for *_, key in set(notes) - set(on_piano)})
        raise ValueError(
            f"{path} has notes beyond the 88 keys of a piano (MIDI notes 21 to 108): "
            f"{beyond}. Transpose it, or leave it out (errors='skip')."
        )
    if strict and left_out:
        raise ValueError(
            f"{path} must be as the standard says; got {listed(left_out)}. Save it "
            "again with another program, or read it with `strict=False`."
        )
    if not on_piano:
        where = " on the 88 keys of a piano" if notes else ""
        raise ValueError(f"{path} has no notes{where}: leave it out (errors='skip').")
    return roll_of(on_piano, step), left_out


def listed(left_out):
    return ", ".join(f"{n:,} {what}" for what, n in left_out.items())


def counted(left_out):
    """The sentence that counts what was left out."""
    return f"left out {listed(left_out)}. `strict=True` raises an error instead."


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


def read_notes(path, unit, pedal=False):
    """Yield beginning, end and MIDI note number of each note of a file."""
    yield from notes_of(read_file(path), unit, pedal)


def read_file(path):
    """The events of a file, see `read_events`, or an error that names the file."""
    if not path.is_file():
        if path.is_symlink():
            raise FileNotFoundError(
                f"{path} is a link that leads to no file: mend it, or leave it out "
                "(errors='skip')."
            )
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    try:
        file = read_events(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} is no MIDI file or is damaged ({error}): replace it, or leave it "
            "out (errors='skip')."
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
    return file


def notes_of(file, unit, pedal):
    """Yield beginning, end and MIDI note number of each note."""
    events = list(timed(file, unit))
    strikes = Counter(voice(e) for _, e in events if struck(e))
    releases = Counter(voice(e) for _, e in events if released(e))
    down, held = defaultdict(list), defaultdict(list)  # starts of the notes of a voice
    pedals = set()  # channels whose pedal is down

    def lift(key, now, n=None):
        """The first n notes of a key end, unless the pedal holds them."""
        starts, down[key] = down[key][:n], down[key][n:] if n else []
        if key[0] in pedals:
            held[key] += starts
        else:
            yield from ((start, now, key[1]) for start in starts)

    def end(notes, key, now):
        yield from ((start, now, key[1]) for start in notes.pop(key, []))

    for now, event in events:
        key = voice(event)
        if struck(event):
            yield from end(held, key, now)
            down[key].append(now)
        elif released(event):
            # Of the first strike, but where some are missing of all so far.
            yield from lift(key, now, None if strikes[key] > releases[key] else 1)
        elif event.kind == CONTROL:
            controller, value = event.data
            of_channel = [k for k in {*down, *held} if k[0] == event.channel]
            if controller == PEDAL and value >= 64 and pedal:
                pedals.add(event.channel)
            elif controller in (PEDAL, RESET):
                pedals.discard(event.channel)
                for key in of_channel:
                    yield from end(held, key, now)
            elif controller == ALL_SOUND_OFF:
                for key in of_channel:
                    yield from end(held, key, now)
                    yield from end(down, key, now)
            elif controller >= ALL_NOTES_OFF:
                for key in of_channel:
                    yield from lift(key, now)
    for notes in (down, held):
        for key in list(notes):
            yield from end(notes, key, events[-1][0])


def voice(event):
    """Channel and key of a note."""
    return event.channel, event.data[0] if event.data else None


def struck(event):
    """Whether a key is struck that is none of the drums'."""
    return event.kind == NOTE_ON and event.channel != DRUMS and event.data[1] > 0


def released(event):
    """Whether a key is released, which may be written as a strike of velocity 0."""
    silent = event.kind == NOTE_ON and event.data[1] == 0
    return event.channel != DRUMS and (event.kind == NOTE_OFF or silent)


def timed(file, unit):
    """Yield each event with its time, in quarter notes or seconds.

    Whole ticks are counted, in seconds from the last change of the tempo: sums of
    fractions would fall short of the middle between two steps.
    """
    begin, first, tempo = 0.0, 0, 500_000  # microseconds for a quarter note: default
    for event in file.events:
        if unit == "quarters":
            yield event.tick / file.ticks_per_beat, event
            continue
        now = begin + (event.tick - first) * tempo / (1e6 * file.ticks_per_beat)
        if event.kind == META and event.channel == TEMPO and fault(event) is None:
            begin, first, tempo = now, event.tick, int.from_bytes(event.data)
        yield now, event


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
        >>> from zoo.data.music.midi import read_midi, write_midi
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
