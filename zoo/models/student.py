"""The student of a Mean Teacher: its requirements, and copies of it."""

from typing import Any

import keras

from rladder_keras.typing import Config


def check_student(student: Any, output: str) -> None:
    """Raise `ValueError` for a model without weights or class probabilities."""
    if not isinstance(student, keras.Model) or not student.built:
        raise ValueError(
            f"`student` must be a Keras model that is built; got {student!r}. Start it "
            "with keras.Input, or call it on a batch first."
        )
    if hasattr(student, "teacher"):
        raise ValueError(
            "`student` must be a plain model; got a MeanTeacher. Pass its `student`."
        )
    outputs = getattr(student, "output", None)
    if isinstance(outputs, dict) and output not in outputs:
        raise ValueError(
            "`output` must be an output of the student, "
            f"{' or '.join(sorted(map(repr, outputs)))}; got {output!r}. Name the "
            "output with the class probabilities."
        )
    if isinstance(outputs, list | tuple):
        raise ValueError(
            "The outputs of `student` must be a tensor or a dictionary; got a list. "
            f"Make it a dictionary, with the class probabilities as {output!r}."
        )
    outputs = outputs[output] if isinstance(outputs, dict) else outputs
    shape = tuple(getattr(outputs, "shape", (None, None)))
    if len(shape) not in (2, 3):
        raise ValueError(
            "`output` must have shape (batch, classes) or (batch, T, classes); got "
            f"{output!r} of shape {shape}. Name the output with the class "
            "probabilities."
        )


def copy_of(student: keras.Model, name: str) -> keras.Model:
    """Return a model with the same structure and weights that shares no weights.

    The name, also in the paths of the weights, allows both models inside one model, and
    in the same TensorBoard charts.
    """
    with keras.name_scope(name):
        copy = restored(config_of(student))
    copy.name = name
    copy.set_weights(student.get_weights())
    return copy


def restored(config: Config) -> Any:
    """Return the objects of a configuration; name what Keras cannot deserialise."""
    try:
        return keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`student` must consist of registered objects, so that it can be copied; "
            f"got an error: {error}. Register its custom layers, losses and functions "
            "by keras.saving.register_keras_serializable."
        ) from error


def config_of(student: keras.Model) -> Config:
    """Return the configuration of the student without optimiser, losses and metrics."""
    config = keras.saving.serialize_keras_object(student)
    config.pop("compile_config", None)
    return config
