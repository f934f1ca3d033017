"""Layer and batch normalisation for use inside a recurrence (Appendix A.4).

The first iteration of a ladder has no state and no feedback, so its activations have
another distribution than those of later iterations. Batch normalisation therefore
shares its gain and offset over all iterations, and keeps separate moving statistics for
each iteration. A recurrence owns one `BatchStatistics`. It tells the normalisations the
index of the iteration and which samples are padding, collects their batch moments as
outputs of the loop over time, and updates the moving statistics once, after the loop.
"""

import contextlib
import contextvars
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Self

import keras
from keras import layers, ops

from rladder_keras.cells.replicas import mean_over_replicas
from rladder_keras.typing import Config, Shape, Tensor

# A context variable, because the normalisations are sublayers of cells whose `call` has
# no argument for it. Threads that trace replicas each see their own value.
_recurrence: contextvars.ContextVar["BatchStatistics | None"] = contextvars.ContextVar(
    "recurrence", default=None
)


class BatchStatistics:
    """The batch normalisations inside one recurrence, and the current iteration.

    Args:
        iterations: Number of rows of moving statistics in each normalisation. Later
            iterations share the last row.
    """

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.layers: list[BatchNormalization] = []  # in the order of their building
        # Of the current iteration, see `iteration`:
        self.index: Tensor = None  # int32 tensor of shape (1,)
        self.valid: Tensor = None  # shape (batch,): 1 for samples, 0 for padding
        self.moments: dict[Any, Tensor] = {}  # layer -> its batch mean and variance

    @contextlib.contextmanager
    def _open(self) -> Iterator[Self]:
        """Context in which normalisation layers find this object."""
        token = _recurrence.set(self)
        try:
            yield self
        finally:
            _recurrence.reset(token)

    def building(self) -> AbstractContextManager[Self]:
        """Return the context in which the layers of the recurrence are built."""
        return self._open()

    def iteration(
        self, index: Tensor, valid: Tensor | None = None
    ) -> AbstractContextManager[Self]:
        """Return the context of one iteration; call `collect` on its value.

        Args:
            index: Index of the iteration, int32 tensor of shape `(1,)`.
            valid: Tensor of shape `(batch,)`, 1 for samples and 0 for padding; `None`
                if there is no padding.
        """
        # A copy, because replicas of a model run this at the same time.
        present = copy.copy(self)
        present.index, present.valid, present.moments = index, valid, {}
        return present._open()

    def collect(self) -> list[Tensor]:
        """Return what `update` needs from this iteration.

        Returns:
            An empty list at inference. In training a list: the index of the iteration
            and the share of valid samples, both of shape `(1,)`, and the batch moments
            of each layer, `(1, 2, channels)`. The leading axis takes the place of the
            batch axis, so that the moments pass through the loop over time like other
            outputs.
        """
        moments = [self.moments[n] for n in self.layers if n in self.moments]
        if not moments:
            return []
        share = ops.ones((1,), "float32")
        if self.valid is not None:
            share = mean_over_replicas(ops.mean(ops.cast(self.valid, "float32")))[None]
        return [self.index, share, *moments]

    def update(self, moments: list[Tensor]) -> None:
        """Update the moving statistics, once after the loop over time.

        Args:
            moments: The values of `collect`, stacked over time: an empty list, or the
                indices and shares, shape `(1, T)`, and tensors of shape `(1, T, 2,
                channels)`.
        """
        if not moments:
            return
        index, share, *moments = moments
        trained = [layer for layer in self.layers if layer.trainable]
        for layer, m in zip(trained, moments, strict=True):
            layer.update(m[0], index[0], share[0])


