"""Few labels: the Mean Teacher (Section 3.1, Table 2).

A classifier, the student, is trained on the labelled samples, and to agree on all
samples with a teacher, whose weights are a moving average of the student's weights. A
student that predicts frames continues to be trained for that task too.

The file is longer than others because every builder and layer documents its arguments.
"""

from functools import partial
from typing import Any, Self

import keras
from keras import layers, ops, tree

from rladder_keras.typing import Config, Tensor
from rladder_keras.validation import check_number
from zoo.data.epochs import check_integer
from zoo.models.base import ZooModel
from zoo.models.checks import check_noise
from zoo.models.fitting import (
    by_name,
    check_class_weight,
    checked,
    in_order,
    make_variables,
    or_earlier,
    scored,
)
from zoo.models.student import check_student, config_of, copy_of, restored
from zoo.training.interrupts import step_kept, variables_kept

DECAYS = (0.99, 0.999)  # of the averages, during and after the ramp
NOISE = 0.005
CONSISTENCY = 100.0
RAMP = 5000


@keras.saving.register_keras_serializable("zoo")
class MeanTeacher(keras.Model):
    """Model that trains a student with the moving average of its weights.

    The loss is the student's loss plus the consistency: the squared difference between
    the class probabilities of student and teacher, mean over the classes and over all
    samples, labelled or not. Its weight is `consistency exp(-5 (1 - updates / ramp)^2)`
    during the ramp, and `consistency` afterwards. No gradient flows into the teacher.

    The teacher starts with the student's trainable weights. After each update they
    become `a teacher + (1 - a) student`, with a = 0.99 during the ramp and 0.999
    afterwards. Updates are those of the optimizer: with
    `gradient_accumulation_steps=4`, every fourth training step makes one. Statistics of
    batch normalisation are not averaged: the teacher uses its own activations, in
    training those of the batch, like the student.

    The variable `averaged` counts the updates in the average, and `steps` is the
    optimizer's `iterations` after the last update. In custom training loops, call
    `catch_up` after each step.

    If the student is compiled, its optimizer, losses and metrics are used. Otherwise
    compile this model as you would compile the student. Set the sample weight of
    samples without a label to 0. The loss should be a mean over the other samples
    (Keras' `reduction="mean_with_sample_weight"`), as in the models of the zoo.

    `fit` and `evaluate` report metrics of both models, `"student_..."` and
    `"teacher_..."`, and `"consistency"`, the squared difference. `predict` returns the
    teacher's outputs. Student and teacher are plain models. A `.keras` file does not
    contain the state of the noise generator, so that training after loading draws other
    noise; `zoo.reproduce --resume` draws the same noise.

    Args:
        student: Model of class probabilities, `(batch, classes)`, or `(batch, T,
            classes)`, whose last step is used. It must be built and have its initial
            weights.
        output: Name of the output with the class probabilities, if there are several
            outputs.
        consistency: Weight of the consistency after the ramp.
        ramp: Number of updates of the ramp.
        noise: Standard deviation of Gaussian noise on the input in training, drawn
            separately for student and teacher. Inputs that are not floats get no noise.
        seed: Integer seed of the noise.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Call arguments:
        inputs: Input of the student.

    Returns:
        A dictionary of the outputs of the `"student"` and the `"teacher"`.

    Raises:
        ValueError: If the student is not built, lacks the output or cannot be copied,
            or if a number is invalid.

    Example:

    ```python
    train, valid, test = zoo.data.occluded_mnist(labelled=1000)
    model = zoo.MeanTeacher(zoo.occluded_mnist_rladder())
    model.fit(train, validation_data=valid, epochs=10)
    ```

    References:
        - Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017. Its
          code has the values that the paper does not print.
    """

    def __init__(
        self,
        student: keras.Model,
        output: str = "class",
        *,
        consistency: float = CONSISTENCY,
        ramp: int = RAMP,
        noise: float = NOISE,
        seed: int | None = None,
        name: str = "mean_teacher",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        check_integer("ramp", ramp, 0)
        check_number("`consistency`", consistency, 0)
        check_noise(noise)
        check_student(student, output)
        self.student = student
        self.teacher = copy_of(student, f"{student.name}_teacher")
        # Not `teacher.trainable = False`, which would also freeze batch normalisation.
        for variable in self.teacher.trainable_variables:
            variable.trainable = False
        self.output_key = output
        self.consistency = consistency
        self.ramp = ramp
        self.noise = layers.GaussianNoise(noise, seed=seed, name="noise")
        self.steps, self.averaged = (
            self.add_weight((), "zeros", "int32", trainable=False, name=name)
            for name in ("steps", "averaged")
        )
        self.difference = keras.metrics.Mean(name="consistency")
        self.built = True
        if student.compiled:
            self.compile_from_config(student.get_compile_config())
        if hasattr(student, "example"):  # a model of the zoo
            make_variables(self, *self.example())

    def example(self) -> tuple[Any, dict[str, Any]]:
        """Return example targets and outputs, if the student is a model of the zoo."""
        targets, outputs = self.student.example()
        return targets, {"student": outputs, "teacher": outputs}

    @property
    def output_names(self) -> Any:
        """Names of the outputs of the student; `None` if they have no names."""
        return getattr(self.student, "output_names", None)

    # The two models

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Any]:
        noise = partial(noisy, self.noise, training=training, valid=self.valid(inputs))
        # `training` is explicit, because on JAX `fit` calls this method without Keras'
        # call context.
        student, teacher = (
            model(tree.map_structure(noise, inputs), training=training)
            for model in (self.student, self.teacher)
        )
        return {
            "student": student,
            "teacher": tree.map_structure(ops.stop_gradient, teacher),
        }

    def train_step(self, *args: Any) -> Any:
        """Train on one batch and update the average, see `keras.Model.train_step`.

        The arguments are `(data)`, or `(state, data)` on JAX, where the state is taken
        out of the variables and put back.
        """
        if keras.backend.backend() != "jax":
            logs = super().train_step(*args)
            self.catch_up()
            return logs
        logs, (trainable, others, of_optimizer, of_metrics) = super().train_step(*args)
        variables = (
            *self.trainable_variables,
            *self.non_trainable_variables,
            *self.optimizer.variables,
        )
        values = zip(variables, (*trainable, *others, *of_optimizer), strict=True)
        with keras.StatelessScope(state_mapping=list(values)) as scope:
            self.catch_up()
        others = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return logs, (trainable, others, of_optimizer, of_metrics)

    def catch_up(self) -> None:
        """Update the moving average with the student's weights, once per update."""
        if not self.optimizer:
            return
        updates = ops.cast(self.optimizer.iterations, "int32")
        updated = ops.not_equal(updates, self.steps)
        decay = ops.where(self.averaged < self.ramp, *DECAYS)
        share = ops.where(updated, 1 - decay, 0.0)
        for new, mean in zip(self.student.weights, self.teacher.weights, strict=True):
            if new.trainable:
                change = ops.stop_gradient(new.value) - mean
                mean.assign_add(ops.cast(share, mean.dtype) * change)
        self.averaged.assign_add(ops.cast(updated, "int32"))
        # Not `assign`: JAX needs a separate buffer.
        self.steps.assign_add(updates - self.steps)

    # Losses and metrics

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compile the model, see `keras.Model.compile`.

        The losses and metrics are those of the student; the teacher gets the same
        metrics.
        """
        loss, loss_weights = or_earlier(self, loss, loss_weights)
        if isinstance(self.student, ZooModel):
            kinds = loss, metrics, weighted_metrics
            loss, metrics, weighted_metrics = self.student.prepared(*kinds)
        super().compile(
            optimizer,
            loss,
            loss_weights=loss_weights,
            metrics={} if metrics is None else metrics,  # None would keep the old ones
            weighted_metrics=weighted_metrics,
            **kwargs,
        )
        updates = ops.cast(self.optimizer.iterations, "int32")
        self.steps.assign_add(updates - self.steps)
        if isinstance(self.student, ZooModel):
            self.student.scored = scored(loss, metrics, weighted_metrics)
        names = ("metrics", "weighted_metrics")
        own = {k: v for k, v in self.get_compile_config().items() if k in names}
        self.teacher.compile(None, **restored(own))

    def compile_from_config(self, config: Config) -> None:
        """Compile the model as when it was saved, and build its optimizer."""
        self.compile(**restored(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the student's loss plus the weighted consistency."""
        outputs = y_pred["student"]
        targets, weights = self.arranged(y, sample_weight, outputs, x)
        loss = super().compute_loss(x, targets, outputs, weights, training)
        p, q = (self.probabilities(y_pred[who]) for who in ("student", "teacher"))
        differences = ops.mean(ops.square(p - q), axis=-1)
        self.difference.update_state(differences)
        return loss + self.weight() * ops.mean(differences)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the metrics of student and teacher."""
        self.teacher.compute_metrics(x, y, y_pred["teacher"], sample_weight)
        outputs = y_pred["student"]
        targets, weights = self.arranged(y, sample_weight, outputs, x)
        return super().compute_metrics(x, targets, outputs, weights)

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the metrics, named `"student_..."` and `"teacher_..."`."""
        own: dict[str, Any] = {}
        for metric in super().metrics:
            result = metric.result()
            own |= result if isinstance(result, dict) else {metric.name: result}
        logs = {name: own.pop(name) for name in ("loss", "consistency")}
        if isinstance(self.student, ZooModel):
            own = self.student.by_output(own)
        teacher = self.teacher.get_metrics_result()
        del teacher["loss"]
        for who, values in (("student", own), ("teacher", teacher)):
            logs |= {f"{who}_{name}": value for name, value in values.items()}
        return logs

    @property
    def metrics(self) -> list[Any]:
        """Metrics of student and teacher."""
        # Keras omits the metrics of a model inside a model.
        return [*super().metrics, *(self.teacher.metrics if self.compiled else [])]

    def arranged(
        self, y: Any, sample_weight: Any, outputs: Any, x: Any
    ) -> tuple[Any, Any]:
        """Return targets and sample weights for the outputs of the student."""
        if isinstance(self.student, ZooModel):
            return self.student.arranged(y, sample_weight, outputs, x)
        return y, sample_weight

    def valid(self, x: Any) -> Tensor | None:
        """Return which frames are valid, if the student knows padding."""
        return self.student.valid(x) if isinstance(self.student, ZooModel) else None

    def probabilities(self, outputs: Any) -> Tensor:
        """Return class probabilities after the last step, `(batch, classes)`."""
        p = outputs[self.output_key] if isinstance(outputs, dict) else outputs
        p = p if len(p.shape) == 2 else p[:, -1]
        return ops.cast(p, keras.config.floatx())

    def weight(self) -> Tensor:
        """Return the weight of the consistency in the current step."""
        if not self.ramp:
            return self.consistency
        updates = ops.cast(self.averaged, keras.config.floatx())
        done = ops.minimum(updates / self.ramp, 1)
        return self.consistency * ops.exp(-5 * ops.square(1 - done))

    # Training and use

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train the student and average its weights, see `keras.Model.fit`."""
        arguments = self.checked(in_order(by_name("fit", (x, y, *args), kwargs)))
        if isinstance(self.student, ZooModel):
            check_class_weight(arguments)
            self.student.trained_on = None
        with variables_kept(self, arguments) as arguments:
            return super().fit(**arguments)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return loss and metrics of both models, see `keras.Model.evaluate`."""
        arguments = self.checked(by_name("evaluate", (x, y, *args), kwargs))
        with variables_kept(self, arguments) as arguments:
            return super().evaluate(**arguments)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch, see `keras.Model.train_on_batch`."""
        arguments = by_name("train_on_batch", (x, y, *args), kwargs)
        if isinstance(self.student, ZooModel):
            check_class_weight(arguments)
        arguments = self.checked(arguments)
        if isinstance(self.student, ZooModel):
            self.student.trained_on = None
        with step_kept():
            return super().train_on_batch(**arguments)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate one batch, see `keras.Model.test_on_batch`."""
        arguments = by_name("test_on_batch", (x, y, *args), kwargs)
        arguments = self.checked(arguments)
        with step_kept():
            return super().test_on_batch(**arguments)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the teacher's outputs, see `keras.Model.predict`."""
        return self.teacher.predict(x, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the teacher's outputs for one batch."""
        return self.teacher.predict_on_batch(x)

    def checked(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Check the data if the student is a `ZooModel`, and return the arguments."""
        of_zoo = isinstance(self.student, ZooModel)
        return checked(self.student, arguments) if of_zoo else arguments

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "student": config_of(self.student),
            "output": self.output_key,
            "consistency": self.consistency,
            "ramp": self.ramp,
            "noise": self.noise.stddev,
            "seed": self.noise.seed,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        student = keras.saving.deserialize_keras_object(config["student"])
        return cls(**{**config, "student": student})


def noisy(
    noise: layers.Layer, x: Tensor, training: bool | None, valid: Tensor | None = None
) -> Tensor:
    """Return the input with noise.

    Padding and inputs that are not floats get no noise.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        return x
    y = noise(x, training=training)
    if valid is None:
        return y
    return ops.where(ops.reshape(valid, (*ops.shape(valid), 1, 1, 1)), y, x)
