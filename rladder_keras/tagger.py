"""Perceptual grouping (Section 4): the iterative inference of Tagger around a ladder.

`K` groups share one ladder. Each explains the image by a reconstruction `mu_k` of its
own, and a pixel belongs to group `k` with probability `pi_k`. One iteration compares
image and explanation, tells the ladder of each group where they disagree, and reads the
next `mu_k` and `pi_k` out of its lowest decoder. In a still image an iteration looks at
the same pixels again; in a film it explains the frame to come.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from rladder_keras.cells.linear import Linear, crop, stride_between
from rladder_keras.cells.normalization import BatchNormalization
from rladder_keras.ladder import LadderCell
from rladder_keras.mixture import over_groups
from rladder_keras.validation import check_integer, check_number, check_sizes

PIXELS = ("gaussian", "binary")


class TaggerOutput(NamedTuple):
    """What one iteration gives, and with an axis of time what a sequence gives.

    Attributes:
        groups: `pi`, shape `(batch, K, *grid)`, sums to 1 over the groups.
        reconstructions: `mu`, shape `(batch, K, *grid, channels)`.
        variance: `sigma^2`, shape `(batch, 1)`: one number for all; `()` for binary
            pixels.
        top: `e_L` of each group, shape `(batch, K, ...)`.
        moments: Batch statistics of this iteration, for the moving averages.
    """

    groups: object
    reconstructions: object
    variance: object
    top: object
    moments: list


@keras.saving.register_keras_serializable("rladder_keras")
class TaggerCell(LadderCell):
    """One iteration of perceptual grouping with a ladder as its engine (Fig. 5c).

    With recurrent rows and feedback it is an RTagger, without either a Tagger. The
    ladder of a group sees the reconstruction that it made in the last iteration, the
    derivative of the image's log likelihood with respect to it, the probability of the
    group, and how likely each pixel is under this group rather than under the others:

        e_0 = [mu_k, d log p(x) / d mu_k, pi_k, p(x | mu_k) / sum_k p(x | mu_k)]

    with as many channels as the image has for the first two, and one for the others.
    For Gaussian pixels they are, as in Tagger's code, `pi_k (x - mu_k)`, where the
    derivative would have the posterior of the group and a factor, and likelihoods of
    variance `noise^2 + variance^2`.

    The first explanation is `pi` drawn at random for each pixel, because groups that
    are alike would stay alike, and a constant `mu`.

    Args:
        levels: List of `Level`, bottom row first, see `LadderCell`.
        groups: `K`.
        kernel_size: Of the transposed convolutions that read `mu` and `pi` out of
            `d_1`, whose stride is that of the lowest row.
        pixels: `"gaussian"`, with one learned variance, or `"binary"`.
        noise: Standard deviation of the noise in Gaussian pixels, or the probability
            that a binary pixel is flipped: what the likelihood takes into account.
        start: The constant `mu` of the first iteration, for binary pixels before its
            sigmoid, and the mean of what an untrained cell reads out.
        mu_gain: Standard deviation of the `mu` that an untrained cell reads out.
        pi_gain: The same of the logits of `pi`. Where it was learned from 1 on, groups
            of moving digits froze in patterns that had nothing to do with them
            (docs/lab-notebook.md).
        learned_pi_gain: Whether that deviation is learned. If it stays at 1, a group
            keeps some of each pixel and sees what the others explain badly.
        variance: `sigma^2` before training; the default is Tagger's. As long as it is
            large, groups that differ are hardly better than ones that do not.
        feedback: See `LadderCell`.
        iterations: See `LadderCell`.
        seed: Integer, of the first `pi`.
        **kwargs: `skip`, see `LadderCell`.

    Call arguments:
        x: The image, noisy if it is to be denoised, shape `(batch, *grid, channels)`.
        states: `[t, s, d, explanation]`, see `LadderCell`. In `s` and `d` the groups
            are folded into the batch; the explanation is `[mu, logits of pi]`, for
            binary pixels with `mu` before its sigmoid.

    Returns:
        A `TaggerOutput` and the new states.

    References:
        - Greff et al., Tagger: Deep Unsupervised Perceptual Grouping, 2016.

    Examples:
        >>> row = Level(ConvLSTMCell(8, 4, strides=2, normalization="batch"), ConvG1(3))
        >>> ladder = RecurrentLadder(TaggerCell([row], groups=3, kernel_size=4))
        >>> outputs = ladder(keras.Input((5, 8, 8, 1)))
        >>> outputs["groups"].shape, outputs["reconstructions"].shape
        ((None, 5, 3, 8, 8), (None, 5, 3, 8, 8, 1))
    """

    starts_from_zeros = False  # or all groups would be alike

    def __init__(
        self,
        levels,
        groups=3,
        kernel_size=8,
        *,
        pixels="gaussian",
        noise=0.2,
        start=0.5,
        mu_gain=1.0,
        pi_gain=1.0,
        learned_pi_gain=True,
        variance=1 + 2**0.5,
        feedback="recurrent",
        iterations=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(levels, feedback, iterations, **kwargs)
        if pixels not in PIXELS:
            raise ValueError(f"pixels must be one of {PIXELS}, not {pixels!r}.")
        if (
            not 0
            < check_number("`noise`", noise)
            < (0.5 if pixels == "binary" else np.inf)
        ):
            raise ValueError(
                f"noise must be above 0, for binary pixels below 0.5, not {noise!r}."
            )
        self.groups = int(check_integer("`groups`", groups))
        self.kernel_size = check_sizes("`kernel_size` of TaggerCell", kernel_size)
        self.pixels = pixels
        self.noise = noise
        if not check_number("`variance`", variance) > 0:
            raise ValueError(f"variance must be above 0, not {variance!r}.")
        self.start = check_number("`start`", start)
        self.mu_gain = check_number("`mu_gain`", mu_gain)
        self.pi_gain = check_number("`pi_gain`", pi_gain)
        self.learned_pi_gain = learned_pi_gain
        self.first_variance = variance
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def build(self, x_shape, states_shape=None):
        self.x_shape = tuple(x_shape)
        channels = x_shape[-1]
        super().build((*x_shape[:-1], 2 * channels + 2))
        bottom = next((d for d in self.d_shapes if d is not None), None)
        if bottom is None or len(bottom) != len(x_shape):
            raise ValueError(
                "a Tagger reads its groups out of the lowest decoder, and this ladder "
                "has none that gives a map: give the lowest level a decoder."
            )
        strides = stride_between(x_shape, bottom)
        with self.statistics.building():
            for name, n, gain, learned, mean in (
                ("mu", channels, self.mu_gain, True, self.start),
                ("pi", 1, self.pi_gain, self.learned_pi_gain, 0.0),
            ):
                read = Linear(
                    n,
                    self.kernel_size,
                    strides=strides,
                    transpose=max(strides) > 1,
                    dtype=self.dtype_policy,
                    name=f"read_{name}",
                )
                read.build(bottom)
                norm = BatchNormalization(
                    initial_gain=gain,
                    initial_offset=mean,
                    learned_gain=learned,
                    dtype=self.dtype_policy,
                    name=f"norm_read_{name}",
                )
                norm.build((*x_shape[:-1], n))
                setattr(self, read.name, read)
                setattr(self, norm.name, norm)
        if self.pixels == "gaussian":
            v = self.first_variance
            spread = keras.initializers.Constant((v - 1 / v) / 2)
            self.spread = self.add_weight((), spread, name="spread")

    def call(self, x, states, training=None):  # for Keras, which hands it on
        t, s, d, explanation, *mask = states
        if mask:
            raise ValueError(
                "a Tagger takes no mask: give sequences of one length, without padding."
            )
        with self.statistics.iteration(t) as statistics:
            e, s = self.encode(self.evidence(x, *explanation), s, d)
            d = self.decode(e, d)
            bottom = next(d_l for d_l in d if not isinstance(d_l, list))
            mu = self.read(bottom, self.read_mu, self.norm_read_mu)
            pi = self.read(bottom, self.read_pi, self.norm_read_pi)
            moments = statistics.collect()
        groups = over_groups(pi)[..., 0]
        top = ops.reshape(e[-1], (-1, self.groups, *e[-1].shape[1:]))
        variance = ()
        if self.pixels == "gaussian":
            variance = ops.broadcast_to(self.variance(), (ops.shape(x)[0], 1))
        output = TaggerOutput(groups, self.squash(mu), variance, top, moments)
        explanation = [ops.cast(value, self.compute_dtype) for value in (mu, pi)]
        return output, [t + 1, s, d, explanation]

    def evidence(self, x, mu, pi):
        """`e_0` of each group, the groups folded into the batch."""
        x, mu, pi = (ops.cast(value, "float32") for value in (x, mu, pi))
        x, pi = x[:, None], over_groups(pi)
        if self.pixels == "gaussian":
            derivative = pi * (x - mu)  # its factor 1 / variance is left out
            variance = self.noise**2 + ops.square(self.variance())
            log_p = -ops.square(x - mu) / (2 * variance)
        else:
            n = self.noise
            p = ops.sigmoid(mu) * (1 - 2 * n) + n  # that a noisy pixel is 1
            mixture = ops.sum(pi * p, axis=1, keepdims=True)
            slope = x / mixture - (1 - x) / (1 - mixture)
            derivative = (1 - 2 * n) * pi * slope
            log_p = x * ops.log(p) + (1 - x) * ops.log(1 - p)
        likelihood = over_groups(ops.sum(log_p, axis=-1, keepdims=True))
        maps = ops.concatenate([mu, derivative, pi, likelihood], axis=-1)
        return ops.cast(ops.reshape(maps, (-1, *maps.shape[2:])), self.compute_dtype)

    def read(self, bottom, read, norm):
        """`mu` or the logits of `pi` from `d_1`: `(batch, K, *grid, channels)`."""
        grid = self.x_shape[1:-1]
        x = norm(crop(read(bottom), grid))
        return ops.cast(ops.reshape(x, (-1, self.groups, *x.shape[1:])), "float32")

    def squash(self, mu):
        return ops.sigmoid(mu) if self.pixels == "binary" else mu

    def variance(self):
        """`sigma^2`, above 0, learned."""
        a = ops.cast(self.spread, "float32")
        larger = ops.abs(a) + ops.sqrt(ops.square(a) + 1)
        return ops.where(a < 0, 1 / larger, larger)  # a + sqrt(a^2 + 1)

    def get_initial_state(self, batch_size=None):
        rows = None if batch_size is None else batch_size * self.groups
        t, s, d = super().get_initial_state(rows)
        shape = (batch_size, self.groups, *self.x_shape[1:])
        mu = ops.full(shape, self.start, self.compute_dtype)
        pi = keras.random.normal((*shape[:-1], 1), dtype="float32", seed=self.random)
        pi = ops.cast(pi, self.compute_dtype)
        return [t, s, d, [mu, pi]]

    def compute_output_shape(self, x_shape, states_shape=None):
        batch, *grid, channels = x_shape
        return TaggerOutput(
            (batch, self.groups, *grid),
            (batch, self.groups, *grid, channels),
            (batch, 1) if self.pixels == "gaussian" else (),
            (batch, self.groups, *self.e_shapes[-1][1:]),
            [],
        )

    def get_config(self):
        return {
            **super().get_config(),
            "groups": self.groups,
            "kernel_size": self.kernel_size,
            "pixels": self.pixels,
            "noise": self.noise,
            "start": self.start,
            "mu_gain": self.mu_gain,
            "pi_gain": self.pi_gain,
            "learned_pi_gain": self.learned_pi_gain,
            "variance": self.first_variance,
            "seed": self.seed,
        }
