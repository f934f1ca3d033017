"""Batches of examples of tensorflow-datasets, for `fit` on all backends."""

from typing import Any

import numpy as np

from zoo.data.epochs import SampleDataset


class Batches(SampleDataset):
    """Batches `(x, y)` of a data source, for the models of the zoo.

    They are the batches of `tfds.load(..., as_supervised=True)`, without TensorFlow.

    With `fresh=True`, examples are shuffled for each epoch, and a last batch that is
    not full is dropped, because a small batch makes the statistics of batch
    normalisation worse. With `fresh=False`, examples are in the order of the source,
    and the last batch is kept.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        source: Result of `tfds.data_source` for one split.
        batch_size: Number of examples in a batch.
        seed: Seed of the order, an integer of at least 0.
        fresh: Whether examples are shuffled again for each epoch.

    Attributes:
        num_sequences: Number of examples in an epoch.

    Raises:
        ValueError: If an argument is invalid, or if the dataset has no supervised keys.
            Piano rolls have none; use `zoo.data.music.rolls.PianoRolls` for them.

    Example:

    ```python
    source = tfds.data_source("occluded_mnist/sklearn", split="train")
    model.fit(Batches(source, 10, fresh=True), epochs=10)
    ```
    """

    def __init__(
        self, source: Any, batch_size: int = 16, *, seed: int = 0, fresh: bool = False
    ):
        if isinstance(source, dict):
            raise ValueError(
                f"`source` must be a single split; got the splits {', '.join(source)}. "
                "Choose one of them, for example with `split='train'`."
            )
        info = source.dataset_info
        if info.supervised_keys is None:
            raise ValueError(
                f"`source` must have supervised keys; the dataset {info.name!r} has "
                "none. For piano rolls, use `zoo.data.music.PianoRolls([example['roll']"
                " for example in source])`."
            )
        super().__init__(len(source), batch_size, seed, fresh, "examples")
        self.source = source
        self._keys = info.supervised_keys

    def batch(self, index: int) -> tuple:
        order = self._order()[self.place(index)]
        examples = self.source.__getitems__(order.tolist())
        return tuple(_stack(examples, keys) for keys in self._keys)

    def _order(self) -> np.ndarray:
        """Return the order of the examples in the current epoch."""
        if not self.fresh:
            return np.arange(len(self.source))
        rng = np.random.default_rng([self.seed, self.epoch])
        return rng.permutation(len(self.source))


def _stack(examples: list[dict[str, np.ndarray]], keys: Any) -> Any:
    """Stack features into arrays, in the structure of `keys`: a name or a dict."""
    if isinstance(keys, dict):
        return {name: _stack(examples, key) for name, key in keys.items()}
    return np.stack([example[keys] for example in examples])
