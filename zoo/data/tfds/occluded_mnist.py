"""Builder of Occluded Moving MNIST (Section 3.1)."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.occluded import occluded_mnist
from zoo.data.digits.occlusion import CANVAS
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import MNIST, PAPER

DESCRIPTION = """
Occluded Moving MNIST: a digit of 14 x 14 pixels moves over a background of 32 x 32
pixels, bounces off its edges and is partly hidden by bars (Recurrent Ladder Networks,
Section 3.1). The frames with bars are the input of the network.

In the paper, training sequences are drawn again for each epoch. This dataset has the
sequences of the first epoch with a fixed seed; `zoo.data.occluded_mnist` draws new ones
for each epoch.
"""


class OccludedMNISTBuilder(DataBuilder):
    """Builder `occluded_mnist`: the first epoch of `zoo.data.occluded_mnist`.

    With supervised keys, an example is `(x, y)`, as for the models of Table 1: the
    frames, and a dictionary of `"class"`, `"frame"` and `"probe"`.
    """

    name = "occluded_mnist"
    BUILDER_CONFIGS = [
        Config(name="mnist", source="mnist", description="Digits of MNIST."),
        Config(
            name="sklearn",
            source="sklearn",
            description="The 1,797 digits of scikit-learn, which need no download.",
        ),
    ]
    ARGUMENTS = {
        "frames": 5,
        "seed": 0,
        "sequences": None,
        "evaluation_sequences": None,
        "phase": 2,
        "random_bounce": False,
    }

    def about(self) -> dict[str, Any]:
        frames = self.arguments()["frames"]
        picture = (frames, CANVAS, CANVAS, 1)
        return {
            "description": DESCRIPTION,
            "citation": PAPER + MNIST,
            "features": tfds.features.FeaturesDict(
                {
                    "frames": array(
                        picture, np.float32, "Frames with bars, values 0 to 1."
                    ),
                    "unoccluded": array(picture, np.float32, "Frames without bars."),
                    "label": tfds.features.ClassLabel(num_classes=10),
                    "positions": array(
                        (frames, 2),
                        np.int32,
                        "Row and column of the upper left corner of the digit.",
                    ),
                    "velocities": array(
                        (frames, 2),
                        np.int32,
                        "Velocity of the digit after this frame, pixels per frame.",
                    ),
                }
            ),
            "supervised_keys": (
                "frames",
                {"class": "label", "frame": "frames", "probe": "unoccluded"},
            ),
        }

    def sets(self, source: Any, **arguments: Any) -> tuple:
        return occluded_mnist(source, batch_size=1, verbose=False, **arguments)

    def example(self, data: Any, index: int) -> dict[str, np.ndarray]:
        drawn = data.sequences(index)
        return {
            "frames": drawn.frames[0],
            "unoccluded": drawn.unoccluded[0],
            "label": drawn.labels[0],
            "positions": drawn.positions[0].astype(np.int32),
            "velocities": drawn.velocities[0].astype(np.int32),
        }
