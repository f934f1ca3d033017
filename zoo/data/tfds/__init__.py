"""The data sets as builders of tensorflow-datasets (`pip install ".[tfds]"`).

Importing this package makes them known to `tfds.load`, `tfds.data_source` and
`tfds.builder`:

- `occluded_mnist` (Section 3.1), configurations `mnist` and `sklearn`;
- `piano_rolls` (Section 3.2), one for each corpus of `zoo.data.load_corpus`;
- `textured_mnist` (Section 4.2), `mnist_brodatz`, ..., `sklearn_generated_32`;
- `segmented_moving_mnist` (Section 4.3), `mnist`, `mnist_32` and `sklearn_32`. The
  name `moving_mnist` is taken by the builder that comes with tensorflow-datasets, which
  has one split and no segmentation.

Files are ArrayRecords: they are written and read without TensorFlow. `tfds.load` needs
TensorFlow, `tfds.data_source` does not.

From a shell: `python -m zoo.data.tfds occluded_mnist/sklearn`. (`tfds build` takes
`--imports zoo.data.tfds`; it needs TensorFlow and Apache Beam.) Local files are looked
for in the folder given by `--manual_dir`, if it has any of them, else in the folder
that `$RLADDER_DATA_DIR` names.
"""

try:
    import tensorflow_datasets as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "zoo.data.tfds needs tensorflow-datasets: pip install tensorflow-datasets "
        "array-record importlib-resources."
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
