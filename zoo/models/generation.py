"""Likelihood of pieces of music, and the generation of new ones."""

from pathlib import Path

import numpy as np
from keras import ops

from zoo import show
from zoo.data.epochs import check_integer
from zoo.data.music.midi import (
    KEYS,
    MIDI_SUFFIXES,
    check_time_step,
    import_mido,
    write_midi,
)
from zoo.data.music.rolls import PianoRolls
from zoo.models.music_model import MusicModel, is_joint
from zoo.weights import check_origin


def negative_log_likelihood(model, pieces):
    """Figure of Table 3: nats per step, all steps of all pieces weighted equally.

    Computed in NumPy in double precision. Probabilities are clipped to
    [1e-7, 1 - 1e-7]: a key that a model is sure of, and wrong, costs 16.1 nats.

    Args:
        model: A model of this module.
        pieces: Piano rolls of shape `(n, 88)`, or `PianoRolls`.

    Returns:
        A number.

    Examples:
        >>> model = zoo.polyphonic_music_frequency(frequencies=np.full(88, 0.5))
        >>> loss = zoo.music.negative_log_likelihood(model, [np.eye(88)])
        >>> round(loss / np.log(2))  # bits: one for each key
        88
    """
    check_origin(model, pieces)
    pieces = getattr(pieces, "pieces", pieces)
    total, data = 0.0, PianoRolls(pieces, joint=is_joint(model))
    for x, y, weight in (data[i] for i in range(len(data))):
        y, p = y["notes"], model.predict_on_batch(x)["notes"].astype(np.float64)
        p = np.clip(p, 1e-7, 1 - 1e-7)
        terms = y * np.log(p) + (1 - y) * np.log1p(-p)
        total -= (terms * weight["notes"][..., None]).sum()
    return total / data.num_steps


def generate(model, prompt, steps=64, path=None, *, step=0.5, seed=None):
    """Let a model go on with a piece of music, a step at a time.

    Each key is drawn by its probability, from the lowest to the highest.

    Args:
        model: A model of this module.
        prompt: Piano roll to begin with, shape `(n, 88)`, n at least 1.
        steps: How many steps to add, at least 0.
        path: MIDI file to write the whole to, if given: `.mid` or `.midi`. A picture
            of it as a piano roll goes beside it, with the suffix `.png`.
        step: Length of a time step in the file, in quarter notes.
        seed: Integer for music that can be repeated.

    Returns:
        Piano roll of the prompt and what follows, `uint8` of shape `(n + steps, 88)`.

    Raises:
        ValueError: If an argument is not as above.

    Examples:
        >>> model = zoo.polyphonic_music_lstm(units=4)
        >>> zoo.music.generate(model, np.eye(88)[:4], steps=6, seed=0).shape
        (10, 88)
    """
    if not isinstance(model, MusicModel):
        raise ValueError(
            f"a {type(model).__name__} does not compose: give a model of `zoo.music`, "
            "such as `zoo.polyphonic_music_rladder()`."
        )
    check_integer("steps", steps, 0)
    check_time_step(step)
    if seed is not None:
        check_integer("seed", seed, 0)
    if path is not None:
        path = Path(path).expanduser()
        check_midi_path(path)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2:
        raise ValueError(f"the prompt must have shape (n, {KEYS}), not {prompt.shape}.")
    model.check_roll(prompt[None].astype(np.float32))
    if len(prompt) < 1 or (prompt < 0).any():
        raise ValueError("the prompt must have at least one step, and no padding.")
    rng = np.random.default_rng(seed)
    readout, state = model.get_layer("readout"), model.init_state(1)
    roll = np.zeros((len(prompt) + steps, KEYS), np.uint8)
    roll[: len(prompt)] = prompt
    for t in range(len(roll) - 1):
        d, state = model.step_below(roll[t, None].astype(np.float32), state)
        if t + 1 >= len(prompt):
            roll[t + 1] = draw(readout, d[:, None], rng, is_joint(model))
    if path is not None:
        write_midi(path, roll, step)
        picture = path.with_suffix(".png")
        show.piano_roll(picture, roll, prompt=len(prompt))
    return roll


def check_midi_path(path):
    """Make its folder; refused, before any work, is where no MIDI file can be."""
    if path.suffix.lower() not in MIDI_SUFFIXES:
        raise ValueError(f"{str(path)!r} must end in {' or '.join(MIDI_SUFFIXES)}.")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder: give the name of a file.")
    import_mido()
    path.parent.mkdir(parents=True, exist_ok=True)


def draw(readout, d, rng, joint):
    """One step of music, shape `(88,)`, from what the ladder says of it."""
    step, chance = np.zeros(KEYS, np.uint8), rng.random(KEYS)
    d = ops.convert_to_tensor(d)

    def probabilities():
        following = [ops.convert_to_tensor(step[None, None].astype(np.float32))]
        logits = ops.cast(readout(d, *following[: int(joint)]), "float32")
        return ops.convert_to_numpy(ops.sigmoid(logits))[0, 0]

    struck = np.flatnonzero(chance < probabilities())
    if not joint:
        step[struck] = 1
    while joint and len(struck):
        # A key depends on those below: the lowest one struck stays, and those above it
        # are asked once more.
        step[struck[0]] = 1
        later = np.flatnonzero(chance < probabilities())
        struck = later[later > struck[0]]
    return step
