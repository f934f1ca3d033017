"""Events of Standard MIDI Files with their times.

Only events that change notes are decoded. All other events, such as key signatures and
system exclusive messages, are skipped by their length, so that damage in them does not
matter.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

NOTE_OFF, NOTE_ON, CONTROL = 0x80, 0x90, 0xB0
SYSTEM, ESCAPE, META = 0xF0, 0xF7, 0xFF
TEMPO, KEY_SIGNATURE = 0x51, 0x59
LENGTHS = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # bytes of system common messages; otherwise 0


class Event(NamedTuple):
    """A message of a MIDI file.

    Attributes:
        tick: Time in ticks.
        kind: `NOTE_OFF`, `NOTE_ON`, `CONTROL` and so on, without the channel; `META`
            for meta events; `SYSTEM` and `ESCAPE` for system exclusive messages.
        channel: Channel from 0 to 15; for `META`, the type of the meta event.
        data: Data bytes.
    """

    tick: int
    kind: int
    channel: int
    data: bytes


class MidiFile(NamedTuple):
    """Content of a file.

    Attributes:
        type: 0 for one track, 1 for parallel tracks, 2 for several pieces.
        ticks_per_beat: Ticks per quarter note; below 0 for SMPTE frames.
        events: Events of all tracks, sorted by time.
        faults: Number of events of each kind that violate the standard.
    """

    type: int
    ticks_per_beat: int
    events: list[Event]
    faults: Counter[str]


def read_events(content: bytes) -> MidiFile:
    """Read the events of a file.

    Args:
        content: Content of the file.

    Returns:
        A `MidiFile`.

    Raises:
        ValueError: If the content is not a MIDI file, or is damaged.
    """
    if len(content) >= 4 and content[:4] != b"MThd":
        raise ValueError("it does not begin with MThd")
    try:
        parts = chunks(content)
        kind, tracks, ticks_per_beat = struct.unpack(">hHh", next(parts)[1][:6])
        events: list[Event] = []
        while tracks:
            name, track = next(parts)
            if name == b"MTrk":
                events += track_events(track)
                tracks -= 1
    except (StopIteration, IndexError, struct.error):
        raise ValueError("it ends too early") from None
    events.sort(key=lambda event: event.tick)
    faults = Counter(filter(None, map(fault, events)))
    return MidiFile(kind, ticks_per_beat, events, faults)


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and data of each chunk.

    Raises:
        IndexError: If the content is incomplete.
    """
    place = 0
    while place < len(content):
        name, size = struct.unpack(">4sL", content[place : place + 8])
        place += 8 + size
        if place > len(content):
            raise IndexError
        yield name, content[place - size : place]


def track_events(track: bytes) -> Iterator[Event]:
    """Yield the events of a track."""
    place = tick = running = 0

    def number():
        """Read a variable-length number: 7 bits per byte, highest byte first."""
        nonlocal place
        value = 0
        while True:
            byte = track[place]
            place += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    def read(size):
        """Read data bytes."""
        nonlocal place
        place += size
        if place > len(track):
            raise IndexError
        return track[place - size : place]

    while place < len(track):
        tick += number()
        status = track[place]
        if status >= 0x80:
            place += 1
            running = status if status < SYSTEM else running
        elif not running:
            raise ValueError("a message has no status")
        else:
            status = running
        if status == META:
            meta = track[place]
            place += 1
            yield Event(tick, META, meta, read(number()))
        elif status in (SYSTEM, ESCAPE):
            yield Event(tick, status, 0, read(number()))
        elif status > SYSTEM:
            yield Event(tick, status, 0, read(LENGTHS.get(status, 0)))
        else:
            kind, channel = status & 0xF0, status & 0x0F
            data = read(1 if kind in (0xC0, 0xD0) else 2)
            if max(data) > 127:
                raise ValueError("a message has a data byte above 127")
            yield Event(tick, kind, channel, data)


def fault(event: Event) -> str | None:
    """Return how an event that does not change notes violates the standard, if it does.

    `None` if the event is valid.
    """
    kind, meta, data = event.kind, event.channel, event.data
    if kind == SYSTEM and any(byte > 127 for byte in data[:-1]):
        return "bad exclusive message(s)"
    if kind in range(SYSTEM + 1, META) and kind != ESCAPE:
        return "message(s) that are not for files"
    if kind == META and meta == TEMPO and (len(data) != 3 or not any(data)):
        return "bad tempo(s)"
    if kind == META and meta == KEY_SIGNATURE:
        sharps = int.from_bytes(data[:1], signed=True)
        if len(data) != 2 or abs(sharps) > 7 or data[1] > 1:
            return "bad key signature(s)"
    return None
