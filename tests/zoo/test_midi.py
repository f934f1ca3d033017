"""MIDI files: reading, writing, and errors."""

import mido
import numpy as np
import pytest

from zoo.data.music.midi import (
    KEYS,
    LOWEST,
    notes_of,
    read_file,
    read_midi,
    write_midi,
)
from zoo.data.music.midi_events import read_events

pytestmark = pytest.mark.once


def save(path, *tracks, ticks=480):
    """A file with a track for each list of messages."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    for messages in tracks:
        file.add_track().extend(messages)
    file.save(path)
    return path


def note(kind, key, time, **kwargs):
    kwargs.setdefault("velocity", 64)
    return mido.Message(kind, note=key, time=time, **kwargs)


def sounding(roll):
    return [list(np.flatnonzero(frame) + LOWEST) for frame in roll]


def test_a_roll_survives_writing_and_reading(tmp_path):
    rng = np.random.default_rng(0)
    roll = (rng.random((40, KEYS)) < 0.1).astype("uint8")
    roll[0, 0] = roll[-1, -1] = 1  # no silence at the ends, which files do not keep
    for step in (0.25, 0.5, 1.0):
        path = write_midi(tmp_path / "a.mid", roll, step)
        np.testing.assert_array_equal(read_midi(path, step), roll)
        finer = read_midi(path, step / 2)
        np.testing.assert_array_equal(finer, np.repeat(roll, 2, axis=0))


def test_held_notes_tracks_and_note_on_without_velocity(tmp_path):
    low = [note("note_on", 40, 0), note("note_off", 40, 4 * 480)]
    high = [
        note("note_on", 60, 480),
        note("note_on", 60, 480, velocity=0),  # which is a release
        note("note_on", 62, 0),
        note("note_off", 62, 960),
    ]
    roll = read_midi(save(tmp_path / "a.mid", low, high), step=1.0)
    assert sounding(roll) == [[40], [40, 60], [40, 62], [40, 62]]


def test_a_note_sounds_for_one_step_at_least_and_is_put_to_the_nearest(tmp_path):
    messages = [
        note("note_on", 60, 0),
        note("note_off", 60, 10),
        note("note_on", 61, 480 - 20),  # almost a step after the first
        note("note_off", 61, 480),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert sounding(roll) == [[60], [61]]


def test_a_note_that_is_never_released_sounds_to_the_end(tmp_path):
    messages = [
        note("note_on", 50, 0),
        note("note_on", 70, 480),
        note("note_off", 70, 480),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert sounding(roll) == [[50], [50, 70]]


def test_a_key_struck_twice_and_released_once_ends_with_that_release(tmp_path):
    messages = [
        note("note_on", 60, 0),
        note("note_on", 60, 120),
        note("note_off", 60, 360),
        note("note_on", 64, 0),
        note("note_off", 64, 960),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert sounding(roll) == [[60], [64], [64]]


def test_a_release_that_is_missing_makes_no_later_note_longer(tmp_path):
    """Struck twice, released once, and struck and released again later."""
    strikes, releases = (0, 480, 8 * 480), (960, 9 * 480)
    events = sorted(
        [(t, "note_on") for t in strikes] + [(t, "note_off") for t in releases]
    )
    messages, last = [], 0
    for t, kind in events:
        messages.append(note(kind, 60, t - last))
        last = t
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert [t for t, keys in enumerate(sounding(roll)) if keys] == [0, 1, 8]


@pytest.mark.parametrize("unit, step", [("quarters", 1.0), ("seconds", 0.5)])
def test_other_messages_do_not_move_notes(tmp_path, unit, step):
    """A pedal every 7 ticks: sums of sevenths would miss the middle of a step."""
    ends = [480 * i + 240 for i in range(1, 40)]
    messages, last = [note("note_on", 60, 0)], 0
    for t in range(7, ends[-1], 7):
        for end in (e for e in ends if last < e <= t):
            messages += [note("note_off", 60, end - last), note("note_on", 60, 0)]
            last = end
        messages.append(mido.Message("control_change", control=64, time=t - last))
        last = t
    messages.append(note("note_off", 60, ends[-1] - last))
    with_pedal = notes_of(read_file(save(tmp_path / "a.mid", messages)), unit, False)
    steps = [(start / step, end / step) for start, end, _ in with_pedal]
    points = [0, *(i + 0.5 for i in range(1, 40))]
    assert steps == list(zip(points, points[1:], strict=False))


def test_of_two_nearest_steps_it_is_the_later_one(tmp_path):
    """Sixteenths in steps of an eighth: pairs, and not one and three by turns."""
    run = [
        note(kind, 60 + i, 120 * (kind == "note_off"))
        for i in range(7)
        for kind in ("note_on", "note_off")
    ]
    roll = read_midi(save(tmp_path / "a.mid", run), step=0.5)
    assert sounding(roll) == [[60], [61, 62], [63, 64], [65, 66]]


def test_the_tempo_map_counts_in_seconds_only(tmp_path):
    tempos = [
        mido.MetaMessage("set_tempo", tempo=1_000_000, time=0),
        mido.MetaMessage("set_tempo", tempo=2_000_000, time=480),
    ]
    notes = [
        note("note_on", 60, 0),
        note("note_off", 60, 480),  # one second
        note("note_on", 62, 0),
        note("note_off", 62, 480),  # two seconds
    ]
    path = save(tmp_path / "a.mid", tempos, notes)
    assert sounding(read_midi(path, 1.0)) == [[60], [62]]
    assert sounding(read_midi(path, 1.0, "seconds")) == [[60], [62], [62]]


def test_drums_and_silence_before_the_first_note_are_left_out(tmp_path):
    messages = [
        note("note_on", 35, 0, channel=9),
        note("note_on", 60, 960),
        note("note_off", 60, 480),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert sounding(roll) == [[60]]


@pytest.mark.parametrize("key", [20, 109])
def test_notes_beyond_the_piano_are_refused_by_name(tmp_path, key):
    messages = [note("note_on", key, 0), note("note_off", key, 480)]
    path = save(tmp_path / "organ.mid", messages)
    with pytest.raises(ValueError, match=rf"organ.mid must have notes only.*\[{key}\]"):
        read_midi(path, strict=True)
    with pytest.raises(ValueError, match="organ.mid must have notes on the 88 keys"):
        read_midi(path)


def control(controller, value, time, **kwargs):
    return mido.Message(
        "control_change", control=controller, value=value, time=time, **kwargs
    )


@pytest.mark.parametrize("controller", [120, 123, 124, 125, 126, 127])
def test_all_notes_off_ends_the_notes_of_its_channel(tmp_path, controller):
    messages = [
        note("note_on", 60, 0),
        note("note_on", 64, 0),
        note("note_on", 67, 0, channel=1),
        control(controller, 0, 480),
        note("note_on", 72, 480),
        note("note_off", 72, 480),
        note("note_off", 67, 0, channel=1),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0)
    assert sounding(roll) == [[60, 64, 67], [67], [67, 72]]


def test_the_pedal_holds_notes_where_it_is_asked_for(tmp_path):
    """Until it is lifted, or their key is struck again."""
    messages = [
        control(64, 127, 0),
        note("note_on", 60, 0),
        note("note_on", 67, 0, channel=1),
        note("note_off", 60, 480),
        note("note_off", 67, 0, channel=1),
        note("note_on", 64, 0),
        note("note_on", 60, 480),
        note("note_off", 64, 480),
        note("note_off", 60, 0),
        control(64, 63, 480),
        note("note_on", 72, 480),
        note("note_off", 72, 480),
    ]
    path = save(tmp_path / "a.mid", messages)
    plain = [[60, 67], [64], [60, 64], [], [], [72]]
    held = [[60, 67], [60, 64], [60, 64], [60, 64], [], [72]]
    assert sounding(read_midi(path, step=1.0)) == plain
    assert sounding(read_midi(path, step=1.0, pedal=True)) == held
    notes = notes_of(read_file(path), "quarters", pedal=True)
    assert sorted(note[:2] for note in notes if note[2] == 60) == [(0, 2), (2, 4)]


@pytest.mark.parametrize(
    ("end", "length"),
    [
        (control(120, 0, 480), 2),  # all sound off
        (control(123, 0, 480), 4),  # all notes off, which the pedal outlasts
        (control(121, 0, 480), 2),  # reset all controllers
        (control(64, 0, 480), 2),
        (control(64, 0, 480, channel=1), 4),
    ],
)
def test_what_ends_the_notes_that_the_pedal_holds(tmp_path, end, length):
    messages = [
        control(64, 64, 0),
        note("note_on", 60, 0),
        note("note_off", 60, 480),
        end,
        note("note_on", 90, 480, channel=2),
        note("note_off", 90, 480, channel=2),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0, pedal=True)
    assert [60 in keys for keys in sounding(roll)] == [t < length for t in range(4)]


def test_a_pedal_is_of_its_channel(tmp_path):
    messages = [
        control(64, 127, 0),
        note("note_on", 60, 0),
        control(64, 127, 0, channel=1),
        control(64, 0, 240, channel=1),
        note("note_off", 60, 240),
        control(64, 0, 960),
        note("note_on", 64, 0),
        note("note_off", 64, 480),
    ]
    roll = read_midi(save(tmp_path / "a.mid", messages), step=1.0, pedal=True)
    assert sounding(roll) == [[60], [60], [60], [64]]


SCALE = [note("note_on", 60, 0), note("note_off", 60, 480)]
KEY_SIGNATURE = b"\xff\x59\x02\x08\x00"  # eight sharps
EXCLUSIVE = b"\xf0\x03\x41\x90\xf7"  # a byte above 127
CLOCK = b"\xf8"


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (KEY_SIGNATURE, "bad key signature"),
        (b"\xff\x59\x01\x00", "bad key signature"),
        (b"\xff\x59\x02\x00\x02", "bad key signature"),
        (EXCLUSIVE, "bad exclusive message"),
        (b"\xff\x51\x02\x07\xa1", "bad tempo"),
        (b"\xff\x51\x03\0\0\0", "bad tempo"),
        (CLOCK, r"message\(s\) that are not for files"),
        (b"\xf2\x10\x20", r"message\(s\) that are not for files"),
    ],
)
def test_bad_events_that_move_no_notes_cost_no_piece(tmp_path, event, name):
    path = save(tmp_path / "a.mid", SCALE)
    expected = read_midi(path, 1.0)
    content = path.read_bytes()
    place = content.index(b"MTrk") + 8
    size = int.from_bytes(content[place - 4 : place])
    twice = 2 * (b"\x00" + event)
    path.write_bytes(
        content[: place - 4] + (size + len(twice)).to_bytes(4) + twice + content[place:]
    )
    for unit in ("quarters", "seconds"):
        with pytest.warns(UserWarning, match=f"a.mid: left out 2 {name}") as caught:
            roll = read_midi(path, 1.0, unit)
        assert len(caught) == 1 and caught[0].filename == __file__
        np.testing.assert_array_equal(roll, expected)
    with pytest.raises(ValueError, match=f"a.mid must follow the .*; got 2 {name}"):
        read_midi(path, strict=True)


def test_notes_beyond_the_piano_cost_no_piece(tmp_path):
    messages = [note("note_on", 10, 0), *SCALE, note("note_off", 10, 0)]
    messages += [note("note_on", 120, 0), note("note_off", 120, 480)]
    path = save(tmp_path / "a.mid", messages)
    with pytest.warns(UserWarning, match=r"left out 2 note\(s\) beyond the 88 keys\."):
        roll = read_midi(path, 1.0)
    assert sounding(roll) == [[60]]
    with pytest.raises(ValueError, match=r"must have notes only .*; got \[10, 120\]"):
        read_midi(path, 1.0, strict=True)


def test_an_unknown_event_takes_its_time(tmp_path):
    """An event of a type of its own that comes a beat after the note."""
    content = (
        b"MThd\0\0\0\6\0\0\0\1\x01\xe0MTrk\0\0\0\x15"
        b"\0\x90\x3c\x40" + b"\x83\x60\xff\x70\x01\x00"  # 480 ticks
        b"\x83\x60\x80\x3c\x40" + b"\0\xff\x2f\0"
    )
    size = len(content) - content.index(b"MTrk") - 8
    content = content.replace(b"\0\0\0\x15", size.to_bytes(4), 1)
    path = tmp_path / "a.mid"
    path.write_bytes(content)
    assert sounding(read_midi(path, 1.0)) == [[60], [60]]


def test_chunks_and_bytes_of_others_are_passed_over(tmp_path):
    path = save(tmp_path / "a.mid", SCALE)
    content = path.read_bytes()
    place = content.index(b"MTrk")
    alien = b"XFIH\0\0\0\3abc"
    path.write_bytes(content[:place] + alien + content[place:] + b"\0\x1a and more")
    assert sounding(read_midi(path, 1.0)) == [[60]]


def test_events_are_those_that_mido_reads(tmp_path):
    """Random tracks, with running status as mido writes it."""
    rng = np.random.default_rng(0)
    tracks = []
    for _ in range(3):
        track = [mido.MetaMessage("set_tempo", tempo=int(rng.integers(1, 10**6)))]
        for time in rng.integers(0, 300, 60):
            time, (a, b) = int(time), map(int, rng.integers(0, 128, 2))
            channel = int(rng.integers(4))
            track.append(
                [
                    mido.Message("note_on", note=a, velocity=b, time=time),
                    mido.Message("note_off", note=a, velocity=b, time=time),
                    mido.Message("control_change", control=a, value=b, time=time),
                    mido.Message("program_change", program=a, time=time),
                    mido.Message("pitchwheel", pitch=b, time=time),
                    mido.Message("sysex", data=[a, b], time=time),
                    mido.MetaMessage("lyrics", text="la" * 100, time=time),
                ][rng.integers(7)]
            )
            if not track[-1].is_meta and track[-1].type != "sysex":
                track[-1].channel = channel
        tracks.append(track)
    path = save(tmp_path / "a.mid", *tracks)
    file = read_events(path.read_bytes())
    assert file.ticks_per_beat == 480 and file.type == 1 and not file.faults
    found = [
        (event.tick, [event.kind | event.channel, *event.data])
        for event in file.events
        if event.kind < 0xF0
    ]
    now, wanted = 0, []
    for message in mido.merge_tracks(mido.MidiFile(path).tracks):
        now += message.time
        if not message.is_meta and message.type != "sysex":
            wanted.append((now, message.bytes()))
    assert found == wanted


def test_files_that_are_no_music_are_refused_by_name(tmp_path):
    path = tmp_path / "a.mid"
    whole = save(path, [note("note_on", 60, 0), note("note_off", 60, 480)]).read_bytes()
    for content in (b"", b"hello, this is no MIDI file", whole[:-9], whole[:20]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="a.mid"):
            read_midi(path)
    path.write_bytes(whole[:9] + b"\x02" + whole[10:])
    with pytest.raises(ValueError, match="a.mid must be .*; it holds several pieces"):
        read_midi(path)
    save(path, [])
    with pytest.raises(ValueError, match="a.mid must have notes; got none"):
        read_midi(path)
    with pytest.raises(FileNotFoundError, match="none.mid"):
        read_midi(tmp_path / "none.mid")


def test_a_file_without_an_end_is_said_to_end_too_early(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(b"MThd")
    with pytest.raises(ValueError, match=r"damaged \(it ends too early\)"):
        read_midi(path)


@pytest.mark.parametrize(
    "options",
    [{"step": 0}, {"step": -1}, {"step": np.inf}, {"step": "1"}, {"unit": "beats"}],
)
def test_bad_time_steps_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="`step`|`unit`"):
        read_midi(tmp_path / "a.mid", **options)


def test_a_time_step_that_gives_an_endless_roll_is_refused(tmp_path):
    path = write_midi(tmp_path / "a.mid", np.eye(KEYS))
    with pytest.raises(ValueError, match="`step` must give at most 10,000,000 time"):
        read_midi(path, 1e-12)


def test_only_piano_rolls_are_written_and_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match=r"\(T, 88\)"):
        write_midi(tmp_path / "a.mid", np.zeros((4, 12)))
    for options in ({"tempo": 0}, {"tempo": -100}, {"tempo": 3}, {"step": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
            write_midi(tmp_path / "a.mid", np.zeros((4, KEYS)), **options)
    assert list(tmp_path.iterdir()) == []
    write_midi(tmp_path / "new" / "a.mid", np.zeros((4, KEYS)), tempo=4)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mid"]
