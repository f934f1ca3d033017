"""Bach's chorales from the package music21, as piano rolls."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.data.digits.sources import keras_datasets
from zoo.data.music.midi import check_time_step, roll_of
from zoo.files import read_arrays, write_whole


def read_chorales(step: float = 0.5) -> list[np.ndarray]:
    """Read the chorales of Riemenschneider's edition as piano rolls.

    The chorales are in their original keys. 23 of the 371 chorales repeat an earlier
    one and are left out. The first call reads them from music21, which takes one or two
    minutes, and writes a cache in the folder of Keras' datasets. Notes begin and end as
    in `zoo.data.music.read_midi`. Repeats are not expanded.

    Args:
        step: Length of a time step in quarter notes.

    Returns:
        Piano rolls of shape `(T, 88)`, in the order of the edition.

    Raises:
        ImportError: If music21 is not installed and there is no cache.
    """
    check_time_step(step)
    cache = keras_datasets() / "music" / f"chorales-{step:g}.npz"
    if cache.is_file():
        file = read_arrays(cache)
        return [file[f"{i}"] for i in range(len(file))]
    each = (roll_of(chorale, step) for chorale in parse_chorales())
    rolls = list({(roll.shape, roll.tobytes()): roll for roll in each}.values())
    arrays: dict[str, Any] = {f"{i}": roll for i, roll in enumerate(rolls)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(cache, buffer.getvalue())
    return rolls


def parse_chorales() -> Iterator[list[tuple[float, float, int]]]:
    """Yield the notes of each chorale as tuples of start, end and MIDI note number.

    Start and end are in quarter notes.
    """
    try:
        from music21 import corpus
    except ImportError:
        raise ImportError(
            "The package music21 must be installed to read the chorales 'bach'; got no "
            "such package. Run pip install music21."
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
