"""The chorales of Bach that the package music21 carries, as piano rolls."""

import io

import numpy as np

from zoo.data.digits.sources import keras_datasets
from zoo.data.music.midi import check_time_step, roll_of
from zoo.files import read_arrays, write_whole


def read_chorales(step: float = 0.5) -> list[np.ndarray]:
    """Piano rolls of the chorales of Riemenschneider's edition, in their keys.

    Of its 371 numbers 23 repeat an earlier one and are left out. Read from music21
    once, which takes a minute or two, and then from the cache beside Keras' own data
    sets. Notes sound as in `zoo.data.music.read_midi`; repeats are not played twice.

    Args:
        step: Length of a time step in quarter notes.

    Returns:
        Arrays of shape `(T, 88)`, in the order of the edition.

    Raises:
        ImportError: If music21 is not installed, and the cache is empty.
    """
    check_time_step(step)
    cache = keras_datasets() / "music" / f"chorales-{step:g}.npz"
    if cache.is_file():
        file = read_arrays(cache)
        return [file[f"{i}"] for i in range(len(file))]
    each = (roll_of(chorale, step) for chorale in parse_chorales())
    rolls = list({(roll.shape, roll.tobytes()): roll for roll in each}.values())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{f"{i}": roll for i, roll in enumerate(rolls)})
    write_whole(cache, buffer.getvalue())
    return rolls


def parse_chorales():
    """Yield the notes of each chorale: beginning, end and MIDI note number."""
    try:
        from music21 import corpus
    except ImportError:
        raise ImportError(
            "the chorales 'bach' come with music21: pip install music21."
        ) from None
    files = corpus.chorales.Iterator(
        numberingSystem="riemenschneider", returnType="filename"
    )
    for name in dict.fromkeys(files):
        yield [
            (float(note.offset), float(note.offset + note.quarterLength), pitch.midi)
            for note in corpus.parse(name).flatten().notes
            for pitch in note.pitches
        ]
