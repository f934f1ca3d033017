"""Means over the replicas of a model that engines of the backends train side by side.

JAX needs none: there a batch that is spread over devices is one array.
"""

import sys

import keras
from keras import ops


def mean_over_replicas(x):
    """Mean of a tensor over all replicas, which have equally many samples.

    Replicas are those of a `tf.distribute` strategy, or the processes of a
    `torch.distributed` group, and gradients flow back to all. Without such it is `x`.
    """
    # Imported it is already: by Keras.
    engine = sys.modules[keras.backend.backend()]
    if keras.backend.backend() == "tensorflow":
        replica = engine.distribute.get_replica_context()
        if replica and replica.num_replicas_in_sync > 1:
            return replica.all_reduce(engine.distribute.ReduceOp.MEAN, x)
    if keras.backend.backend() == "torch" and engine.distributed.is_available():
        if engine.distributed.is_initialized():
            return mean_over_processes(engine.distributed)(x)
    return x


def mean_over_processes(distributed):
    """The mean over a `torch.distributed` group, which has no gradient by itself."""

    def mean(x):
        x = ops.copy(x)
        distributed.all_reduce(x)
        return x / distributed.get_world_size()

    @ops.custom_gradient
    def f(x):
        return mean(x), lambda *_, upstream: mean(upstream)

    return f
