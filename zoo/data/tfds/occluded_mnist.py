"""Builder of Occluded Moving MNIST (Section 3.1)."""

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.occluded import occluded_mnist
from zoo.data.digits.occlusion import CANVAS
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import MNIST, PAPER

DESCRIPTION = """
Occluded Moving MNIST: a digit of 14 x 14 pixels flies over a background of 32 x 32,
bounces off its edges and is partly hidden by bars (Recurrent Ladder Networks, Section
3.1). The network sees the frames with bars.

The training sequences of the paper are drawn anew in each epoch. These are one draw of
fixed seed, that of the first epoch; `zoo.data.occluded_mnist` draws anew.
"""


class OccludedMNISTBuilder(DataBuilder):
    """`occluded_mnist`: what `zoo.data.occluded_mnist` gives in its first epoch.

    As supervised an example is what the models of Table 1 are trained on: the frames,
    and a dictionary of `"class"`, `"frame"` and `"probe"`.
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

    def about(self):
        frames = self.arguments()["frames"]
        picture = (frames, CANVAS, CANVAS, 1)
        return {
            "description": DESCRIPTION,
            "citation": PAPER + MNIST,
            "features": tfds.features.FeaturesDict(
                {
                    "frames": array(
                        picture, np.float32, "The digit behind bars: 0 to 1."
                    ),
                    "unoccluded": array(picture, np.float32, "Without the bars."),
                    "label": tfds.features.ClassLabel(num_classes=10),
                    "positions": array(
                        (frames, 2),
                        np.int32,
                        "Row and column of the upper left corner of the digit.",
                    ),
                    "velocities": array(
                        (frames, 2),
                        np.int32,
                        "With which it leaves there, pixels per frame.",
                    ),
                }
            ),
            "supervised_keys": (
                "frames",
                {"class": "label", "frame": "frames", "probe": "unoccluded"},
            ),
        }

    def sets(self, source, **arguments):
        return occluded_mnist(source, batch_size=1, verbose=False, **arguments)

    def example(self, data, index):
        drawn = data.sequences(index)
        return {
            "frames": drawn.frames[0],
            "unoccluded": drawn.unoccluded[0],
            "label": drawn.labels[0],
            "positions": drawn.positions[0].astype(np.int32),
            "velocities": drawn.velocities[0].astype(np.int32),
        }
