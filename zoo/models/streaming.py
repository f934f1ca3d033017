"""Models that process one frame at a time."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops, tree

from rladder_keras import export_step, initial_state, step_model
from rladder_keras.streaming import check_state
from zoo.data.epochs import check_integer
from zoo.models.checks import as_arrays, check_step
from zoo.models.fitting import check_sequences
from zoo.training.interrupts import step_kept


class Streaming:
    """Methods of a model for frame-by-frame processing and for rollouts.

    A mixin for `ZooModel`, which defines the attributes below.
    """

    # Of `ZooModel` and `keras.Model`:
    input: Any
    check_inputs: Callable[[Any], None]
    valid: Callable[[Any], Any]

    def init_state(self, batch_size: int = 1) -> list[np.ndarray]:
        """Return the state before the first frame, see `step`.

        Args:
            batch_size: Number of sequences.

        Returns:
            List of NumPy arrays.
        """
        check_sequences(self)
        return initial_state(self, batch_size)

    def step(
        self, frame: Any, state: Any
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """Process one frame of each sequence.

        Args:
            frame: Input of the model without the time axis.
            state: The state that the last call returned; `init_state(batch_size)` at
                first.

        Returns:
            The outputs of `predict` for this frame, without the time axis, and the next
            state. After a frame of padding the state is the initial state, and the
            outputs must be ignored: unlike those of `predict`, they do not hold the
            class of the last frame.

        Examples:
            >>> model = zoo.polyphonic_music_lstm(units=4)
            >>> state = model.init_state(batch_size=1)
            >>> for frame in np.eye(88)[:5]:
            ...     outputs, state = model.step(frame[None], state)
            >>> outputs["notes"].shape
            (1, 88)
        """
        frame = as_arrays(frame)
        check_step(frame, self.input)
        self.check_inputs(tree.map_structure(lambda x: x[:, None], frame))
        if not hasattr(self, "_step"):
            check_sequences(self)
            # Stored as a method, because Keras would track a model as a sublayer of
            # this one.
            self._step = step_model(self.of_steps()).predict_on_batch
            first = [x.shape for x in self.init_state(1)]
            # Stored as a function, because Keras wraps lists that are attributes.
            self._check_state = lambda *given: check_state(given[0], first, given[1])
        self._check_state(state, len(tree.flatten(frame)[0]))
        with step_kept():
            return self._step([frame, state])

    def export_step(
        self, path: str | os.PathLike[str], format: str = "onnx", batch_size: int = 1
    ) -> tuple[list[str], list[str]]:
        """Write one iteration as a file for a runtime without Keras.

        Args:
            path: File to write; for `"tf_saved_model"`, a folder that does not exist
                yet.
            format: `"onnx"`, `"tf_saved_model"`, `"litert"` or `"torch"` (`.pt2`).
            batch_size: Number of sequences in a batch. It is fixed in the file.

        Returns:
            The names of the inputs and of the outputs, see `rladder_keras.export_step`.
        """
        check_sequences(self)
        return export_step(self.of_steps(), path, format, batch_size)

    def of_steps(self) -> Any:
        """Return this model without the outputs that need more than one frame."""
        return self

    def rollout(
        self, context: Any, steps: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Continue sequences in closed loop: the model receives its own predictions.

        Args:
            context: First frames, shape `(batch, n, ...)`, with `n` of at least 1.
            steps: Number of frames to add, at least 0.

        Returns:
            The frames, `(batch, n + steps, ...)`, and the outputs of `predict` for
            them. The frames are those of the context, followed by predicted frames.
            Predicted frames also replace padding of the context.

        Raises:
            ValueError: If an argument is invalid, or the model does not predict frames.

        Examples:
            >>> model = zoo.rladder([Level(ConvLSTMCell(4, 3), ConvG3(3))], (8, 8, 1))
            >>> frames, outputs = model.rollout(np.zeros((2, 5, 8, 8, 1)), steps=3)
            >>> frames.shape, outputs["frame"].shape
            ((2, 8, 8, 8, 1), (2, 8, 8, 8, 1))
        """
        check_integer("steps", steps, 0)
        context = np.asarray(context)
        if context.size == 0:
            raise ValueError(
                "`context` must contain at least one frame; got an empty array of "
                f"shape {context.shape}. Pass the first frames."
            )
        self.check_inputs(context)
        padding = self.padding(context)
        frames = list(np.moveaxis(context, 1, 0))
        outputs: list[dict[str, np.ndarray]] = []
        state = self.init_state(len(context))
        for t in range(len(frames) + steps):
            if t == len(frames):
                frames.append(self.next_frame(outputs[-1]))
            elif padding[:, t].any():
                frames[t] = frames[t].copy()
                frames[t][padding[:, t]] = self.next_frame(outputs[-1])[padding[:, t]]
            output, state = self.step(frames[t], state)
            outputs.append(output)
        return np.stack(frames, 1), tree.map_structure(
            lambda *x: np.stack(x, 1), *outputs
        )

    def padding(self, context: np.ndarray) -> np.ndarray:
        """Return where a context is padding, shape `(batch, n)`."""
        valid = self.valid(ops.convert_to_tensor(context))
        if valid is None:
            return np.zeros(context.shape[:2], bool)
        padding = ~ops.convert_to_numpy(valid)
        if padding[:, 0].any():
            raise ValueError(
                "`context` must begin with a frame in each sequence; got padding. "
                "Move the padding to the end, or remove it."
            )
        return padding

    def next_frame(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return the predicted next frame from the outputs of `step`."""
        if "frame" not in outputs:
            raise ValueError(
                "The model must have the output 'frame' for a rollout; got the "
                f"outputs {' and '.join(sorted(map(repr, outputs)))}. Build a model "
                "that predicts frames."
            )
        return outputs["frame"]
