"""The model class of music: what `fit` and `step` do with chords."""

import keras
import numpy as np
from keras import tree

from rladder_keras import (
    step_model,
)
from zoo.data.music.midi import (
    KEYS,
)
from zoo.data.music.rolls import PianoRolls
from zoo.metrics.sample_weights import by_step
from zoo.models.base import ZooModel
from zoo.models.checks import as_arrays, check_shape
from zoo.training.interrupts import step_kept

register = keras.saving.register_keras_serializable("zoo")


@register
class MusicModel(ZooModel):
    """A `ZooModel` of piano rolls."""

    def check_inputs(self, x):
        """Refuse arrays that are no piano rolls; other inputs pass."""
        if isinstance(x, PianoRolls) and x.joint != is_joint(self):
            raise ValueError(
                f"these data are made with joint={x.joint}, and this model needs "
                f"`zoo.data.piano_rolls(..., joint={is_joint(self)})`."
            )
        alone = isinstance(x, np.ndarray) or (isinstance(x, dict) and "next" not in x)
        if alone and is_joint(self):
            raise ValueError(
                "this model gives the joint distribution of the notes of a step, and "
                "takes a dictionary with 'roll' and, the notes to be predicted, "
                "'next', see `joint=True` of `zoo.data.piano_rolls`; to compose step "
                "by step use `zoo.music.generate`."
            )
        for roll in x.values() if isinstance(x, dict) else [x]:
            self.check_roll(roll)

    @staticmethod
    def check_roll(x):
        if not isinstance(x, np.ndarray) or x.size == 0:
            return
        if x.ndim != 3 or x.shape[-1] != KEYS:
            raise ValueError(
                f"the piano rolls have shape {x.shape}, and must have (batch, T, "
                f"{KEYS}), the keys of a piano from A0 to C8."
            )
        if not np.isin(x, (-1, 0, 1)).all():
            raise ValueError(
                "the piano rolls have other values than 1 (sounds), 0 (does not) and "
                "-1 (padding)."
            )

    def check_batch(self, x):
        """Notes may be of any type."""

    def check_labels(self, x, y):
        """Refuse notes that are none, or not those of the rolls."""
        notes = y.get("notes") if isinstance(y, dict) else None
        if not isinstance(notes, np.ndarray):
            return
        roll = as_arrays(x.get("roll") if isinstance(x, dict) else x)
        if isinstance(roll, np.ndarray):
            check_shape(notes.shape, roll.shape, "notes of y['notes']")
        if not np.isin(notes, (0, 1)).all():
            raise ValueError(
                "y['notes'] has other values than 0 and 1: what is padding, -1 in the "
                "piano rolls, is 0 there, and its steps have a sample_weight of 0."
            )

    def fit(self, x=None, y=None, *args, **kwargs):
        """As of `ZooModel`; an epoch that was stopped leaves no state to the next.

        Rows that the ladder cannot carry on are refused.
        """
        if isinstance(x, PianoRolls):
            ladder = self.get_layer("ladder")
            ladder.check_carry(x.batch_size)
            ladder.reset_state()
        return super().fit(x, y, *args, **kwargs)

    @staticmethod
    def _weights(sample_weight, y_pred):
        """Those of whole sequences as weights of their steps."""

        weights = ZooModel._weights(sample_weight, y_pred)
        notes = y_pred["notes"]
        return tree.map_structure(lambda weight: by_step(weight, notes), weights)

    def step_below(self, notes, state):
        """As `step`, but up to the read-out, which then draws the notes key by key.

        Args:
            notes: Shape `(batch, 88)`.
            state: See `step`.

        Returns:
            What the read-out takes, `(batch, 88, channels)`, and the next state.
        """
        if not hasattr(self, "_step_below"):
            inputs = self.input["roll"] if is_joint(self) else self.input
            d = tree.flatten(self.get_layer("readout").input)[0]
            # A method, because Keras would take a model for a part of this one.
            self._step_below = step_model(keras.Model(inputs, d)).predict_on_batch
        with step_kept():
            return self._step_below([notes, state])

    def next_frame(self, outputs):
        raise ValueError(
            "the keys of a step are drawn by their probabilities: use "
            "`zoo.music.generate`."
        )


def is_joint(model):
    return isinstance(model.input, dict)
