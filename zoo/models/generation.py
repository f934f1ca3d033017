"""Generation of new pieces of music."""

import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np

from rladder_keras.validation import is_number
from zoo import show
from zoo.data.epochs import check_integer
from zoo.data.music.midi import (
    KEYS,
    LOWEST,
    MIDI_SUFFIXES,
    check_time_step,
    import_mido,
    write_midi,
)
from zoo.data.music.sound import WAV, write_wav
from zoo.models.music_model import MusicModel, is_joint


def generate(
    model: keras.Model,
    prompt: Any,
    steps: int = 64,
    path: str | os.PathLike[str] | None = None,
    *,
    step: float = 0.5,
    seed: int | None = None,
    temperature: float = 1.0,
    threshold: float = 0.0,
    lowest: int = LOWEST,
    highest: int = LOWEST + KEYS - 1,
    voice: Any = None,
) -> np.ndarray:
    """Continue a piece of music, one time step at a time.

    Each key is drawn with its predicted probability, from the lowest key to the
    highest. With `voice`, the model accompanies a given melody.

    Args:
        model: A model of `zoo.music`.
        prompt: Piano roll to continue, shape `(n, 88)`, with `n` of at least 1.
        steps: Number of time steps to add, at least 0.
        path: File to write: `.mid` or `.midi` for MIDI, `.wav` for sound. A picture of
            the piano roll is written beside it, with the suffix `.png`. By default no
            file is written.
        step: Length of a time step in the file, in quarter notes.
        seed: Integer seed. By default the music differs from call to call.
        temperature: Divisor of the logits of the keys, above 0. Below 1, probable keys
            become more probable and the music more regular.
        threshold: Keys with a lower probability, at this temperature, are not played.
            From 0 to 1.
        lowest: MIDI number of the lowest key that may be played, from 21 to 108.
        highest: MIDI number of the highest key that may be played.
        voice: Piano roll of keys that are played in each added step, such as a melody,
            shape `(steps, 88)`. The other keys are drawn. With `joint=True`, keys above
            the voice depend on its note in the same step, and all keys on its earlier
            notes. The arguments above do not apply to the voice.

    Returns:
        Piano roll of the prompt and its continuation, `uint8` of shape `(n + steps,
        88)`.

    Raises:
        ValueError: If an argument is invalid.
        ImportError: If a MIDI file is to be written and mido is not installed.

    Examples:
        >>> model = zoo.polyphonic_music_lstm(units=4)
        >>> zoo.music.generate(model, np.eye(88)[:4], steps=6, seed=0).shape
        (10, 88)
    """
    if not isinstance(model, MusicModel):
        raise ValueError(
            f"`model` must be a model of `zoo.music`; got a {type(model).__name__}. "
            "Build one, such as `zoo.polyphonic_music_rladder()`."
        )
    check_integer("steps", steps, 0)
    check_time_step(step)
    if seed is not None:
        check_integer("seed", seed, 0)
    if path is not None:
        path = Path(path).expanduser()
        check_path(path)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2:
        raise ValueError(
            f"`prompt` must have shape (n, {KEYS}); got shape {prompt.shape}. Pass a "
            "piano roll."
        )
    model.check_roll(prompt[None].astype(np.float32))
    if len(prompt) < 1 or (prompt < 0).any():
        raise ValueError(
            "`prompt` must have at least one step, and no padding; got a piano roll "
            f"of {len(prompt)} steps. Remove the steps of -1."
        )
    sampling = Sampling(temperature, threshold, lowest, highest).checked()
    voice = check_voice(voice, steps)
    rng = np.random.default_rng(seed)
    state = model.init_state(1)
    roll = np.zeros((len(prompt) + steps, KEYS), np.uint8)
    roll[: len(prompt)] = prompt
    for t in range(len(roll) - 1):
        d, state = model.step_below(roll[t, None].astype(np.float32), state)
        if t + 1 >= len(prompt):
            played = voice[t + 1 - len(prompt)]
            roll[t + 1] = draw(model, d, rng, sampling, played)
    if path is not None:
        write = write_wav if path.suffix.lower() == WAV else write_midi
        write(path, roll, step)
        picture = path.with_suffix(".png")
        show.piano_roll(picture, roll, prompt=len(prompt))
    return roll


