"""The model class of the zoo.

The file is longer than others because it overrides each method of `keras.Model` that
takes data: they check it, complete it and keep the weights if they are stopped.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
from keras import ops, tree

from rladder_keras import RecurrentLadder
from rladder_keras.recurrence import last_unread
from rladder_keras.typing import Config, Tensor
from zoo.data.epochs import EpochDataset
from zoo.metrics.sample_weights import (
    by_step,
    last_step_loss,
    last_step_metric,
    next_step_loss,
    next_step_metric,
)
from zoo.models.checks import (
    as_arrays,
    check_classes,
    check_frames,
    check_learning_rate,
    check_no_integers,
    check_shape,
    check_weights,
    first_batch,
    in_batch,
    is_shifted,
)
from zoo.models.fitting import (
    by_name,
    check_class_weight,
    check_names,
    checked,
    ignores_last_step,
    in_order,
    make_variables,
    named,
    or_earlier,
    rows_of,
    scored,
)
from zoo.models.streaming import Streaming
from zoo.training.interrupts import step_kept, variables_kept
from zoo.weights import check_origin

# Outputs whose losses and metrics of Keras are applied to time steps, and their axes.
AXES = {"class": 3, "frame": 5, "probe": 5}


@keras.saving.register_keras_serializable("zoo")
class ZooModel(Streaming, keras.Model):
    """A functional model with named outputs that picks the targets of its outputs.

    One dataset can therefore serve all rows of a table: from the dictionary `y`, a
    model uses the entries with the names of its outputs.
    """

    trained_on = None  # dataset of the loaded weights, until `fit`
    scored = None  # names of outputs with a loss or metrics; `None` for all
    last_is_unread = False  # whether no loss or metric uses the last prediction
    of_encoders: frozenset[str] = frozenset()  # outputs that no decoder computes

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compile the model, see `keras.Model.compile`.

        Outputs without a loss and metrics need no targets. Losses and metrics of Keras
        score the last time step of the output `"class"`, and compare each prediction of
        `"frame"` and `"probe"` with the next frame. Functions and classes of your own
        get the outputs of all time steps, and the targets as they are. Without `loss`,
        the losses and their weights stay as they are; metrics that are not given are
        removed.
        """
        check_learning_rate(optimizer)
        loss, loss_weights = or_earlier(self, loss, loss_weights)
        kinds = self.prepared(loss, metrics, weighted_metrics)
        loss, metrics, weighted_metrics = kinds
        super().compile(
            optimizer,
            loss,
            loss_weights,
            {} if metrics is None else metrics,  # None would keep the previous ones
            weighted_metrics,
            **kwargs,
        )
        self.scored = scored(*kinds)
        self.last_is_unread = all(ignores_last_step(x, self.of_encoders) for x in kinds)

    def compile_from_config(self, config: Config) -> None:
        """Compile the model as when it was saved, and build its optimiser."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:  # a teacher has no optimiser
            self.optimizer.build(self.trainable_variables)

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        self.check_batch(inputs)
        return super().call(inputs, training=training, mask=mask)

    def train_step(self, *args: Any) -> Any:
        """Train on one batch, see `keras.Model.train_step`.

        Skips the last prediction if no loss or metric compares it with a target.
        """
        with last_unread() if self.last_is_unread else contextlib.nullcontext():
            return super().train_step(*args)

    def prepared(
        self, loss: Any, metrics: Any, weighted_metrics: Any
    ) -> tuple[Any, Any, Any]:
        """Return losses and metrics that accept sample weights.

        Those of Keras are applied to the last step of classes, and to the transitions
        of frames.
        """
        return (
            self.over_time(loss, last_step_loss, next_step_loss),
            self.over_time(metrics, last_step_metric, next_step_metric),
            self.over_time(weighted_metrics, last_step_metric, next_step_metric),
        )

    def over_time(
        self, losses: Any, of_last: Callable[[Any], Any], of_next: Callable[[Any], Any]
    ) -> Any:
        """Return losses or metrics, those of classes and frames applied to time steps.

        Args:
            losses: Losses or metrics, as `compile` takes them.
            of_last: Function that applies one of them to the last step of classes.
            of_next: Function that applies one of them to the transitions of frames.
        """
        outputs = self.output if hasattr(self, "output_names") else {}
        changes = {
            name: of_last if name == "class" else of_next
            for name, x in outputs.items()
            if len(x.shape) == AXES.get(name)
        }
        if len(outputs) == len(changes) == 1 and not isinstance(losses, dict):
            return tree.map_structure(*changes.values(), losses)
        if isinstance(losses, (list, tuple)) and len(losses) == len(outputs):
            losses = dict(zip(self.output_names, losses, strict=True))
        if not isinstance(losses, dict):
            return losses
        return {
            name: tree.map_structure(changes[name], x) if name in changes else x
            for name, x in losses.items()
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss of a batch, see `keras.Model.compute_loss`."""
        y, weights = self.arranged(y, sample_weight, y_pred, x)
        return super().compute_loss(x, y, y_pred, weights, **kwargs)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update and return the metrics, see `keras.Model.compute_metrics`."""
        y, weights = self.arranged(y, sample_weight, y_pred, x)
        return super().compute_metrics(x, y, y_pred, weights)

    def arranged(
        self, y: Any, sample_weight: Any, y_pred: dict[str, Tensor], x: Any = None
    ) -> tuple[dict[str, Tensor], Any]:
        """Return targets and sample weights for the outputs of this model.

        Time steps of padding have a weight of 0.
        """
        check_names(sample_weight, y, y_pred)
        weights = self._weights(sample_weight, y_pred)
        valid = None if x is None else self.valid(x)
        if valid is not None:
            weights = self._weights({} if weights is None else weights, y_pred)
            valid = ops.cast(valid, keras.config.floatx())
            weights = {
                name: valid * by_step(named(weights, name), output)
                for name, output in y_pred.items()
            }
        return self._targets(y, y_pred), weights

    def valid(self, x: Any) -> Tensor | None:
        """Return which frames are valid, shape `(batch, T)`; `None` without padding."""

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the metrics by name, see `keras.Model.get_metrics_result`."""
        return self.by_output(super().get_metrics_result())

    def by_output(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Return metrics named `"class_error"`, ..., also if there is one output."""
        if len(self.output_names) > 1:
            return logs
        (name,) = self.output_names
        return {k if k == "loss" else f"{name}_{k}": v for k, v in logs.items()}

    def _targets(self, y: Any, y_pred: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the targets of the outputs.

        Outputs without a loss and metrics are their own targets.
        """
        given = y if isinstance(y, dict) else {}
        self.check_keys(given, y_pred)
        self.check_batch([given[k] for k in ("frame", "probe") if k in given])
        return {name: given.get(name, output) for name, output in y_pred.items()}

    def check_keys(self, y: Any, names: Any = None) -> None:
        """Raise `ValueError` if the targets lack an output with a loss or metrics."""
        names = set(self.output_names if names is None else names)
        needed = names if self.scored is None else names & self.scored
        missing = needed - set(y)
        if missing:
            labels = "class" in missing and (
                " `zoo.data.from_arrays` and `from_folder` take labels by `labels=`."
            )
            raise ValueError(
                f"`y` must have targets for the output(s) {sorted(missing)}; got none "
                "for them. Give y as a dictionary with the keys "
                f"{sorted(needed)}.{labels or ''}"
            )

    @staticmethod
    def _weights(sample_weight: Any, y_pred: dict[str, Tensor]) -> Any:
        """Return the sample weights by output; weights missing in a dictionary are 1.

        Losses and metrics of the zoo take weights of sequences, `(batch,)`, or of time
        steps, `(batch, T)`.
        """
        if not isinstance(sample_weight, dict):
            return sample_weight
        ones = {name: ops.ones(ops.shape(x)[:1]) for name, x in y_pred.items()}
        return {name: sample_weight.get(name, one) for name, one in ones.items()}

    def make_variables(self, **targets: Tensor) -> Self:
        """Create the variables of optimiser, losses and metrics, after `compile`.

        Creating these variables up front saves a second trace of the training step on
        TensorFlow.

        Args:
            **targets: Example targets whose shape differs from the shape of their
                output.

        Returns:
            The model.
        """
        outputs = {k: ops.zeros((1, 2, *x.shape[2:])) for k, x in self.output.items()}
        # Stored as a function, because Keras wraps dictionaries that are attributes.
        self.example = lambda: ({**outputs, **targets}, outputs)
        return make_variables(self, *self.example())

    def check(self, x: Any, y: Any = None) -> Any:
        """Raise `ValueError` for data that `fit` and `evaluate` cannot use.

        Arrays are checked as a whole. For a source of batches, the first batch is
        checked.

        Args:
            x: Inputs, as in `keras.Model.fit`.
            y: Targets, as in `keras.Model.fit`.

        Returns:
            The source to use instead of `x`, see `zoo.models.checks.first_batch`.
        """
        frames, targets = as_arrays(x), as_arrays(y)
        self.check_inputs(frames)
        batch, x = first_batch(x)
        if batch is not None:
            frames, targets, weights = in_batch(batch)
            check_weights(weights)
            self.check_inputs(frames)
        given = targets if isinstance(targets, dict) else {}
        if self.compiled:
            self.check_keys(given)
        self.check_frame_targets(frames, given)
        all_labels = getattr(x, "labels", None) if isinstance(x, EpochDataset) else None
        if all_labels is not None and "class" in given:
            given = {**given, "class": all_labels}
        self.check_labels(frames, given)
        return x

    def check_source(self, x: Any) -> Any:
        """Check inputs like `check`, for `predict`, which needs no targets."""
        self.check_inputs(as_arrays(x))
        batch, x = first_batch(x)
        if batch is not None:
            self.check_inputs(in_batch(batch)[0])
        return x

    def check_carry(self, rows: int | None) -> None:
        """Raise `ValueError` if a batch size is not that of the carried state."""
        for layer in self.layers:
            if isinstance(layer, RecurrentLadder):
                layer.check_carry(rows)

    def check_inputs(self, x: Any) -> None:
        """Raise `ValueError` for arrays that are not inputs of this model.

        Other objects are accepted.
        """
        check_frames(x, self.input_shape)

    def check_batch(self, x: Any) -> None:
        """Raise `ValueError` for tensors that are not frames, from any source."""
        check_no_integers(x)

    def check_frame_targets(self, x: Any, y: Any) -> None:
        """Raise `ValueError` for target frames that do not match the input frames."""
        for name in sorted({"frame", "probe"} & set(self.output_names) & set(y)):
            if not isinstance(y[name], np.ndarray):
                continue
            check_frames(y[name], self.output[name].shape, f"frames of y[{name!r}]")
            if isinstance(x, np.ndarray) and len(x.shape) > 1:
                check_shape(y[name].shape, x.shape, f"frames of y[{name!r}]")
                if is_shifted(x, y[name]):
                    raise ValueError(
                        f"y[{name!r}] must be the same frames as x; got frames that "
                        "are one step later. Pass the same frames as x: the model "
                        "compares its predictions with the next frames itself."
                    )

    def check_labels(self, x: Any, y: Any) -> None:
        """Raise `ValueError` for labels that are not class indices.

        JAX would otherwise continue with wrong values.
        """
        labels = y.get("class")
        if "class" not in self.output_names or labels is None:
            return
        if isinstance(labels, (list, tuple)):
            raise ValueError(
                "y['class'] must be an array of integer labels; got a "
                f"{type(labels).__name__}. Convert it by np.asarray."
            )
        if isinstance(labels, np.ndarray):
            check_classes(labels, self.output["class"].shape[-1])

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train the model, see `keras.Model.fit`.

        Datasets of the zoo keep the order of their batches: their samples are already
        shuffled, and a carried state must continue with the next piece of the same
        sequence.
        """
        arguments = in_order(by_name("fit", (x, y, *args), kwargs))
        check_class_weight(arguments)
        arguments = checked(self, arguments)
        for rows in rows_of(arguments):
            self.check_carry(rows)
        self.trained_on = None
        # Interrupts (Ctrl+C) are delayed until the next step begins, because on JAX
        # Keras keeps the weights outside of the variables during `fit`: an interrupt
        # elsewhere would lose them.
        with variables_kept(self, arguments) as arguments:
            return super().fit(**arguments)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and metrics, see `keras.Model.evaluate`."""
        check_origin(self, x)
        arguments = checked(self, by_name("evaluate", (x, y, *args), kwargs))
        with variables_kept(self, arguments) as arguments:
            return super().evaluate(**arguments)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for a dataset or arrays, see `keras.Model.predict`."""
        check_origin(self, x)
        arguments = by_name("predict", (self.check_source(x), *args), kwargs)
        with variables_kept(self, arguments) as arguments:
            return super().predict(**arguments)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch, see `keras.Model.train_on_batch`."""
        check_class_weight(by_name("train_on_batch", (x, y, *args), kwargs))
        self.check(x, y)
        self.trained_on = None
        with step_kept():
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch, see `keras.Model.test_on_batch`."""
        by_name("test_on_batch", (x, y, *args), kwargs)  # checks the weights
        self.check(x, y)
        with step_kept():
            return super().test_on_batch(x, y, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch, see `keras.Model.predict_on_batch`."""
        self.check_inputs(as_arrays(x))
        with step_kept():
            return super().predict_on_batch(x)
