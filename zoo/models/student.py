"""The student of a Mean Teacher: what it must be, and copies of it."""

import keras


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


def copy_of(student, name):
    """A model with the same structure and weights that shares nothing with it.

    The name, also in the paths of the weights, lets both models be in one, and in the
    same charts of TensorBoard.
    """
    with keras.name_scope(name):
        copy = restored(config_of(student))
    copy.name = name
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
