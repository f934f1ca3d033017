"""Few labels: the Mean Teacher (Section 3.1, Table 2).

A classifier, the student, is trained to name what is labelled, and to agree on all
samples with a teacher, whose weights are the average of its own over the last steps. A
student that predicts frames goes on doing so.
"""

from functools import partial

import keras
from keras import layers, ops, tree

from zoo.data.epochs import check_integer
from zoo.interrupts import variables_kept
from zoo.model import (
    ZooModel,
    by_name,
    checked,
    in_order,
    make_variables,
    scored,
)

DECAYS = (0.99, 0.999)  # of the averages, during and after the ramp
NOISE = 0.005
CONSISTENCY = 100.0
RAMP = 5000


@keras.saving.register_keras_serializable("zoo")
class MeanTeacher(keras.Model):
    """Trains a student with the help of the average of its weights.

    The loss is the student's own and the squared difference between the class
    probabilities of student and teacher, mean over the classes and over all samples,
    labelled or not, times `consistency exp(-5 (1 - step / ramp)^2)`, and `consistency`
    after the ramp. No gradient goes into the teacher.

    The teacher's trainable weights are those of the student in the beginning, and
    `a teacher + (1 - a) student` after each step, with a = 0.99 during the ramp and
    0.999 after it. Statistics of batch normalisation are not averaged: the teacher
    takes those of its own activations, in training from the batch like the student.

    Keras shows a model its weights before a step and not after it. So the average over
    a step is taken when the model is next called or its `fit` ends, and `steps` and
    `averaged` tell how many steps there were and how many are in the average.

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
        ramp: Number of steps of the ramp.
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
        self.teacher = copy_of(student)
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
        if not without_values(inputs):
            self.catch_up()
        noise = partial(noisy, self.noise, training=training)
        if training:
            self.steps.assign_add(1)
        # `training` by hand: JAX's `fit` calls this method without Keras' call context.
        student, teacher = (
            model(tree.map_structure(noise, inputs), training=training)
            for model in (self.student, self.teacher)
        )
        return {
            "student": student,
            "teacher": tree.map_structure(ops.stop_gradient, teacher),
        }

    def catch_up(self):
        """Take the student's weights after the last step into the average, once."""
        ramping = self.averaged < self.ramp
        decay = ops.where(ramping, *(ops.cast(a, "float32") for a in DECAYS))
        share = ops.where(self.averaged < self.steps, 1 - decay, 0.0)
        for new, mean in zip(self.student.weights, self.teacher.weights, strict=True):
            if new.trainable:
                change = ops.stop_gradient(new.value) - mean
                mean.assign_add(ops.cast(share, mean.dtype) * change)
        self.averaged.assign_add(self.steps - self.averaged)

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
        super().compile(
            optimizer,
            loss,
            loss_weights=loss_weights,
            metrics={} if metrics is None else metrics,  # None would keep the old
            weighted_metrics=weighted_metrics,
            **kwargs,
        )
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
        targets, weights = self.arranged(y, sample_weight, outputs)
        loss = super().compute_loss(x, targets, outputs, weights, training)
        p, q = (self.probabilities(y_pred[who]) for who in ("student", "teacher"))
        differences = ops.mean(ops.square(p - q), axis=-1)
        self.difference.update_state(differences)
        return loss + self.weight() * ops.mean(differences)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.teacher.compute_metrics(x, y, y_pred["teacher"], sample_weight)
        outputs = y_pred["student"]
        targets, weights = self.arranged(y, sample_weight, outputs)
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

    def arranged(self, y, sample_weight, outputs):
        if isinstance(self.student, ZooModel):
            return self.student.arranged(y, sample_weight, outputs)
        return y, sample_weight

    def probabilities(self, outputs):
        """Class probabilities after the last step, `(batch, classes)`."""
        p = outputs[self.output_key] if isinstance(outputs, dict) else outputs
        return ops.cast(p if len(p.shape) == 2 else p[:, -1], "float32")

    def weight(self):
        """Weight of the consistency in the present step."""
        if not self.ramp:
            return self.consistency
        step = ops.maximum(ops.cast(self.steps, "float32") - 1, 0)
        rest = 1 - ops.minimum(step / self.ramp, 1)
        return self.consistency * ops.exp(-5 * ops.square(rest))

    # Training and use

    def fit(self, x=None, y=None, *args, **kwargs):
        arguments = self.checked(in_order(by_name("fit", (x, y, *args), kwargs)))
        with variables_kept(self, arguments) as arguments:
            history = super().fit(**arguments)
        self.catch_up()
        return history

    def evaluate(self, x=None, y=None, *args, **kwargs):
        arguments = self.checked(by_name("evaluate", (x, y, *args), kwargs))
        with variables_kept(self, arguments) as arguments:
            return super().evaluate(**arguments)

    def predict(self, x, *args, **kwargs):
        """What the teacher predicts."""
        self.catch_up()
        return self.teacher.predict(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """What the teacher predicts."""
        self.catch_up()
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


def without_values(inputs):
    """Whether Keras only wants to know shapes, of torch, from tensors of these."""
    return any(getattr(x, "is_meta", False) for x in tree.flatten(inputs))


def check_student(student, output):
    """Refuse models that name no classes, or have no weights yet."""
    if not isinstance(student, keras.Model) or not student.built:
        raise ValueError(
            "the student must be a Keras model that is built: begin it with "
            "keras.Input, or call it on a batch first."
        )
    outputs = getattr(student, "output", None)
    if isinstance(outputs, dict) and output not in outputs:
        raise ValueError(
            f"the student has no output {output!r}, but "
            f"{' and '.join(sorted(map(repr, outputs)))}: name the one with the class "
            "probabilities by `output=`, or give the model one."
        )
    if isinstance(outputs, list | tuple):
        raise ValueError(
            "the student has a list of outputs: make it a dictionary, with the class "
            f"probabilities as {output!r}."
        )


def noisy(noise, x, training):
    """The input with noise on it, if it is of floats."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return noise(x, training=training) if keras.backend.is_float_dtype(dtype) else x


def copy_of(student):
    """A model with the same structure and weights that shares nothing with it."""
    copy = restored(config_of(student))
    copy.set_weights(student.get_weights())
    return copy


def restored(config):
    """The objects of a configuration; what Keras does not know is named."""
    try:
        return keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the student cannot be copied ({error}): register its own layers, losses "
            "and other functions by keras.saving.register_keras_serializable."
        ) from error


def config_of(student):
    """The student as plain data, without its optimiser, losses and metrics."""
    config = keras.saving.serialize_keras_object(student)
    config.pop("compile_config", None)
    return config
