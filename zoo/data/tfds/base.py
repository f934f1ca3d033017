"""Base class and configuration of the builders."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from zoo.data.digits.sources import DATA_DIR

SPLITS = ("train", "validation", "test")
LOCAL = ("mnist", "mnist.npz", "brodatz", "music")  # local files and folders


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Configuration of a builder.

    The name of the configuration is the name of the folder for its files. Use different
    names for different arguments.

    Attributes:
        source: Digits or corpus, the first argument of the function of `zoo.data`.
        arguments: Other arguments of this function. The builder's `ARGUMENTS` lists
            those that are allowed.

    Example:

    ```python
    config = Config(name="few", source="sklearn", arguments={"sequences": 100})
    builder = tfds.builder("occluded_mnist", config=config)
    ```
    """

    source: Any = "mnist"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class DataBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builder that writes the first epoch of the datasets of a function of `zoo.data`.

    A subclass defines `ARGUMENTS`, `about`, `sets` and `example`. Examples are in the
    order of the dataset, which is random for training sets.

    Args:
        file_format: Format of the files. `"array_record"` works without TensorFlow;
            other formats may need it.
        **kwargs: Arguments of `tfds.core.GeneratorBasedBuilder`, such as `config`,
            `data_dir` and `version`.

    Raises:
        ValueError: If the configuration has arguments that the builder does not take.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Optional. If this folder contains `mnist/mnist.npz`, `brodatz/D5.gif` and so on, or
    the files of the corpora in `music/`, local files are read from here. Otherwise they
    are read from ${DATA_DIR}. MNIST and the corpora are downloaded if they are in
    neither folder.
    """
    ARGUMENTS: dict[str, Any] = {}  # names and defaults

    def __init__(self, *, file_format: str = "array_record", **kwargs: Any):
        super().__init__(file_format=file_format, **kwargs)

    def about(self) -> dict[str, Any]:
        """Return arguments of `tfds.core.DatasetInfo`."""
        raise NotImplementedError

    def sets(self, source: Any, **arguments: Any) -> tuple:
        """Return training, validation and test set, with a batch size of 1."""
        raise NotImplementedError

    def example(self, data: Any, index: int) -> dict[str, np.ndarray]:
        """Return the features of an example of one of these datasets."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """Return `ARGUMENTS`, updated by the configuration."""
        given = dict(self.builder_config.arguments)
        if unknown := sorted(set(given) - set(self.ARGUMENTS)):
            raise ValueError(
                f"The arguments of the builder {self.name!r} must be some of "
                f"{', '.join(self.ARGUMENTS)}; got {', '.join(map(repr, unknown))}. "
                "Remove the others."
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
        """Return a `tf.data.Dataset`, also for ArrayRecord files.

        tensorflow-datasets does not implement this for ArrayRecord files.
        """
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
def local_data(dl_manager: Any) -> Iterator[None]:
    """Make `zoo.data` read local files from the manual folder, if it has any of them.

    `zoo.data` reads the folder from the environment variable `$RLADDER_DATA_DIR`.
    """
    try:
        folder = Path(dl_manager.manual_dir)
    except AssertionError:  # the folder does not exist or is empty
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


def array(shape: tuple, dtype: Any, doc: str) -> tfds.features.Tensor:
    """Return a feature that is stored compressed, because frames are mostly zeros."""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib", doc=doc)
