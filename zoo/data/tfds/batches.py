"""Examples of tensorflow-datasets in batches that `fit` takes on all backends."""

import numpy as np

from zoo.data.epochs import SampleDataset


class Batches(SampleDataset):
    """Batches `(x, y)` of a data source, as the models of the zoo take them.

    What `tfds.load(..., as_supervised=True)` gives on TensorFlow, without TensorFlow.

    With `fresh=True` each epoch has an order of its own, and a last batch that is not
    full is left out, because batch normalisation would suffer from it. With
    `fresh=False` examples come in the order of the source, and the last batch is kept.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        source: What `tfds.data_source` gives for one split.
        batch_size: Number of examples in a batch.
        seed: Of the orders. Integer, at least 0.
        fresh: Whether each epoch has an order of its own, as for training.

    Attributes:
        num_sequences: Number of examples in an epoch.

    Raises:
        ValueError: If an argument is not as above, or if the data set does not say what
            is `x` and what is `y`, as the piano rolls, for which there is
            `zoo.data.music.rolls.PianoRolls`.

    Example:

    ```python
    source = tfds.data_source("occluded_mnist/sklearn", split="train")
    model.fit(Batches(source, 10, fresh=True), epochs=10)
    ```
    """

    def __init__(
        self, source, batch_size: int = 16, *, seed: int = 0, fresh: bool = False
    ):
        if isinstance(source, dict):
            raise ValueError(
                f"The source has the splits {', '.join(source)}: give one of them, for "
                "instance with `split='train'`."
            )
        info = source.dataset_info
        if info.supervised_keys is None:
            raise ValueError(
                f"The data set {info.name!r} does not say what is input and what is "
                "target; of piano rolls, `zoo.data.music.PianoRolls([example['roll'] "
                "for example in source])` makes batches."
            )
        super().__init__(len(source), batch_size, seed, fresh, "examples")
        self.source = source
        self._keys = info.supervised_keys

    def batch(self, index: int):
        order = self._order()[self.place(index)]
        examples = self.source.__getitems__(order.tolist())
        return tuple(_stack(examples, keys) for keys in self._keys)

    def _order(self):
        if not self.fresh:
            return np.arange(len(self.source))
        rng = np.random.default_rng([self.seed, self.epoch])
        return rng.permutation(len(self.source))


def _stack(examples, keys):
    """Arrays of a batch, in the structure of the keys: a name, or dicts of names."""
    if isinstance(keys, dict):
        return {name: _stack(examples, key) for name, key in keys.items()}
    return np.stack([example[keys] for example in examples])
