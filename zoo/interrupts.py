"""What a model keeps where it is stopped at its work."""

import contextlib
import functools

import keras


@contextlib.contextmanager
def variables_kept(model):
    """Puts the values of a model's variables back, if JAX was stopped with them.

    There Keras takes them out of the variables while it trains, evaluates or predicts,
    and leaves them out where the user stops it, or where an error does: always in
    evaluation and prediction, and in training until the first step is over, which is
    as long as it compiles.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        optimizer.build(model.trainable_variables)
    variables = [*model.variables, *(optimizer.variables if optimizer else ())]
    kept = [(variable, variable.value) for variable in variables]
    try:
        yield
    except BaseException:
        lost = [(variable, value) for variable, value in kept if is_empty(variable)]
        if any(value.is_deleted() for _, value in lost):  # a step was given them
            model.jax_state_sync()
        else:
            for variable, value in lost:
                variable.assign(value)
        raise


def is_empty(variable):
    """Whether Keras took the value out, and nothing is left to make another of."""
    try:
        return variable.value is None
    except TypeError:
        return True


def keeps_variables(method):
    """A method of a model that puts the values back, see `variables_kept`."""

    @functools.wraps(method)
    def kept(model, *args, **kwargs):
        if keras.backend.backend() != "jax":
            return method(model, *args, **kwargs)
        with variables_kept(model):
            return method(model, *args, **kwargs)

    return kept
