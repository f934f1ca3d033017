"""Reading and writing of MIDI files as piano rolls.

A piano roll is an array of shape `(T, 88)`. It says for each time step which of the 88
keys of a piano sound, from A0 (MIDI note 21) to C8 (MIDI note 108). Writing needs the
package mido. The file is longer than others because reading and writing belong
together.
"""

import io
import math
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from zoo.data.music.midi_events import (
    CONTROL,
    META,
    NOTE_OFF,
    NOTE_ON,
    TEMPO,
    Event,
    MidiFile,
    fault,
    read_events,
)
from zoo.files import write_whole

Note = tuple[float, float, int]  # start, end and MIDI note number

KEYS, LOWEST = 88, 21  # number of keys, MIDI note number of the lowest key
DRUMS = 9  # channel of the drums, whose notes are not pitches
TICKS = 480  # ticks per quarter note in files that are written
MIDI_SUFFIXES = (".mid", ".midi")
LONGEST = 10_000_000  # time steps of a roll; more is an error in the length of a step
# Controllers. Those above "all notes off" change the mode, which also ends all notes.
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
    """Read a MIDI file as a piano roll of all tracks, without drums.

    Start and end of a note are rounded to the nearest time step, and a note is at least
    one time step long. A note ends with a note-off event of its key, or with "all notes
    off" or "all sound off" in its channel, or at the end of the file. If a key has
    fewer note-off than note-on events in the file, each note-off event ends all notes
    of this key.

    Notes beyond the 88 keys are left out, and so are damaged events that do not change
    notes, such as key signatures and system exclusive messages. One warning counts
    them.

    Args:
        path: Path of a Standard MIDI File.
        step: Length of a time step. 0.5 quarter notes are an eighth note.
        unit: Unit of `step`: `"quarters"` (quarter notes) or `"seconds"`, by the tempo
            map of the file.
        pedal: Whether the sustain pedal (controller 64) holds notes until the pedal is
            released or the key is struck again. By default, a note ends when its key is
            released, as written in a score.
        strict: Whether to raise `ValueError` instead of leaving notes or events out.

    Returns:
        Piano roll, `uint8` of shape `(T, 88)`, zeros and ones. Silence before the first
        note is left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or has no notes on the 88 keys, or if
            `strict` is true and notes or events would be left out.

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


def read_roll(
    path: Path, step: float, unit: str, pedal: bool, strict: bool
) -> tuple[np.ndarray, Counter[str]]:
    """Read a piano roll as `read_midi` does, and count what was left out.

    Returns:
        The piano roll, and the number of notes and events of each kind left out.
    """
    check_time_step(step, unit)
    file = read_file(path)
    notes = list(notes_of(file, unit, pedal))
    on_piano = [note for note in notes if 0 <= note[-1] - LOWEST < KEYS]
    left_out = file.faults + Counter({BEYOND: len(notes) - len(on_piano)})
    if strict and left_out[BEYOND]:
        beyond = sorted({key for *_, key in set(notes) - set(on_piano)})
        raise ValueError(
            f"{path} must have notes only on the 88 keys of a piano (MIDI notes 21 to "
            f"108); got {beyond}. Transpose it, or leave it out (errors='skip')."
        )
    if strict and left_out:
        raise ValueError(
            f"{path} must follow the MIDI standard; got {listed(left_out)}. Save it "
            "again with another program, or read it with `strict=False`."
        )
    if not on_piano:
        where = " on the 88 keys of a piano" if notes else ""
        raise ValueError(
            f"{path} must have notes{where}; got none. Leave it out (errors='skip')."
        )
    return roll_of(on_piano, step), left_out


def listed(left_out: Counter[str]) -> str:
    """Return the counts of notes and events as text."""
    return ", ".join(f"{n:,} {what}" for what, n in left_out.items())


def counted(left_out: Counter[str]) -> str:
    """Return the warning about notes and events that were left out."""
    return f"left out {listed(left_out)}. `strict=True` raises an error instead."


def check_time_step(step: float, unit: str = "quarters") -> None:
    """Raise `ValueError` if the length or the unit of a time step is invalid."""
    if unit not in ("quarters", "seconds"):
        raise ValueError(
            f"`unit` must be 'quarters' or 'seconds'; got {unit!r}. Choose one of "
            "these."
        )
    if not isinstance(step, Real) or not 0 < step < float("inf"):
        raise ValueError(
            f"`step` must be above 0 and finite; got {step!r}. Choose a length such as "
            "0.5."
        )


def roll_of(notes: Iterable[Note], step: float) -> np.ndarray:
    """Return the piano roll of notes.

    Args:
        notes: Start, end and MIDI note number of each note.
        step: Length of a time step, in the unit of start and end.
    """
    steps = [(nearest(start / step), nearest(end / step), k) for start, end, k in notes]
    first = min(start for start, _, _ in steps)
    last = max(max(end, start + 1) for start, end, _ in steps)
    if last - first > LONGEST:
        raise ValueError(
            f"`step` must give at most {LONGEST:,} time steps; got {step!r}, which "
            f"gives {last - first:,}. Choose a longer step."
        )
    roll = np.zeros((last - first, KEYS), np.uint8)
    for start, end, key in steps:
        roll[start - first : max(end, start + 1) - first, key - LOWEST] = 1
    return roll


def nearest(x: float) -> int:
    """Round to the nearest integer, halves upwards (`round` takes the even integer)."""
    return math.floor(x + 0.5)


def read_file(path: Path) -> MidiFile:
    """Read the events of a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or of a type that is not supported.
    """
    if not path.is_file():
        if path.is_symlink():
            raise FileNotFoundError(
                f"{path} must be an existing file; got a broken link. Repair it, or "
                "leave it out (errors='skip')."
            )
        raise FileNotFoundError(
            f"{path} must be an existing file; got no such file. Check the path."
        )
    try:
        file = read_events(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} must be a MIDI file; it is no MIDI file or is damaged ({error}). "
            "Replace it, or leave it out (errors='skip')."
        ) from error
    if file.type == 2:
        raise ValueError(
            f"{path} must be a MIDI file of type 0 or 1; it holds several pieces (type "
            "2). Save each piece as a file, or leave it out (errors='skip')."
        )
    if file.ticks_per_beat <= 0:
        raise ValueError(
            f"{path} must count time in ticks per quarter note; it counts SMPTE frames "
            "per second. Save it with a number of ticks per quarter note."
        )
    return file


def notes_of(file: MidiFile, unit: str, pedal: bool) -> Iterator[Note]:
    """Yield start, end and MIDI note number of each note.

    Args:
        file: Events of a file.
        unit: Unit of start and end, `"quarters"` or `"seconds"`.
        pedal: Whether the sustain pedal holds notes.
    """
    events = list(timed(file, unit))
    strikes = Counter(voice(e) for _, e in events if struck(e))
    releases = Counter(voice(e) for _, e in events if released(e))
    # Start times of the sounding notes of each voice: with the key down, and with the
    # key released but held by the pedal.
    down: dict[tuple, list[float]] = defaultdict(list)
    held: dict[tuple, list[float]] = defaultdict(list)
    pedals: set[int] = set()  # channels whose pedal is down

    def lift(key, now, n=None):
        """End the first n notes of a key (default: all), or let the pedal hold them."""
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
            # It ends the earliest note of the key. If the file has too few releases, it
            # ends all notes of the key.
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


def voice(event: Event) -> tuple[int, int | None]:
    """Return channel and key of a note event."""
    return event.channel, event.data[0] if event.data else None


def struck(event: Event) -> bool:
    """Return whether an event starts a note, except of the drums."""
    return event.kind == NOTE_ON and event.channel != DRUMS and event.data[1] > 0


def released(event: Event) -> bool:
    """Return whether an event ends a note: note-off, or note-on with velocity 0."""
    silent = event.kind == NOTE_ON and event.data[1] == 0
    return event.channel != DRUMS and (event.kind == NOTE_OFF or silent)


def timed(file: MidiFile, unit: str) -> Iterator[tuple[float, Event]]:
    """Yield each event with its time in quarter notes or seconds.

    The time is computed from the number of ticks since the last change of the tempo. A
    sum of many small times would have rounding errors, which matter when a time is
    exactly between two steps.
    """
    begin, first, tempo = 0.0, 0, 500_000  # default: microseconds per quarter note
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

    A key that sounds in consecutive time steps becomes one long note, because a piano
    roll does not say whether the key is struck again.

    Args:
        path: File to write.
        roll: Piano roll of shape `(T, 88)`, above 0 where a key sounds.
        step: Length of a time step in quarter notes.
        tempo: Tempo in quarter notes per minute, from 4 to 60,000,000.

    Returns:
        The path.

    Raises:
        ValueError: If an argument is invalid.
        ImportError: If mido is not installed.

    Examples:
        >>> from zoo.data.music.midi import read_midi, write_midi
        >>> path = write_midi("scale.mid", np.eye(88))
        >>> read_midi(path).shape
        (88, 88)
    """
    mido = import_mido()
    roll = as_roll(roll)
    check_time_step(step)
    # MIDI has three bytes for microseconds.
    if not isinstance(tempo, Real) or not 4 <= tempo <= 60_000_000:
        raise ValueError(
            "`tempo` must be from 4 to 60,000,000 quarter notes per minute; got "
            f"{tempo!r}. Choose a tempo such as 100."
        )
    file = mido.MidiFile(ticks_per_beat=TICKS)
    track = file.add_track("piano")
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    changes = changes_of(roll)
    last = 0
    # Within a time step, note-off events come before note-on events.
    for t, key in sorted(np.argwhere(changes), key=lambda c: (c[0], changes[tuple(c)])):
        tick = round(t * step * TICKS)
        kind = "note_on" if changes[t, key] > 0 else "note_off"
        note = int(key) + LOWEST
        track.append(mido.Message(kind, note=note, velocity=80, time=tick - last))
        last = tick
    buffer = io.BytesIO()
    file.save(file=buffer)
    return write_whole(Path(path), buffer.getvalue())


def as_roll(roll: Any) -> np.ndarray:
    """Return a piano roll as an array; raise `ValueError` for another shape."""
    roll = np.asarray(roll)
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ValueError(
            f"`roll` must have shape (T, {KEYS}); got {roll.shape}. Pass one piece."
        )
    return roll


def changes_of(roll: np.ndarray) -> np.ndarray:
    """Return where keys begin (1) and end (-1) to sound, shape `(T + 1, 88)`."""
    silence = np.zeros((1, KEYS), int)
    return np.diff(np.concatenate([silence, roll > 0, silence]).astype(int), axis=0)


def import_mido() -> ModuleType:
    """Import mido, or raise an `ImportError` with the command that installs it."""
    try:
        import mido
    except ImportError:
        raise ImportError(
            "The package mido must be installed to write MIDI files; got no such "
            "package. Run pip install mido."
        ) from None
    return mido
