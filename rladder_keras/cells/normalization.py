"""Layer and batch normalisation for use inside a recurrence (Appendix A.4).

The first iteration of a ladder has no state and no feedback, so its activations are
distributed otherwise than those of later iterations. Batch normalisation therefore
shares its gain and offset over all iterations and keeps moving statistics for each
iteration by itself. A recurrence owns one `BatchStatistics`, which says to the
normalisations inside which iteration it is and which samples are no padding, hands
their batch moments out of the loop over time, and updates the moving statistics once
when the loop has ended.
"""

import contextlib
import contextvars
import copy

import keras
from keras import layers, ops

from rladder_keras.cells.replicas import mean_over_replicas

_recurrence = contextvars.ContextVar("recurrence", default=None)


class BatchStatistics:
    """The batch normalisations inside one recurrence, and where it is in time.

    Args:
        iterations: Rows of moving statistics that each normalisation keeps. Later
            iterations than that share the last row.
    """

    def __init__(self, iterations):
        self.iterations = iterations
        self.layers = []  # batch normalisations, in the order of their building
        # Of the present iteration, see `iteration`:
        self.index = None  # int32 tensor of shape (1,): which it is
        self.valid = None  # of shape (batch,): 1 for samples that count, 0 for padding
        self.moments = {}  # layer -> its batch mean and variance

    @contextlib.contextmanager
    def _open(self):
        token = _recurrence.set(self)
        try:
            yield self
        finally:
            _recurrence.reset(token)

    def building(self):
        """Context in which the layers of the recurrence are built."""
        return self._open()

    def iteration(self, index, valid=None):
        """Context of one iteration; `collect` of what it gives gives batch moments."""
        # A copy, because replicas of a model go through this at the same time.
        present = copy.copy(self)
        present.index, present.valid, present.moments = index, valid, {}
        return present._open()

    def collect(self):
        """What `update` needs to know of this iteration.

        Its index and the share of the samples that count, both of shape `(1,)`, and
        batch moments, `(1, 2, channels)`. An empty list at inference. The leading axis
        stands where the outputs of a step have their batch axis, so that the moments go
        through the loop like any output.
        """
        moments = [self.moments[n] for n in self.layers if n in self.moments]
        if not moments:
            return []
        share = ops.ones((1,), "float32")
        if self.valid is not None:
            share = mean_over_replicas(ops.mean(ops.cast(self.valid, "float32")))[None]
        return [self.index, share, *moments]

    def update(self, moments):
        """Assign the moving statistics, each row of them once for a finished loop.

        Args:
            moments: What `collect` gave, stacked over time: nothing, or the indices and
                shares, shape `(1, T)`, and tensors of shape `(1, T, 2, channels)`.
        """
        if not moments:
            return
        index, share, *moments = moments
        trained = [layer for layer in self.layers if layer.trainable]
        for layer, m in zip(trained, moments, strict=True):
            layer.update(m[0], index[0], share[0])


@keras.saving.register_keras_serializable("rladder_keras")
class BatchNormalization(layers.Layer):
    """Batch normalisation with moving statistics for each iteration of a recurrence.

    Normalises over all axes but the last. Gain and offset are shared by all
    iterations. Outside of a recurrence it is an ordinary batch normalisation. Frozen
    (`trainable = False`) it uses its moving statistics also in training.

    Args:
        momentum: Weight of the past in the moving statistics.
        epsilon: Added to the variance.
        initial_gain: Value of the gain before training.
        initial_offset: Value of the offset before training.
        learned_gain: Whether the gain changes in training.

    Input shape:
        `(batch, ..., channels)`.

    Output shape:
        That of the input.

    Examples:
        >>> norm = BatchNormalization()
        >>> ops.shape(norm(np.zeros((4, 8, 8, 3)), training=True))
        (4, 8, 8, 3)
        >>> tuple(norm.moving_mean.shape)
        (1, 3)

        In a ladder each iteration has a row of moving statistics:

        >>> row = Conv(3, kernel_size=3)
        >>> outputs = RecurrentLadder([Level(row)])(keras.Input((5, 8, 8, 1)))
        >>> tuple(row.norm.moving_mean.shape)
        (5, 3)
    """

    def __init__(
        self,
        momentum=0.9,
        epsilon=1e-3,
        initial_gain=1.0,
        initial_offset=0.0,
        learned_gain=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.initial_gain = initial_gain
        self.initial_offset = initial_offset
        self.learned_gain = learned_gain

    def build(self, input_shape):
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

    def call(self, x, training=False):
        dtype = x.dtype
        x = ops.cast(x, keras.backend.result_type(dtype, "float32"))
        recurrence = _recurrence.get()
        if training and self.trainable:
            # Not `ops.moments`, which on torch subtracts squares: a constant map of 300
            # would get a variance below zero.
            mean_of = mean_over_samples(x, recurrence.valid if recurrence else None)
            mean = mean_of(x)
            x = x - mean
            variance = mean_of(ops.square(x))
            moments = ops.stack([mean, variance])[None]
            if recurrence:
                recurrence.moments[self] = moments
            else:
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

    def update(self, moments, index, share):
        """Exponential moving average: one update for each row of statistics.

        Args:
            moments: Batch means and variances, shape `(T, 2, channels)`.
            index: Which iterations they are of: integers in a row, shape `(T,)`. Those
                past the last row of statistics update that row by their mean. Rows
                that none has reached so far, or padding only, are copies of the last
                one reached.
            share: Share of the samples that the moments are of, the others being
                padding, shape `(T,)`: moments of fewer weigh less in the mean, and
                the update weighs less, too.
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
                # What no sequence has reached yet is as the last that one has.
                same = ops.equal(moving, ops.take(moving, last, axis=0))
                follows = (all_rows > last) & ops.all(same, axis=1, keepdims=True)
                moved = ops.where(follows, ops.take(moved, last, axis=0), moved)
            moving.assign(moved)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "initial_gain": self.initial_gain,
            "initial_offset": self.initial_offset,
            "learned_gain": self.learned_gain,
        }


def mean_over_samples(x, valid=None):
    """Function that takes the mean of tensors like `x` over all axes but the last.

    Args:
        x: Tensor of shape `(batch, ..., channels)`.
        valid: Tensor of shape `(batch,)`, 1 for the samples that count and 0 for the
            others; all count if it is `None`. The mean of no sample is 0.
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


def layer_normalization(x, gain, offset=None, groups=1, epsilon=1e-3):
    """Normalise each sample over space and channels, scale and shift each channel.

    Args:
        x: Tensor of shape `(batch, ..., channels)`.
        gain: Tensor of shape `(channels,)`.
        offset: Tensor of shape `(channels,)`, or `None` for none.
        groups: Number of equal groups of channels, each normalised by itself.
        epsilon: Added to the variance. Not tiny on purpose: a blank frame gives
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
        # One kernel, which wants a gain and an offset for each unit.
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
