"""Models that take one frame after the other."""

import numpy as np
from keras import ops, tree

from rladder_keras import export_step, initial_state, step_model
from rladder_keras.streaming import check_state
from zoo.data.epochs import check_integer
from zoo.models.checks import (
    as_arrays,
    check_step,
)
from zoo.models.fitting import (
    check_sequences,
)
from zoo.training.interrupts import step_kept


class Streaming:
    """Methods of a model that take frame after frame, and go on without frames."""

    def init_state(self, batch_size=1):
        """State before the first frame: see `step`."""
        check_sequences(self)
        return initial_state(self, batch_size)

    def step(self, frame, state):
        """Take one frame of each sequence, for what comes frame by frame.

        Args:
            frame: What the model takes, without the axis of time.
            state: What the last call gave, in the beginning `init_state(batch_size)`.

        Returns:
            What `predict` gives for this frame, without the axis of time, and the next
            state.

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
            # A method, because Keras would take a model for a part of this one.
            self._step = step_model(self.of_steps()).predict_on_batch
            first = [x.shape for x in self.init_state(1)]
            # A function, because Keras would turn lists into others.
            self._check_state = lambda *given: check_state(given[0], first, given[1])
        self._check_state(state, len(tree.flatten(frame)[0]))
        with step_kept():
            return self._step([frame, state])

    def export_step(self, path, format="onnx", batch_size=1):
        """Write one iteration as a file for runtimes that have no Keras.

        See `rladder_keras.export_step`.
        """
        check_sequences(self)
        return export_step(self.of_steps(), path, format, batch_size)

    def of_steps(self):
        """This model, without outputs that need more than one frame."""
        return self

    def rollout(self, context, steps):
        """Go on with sequences in closed loop: the model sees what it predicted.

        Args:
            context: Frames to begin with, shape `(batch, n, ...)`, n at least 1.
            steps: How many frames to add, at least 0.

        Returns:
            The frames, `(batch, n + steps, ...)`: those of the context and those that
            were predicted, also where the context has padding, and what `predict` gives
            for them.

        Raises:
            ValueError: If an argument is not as above, or the model predicts no frame.

        Examples:
            >>> model = zoo.rladder([Level(ConvLSTMCell(4, 3), ConvG3(3))], (8, 8, 1))
            >>> frames, outputs = model.rollout(np.zeros((2, 5, 8, 8, 1)), steps=3)
            >>> frames.shape, outputs["frame"].shape
            ((2, 8, 8, 8, 1), (2, 8, 8, 8, 1))
        """
        check_integer("steps", steps, 0)
        context = np.asarray(context)
        if context.size == 0:
            raise ValueError("the context is empty: give at least one frame.")
        self.check_inputs(context)
        padding = self.padding(context)
        frames, outputs = list(np.moveaxis(context, 1, 0)), []
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

    def padding(self, context):
        """Where a context ends before others do, shape `(batch, n)`."""
        valid = self.valid(ops.convert_to_tensor(context))
        if valid is None:
            return np.zeros(context.shape[:2], bool)
        padding = ~ops.convert_to_numpy(valid)
        if padding[:, 0].any():
            raise ValueError(
                "the context must begin with a frame in each sequence; got padding. "
                "Move it to the end, or leave it out."
            )
        return padding

    def next_frame(self, outputs):
        """The predicted next frame, from what `step` gives."""
        if "frame" not in outputs:
            raise ValueError(
                "this model predicts no frames: rollout needs the output 'frame', and "
                f"there is {' and '.join(sorted(map(repr, outputs)))}."
            )
        return outputs["frame"]
