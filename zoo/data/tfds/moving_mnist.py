"""Builder of Moving MNIST with its segmentation (Section 4.3)."""

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.moving import moving_mnist
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import MNIST, MOVING_MNIST, PAPER

DESCRIPTION = """
Moving MNIST with its segmentation: digits fly over a background and through each other,
and bounce off the edges (Srivastava et al., 2015), made anew so that it is known which
pixel is whose (Recurrent Ladder Networks, Section 4.3).

The training sequences of the paper are drawn anew in each epoch. These are one draw of
fixed seed, that of the first epoch; `zoo.data.moving_mnist` draws anew.
"""
SMALL = {"size": 32}


class SegmentedMovingMNISTBuilder(DataBuilder):
    """`segmented_moving_mnist`: what `zoo.data.moving_mnist` gives in its first epoch.

    As supervised an example is the frames, and a dictionary of `"class"` and
    `"groups"`.
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

    def about(self):
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
                        "Index of the digit, or -1 for the background and overlaps.",
                    ),
                    "labels": array((digits,), np.int32, "Classes of the digits."),
                    "positions": array(
                        (digits, frames, 2),
                        np.int32,
                        "Row and column of the upper left corner of a digit.",
                    ),
                }
            ),
            "supervised_keys": ("frames", {"class": "labels", "groups": "segments"}),
        }

    def sets(self, source, **arguments):
        return moving_mnist(source, batch_size=1, verbose=False, **arguments)

    def example(self, data, index):
        drawn = data.sequences(index)
        return {
            "frames": drawn.frames[0],
            "segments": drawn.segments[0],
            "labels": drawn.labels[0],
            "positions": drawn.positions[0].astype(np.int32),
        }