def check_path(path: Path) -> None:
    """Create the folder of a file of music; raise `ValueError` for an invalid path.

    The check runs before any work is done.
    """
    suffix = path.suffix.lower()
    if suffix not in (*MIDI_SUFFIXES, WAV):
        raise ValueError(
            f"`path` must end in {', '.join(MIDI_SUFFIXES)} or {WAV}; got "
            f"{str(path)!r}. Change the suffix."
        )
    if path.is_dir():
        raise ValueError(
            f"`path` must be a file; got {str(path)!r}, which is a folder. Give the "
            "name of a file."
        )
    if suffix != WAV:
        import_mido()
    path.parent.mkdir(parents=True, exist_ok=True)


class Sampling(NamedTuple):
    """How keys are drawn: the arguments of `generate` with these names.

    Attributes:
        temperature: Divisor of the logits of the keys, above 0.
        threshold: Keys with a lower probability are not played. From 0 to 1.
        lowest: MIDI number of the lowest key that may be played.
        highest: MIDI number of the highest key that may be played.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    lowest: int = LOWEST
    highest: int = LOWEST + KEYS - 1

    def checked(self) -> Self:
        """Return this object; raise `ValueError` if a value is invalid."""
        if not is_number(self.temperature) or self.temperature <= 0:
            raise ValueError(
                f"`temperature` must be a number above 0; got {self.temperature!r}. "
                "Choose 1 to keep the predicted probabilities."
            )
        if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
            raise ValueError(
                f"`threshold` must be from 0 to 1; got {self.threshold!r}. Choose 0 to "
                "allow all keys."
            )
        last = LOWEST + KEYS - 1
        check_integer("lowest", self.lowest, LOWEST, last)
        check_integer("highest", self.highest, self.lowest, last)
        return self

    def adjusted(self, logits: np.ndarray, voice: np.ndarray) -> np.ndarray:
        """Return the probabilities to draw from, shape `(88,)`.

        Args:
            logits: Logits of the keys.
            voice: Keys that are played in any case, booleans.
        """
        with np.errstate(over="ignore"):  # a probability of 0
            p = 1 / (1 + np.exp(-logits.astype(np.float64) / self.temperature))
        number = LOWEST + np.arange(KEYS)
        allowed = (number >= self.lowest) & (number <= self.highest)
        return np.where(voice, 1.0, p * (allowed & (p >= self.threshold)))


def check_voice(voice: Any, steps: int) -> np.ndarray:
    """Return the keys of a voice as booleans, shape `(steps, 88)`."""
    if voice is None:
        return np.zeros((steps, KEYS), bool)
    voice = np.asarray(voice)
    if voice.shape != (steps, KEYS):
        raise ValueError(
            f"`voice` must have shape ({steps}, {KEYS}), one row for each added step; "
            f"got {voice.shape}. Cut it, or change `steps`."
        )
    if not np.isin(voice, (0, 1)).all():
        raise ValueError(
            "`voice` must have only the values 0 and 1; got other values. Pass "
            "`voice > 0`."
        )
    return voice > 0


def draw(
    model: MusicModel,
    d: np.ndarray,
    rng: np.random.Generator,
    sampling: Sampling,
    voice: np.ndarray,
) -> np.ndarray:
    """Draw one time step of music from the output of the ladder.

    Args:
        model: A model of `zoo.music`.
        d: `d_1` of one step, shape `(1, 88, channels)`.
        rng: Source of randomness.
        sampling: How keys are drawn.
        voice: Keys that are played in any case, booleans of shape `(88,)`.

    Returns:
        `uint8` of shape `(88,)`, zeros and ones.
    """
    step, chance = np.zeros(KEYS, np.uint8), rng.random(KEYS)

    def probabilities():
        return sampling.adjusted(model.key_logits(d, step[None])[0], voice)

    struck = np.flatnonzero(chance < probabilities())
    if not is_joint(model):
        step[struck] = 1
        return step
    while len(struck):
        # A key depends on the keys below it. The lowest key that was drawn is kept, and
        # the keys above it are drawn again.
        step[struck[0]] = 1
        later = np.flatnonzero(chance < probabilities())
        struck = later[later > struck[0]]
    return step
