"""Builder of the corpora of polyphonic music (Section 3.2)."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.music.corpora import FILES
from zoo.data.music.midi import KEYS
from zoo.data.music.rolls import piano_rolls
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import MUSIC, PAPER

DESCRIPTION = """
Polyphonic music as piano rolls, which say which of the 88 keys of a piano sound in each
time step (Recurrent Ladder Networks, Section 3.2). Pieces differ in length.
"""


class PianoRollsBuilder(DataBuilder):
    """Builder `piano_rolls`: the pieces of `zoo.data.load_corpus`.

    `zoo.data.music.rolls.PianoRolls` makes batches of them on all backends:

    ```python
    source = tfds.data_source("piano_rolls/jsb", split="train")
    train = PianoRolls([example["roll"] for example in source], window=25, fresh=True)
    ```

    For your own MIDI files, use `Config(name="mine", source="my-midi-files")`.
    """

    name = "piano_rolls"
    BUILDER_CONFIGS = [
        *(
            Config(name=name, source=name, description=f"{file.title}.")
            for name, file in FILES.items()
        ),
        Config(
            name="bach",
            source="bach",
            description="Chorales of the package music21. They need no download.",
        ),
    ]
    ARGUMENTS = {
        "step": 0.5,
        "unit": "quarters",
        "errors": "raise",
        "pedal": False,
        "strict": False,
    }

    def about(self) -> dict[str, Any]:
        return {
            "description": DESCRIPTION,
            "citation": PAPER + MUSIC,
            "features": tfds.features.FeaturesDict(
                {"roll": array((None, KEYS), np.uint8, "1 where a key sounds.")}
            ),
        }

    def sets(self, source: Any, **arguments: Any) -> tuple:
        return piano_rolls(source, verbose=False, **arguments)

    def example(self, data: Any, index: int) -> dict[str, np.ndarray]:
        return {"roll": data.pieces[index]}
