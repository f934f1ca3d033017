"""The sound of piano rolls."""

import wave

import numpy as np
import pytest

import zoo
from zoo.data.music import sound_of, write_wav
from zoo.data.music.midi import KEYS, LOWEST
from zoo.data.music.sound import RELEASE

pytestmark = pytest.mark.once
RATE = 8_000


def roll(*steps):
    """A piano roll with the MIDI notes of each step."""
    found = np.zeros((len(steps), KEYS), "uint8")
    for t, notes in enumerate(steps):
        found[t, np.array(notes, int) - LOWEST] = 1
    return found


def test_a_tone_has_the_pitch_of_its_key():
    for note, pitch in ((69, 440), (57, 220), (81, 880)):
        samples = sound_of(roll([note], [note]), step=1, tempo=60, rate=RATE)
        spectrum = np.abs(np.fft.rfft(samples[:RATE]))  # one bin for each hertz
        assert spectrum.argmax() == pitch


def test_a_key_sounds_in_its_steps_only_and_held_keys_are_struck_once():
    samples = sound_of(roll([], [69], [69], []), step=1, tempo=60, rate=RATE)
    assert len(samples) == round((4 + RELEASE) * RATE)
    second = np.split(samples[: 4 * RATE], 4)
    assert not second[0].any() and not second[3][round(RELEASE * RATE) :].any()
    early, late = (np.abs(s[:400]).max() for s in second[1:3])
    assert 0 < late < 0.2 * early  # it fades on
    again = sound_of(roll([69], [], [69]), step=1, tempo=60, rate=RATE)
    assert np.abs(again[2 * RATE :][:400]).max() == pytest.approx(early, rel=1e-3)


def test_the_loudest_chord_is_not_clipped():
    loud = sound_of(np.ones((4, KEYS)), rate=RATE)
    assert np.abs(loud).max() == pytest.approx(1)
    assert not sound_of(np.zeros((4, KEYS)), rate=RATE).any()


def test_a_wav_file_has_these_samples(tmp_path):
    piece = roll([60, 64], [60, 67])
    path = write_wav(tmp_path / "a.wav", piece, step=1, tempo=120, rate=RATE)
    with wave.open(str(path)) as file:
        shape = file.getnchannels(), file.getsampwidth(), file.getframerate()
        found = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert shape == (1, 2, RATE)
    expected = sound_of(piece, step=1, tempo=120, rate=RATE)
    np.testing.assert_allclose(found / 32767, expected, atol=1 / 32767)


def test_generated_music_is_written_as_sound(tmp_path):
    model = zoo.polyphonic_music_lstm(units=3)
    prompt = roll([60], [62])
    piece = zoo.music.generate(model, prompt, 3, tmp_path / "a.wav", seed=0)
    write_wav(tmp_path / "b.wav", piece)
    written = [(tmp_path / f"{name}.wav").read_bytes() for name in "ab"]
    assert written[0] == written[1] and (tmp_path / "a.png").exists()
    with pytest.raises(ValueError, match="`path` must end in .mid, .midi or .wav"):
        zoo.music.generate(model, prompt, 3, tmp_path / "a.mp3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roll": np.zeros((4, 12))}, r"`roll` must have shape \(T, 88\)"),
        ({"step": 0}, "`step` must be above 0"),
        ({"tempo": -1}, "`tempo` must be a number above 0; got -1"),
    ],
)
def test_bad_sounds_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_wav(tmp_path / "a.wav", **{"roll": roll([60]), **options})
    assert not list(tmp_path.iterdir())
