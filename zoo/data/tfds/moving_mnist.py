"""Builder of Moving MNIST with its segmentation (Section 4.3)."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.moving import moving_mnist
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import MNIST, MOVING_MNIST, PAPER

DESCRIPTION = """
Moving MNIST with segmentation: digits move over a black background and through each
other, and bounce off the edges (Srivastava et al., 2015). The segmentation says which
digit each pixel belongs to (Recurrent Ladder Networks, Section 4.3).

In the paper, training sequences are drawn again for each epoch. This dataset has the
sequences of the first epoch with a fixed seed; `zoo.data.moving_mnist` draws new ones
for each epoch.
"""
SMALL = {"size": 32}


class SegmentedMovingMNISTBuilder(DataBuilder):
    """Builder `segmented_moving_mnist`: the first epoch of `zoo.data.moving_mnist`.

    With supervised keys, an example is `(x, y)`: the frames, and a dictionary of
    `"class"` and `"groups"`.
    """

    name = "segmented_moving_mnist"
    BUILDER_CONFIGS = [
        Config(
            name="mnist",
            source="mnist",
            description="Digits of MNIST, frames of 64 x 64.",
        ),
        Config(
            name="mnist_32",
            source="mnist",
            arguments=SMALL,
            description="Digits of MNIST, frames of 32 x 32.",
        ),
        Config(
            name="sklearn_32",
            source="sklearn",
            arguments=SMALL,
            description="The digits of scikit-learn, frames of 32 x 32.",
        ),
    ]
    ARGUMENTS = {
        "size": 64,
        "digits": 2,
        "frames": 20,
        "seed": 0,
        "sequences": None,
        "evaluation_sequences": None,
    }

    def about(self) -> dict[str, Any]:
        arguments = self.arguments()
        size, frames = arguments["size"], arguments["frames"]
        digits = arguments["digits"]
        return {
            "description": DESCRIPTION,
            "citation": PAPER + MOVING_MNIST + MNIST,
            "features": tfds.features.FeaturesDict(
                {
                    "frames": array((frames, size, size, 1), np.float32, "0 to 1."),
                    "segments": array(
                        (frames, size, size),
                        np.int32,
                        "Index of the digit, or -1 for background and overlaps.",
                    ),
                    "labels": array((digits,), np.int32, "Classes of the digits."),
                    "positions": array(
                        (digits, frames, 2),
                        np.int32,
                        "Row and column of the upper left corner of each digit.",
                    ),
                }
            ),
            "supervised_keys": ("frames", {"class": "labels", "groups": "segments"}),
        }

    def sets(self, source: Any, **arguments: Any) -> tuple:
        return moving_mnist(source, batch_size=1, verbose=False, **arguments)

    def example(self, data: Any, index: int) -> dict[str, np.ndarray]:
        drawn = data.sequences(index)
        return {
            "frames": drawn.frames[0],
            "segments": drawn.segments[0],
            "labels": drawn.labels[0],
            "positions": drawn.positions[0].astype(np.int32),
        }
