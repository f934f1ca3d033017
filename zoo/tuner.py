"""Hyperparameter search with keras-tuner: `zoo.hypermodel("...")`.

A hypermodel calls a builder of the zoo with the values that a tuner proposes. `SPACES`
lists, for each builder, the arguments that are worth searching. The `objective` of a
hypermodel is a validation metric, because a search must not use the test set.
"""

import inspect
import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

try:
    import keras_tuner
except ImportError as error:
    raise ImportError(
        "The package keras-tuner must be installed for hypermodels; got no such "
        "package. Run pip install keras-tuner scipy tensorboard."
    ) from error

from zoo.data.epochs import EpochDataset
from zoo.models import moving_mnist, music, occluded_mnist, textured_mnist
from zoo.models.fitting import by_name
from zoo.weights.cards import OF_TRAINING, as_written

# What a tuner may propose for an argument: a function of the argument's name and of
# keras-tuner's `HyperParameters`.
Proposal = Callable[[str, Any], Any]


def between(low: float, high: float) -> Proposal:
    """Propose a number from `low` to `high`, on a logarithmic scale."""
    return lambda name, hp: hp.Float(name, low, high, sampling="log")


def integer(low: int, high: int) -> Proposal:
    """Propose an integer from `low` to `high`."""
    return lambda name, hp: hp.Int(name, low, high)


def one_of(*values: Any) -> Proposal:
    """Propose one of the values."""
    return lambda name, hp: hp.Choice(name, list(values))


def one_table_of(*tables: Callable) -> Proposal:
    """Propose one of several tables of levels, by name."""
    named = {table.__name__: table for table in tables}
    return lambda name, hp: named[hp.Choice(name, list(named))]


def depth_of(table: Callable, rows: int, least: int) -> Proposal:
    """Propose how many of the lowest `rows` rows of a table to keep.

    Args:
        table: Function that returns the rows of a table, bottom level first.
        rows: Number of rows from the bottom that may be left out. The rows above them
            are always kept.
        least: Smallest number of these rows to keep.
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
    "noise": between(0.05, 0.45),
    "feedback": FEEDBACK,
}
BASELINE = {"learning_rate": RATE, "units": integer(100, 1000)}

# Builder, validation metric to minimise, and arguments that can be searched.
SPACES: dict[str, tuple[Callable, str, dict[str, Proposal]]] = {
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
    """Hypermodel of keras-tuner that calls a builder of the zoo.

    Args:
        name: Name of the builder, a key of `SPACES`.
        **fixed: Arguments of the builder with fixed values. Arguments that you omit are
            searched.

    Attributes:
        objective: `keras_tuner.Objective` to pass to the tuner.

    Raises:
        ValueError: If `name` is not a key of `SPACES`.
        TypeError: If the builder has no such argument.
    """

    def __init__(self, name: str, **fixed: Any):
        if name not in SPACES:
            known = ", ".join(repr(name) for name in SPACES)
            raise ValueError(
                f"`name` must be the name of a hypermodel; got {name!r}. Choose one of "
                f"{known}."
            )
        super().__init__(name)
        self.builder, metric, space = SPACES[name]
        inspect.signature(self.builder).bind_partial(**fixed)
        if fixed.get("weights") is not None:
            # All other arguments are fixed by the trained weights.
            space = {name: space[name] for name in space if name in OF_TRAINING}
        if fixed.get("prediction") is False:
            space = {name: space[name] for name in space if name != "frame_weight"}
        self.space = space
        if fixed.get("classification") is False:
            metric = "frame_mse"
        self.objective = keras_tuner.Objective(f"val_{metric}", "min")
        self.fixed = fixed

    def build(self, hp: Any) -> keras.Model:
        """Return the compiled model for a trial.

        Args:
            hp: `keras_tuner.HyperParameters` of the trial.
        """
        self.check_same(hp)
        proposed = {
            name: propose(name, hp)
            for name, propose in self.space.items()
            if name not in self.fixed
        }
        return self.builder(**proposed, **self.fixed)

    def check_same(self, hp: Any) -> None:
        """Raise an error if a search is resumed with other fixed arguments.

        The trials of a search must all be trials of the same model. keras-tuner keeps
        what it finds in its project folder, so the fixed arguments are stored there.
        """
        given = {
            name: as_written(value)
            for name, value in self.fixed.items()
            if not isinstance(value, np.ndarray)
        }
        text = json.dumps(given, default=str, sort_keys=True)
        before = hp.Fixed("fixed", text)
        if before != text:
            raise keras_tuner.errors.FatalValueError(
                f"The fixed arguments of a resumed search must be {before}; got {text}."
                " Give the tuner another project_name, or overwrite=True."
            )

    def fit(
        self, hp: Any, model: keras.Model, x: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `model.fit` on the same first epoch of data in every trial.

        Args:
            hp: `keras_tuner.HyperParameters` of the trial; keras-tuner passes it.
            model: The model that `build` returned.
            x: Training data, as for `model.fit`.
            *args: Further arguments of `model.fit`.
            **kwargs: Further arguments of `model.fit`. Validation data are required,
                because the objective is measured on them.
        """
        given = by_name("fit", (x, *args), kwargs)
        if given.get("validation_data") is None and not given.get("validation_split"):
            raise keras_tuner.errors.FatalValueError(
                "`validation_data` must be given, because the objective "
                f"{self.objective.name!r} is measured on them; got None. Call "
                "tuner.search(train, validation_data=valid, ...)."
            )
        if isinstance(x, EpochDataset):
            x.epoch = given.get("initial_epoch", 0)
        return model.fit(x, *args, **kwargs)


def hypermodel(name: str, **fixed: Any) -> ZooHyperModel:
    """Return a model of the zoo as a hypermodel for the tuners of keras-tuner.

    ```python
    search = zoo.hypermodel("occluded_mnist_rladder", width=0.5)
    tuner = keras_tuner.RandomSearch(search, search.objective, max_trials=10)
    tuner.search(train, validation_data=valid, epochs=3)
    model = tuner.get_best_models()[0]
    ```

    Args:
        name: Name of a builder, a key of `zoo.tuner.SPACES`.
        **fixed: Arguments of the builder with fixed values. Arguments that you omit are
            searched.

    Returns:
        `ZooHyperModel`.

    Raises:
        ValueError: If `name` is not a key of `zoo.tuner.SPACES`.
        TypeError: If the builder has no such argument.
        ImportError: If a package that keras-tuner needs is not installed.

    Examples:
        >>> zoo.hypermodel("occluded_mnist_rladder", width=0.5).objective.name
        'val_class_error'
    """
    if keras.backend.backend() == "tensorflow" and find_spec("tensorboard") is None:
        raise ImportError(
            "The package tensorboard must be installed for keras-tuner on TensorFlow; "
            "got no such package. Run pip install tensorboard."
        )
    return ZooHyperModel(name, **fixed)
