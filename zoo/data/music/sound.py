"""Sound of piano rolls: WAV files, without a synthesizer or other packages."""

import io
import os
import wave
from numbers import Real
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.data.music.midi import LOWEST, as_roll, changes_of, check_time_step
from zoo.files import write_whole

WAV = ".wav"
RATE = 16_000  # samples per second
PARTIALS = (1.0, 0.4, 0.2, 0.1)  # amplitudes of a tone and its overtones
DECAY = 2.5  # a tone falls by this exponent per second, as that of a string
RELEASE = 0.05  # seconds that a tone needs to end


def sound_of(
    roll: np.ndarray, step: float = 0.5, tempo: float = 100, rate: int = RATE
) -> np.ndarray:
    """Return the sound of a piano roll.

    A key that sounds in consecutive time steps is one long tone, as in `write_midi`.

    Args:
        roll: Piano roll of shape `(T, 88)`, above 0 where a key sounds.
        step: Length of a time step in quarter notes.
        tempo: Tempo in quarter notes per minute.
        rate: Samples per second.

    Returns:
        Samples from -1 to 1, `float32` of shape `(n,)`.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.data.music import sound_of
        >>> sound_of(np.eye(88)[39:41], rate=8_000).shape
        (5200,)
    """
    roll = as_roll(roll)
    check_time_step(step)
    check_integer("rate", rate, 1)
    if not isinstance(tempo, Real) or not 0 < tempo < np.inf:
        raise ValueError(
            f"`tempo` must be a number above 0; got {tempo!r}. Choose quarter notes "
            "per minute, such as 120."
        )
    seconds = 60 * step / tempo
    samples = np.zeros(round((len(roll) * seconds + RELEASE) * rate))
    changes = changes_of(roll).T
    starts, ends = (np.argwhere(changes == kind) for kind in (1, -1))
    for (key, first), (_, last) in zip(starts, ends, strict=True):
        begin = round(first * seconds * rate)
        length = (last - first) * seconds + RELEASE
        tone = tone_of(LOWEST + key, length, rate)[: len(samples) - begin]
        samples[begin : begin + len(tone)] += tone
    loudest = np.abs(samples).max(initial=0)
    return (samples / max(1.0, loudest)).astype(np.float32)


def tone_of(note: int, seconds: float, rate: int) -> np.ndarray:
    """Return the samples of one tone.

    Args:
        note: MIDI note number; 69 is the concert pitch of 440 Hz.
        seconds: Length, with `RELEASE` at its end.
        rate: Samples per second. Overtones above half of it are left out.
    """
    t = np.arange(round(seconds * rate)) / rate
    pitch = 440 * 2 ** ((note - 69) / 12)
    tone = np.zeros(len(t))
    for n, amplitude in enumerate(PARTIALS, 1):
        if n * pitch < rate / 2:
            tone += amplitude * np.sin(2 * np.pi * n * pitch * t)
    fade = np.clip((seconds - t) / RELEASE, 0, 1)
    return 0.2 * tone * np.exp(-DECAY * t) * fade


def write_wav(
    path: str | os.PathLike,
    roll: np.ndarray,
    step: float = 0.5,
    tempo: float = 100,
    rate: int = RATE,
) -> Path:
    """Write the sound of a piano roll as a WAV file, 16 bits and mono.

    Args:
        path: File to write.
        roll: Piano roll of shape `(T, 88)`, above 0 where a key sounds.
        step: Length of a time step in quarter notes.
        tempo: Tempo in quarter notes per minute.
        rate: Samples per second.

    Returns:
        The path.

    Raises:
        ValueError: If an argument is invalid.

    Examples:
        >>> from zoo.data.music import write_wav
        >>> write_wav("scale.wav", np.eye(88)[39:52]).name
        'scale.wav'
    """
    return write_whole(Path(path), as_wav(sound_of(roll, step, tempo, rate), rate))


def as_wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Return samples from -1 to 1 as the bytes of a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((32767 * samples).astype("<i2").tobytes())
    return buffer.getvalue()
