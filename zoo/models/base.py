"""The model class of the zoo."""

import contextlib

import keras
import numpy as np
from keras import ops, tree

from rladder_keras import RecurrentLadder
from rladder_keras.recurrence import last_unread
from zoo.data.epochs import EpochDataset
from zoo.metrics.sample_weights import (
    by_step,
    last_step_loss,
    last_step_metric,
    weighable,
)
from zoo.models.checks import (
    as_arrays,
    check_classes,
    check_frames,
    check_learning_rate,
    check_no_integers,
    check_shape,
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
    rows_of,
    scored,
)
from zoo.models.streaming import Streaming
from zoo.training.interrupts import step_kept, variables_kept
from zoo.weights import check_origin


@keras.saving.register_keras_serializable("zoo")
class ZooModel(Streaming, keras.Model):
    """A functional model with named outputs that takes the targets it has outputs for.

    One data set can so serve all rows of a table: of the dictionary `y` a model uses
    the entries that are named like its outputs.
    """

    trained_on = None  # data of the trained weights that it began with, until `fit`
    scored = None  # names of the outputs with a loss or metrics, `None` for all
    last_is_unread = False  # whether nothing scores the prediction after the last step

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **kwargs,
    ):
        """As of Keras; outputs that get neither loss nor metrics need no targets.

        Keras' own losses and metrics of the output `"class"` score the last step.
        """
        check_learning_rate(optimizer)
        kinds = loss, metrics, weighted_metrics
        loss, metrics, weighted_metrics = self.prepared(*kinds)
        self.scored = scored(loss, metrics, weighted_metrics)
        self.last_is_unread = all(
            map(ignores_last_step, (loss, metrics, weighted_metrics))
        )
        super().compile(
            optimizer,
            loss,
            loss_weights,
            {} if metrics is None else metrics,  # None would keep those from before
            weighted_metrics,
            **kwargs,
        )

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:  # a teacher has none
            self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=None, mask=None):
        self.check_batch(inputs)
        return super().call(inputs, training=training, mask=mask)

    def train_step(self, *args):
        """As of Keras, without the last prediction where nothing compares it."""
        with last_unread() if self.last_is_unread else contextlib.nullcontext():
            return super().train_step(*args)

    def prepared(self, loss, metrics, weighted_metrics):
        """Losses and metrics that take weights, of classes those of the last step."""
        return (
            self.of_classes(loss, last_step_loss),
            self.of_classes(metrics, last_step_metric),
            self.of_classes(weighted_metrics, last_step_metric),
        )

    def of_classes(self, losses, of_last_step):
        losses, names = weighable(losses), getattr(self, "output_names", [])
        if "class" not in names or len(self.output["class"].shape) != 3:
            return losses
        if names == ["class"] and not isinstance(losses, dict):
            return tree.map_structure(of_last_step, losses)
        if isinstance(losses, (list, tuple)) and len(losses) == len(names):
            losses = dict(zip(names, losses, strict=True))
        if not isinstance(losses, dict) or losses.get("class") is None:
            return losses
        of_class = tree.map_structure(of_last_step, losses["class"])
        return {**losses, "class": of_class}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        y, weights = self.arranged(y, sample_weight, y_pred, x)
        return super().compute_loss(x, y, y_pred, weights, **kwargs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y, weights = self.arranged(y, sample_weight, y_pred, x)
        return super().compute_metrics(x, y, y_pred, weights)

    def arranged(self, y, sample_weight, y_pred, x=None):
        """Targets and sample weights of the outputs that there are.

        Steps of padding have no weight.
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

    def valid(self, x):
        """Which frames of a batch are no padding, `(batch, T)`; `None`: all are."""

    def get_metrics_result(self):
        return self.by_output(super().get_metrics_result())

    def by_output(self, logs):
        """Metrics by the names `"class_error"`, ... also where there is one output."""
        if len(self.output_names) > 1:
            return logs
        (name,) = self.output_names
        return {k if k == "loss" else f"{name}_{k}": v for k, v in logs.items()}

    def _targets(self, y, y_pred):
        """Those of the outputs; where nothing looks at them the outputs themselves."""
        given = y if isinstance(y, dict) else {}
        self.check_keys(given, y_pred)
        self.check_batch([given[k] for k in ("frame", "probe") if k in given])
        return {name: given.get(name, output) for name, output in y_pred.items()}

    def check_keys(self, y, names=None):
        """Refuse targets that lack what an output is scored on."""
        names = set(self.output_names if names is None else names)
        needed = names if self.scored is None else names & self.scored
        missing = needed - set(y)
        if missing:
            labels = "class" in missing and (
                " `zoo.data.from_arrays` and `from_folder` take classes by `labels=`."
            )
            raise ValueError(
                f"the targets have nothing for the output(s) {sorted(missing)}: give "
                f"y as a dictionary with the keys {sorted(needed)}.{labels or ''}"
            )

    @staticmethod
    def _weights(sample_weight, y_pred):
        """Of a dictionary the weights of the outputs; those it lacks weigh 1.

        Losses and metrics of the zoo take weights of sequences, `(batch,)`, or of their
        steps, `(batch, T)`.
        """
        if not isinstance(sample_weight, dict):
            return sample_weight
        ones = {name: ops.ones(ops.shape(x)[:1]) for name, x in y_pred.items()}
        return {name: sample_weight.get(name, one) for name, one in ones.items()}

    def make_variables(self, **targets):
        """Make the variables of optimiser, losses and metrics now, after `compile`.

        TensorFlow else traces the whole training step a second time, when they appear
        in the first.

        Args:
            **targets: An example of the targets that are not shaped like their output.

        Returns:
            The model.
        """
        outputs = {k: ops.zeros((1, 2, *x.shape[2:])) for k, x in self.output.items()}
        # A function, because Keras would turn dictionaries into others.
        self.example = lambda: ({**outputs, **targets}, outputs)
        return make_variables(self, *self.example())

    def check(self, x, y=None):
        """Refuse data that `fit` and `evaluate` cannot use.

        Arrays are looked at as a whole, and of what loads batches the first one.

        Returns:
            What to use in the place of `x`, see `zoo.models.checks.first_batch`.
        """
        frames, targets = as_arrays(x), as_arrays(y)
        self.check_inputs(frames)
        batch, x = first_batch(x)
        if batch is not None:
            frames, targets = in_batch(batch)
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

    def check_source(self, x):
        """As `check`, for `predict`, which needs no targets."""
        self.check_inputs(as_arrays(x))
        batch, x = first_batch(x)
        if batch is not None:
            self.check_inputs(in_batch(batch)[0])
        return x

    def check_carry(self, rows):
        """Refuse training batches of other sizes than the state that is carried."""
        for layer in self.layers:
            if isinstance(layer, RecurrentLadder):
                layer.check_carry(rows)

    def check_inputs(self, x):
        """Refuse arrays that the model was not made for; other inputs pass."""
        check_frames(x, self.input_shape)

    def check_batch(self, x):
        """Refuse tensors that are no frames, whatever loads them."""
        check_no_integers(x)

    def check_frame_targets(self, x, y):
        """Refuse what is not the frames that the model sees, or those without bars."""
        for name in sorted({"frame", "probe"} & set(self.output_names) & set(y)):
            if not isinstance(y[name], np.ndarray):
                continue
            check_frames(y[name], self.output[name].shape, f"frames of y[{name!r}]")
            if isinstance(x, np.ndarray) and len(x.shape) > 1:
                check_shape(y[name].shape, x.shape, f"frames of y[{name!r}]")
                if is_shifted(x, y[name]):
                    raise ValueError(
                        f"the frames of y[{name!r}] are those of one step later: give "
                        "the same frames as x, of which the model takes the next ones."
                    )

    def check_labels(self, x, y):
        """Refuse arrays of labels that are none of the classes: JAX would go on."""
        labels = y.get("class")
        if "class" not in self.output_names or labels is None:
            return
        if isinstance(labels, (list, tuple)):
            raise ValueError("`class` is a list: give an array of integer labels.")
        if isinstance(labels, np.ndarray):
            check_classes(labels, self.output["class"].shape[-1])

    def fit(self, x=None, y=None, *args, **kwargs):
        """As of Keras, but data sets of the zoo keep the order of their batches.

        They are drawn at random already, and a state that is carried from batch to
        batch must find the piece that it left.
        """
        self.trained_on = None
        arguments = in_order(by_name("fit", (x, y, *args), kwargs))
        check_class_weight(arguments)
        arguments = checked(self, arguments)
        for rows in rows_of(arguments):
            self.check_carry(rows)
        with variables_kept(self, arguments) as arguments:
            return super().fit(**arguments)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        check_origin(self, x)
        arguments = checked(self, by_name("evaluate", (x, y, *args), kwargs))
        with variables_kept(self, arguments) as arguments:
            return super().evaluate(**arguments)

    def predict(self, x, *args, **kwargs):
        check_origin(self, x)
        arguments = by_name("predict", (self.check_source(x), *args), kwargs)
        with variables_kept(self, arguments) as arguments:
            return super().predict(**arguments)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        check_class_weight(by_name("train_on_batch", (x, y, *args), kwargs))
        self.check(x, y)
        with step_kept():
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        self.check(x, y)
        with step_kept():
            return super().test_on_batch(x, y, *args, **kwargs)

    def predict_on_batch(self, x):
        self.check_inputs(as_arrays(x))
        with step_kept():
            return super().predict_on_batch(x)
