"""What the builders have in common."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.sources import DATA_DIR

SPLITS = ("train", "validation", "test")
LOCAL = ("mnist", "mnist.npz", "brodatz", "music")


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """What a data set is made from.

    Attributes:
        source: Digits or corpus: what the function of `zoo.data` takes first.
        arguments: Further arguments of that function, those in the `ARGUMENTS` of the
            builder.

    The files go into a folder of that name: other contents need another name.

    Example:

    ```python
    config = Config(name="few", source="sklearn", arguments={"sequences": 100})
    builder = tfds.builder("occluded_mnist", config=config)
    ```
    """

    source: Any = "mnist"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class DataBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes what a function of `zoo.data` draws in its first epoch.

    A subclass has `about`, `ARGUMENTS`, `sets` and `example`. Examples keep the order
    in which `zoo.data` has them; that of the training set is random already.

    Args:
        file_format: Of the files. `"array_record"` needs no TensorFlow; others may.
        **kwargs: Of `tfds.core.GeneratorBasedBuilder`: `config`, `data_dir`, `version`.

    Raises:
        ValueError: If the configuration has arguments that the builder does not take.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Optional. `mnist/mnist.npz`, `brodatz/D5.gif` ... and the files of the corpora in
    `music/` are taken from here if any of these is here, else from the folder that
    ${DATA_DIR} names; MNIST and the corpora are downloaded where they are in neither.
    """
    ARGUMENTS = {}  # with the defaults

    def __init__(self, *, file_format="array_record", **kwargs):
        super().__init__(file_format=file_format, **kwargs)

    def about(self) -> dict:
        """Arguments of `tfds.core.DatasetInfo`."""
        raise NotImplementedError

    def sets(self, source, **arguments) -> tuple:
        """Training, validation and test set, with batches of one."""
        raise NotImplementedError

    def example(self, data, index: int) -> dict[str, np.ndarray]:
        """The features of an example of one of these sets."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """`ARGUMENTS`, as the configuration changes them."""
        given = dict(self.builder_config.arguments)
        if unknown := sorted(set(given) - set(self.ARGUMENTS)):
            raise ValueError(
                f"The builder {self.name!r} takes no {', '.join(map(repr, unknown))}: "
                f"choose from {', '.join(self.ARGUMENTS)}."
            )
        return {**self.ARGUMENTS, **given}

    def _info(self):
        about = self.about()
        return tfds.core.DatasetInfo(
            builder=self,
            homepage="https://arxiv.org/abs/1707.09219",
            disable_shuffling=True,
            **about,
        )

    def _split_generators(self, dl_manager):
        with local_data(dl_manager):
            sets = self.sets(self.builder_config.source, **self.arguments())
        return {
            name: self._generate_examples(data)
            for name, data in zip(SPLITS, sets, strict=True)
        }

    def _generate_examples(self, data):
        for index in range(data.num_sequences):
            yield index, self.example(data, index)

    def _as_dataset(self, split, decoders=None, read_config=None, shuffle_files=False):
        """`tf.data` of ArrayRecords, which tensorflow-datasets leaves to others."""
        if self.info.file_format is not tfds.core.FileFormat.ARRAY_RECORD:
            return super()._as_dataset(split, decoders, read_config, shuffle_files)
        import tensorflow as tf

        source = self.as_data_source(split, decoders=decoders)
        n, seed = len(source), read_config.shuffle_seed if read_config else None

        def read():
            rng = np.random.default_rng(seed)
            for index in rng.permutation(n) if shuffle_files else range(n):
                yield source[index]

        specification = self.info.features.get_tensor_spec()
        examples = tf.data.Dataset.from_generator(read, output_signature=specification)
        return examples.apply(tf.data.experimental.assert_cardinality(n))


@contextlib.contextmanager
def local_data(dl_manager):
    """Lets `zoo.data` find its files in the manual folder, where any of them is."""
    try:
        folder = Path(dl_manager.manual_dir)
    except AssertionError:  # no such folder, or an empty one
        folder = None
    if folder is None or not any((folder / name).exists() for name in LOCAL):
        yield
        return
    before = os.environ.get(DATA_DIR)
    os.environ[DATA_DIR] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[DATA_DIR]
        else:
            os.environ[DATA_DIR] = before


def array(shape, dtype, doc):
    """A feature that is stored compressed: most of a frame is background."""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib", doc=doc)
