"""Means over the replicas of a model in distributed training.

JAX needs none: there, a batch that is distributed over devices is a single array.
"""

import sys
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from rladder_keras.typing import Tensor


def mean_over_replicas(x: Tensor) -> Tensor:
    """Return the mean of a tensor over all replicas, which have equally many samples.

    Replicas are those of a `tf.distribute` strategy, or the processes of a
    `torch.distributed` group. Gradients flow back to all of them. Without replicas, the
    function returns `x`.
    """
    # Keras has already imported the backend.
    engine = sys.modules[keras.backend.backend()]
    if keras.backend.backend() == "tensorflow":
        replica = engine.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            return replica.all_reduce(engine.distribute.ReduceOp.MEAN, x)
    if keras.backend.backend() == "torch" and engine.distributed.is_available():
        if engine.distributed.is_initialized():
            return mean_over_processes(engine.distributed)(x)
    return x


def mean_over_processes(distributed: Any) -> Callable[[Tensor], Tensor]:
    """Return a function for means over a `torch.distributed` group.

    `all_reduce` has no gradient, so the function defines one.
    """

    def mean(x):
        x = ops.copy(x)
        distributed.all_reduce(x)
        return x / distributed.get_world_size()

    @ops.custom_gradient
    def f(x):
        return mean(x), lambda *_, upstream: mean(upstream)

    return f
