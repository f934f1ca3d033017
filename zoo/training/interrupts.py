"""Protection of a model's weights on JAX when `fit` is interrupted.

Why this module exists: on JAX, Keras moves the values of the variables into a state
while `fit`, `evaluate` or `predict` runs. Each step donates the arrays of the state to
the compiled function, which deletes them, and returns new ones. Keras writes the last
arrays back into the variables at the end, or if `fit` is interrupted between two steps.
If Ctrl-C or an error stops the call at another moment, the variables refer to deleted
arrays, and the weights are lost.

This module prevents that in two ways. It delays Ctrl-C until a moment between two
steps, and it writes the last arrays back into the variables after any error.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import tree


@contextlib.contextmanager
def variables_kept(
    model: keras.Model, arguments: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Keep the values of a model's variables if `fit` is interrupted on JAX.

    Args:
        model: The model whose `fit`, `evaluate` or `predict` runs in this context.
        arguments: Arguments of that call, by name.

    Yields:
        The arguments to call with. On JAX they contain one more callback.
    """
    callbacks = arguments.get("callbacks")
    # `fit` passes a `CallbackList` to its own `evaluate`. It has a `Keeper` already.
    inner = isinstance(callbacks, keras.callbacks.CallbackList)
    if keras.backend.backend() != "jax" or inner:
        yield arguments
        return
    keeper = Keeper(model)
    with interrupts_held(keeper.used_up) as keeper.deliver:
        try:
            yield {**arguments, "callbacks": [*tree.flatten(callbacks or []), keeper]}
        except BaseException:
            keeper.put_back()
            raise


class Keeper(keras.callbacks.Callback):
    """Callback that keeps the initial values and delivers interrupts between two steps.

    It delivers them at the beginning of a step. At the end of a step, Keras would wait
    for the results of the step before it calls the callback, which is slow.

    Args:
        model: The model whose values are kept.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        # Not `self.model`: on JAX, each access to this property of callbacks writes the
        # values back into the variables.
        self.worker = model
        self.kept: list[tuple[keras.Variable, Any]] = []
        self.begun = 0
        self.deliver: Callable[[], None] = lambda: None  # set by `variables_kept`

    def keep(self, *args: Any, **kwargs: Any) -> None:
        """Remember the values before the first step."""
        optimizer = getattr(self.worker, "optimizer", None)
        variables = [
            *self.worker.variables,
            *(optimizer.variables if optimizer else ()),
        ]
        self.kept, self.begun = [(v, v.value) for v in variables], 0

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Deliver a delayed interrupt, and count the step."""
        self.deliver()
        self.begun += 1

    on_epoch_begin = on_test_begin = on_predict_begin = keep
    on_train_batch_begin = on_test_batch_begin = on_predict_batch_begin = begin

    def used_up(self) -> bool:
        """Return whether a step has donated the initial values.

        Before that, the first step is being compiled, and an interrupt does no harm.
        """
        return self.begun > 1 or any(value.is_deleted() for _, value in self.kept)

    def put_back(self) -> None:
        """Write the last values back into the variables."""
        self.worker.jax_state_sync()  # values of the last step, also of an earlier call
        if not self.used_up():
            for variable, value in self.kept:
                variable.assign(value)


def step_kept() -> contextlib.AbstractContextManager:
    """Return a context for a single step, in which Ctrl-C is delayed on JAX."""
    jax = keras.backend.backend() == "jax"
    return interrupts_held() if jax else contextlib.nullcontext()


@contextlib.contextmanager
def interrupts_held(
    busy: Callable[[], bool] = lambda: True,
) -> Iterator[Callable[[], None]]:
    """Delay the first Ctrl-C while `busy()` is true, so that a step can finish.

    A second Ctrl-C is not delayed, so that a user can always stop the program.

    Args:
        busy: Function that returns whether an interrupt would do harm now.

    Yields:
        A function that delivers the delayed interrupt, if there is one.
    """
    handler = signal.getsignal(signal.SIGINT)
    waiting: list[tuple] = []

    def deliver():
        if waiting:
            handler(*waiting.pop())

    def hold(*received):
        if busy() and not waiting:
            waiting.append(received)
        else:
            waiting.clear()
            handler(*received)

    # Python delivers signals to the main thread, and only there handlers can be set.
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield deliver
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield deliver
    finally:
        signal.signal(signal.SIGINT, handler)
    deliver()
