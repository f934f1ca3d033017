"""What a model keeps where it is stopped at its work.

On JAX Keras takes the values out of the variables while it trains, evaluates or
predicts. Each step uses up the arrays that it is given, and what the last one gave is
put back at the end, or where `fit` is stopped between two steps. Stopped elsewhere, by
the user or by an error, the model would have no weights left.
"""

import contextlib
import signal
import threading

import keras
from keras import tree


@contextlib.contextmanager
def variables_kept(model, arguments):
    """Puts the values of a model's variables back, if JAX was stopped with them.

    Args:
        model: The model that is at work.
        arguments: Those of `fit`, `evaluate` or `predict` by name.

    Yields:
        The arguments to use instead.
    """
    callbacks = arguments.get("callbacks")
    # Where `fit` evaluates it hands on its callbacks, with the one that follows.
    inner = isinstance(callbacks, keras.callbacks.CallbackList)
    if keras.backend.backend() != "jax" or inner:
        yield arguments
        return
    keeper = Keeper(model)
    with interrupts_held(keeper.used_up) as keeper.let_in:
        try:
            yield {**arguments, "callbacks": [*tree.flatten(callbacks or []), keeper]}
        except BaseException:
            keeper.put_back()
            raise


class Keeper(keras.callbacks.Callback):
    """Has the values before the first step, and lets interrupts in between two steps.

    Not at the end of a step, where Keras would wait for its results.
    """

    def __init__(self, model):
        super().__init__()
        self.worker = model  # `self.model` would have Keras put values back each time
        self.kept, self.begun = [], 0

    def keep(self, *args, **kwargs):
        optimizer = getattr(self.worker, "optimizer", None)
        variables = [
            *self.worker.variables,
            *(optimizer.variables if optimizer else ()),
        ]
        self.kept, self.begun = [(v, v.value) for v in variables], 0

    def begin(self, *args, **kwargs):
        self.let_in()
        self.begun += 1

    on_epoch_begin = on_test_begin = on_predict_begin = keep
    on_train_batch_begin = on_test_batch_begin = on_predict_batch_begin = begin

    def used_up(self):
        """Whether a step was given the values; until then it is being compiled."""
        return self.begun > 1 or any(value.is_deleted() for _, value in self.kept)

    def put_back(self):
        self.worker.jax_state_sync()  # what the last step gave, also of an older call
        if not self.used_up():
            for variable, value in self.kept:
                variable.assign(value)


def step_kept():
    """A context for one step alone, which an interrupt of the user waits for on JAX."""
    jax = keras.backend.backend() == "jax"
    return interrupts_held() if jax else contextlib.nullcontext()


@contextlib.contextmanager
def interrupts_held(busy=lambda: True):
    """Lets an interrupt of the user wait while `busy()`, but not a second one.

    Yields:
        A function that lets the one in that waits, if any.
    """
    handler, waiting = signal.getsignal(signal.SIGINT), []

    def let_in():
        if waiting:
            handler(*waiting.pop())

    def hold(*received):
        if busy() and not waiting:
            waiting.append(received)
        else:
            waiting.clear()
            handler(*received)

    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield let_in
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield let_in
    finally:
        signal.signal(signal.SIGINT, handler)
    let_in()
