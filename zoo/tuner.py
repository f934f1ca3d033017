"""Search for hyperparameters with keras-tuner: `zoo.hypermodel("...")`.

A hypermodel gives its builder in the zoo what a tuner proposes: one entry of `SPACES`
for each argument that is worth searching. Its `objective` is a validation metric: no
search should look at a test set.
"""

import inspect
import json
from functools import partial
from importlib.util import find_spec

import keras
import numpy as np

try:
    import keras_tuner
except ImportError as error:
    raise ImportError(
        "hypermodels need keras-tuner: pip install keras-tuner scipy tensorboard."
    ) from error

from zoo.data.epochs import EpochDataset
from zoo.models import moving_mnist, music, occluded_mnist, textured_mnist
from zoo.models.fitting import by_name
from zoo.weights.cards import OF_TRAINING, as_written

# What a tuner may propose for an argument: functions of its name and the proposals.


def between(low, high):
    """A number, on a logarithmic scale."""
    return lambda name, hp: hp.Float(name, low, high, sampling="log")


def integer(low, high):
    return lambda name, hp: hp.Int(name, low, high)


def one_of(*values):
    return lambda name, hp: hp.Choice(name, list(values))


def one_table_of(*tables):
    """One of several tables of levels, proposed by name."""
    named = {table.__name__: table for table in tables}
    return lambda name, hp: named[hp.Choice(name, list(named))]


def depth_of(table, rows, least):
    """A table with its lowest `least` to `rows` rows, and those above the first `rows`.

    The rows between are left out.
    """

    def shorter(depth, width=1.0):
        levels = table(width)
        return levels[:depth] + levels[rows:]

    return lambda name, hp: partial(shorter, hp.Int("depth", least, rows))


RATE, WIDTH = between(1e-4, 1e-2), between(0.25, 1.0)
FEEDBACK = one_of("recurrent", "all", "none")
OCCLUDED = {
    "learning_rate": RATE,
    "width": WIDTH,
    "table": one_table_of(occluded_mnist.small_table, occluded_mnist.table_5),
}
GROUPS = {
    "learning_rate": RATE,
    "width": WIDTH,
    "groups": integer(2, 5),
    "noise": between(0.05, 0.5),
    "feedback": FEEDBACK,
}
BASELINE = {"learning_rate": RATE, "units": integer(100, 1000)}

# Builder, what to minimise on validation, and what may be searched.
SPACES = {
    "occluded_mnist_rladder": (
        occluded_mnist.occluded_mnist_rladder,
        "class_error",
        {**OCCLUDED, "feedback": FEEDBACK, "frame_weight": between(0.1, 3.0)},
    ),
    "occluded_mnist_hierarchical_rnn": (
        occluded_mnist.occluded_mnist_hierarchical_rnn,
        "class_error",
        OCCLUDED,
    ),
    "occluded_mnist_temporal_baseline": (
        occluded_mnist.occluded_mnist_temporal_baseline,
        "class_error",
        OCCLUDED,
    ),
    "occluded_mnist_static_classifier": (
        occluded_mnist.occluded_mnist_static_classifier,
        "class_error",
        OCCLUDED,
    ),
    "polyphonic_music_rladder": (
        music.polyphonic_music_rladder,
        "notes_nll",
        {
            "learning_rate": between(1e-3, 3e-2),
            "width": WIDTH,
            "table": depth_of(music.table_8, rows=5, least=2),
            "feedback": FEEDBACK,
        },
    ),
    "polyphonic_music_lstm": (music.polyphonic_music_lstm, "notes_nll", BASELINE),
    "polyphonic_music_gru": (music.polyphonic_music_gru, "notes_nll", BASELINE),
    "textured_mnist_rtagger": (
        textured_mnist.textured_mnist_rtagger,
        "cost_loss",
        {**GROUPS, "variance": between(0.02, 2.5), "class_weight": between(0.01, 10.0)},
    ),
    "moving_mnist_rtagger": (moving_mnist.moving_mnist_rtagger, "cost_last", GROUPS),
}