@keras.saving.register_keras_serializable("rladder_keras")
class BatchNormalization(layers.Layer):
    """Batch normalisation with separate moving statistics for each iteration.

    Normalises over all axes except the last. All iterations share the gain and the
    offset. Outside of a recurrence it is an ordinary batch normalisation. If frozen
    (`trainable = False`), it also uses its moving statistics in training.

    Args:
        momentum: Momentum of the moving statistics.
        epsilon: Added to the variance.
        initial_gain: Initial value of the gain.
        initial_offset: Initial value of the offset.
        learned_gain: Whether the gain is trained.

    Call arguments:
        x: Shape `(batch, ..., channels)`.
        training: Whether to use batch statistics and to update the moving statistics.

    Input shape:
        `(batch, ..., channels)`.

    Output shape:
        The shape of the input.

    Examples:
        >>> norm = BatchNormalization()
        >>> ops.shape(norm(np.zeros((4, 8, 8, 3)), training=True))
        (4, 8, 8, 3)
        >>> tuple(norm.moving_mean.shape)
        (1, 3)

        In a ladder each iteration has its own row of moving statistics:

        >>> row = Conv(3, kernel_size=3)
        >>> outputs = RecurrentLadder([Level(row)])(keras.Input((5, 8, 8, 1)))
        >>> tuple(row.norm.moving_mean.shape)
        (5, 3)
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-3,
        initial_gain: float = 1.0,
        initial_offset: float = 0.0,
        learned_gain: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.initial_gain = initial_gain
        self.initial_offset = initial_offset
        self.learned_gain = learned_gain

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        recurrence = _recurrence.get()
        self.iterations = recurrence.iterations if recurrence else 1
        gain = keras.initializers.Constant(self.initial_gain)
        offset = keras.initializers.Constant(self.initial_offset)
        self.gain = self.add_weight(
            (channels,), gain, trainable=self.learned_gain, name="gain"
        )
        self.offset = self.add_weight((channels,), offset, name="offset")
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                (self.iterations, channels),
                initializer,
                trainable=False,
                autocast=False,
                name=name,
            )
            for initializer, name in (
                ("zeros", "moving_mean"),
                ("ones", "moving_variance"),
            )
        )
        if recurrence:
            recurrence.layers.append(self)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        dtype = x.dtype
        x = ops.cast(x, keras.backend.result_type(dtype, "float32"))
        recurrence = _recurrence.get()
        if training and self.trainable:
            # Not `ops.moments`, which on torch computes the variance as a difference of
            # squares: a constant map of 300 would get a negative variance.
            mean_of = mean_over_samples(x, recurrence.valid if recurrence else None)
            mean = mean_of(x)
            x = x - mean
            variance = mean_of(ops.square(x))
            moments = ops.stack([mean, variance])[None]
            if recurrence and self in recurrence.layers:
                recurrence.moments[self] = moments
            else:  # also inside a model that was built before the recurrence
                self.update(moments, ops.zeros((1,), "int32"), ops.ones((1,)))
        else:
            index = recurrence.index if recurrence else ops.zeros((1,), "int32")
            row = ops.minimum(index, self.iterations - 1)
            # (1, channels) -> (channels,)
            mean, variance = (
                ops.cast(ops.take(moving, row, axis=0)[0], x.dtype)
                for moving in (self.moving_mean, self.moving_variance)
            )
            x = x - mean
        scale = ops.cast(self.gain, x.dtype) * ops.rsqrt(variance + self.epsilon)
        return ops.cast(x * scale + ops.cast(self.offset, x.dtype), dtype)

    def update(self, moments: Tensor, index: Tensor, share: Tensor) -> None:
        """Update the moving averages: once for each row of statistics.

        Args:
            moments: Batch means and variances, shape `(T, 2, channels)`.
            index: Indices of their iterations, integers of shape `(T,)`.
                Iterations beyond the last row of statistics update the last row with
                their mean. Rows that no iteration has reached yet (padding excluded)
                are copies of the last row that was reached.
            share: Share of valid samples in each iteration, shape `(T,)`; the others
                are padding. Moments of fewer samples have less weight in the mean and
                in the update.
        """
        row = ops.minimum(index, self.iterations - 1)
        all_rows = ops.arange(self.iterations, dtype="int32")[:, None]
        rows = ops.cast(all_rows == row[None, :], "float32")  # (iterations, T)
        count = ops.maximum(ops.sum(rows, axis=1, keepdims=True), 1)
        weight = (1 - self.momentum) * share * rows / count
        keep = 1 - ops.sum(weight, axis=1, keepdims=True)
        last = ops.max(ops.where(share > 0, row, 0), keepdims=True)
        for i, moving in enumerate((self.moving_mean, self.moving_variance)):
            moved = keep * moving + ops.matmul(weight, moments[:, i])
            if self.iterations > 1:
                # Rows that no sequence has reached are copies of the last row that was.
                same = ops.equal(moving, ops.take(moving, last, axis=0))
                follows = (all_rows > last) & ops.all(same, axis=1, keepdims=True)
                moved = ops.where(follows, ops.take(moved, last, axis=0), moved)
            moving.assign(moved)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "initial_gain": self.initial_gain,
            "initial_offset": self.initial_offset,
            "learned_gain": self.learned_gain,
        }


def mean_over_samples(
    x: Tensor, valid: Tensor | None = None
) -> Callable[[Tensor], Tensor]:
    """Return a function for means over all axes except the last.

    Args:
        x: Tensor of shape `(batch, ..., channels)`, an example of the function's
            argument.
        valid: Tensor of shape `(batch,)`, 1 for samples that are included and 0 for the
            others; `None` includes all samples. The mean of no samples is 0.
    """
    axes = list(range(len(x.shape) - 1))
    if valid is None:
        return lambda x: mean_over_replicas(ops.mean(x, axis=axes))
    valid = ops.cast(valid, x.dtype)[:, None]
    share = ops.maximum(mean_over_replicas(ops.mean(valid)), 1e-9)

    def mean(x):
        sample = ops.mean(x, axis=axes[1:]) if axes[1:] else x
        sample = ops.mean(ops.where(valid > 0, sample, 0), axis=0)
        return mean_over_replicas(sample) / share

    return mean


def layer_normalization(
    x: Tensor,
    gain: Tensor,
    offset: Tensor | None = None,
    groups: int = 1,
    epsilon: float = 1e-3,
) -> Tensor:
    """Normalise each sample over space and channels, then scale and shift each channel.

    Args:
        x: Tensor of shape `(batch, ..., channels)`.
        gain: Tensor of shape `(channels,)`.
        offset: Tensor of shape `(channels,)`, or `None` for no offset.
        groups: Number of groups of channels of equal size. Each is normalised
            separately.
        epsilon: Added to the variance. The default is large because a blank frame gives
            maps of zero variance.

    Returns:
        Tensor of the shape of `x`.
    """
    if groups > 1:
        xs, gains = ops.split(x, groups, -1), ops.split(gain, groups)
        offsets = [None] * groups if offset is None else ops.split(offset, groups)
        parts = zip(xs, gains, offsets, strict=True)
        normed = [layer_normalization(*part, epsilon=epsilon) for part in parts]
        return ops.concatenate(normed, axis=-1)
    axes = list(range(1, len(x.shape)))
    if keras.backend.backend() == "torch":
        # torch's fused kernel, which takes one gain and one offset for each unit.
        gain = ops.broadcast_to(gain, x.shape[1:])
        if offset is not None:
            offset = ops.broadcast_to(offset, x.shape[1:])
        return ops.layer_normalization(x, gain, offset, axis=axes, epsilon=epsilon)
    dtype = x.dtype
    x = ops.cast(x, keras.backend.result_type(dtype, "float32"))
    x = x - ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(x), axis=axes, keepdims=True)
    gain = ops.cast(gain, x.dtype)
    x = ops.cast(x * (ops.rsqrt(variance + epsilon) * gain), dtype)
    return x if offset is None else x + offset
