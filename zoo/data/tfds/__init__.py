"""Builders of tensorflow-datasets for digits and music (`pip install ".[tfds]"`).

Importing this package registers the builders, so that `tfds.load`, `tfds.data_source`
and `tfds.builder` find them:

- `occluded_mnist` (Section 3.1), with the configurations `mnist` and `sklearn`;
- `piano_rolls` (Section 3.2), one configuration for each corpus of
  `zoo.data.load_corpus`;
- `textured_mnist` (Section 4.2), with the configurations `mnist_brodatz`,
  `mnist_generated` and `sklearn_generated_32`;
- `segmented_moving_mnist` (Section 4.3), with the configurations `mnist`, `mnist_32`
  and `sklearn_32`. The builder `moving_mnist` of tensorflow-datasets is another one,
  with a single split and without segmentation.

Builders write ArrayRecord files, so they work on all backends, with or without
TensorFlow. `tfds.data_source` does not need TensorFlow either; `tfds.load` does.

To build a dataset from a shell, run `python -m zoo.data.tfds occluded_mnist/sklearn`.
(`tfds build --imports zoo.data.tfds` also works, but needs TensorFlow and Apache Beam.)
Local files are read from `--manual_dir` if this folder contains any of them, otherwise
from `$RLADDER_DATA_DIR`.
"""

try:
    import tensorflow_datasets as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "The package tensorflow-datasets must be installed for zoo.data.tfds; got no "
        "such package. Run pip install tensorflow-datasets array-record "
        "importlib-resources."
    ) from error

from zoo.data.tfds.base import Config
from zoo.data.tfds.batches import Batches
from zoo.data.tfds.moving_mnist import SegmentedMovingMNISTBuilder
from zoo.data.tfds.occluded_mnist import OccludedMNISTBuilder
from zoo.data.tfds.piano_rolls import PianoRollsBuilder
from zoo.data.tfds.textured_mnist import TexturedMNISTBuilder

__all__ = [
    "Batches",
    "Config",
    "OccludedMNISTBuilder",
    "PianoRollsBuilder",
    "SegmentedMovingMNISTBuilder",
    "TexturedMNISTBuilder",
]