class ZooHyperModel(keras_tuner.HyperModel):
    """A builder of the zoo whose arguments a tuner proposes.

    Args:
        name: Of the builder.
        **fixed: Arguments of the builder that are not searched.

    Attributes:
        objective: What to give the tuner as its objective.

    Raises:
        ValueError: If there is no such hypermodel.
        TypeError: If the builder has no such argument.
    """

    def __init__(self, name, **fixed):
        if name not in SPACES:
            known = ", ".join(repr(name) for name in SPACES)
            raise ValueError(f"there is no hypermodel {name!r}; there are: {known}.")
        super().__init__(name)
        self.builder, metric, space = SPACES[name]
        inspect.signature(self.builder).bind_partial(**fixed)
        if fixed.get("weights") is not None:
            # What they were trained with cannot change.
            space = {name: space[name] for name in space if name in OF_TRAINING}
        if fixed.get("prediction") is False:
            space = {name: space[name] for name in space if name != "frame_weight"}
        self.space = space
        if fixed.get("classification") is False:
            metric = "frame_mse"
        self.objective = keras_tuner.Objective(f"val_{metric}", "min")
        self.fixed = fixed

    def build(self, hp):
        """The compiled model with what `hp`, of keras-tuner, proposes."""
        self.check_same(hp)
        proposed = {
            name: propose(name, hp)
            for name, propose in self.space.items()
            if name not in self.fixed
        }
        return self.builder(**proposed, **self.fixed)

    def check_same(self, hp):
        """Refuse what another search left: its trials are of other models."""
        given = {
            name: as_written(value)
            for name, value in self.fixed.items()
            if not isinstance(value, np.ndarray)
        }
        text = json.dumps(given, default=str, sort_keys=True)
        before = hp.Fixed("fixed", text)
        if before != text:
            raise keras_tuner.errors.FatalValueError(
                f"this folder is of a search with the arguments {before}, and now they "
                f"are {text}: give the tuner another project_name, or overwrite=True."
            )

    def fit(self, hp, model, x=None, *args, **kwargs):
        """As `model.fit`; all trials see the same data in their first epoch.

        Without validation data, on which the objective is measured, nothing is trained.
        """
        given = by_name("fit", (x, *args), kwargs)
        if given.get("validation_data") is None and not given.get("validation_split"):
            raise keras_tuner.errors.FatalValueError(
                "`validation_data` must be given to the search, because its objective "
                f"{self.objective.name!r} is measured on them; got None. Call "
                "tuner.search(train, validation_data=valid, ...)."
            )
        if isinstance(x, EpochDataset):
            x.epoch = kwargs.get("initial_epoch", 0)
        return model.fit(x, *args, **kwargs)


def hypermodel(name, **fixed):
    """A model of the zoo for a tuner of keras-tuner.

    ```python
    search = zoo.hypermodel("occluded_mnist_rladder", width=0.5)
    tuner = keras_tuner.RandomSearch(search, search.objective, max_trials=10)
    tuner.search(train, validation_data=valid, epochs=3)
    model = tuner.get_best_models()[0]
    ```

    Args:
        name: Of a builder: a key of `zoo.tuner.SPACES`.
        **fixed: Arguments of the builder; what is given is not searched.

    Returns:
        `ZooHyperModel`.

    Raises:
        ValueError: If there is no such hypermodel.
        TypeError: If the builder has no such argument.
        ImportError: If something is not installed that keras-tuner needs.

    Examples:
        >>> zoo.hypermodel("occluded_mnist_rladder", width=0.5).objective.name
        'val_class_error'
    """
    if keras.backend.backend() == "tensorflow" and find_spec("tensorboard") is None:
        raise ImportError(
            "on TensorFlow keras-tuner needs tensorboard: pip install tensorboard."
        )
    return ZooHyperModel(name, **fixed)
