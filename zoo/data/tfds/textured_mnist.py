"""Builder of Brodatz-textured MNIST (Section 4.2)."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.textured import textured_mnist
from zoo.data.tfds.base import Config, DataBuilder, array
from zoo.data.tfds.citations import BRODATZ, MNIST, PAPER

DESCRIPTION = """
Brodatz-textured MNIST: a digit has one texture and its background another one of the
same mean and contrast (Recurrent Ladder Networks, Section 4.2). Training, validation
and test images have textures from disjoint regions of the scans.

In the paper, training images have new textures in each epoch. This dataset has the
images of the first epoch with a fixed seed; `zoo.data.textured_mnist` draws new ones
for each epoch.
"""


class TexturedMNISTBuilder(DataBuilder):
    """Builder `textured_mnist`: the first epoch of `zoo.data.textured_mnist`.

    With supervised keys, an example is `(x, y)`: the image, and a dictionary of
    `"class"` and `"groups"`. All examples are labelled.
    """

    name = "textured_mnist"
    BUILDER_CONFIGS = [
        Config(
            name="mnist_brodatz",
            source="mnist",
            arguments={"textures": "brodatz"},
            description="Digits of MNIST, Brodatz textures, images of 96 x 96.",
        ),
        Config(
            name="mnist_generated",
            source="mnist",
            arguments={"textures": "generated"},
            description="Digits of MNIST, computed textures, images of 96 x 96.",
        ),
        Config(
            name="sklearn_generated_32",
            source="sklearn",
            arguments={"textures": "generated", "size": 32},
            description="Digits of scikit-learn, computed textures, images of 32 x 32.",
        ),
    ]
    ARGUMENTS = {
        "textures": "brodatz",
        "size": 96,
        "seed": 0,
        "sequences": None,
        "evaluation_sequences": None,
    }

    def about(self) -> dict[str, Any]:
        size = self.arguments()["size"]
        return {
            "description": DESCRIPTION,
            "citation": PAPER + MNIST + BRODATZ,
            "features": tfds.features.FeaturesDict(
                {
                    "image": array((size, size, 1), np.float32, "0 to 1."),
                    "segments": array(
                        (size, size), np.int32, "1 in the digit, 0 elsewhere."
                    ),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            "supervised_keys": ("image", {"class": "label", "groups": "segments"}),
        }

    def sets(self, source: Any, **arguments: Any) -> tuple:
        return textured_mnist(source, batch_size=1, verbose=False, **arguments)

    def example(self, data: Any, index: int) -> dict[str, np.ndarray]:
        drawn = data.samples(index)
        return {
            "image": drawn.images[0, ..., None],
            "segments": drawn.masks[0].astype(np.int32),
            "label": drawn.labels[0],
        }
