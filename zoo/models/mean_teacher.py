"""Few labels: the Mean Teacher (Section 3.1, Table 2).

A classifier, the student, is trained to name what is labelled, and to agree on all
samples with a teacher, whose weights are the average of its own over the last steps. A
student that predicts frames goes on doing so.
"""

from functools import partial

import keras
from keras import layers, ops, tree

from zoo.data.epochs import check_integer
from zoo.models.base import ZooModel
from zoo.models.fitting import (
    by_name,
    check_class_weight,
    checked,
    in_order,
    make_variables,
    scored,
)
from zoo.models.student import check_student, config_of, copy_of, restored
from zoo.training.interrupts import variables_kept

DECAYS = (0.99, 0.999)  # of the averages, during and after the ramp
NOISE = 0.005
CONSISTENCY = 100.0
RAMP = 5000


@keras.saving.register_keras_serializable("zoo")
class MeanTeacher(keras.Model):
    """Trains a student with the help of the average of its weights.

    The loss is the student's own and the squared difference between the class
    probabilities of student and teacher, mean over the classes and over all samples,
    labelled or not, times `consistency exp(-5 (1 - updates / ramp)^2)`, and
    `consistency` after the ramp. No gradient goes into the teacher.

    The teacher's trainable weights are those of the student in the beginning, and
    `a teacher + (1 - a) student` after each update, with a = 0.99 during the ramp and
    0.999 after it. Updates are those of the optimizer: with
    `gradient_accumulation_steps=4` there is one in four training steps. Statistics of
    batch normalisation are not averaged: the teacher takes those of its own
    activations, in training from the batch like the student.

    `averaged` counts the updates in the average, and `steps` is the optimizer's
    `iterations` after the last one. Custom training loops call `catch_up` after each
    step.

    A student that is compiled hands its optimiser, losses and metrics over. Else
    `compile` this model as one would the student. Labels that are not to be used have a
    sample weight of 0; the loss should be a mean over the others (Keras'
    `reduction="mean_with_sample_weight"`), as in the models of the zoo.

    `fit` and `evaluate` report metrics of both, `"student_..."` and `"teacher_..."`,
    and `"consistency"`, the squared difference. `predict` gives what the teacher
    predicts. Both are plain models. Loaded from a file, a model goes on with other
    noise than one that was never saved; `zoo.reproduce` resumes with the same.

    Args:
        student: Model of class probabilities, `(batch, classes)`, or `(batch, T,
            classes)`, of which the last step counts. It must be built, and have its
            initial weights already.
        output: Name of that output, where there are several.
        consistency: Weight of the consistency after the ramp.
        ramp: Number of updates of the ramp.
        noise: Standard deviation of Gaussian noise on the input in training, drawn
            separately for student and teacher. Inputs that are no floats have none.
        seed: Integer, of the noise.

    Call arguments:
        inputs: As of the student.

    Returns:
        A dictionary of the outputs of the `"student"` and the `"teacher"`.

    Raises:
        ValueError: If the student is not built, has no such output or cannot be copied,
            or a number is not as above.

    Example:

    ```python
    train, valid, test = zoo.data.occluded_mnist(labelled=1000)
    model = zoo.MeanTeacher(zoo.occluded_mnist_rladder())
    model.fit(train, validation_data=valid, epochs=10)
    ```

    References:
        - Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017. Its
          code has the numbers that the paper does not give.
    """

    def __init__(
        self,
        student,
        output="class",
        *,
        consistency=CONSISTENCY,
        ramp=RAMP,
        noise=NOISE,
        seed=None,
        name="mean_teacher",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        check_integer("ramp", ramp, 0)
        for what, value in (("consistency", consistency), ("noise", noise)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"`{what}` must be a number of at least 0: {value!r}.")
        check_student(student, output)
        self.student = student
        self.teacher = copy_of(student, f"{student.name}_teacher")
        # Not `teacher.trainable = False`: batch normalisation would be frozen with it.
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
        if hasattr(student, "example"):  # of a builder of the zoo
            targets, outputs = student.example()
            make_variables(self, targets, {"student": outputs, "teacher": outputs})

    @property
    def output_names(self):
        return getattr(self.student, "output_names", None)

    # The two models

    def call(self, inputs, training=None):
        noise = partial(noisy, self.noise, training=training, valid=self.valid(inputs))
        # `training` by hand: JAX's `fit` calls this method without Keras' call context.
        student, teacher = (
            model(tree.map_structure(noise, inputs), training=training)
            for model in (self.student, self.teacher)
        )
        return {
            "student": student,
            "teacher": tree.map_structure(ops.stop_gradient, teacher),
        }

    def train_step(self, *args):
        """As of Keras, `(data)`, on JAX `(state, data)`; then the average is taken."""
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

    def catch_up(self):
        """Take the student's weights after an update into the average, once."""
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
        self.steps.assign_add(updates - self.steps)  # JAX needs a buffer of its own

    # Losses and metrics

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        *,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **kwargs,
    ):
        if isinstance(self.student, ZooModel):
            kinds = loss, metrics, weighted_metrics
            loss, metrics, weighted_metrics = self.student.prepared(*kinds)
        super().compile(
            optimizer,
            loss,
            loss_weights=loss_weights,
            metrics={} if metrics is None else metrics,  # None would keep the old
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

    def compile_from_config(self, config):
        self.compile(**restored(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        outputs = y_pred["student"]
        targets, weights = self.arranged(y, sample_weight, outputs, x)
        loss = super().compute_loss(x, targets, outputs, weights, training)
        p, q = (self.probabilities(y_pred[who]) for who in ("student", "teacher"))
        differences = ops.mean(ops.square(p - q), axis=-1)
        self.difference.update_state(differences)
        return loss + self.weight() * ops.mean(differences)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.teacher.compute_metrics(x, y, y_pred["teacher"], sample_weight)
        outputs = y_pred["student"]
        targets, weights = self.arranged(y, sample_weight, outputs, x)
        return super().compute_metrics(x, targets, outputs, weights)

    def get_metrics_result(self):
        own = {}
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
    def metrics(self):
        # Keras leaves out the metrics of a model within a model.
        return [*super().metrics, *(self.teacher.metrics if self.compiled else [])]

    def arranged(self, y, sample_weight, outputs, x):
        if isinstance(self.student, ZooModel):
            return self.student.arranged(y, sample_weight, outputs, x)
        return y, sample_weight

    def valid(self, x):
        """Which frames are no padding, if the student knows that."""
        return self.student.valid(x) if isinstance(self.student, ZooModel) else None

    def probabilities(self, outputs):
        """Class probabilities after the last step, `(batch, classes)`."""
        p = outputs[self.output_key] if isinstance(outputs, dict) else outputs
        p = p if len(p.shape) == 2 else p[:, -1]
        return ops.cast(p, keras.config.floatx())

    def weight(self):
        """Weight of the consistency in the present step."""
        if not self.ramp:
            return self.consistency
        updates = ops.cast(self.averaged, keras.config.floatx())
        done = ops.minimum(updates / self.ramp, 1)
        return self.consistency * ops.exp(-5 * ops.square(1 - done))

    # Training and use

    def fit(self, x=None, y=None, *args, **kwargs):
        arguments = self.checked(in_order(by_name("fit", (x, y, *args), kwargs)))
        if isinstance(self.student, ZooModel):
            check_class_weight(arguments)
        with variables_kept(self, arguments) as arguments:
            return super().fit(**arguments)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        arguments = self.checked(by_name("evaluate", (x, y, *args), kwargs))
        with variables_kept(self, arguments) as arguments:
            return super().evaluate(**arguments)

    def predict(self, x, *args, **kwargs):
        """What the teacher predicts."""
        return self.teacher.predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """What the teacher predicts."""
        return self.teacher.predict_on_batch(x)

    def checked(self, arguments):
        of_zoo = isinstance(self.student, ZooModel)
        return checked(self.student, arguments) if of_zoo else arguments

    def get_config(self):
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
    def from_config(cls, config):
        student = keras.saving.deserialize_keras_object(config["student"])
        return cls(**{**config, "student": student})


def noisy(noise, x, training, valid=None):
    """The input with noise on it, if it is of floats, except for padding."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if not keras.backend.is_float_dtype(dtype):
        return x
    y = noise(x, training=training)
    if valid is None:
        return y
    return ops.where(ops.reshape(valid, (*ops.shape(valid), 1, 1, 1)), y, x)
