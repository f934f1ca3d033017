"""The model class of music: how `fit` and `step` handle chords."""

from typing import Any

import keras
import numpy as np
from keras import tree

from rladder_keras import step_model
from rladder_keras.typing import Tensor
from zoo.data.music.midi import KEYS
from zoo.data.music.rolls import PianoRolls
from zoo.metrics.sample_weights import by_step
from zoo.models.base import ZooModel
from zoo.models.checks import as_arrays, check_shape
from zoo.training.interrupts import step_kept

register = keras.saving.register_keras_serializable("zoo")


@register
class MusicModel(ZooModel):
    """A `ZooModel` of piano rolls."""

    def check_inputs(self, x: Any) -> None:
        """Raise `ValueError` for arrays that are not piano rolls.

        Other objects are accepted.
        """
        if isinstance(x, PianoRolls) and x.joint != is_joint(self):
            raise ValueError(
                f"The data must be made with joint={is_joint(self)} for this model; "
                f"got joint={x.joint}. Use `zoo.data.piano_rolls(..., "
                f"joint={is_joint(self)})`."
            )
        alone = isinstance(x, np.ndarray) or (isinstance(x, dict) and "next" not in x)
        if alone and is_joint(self):
            raise ValueError(
                "`x` must be a dictionary with 'roll' and 'next', the notes to "
                "predict, because this model has joint=True; got piano rolls alone. "
                "Use `zoo.data.piano_rolls(..., joint=True)`; to generate music step "
                "by step, use `zoo.music.generate`."
            )
        for roll in x.values() if isinstance(x, dict) else [x]:
            self.check_roll(roll)

    @staticmethod
    def check_roll(x: Any) -> None:
        """Raise `ValueError` for an array that is not a batch of piano rolls."""
        if not isinstance(x, np.ndarray) or x.size == 0:
            return
        if x.ndim != 3 or x.shape[-1] != KEYS:
            raise ValueError(
                f"the piano rolls must have shape (batch, T, {KEYS}), with the keys of "
                f"a piano from A0 to C8; got shape {x.shape}. Reshape the array."
            )
        if not np.isin(x, (-1, 0, 1)).all():
            raise ValueError(
                "the piano rolls must have the values 1 (the key sounds), 0 (it does "
                "not) and -1 (padding); got other values. Convert them."
            )
        padding = x == -1
        if (padding.any(axis=-1) != padding.all(axis=-1)).any():
            raise ValueError(
                "a time step of padding must be -1 for all keys; got time steps in "
                "which some keys are -1. Set keys that do not sound to 0."
            )

    def check_batch(self, x: Any) -> None:
        """Accept notes of any dtype."""

    def check_labels(self, x: Any, y: Any) -> None:
        """Raise `ValueError` for target notes that do not match the piano rolls."""
        notes = y.get("notes") if isinstance(y, dict) else None
        if not isinstance(notes, np.ndarray):
            return
        roll = as_arrays(x.get("roll") if isinstance(x, dict) else x)
        if isinstance(roll, np.ndarray):
            check_shape(notes.shape, roll.shape, "notes of y['notes']")
        if not np.isin(notes, (0, 1)).all():
            raise ValueError(
                "y['notes'] must have no other values than 0 and 1; got other values. "
                "In time steps of padding (-1 in the piano rolls), set the target and "
                "the sample_weight to 0."
            )

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train the model, see `ZooModel.fit`.

        The carried state is reset first, so that an interrupted epoch leaves no state
        to the next one. Raises `ValueError` for a batch size other than that of the
        carried state.
        """
        if isinstance(x, PianoRolls):
            ladder = self.get_layer("ladder")
            ladder.check_carry(x.batch_size)
            ladder.reset_state()
        return super().fit(x, y, *args, **kwargs)

    @staticmethod
    def _weights(sample_weight: Any, y_pred: dict[str, Tensor]) -> Any:
        """Return weights of whole sequences as weights of their time steps."""

        weights = ZooModel._weights(sample_weight, y_pred)
        notes = y_pred["notes"]
        return tree.map_structure(lambda weight: by_step(weight, notes), weights)

    def step_below(self, notes: Any, state: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        """Process one step up to the read-out, which then draws key by key.

        Args:
            notes: Shape `(batch, 88)`.
            state: The state that the last call returned; `init_state(batch_size)` at
                first.

        Returns:
            The input of the read-out, `(batch, 88, channels)`, and the next state.
        """
        if not hasattr(self, "_step_below"):
            inputs = self.input["roll"] if is_joint(self) else self.input
            d = tree.flatten(self.get_layer("readout").input)[0]
            # Stored as a method, because Keras would track a model as a sublayer of
            # this one.
            self._step_below = step_model(keras.Model(inputs, d)).predict_on_batch
        with step_kept():
            return self._step_below([notes, state])

    def key_logits(self, d: np.ndarray, notes: np.ndarray) -> np.ndarray:
        """Return the logits of the keys of one step.

        Args:
            d: The input of the read-out, from `step_below`.
            notes: The keys of this step that are drawn so far, shape `(batch, 88)`. A
                model of marginals does not use them.

        Returns:
            Shape `(batch, 88)`.
        """
        if not hasattr(self, "_key_logits"):
            readout = self.get_layer("readout")
            model = keras.Model(tree.flatten(readout.input), readout.output)
            self._key_logits = model.predict_on_batch
        given = [d, notes.astype(d.dtype)] if is_joint(self) else [d]
        with step_kept():
            return self._key_logits([x[:, None] for x in given])[:, 0]

    def next_frame(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Raise `ValueError`: notes are drawn, and not predicted as a frame."""
        raise ValueError(
            "The model must predict frames for a rollout; got a model of music, whose "
            "keys are drawn from their probabilities. Use `zoo.music.generate`."
        )


def is_joint(model: keras.Model) -> bool:
    """Return whether a model gives the joint distribution of the keys of a step."""
    return isinstance(model.input, dict)
