"""Perceptual grouping (Section 4): the iterative inference of Tagger around a ladder.

It approximates the posterior of each group separately (Eq. 5) in the model of Eq. 4.
`K` groups share one ladder. Each group explains the image by a separate reconstruction
`mu_k`, and a pixel belongs to group `k` with probability `pi_k`. One iteration compares
the image with the explanation, gives the differences to the ladder of each group, and
reads the next `mu_k` and `pi_k` from the lowest decoder. For a still image, all
iterations see the same pixels; for a video, each iteration explains the next frame.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from rladder_keras.cells.linear import Linear, crop, stride_between
from rladder_keras.cells.normalization import BatchNormalization
from rladder_keras.ladder import LadderCell
from rladder_keras.mixture import check_kind_of_pixels, over_groups
from rladder_keras.typing import Config, Feedback, Shape, Shapes, Size, State, Tensor
from rladder_keras.validation import (
    check_boolean,
    check_integer,
    check_number,
    check_sizes,
)
from rladder_keras.wiring import Level


class TaggerOutput(NamedTuple):
    """Output of one iteration; with a time axis, the output for a sequence.

    Attributes:
        groups: `pi`, shape `(batch, K, *grid)`. It sums to 1 over the groups.
        reconstructions: `mu`, shape `(batch, K, *grid, channels)`.
        variance: `sigma^2`, shape `(batch, 1)`, the same for all pixels; `()` for
            binary pixels.
        top: `e_L` of each group, shape `(batch, K, ...)`.
        moments: Batch statistics of this iteration, for the moving averages.
    """

    groups: Tensor
    reconstructions: Tensor
    variance: Tensor
    top: Tensor
    moments: list[Tensor]


@keras.saving.register_keras_serializable("rladder_keras")
class TaggerCell(LadderCell):
    """One iteration of perceptual grouping with a ladder as its network (Fig. 5c).

    With recurrent rows and feedback it is an RTagger; without both it is a Tagger. The
    ladder of a group receives the reconstruction of the last iteration, the derivative
    of the image's log likelihood with respect to the reconstruction, the probability of
    the group, and the likelihood of each pixel under this group relative to all groups:

        e_0 = [mu_k, d log p(x) / d mu_k, pi_k, p(x | mu_k) / sum_k p(x | mu_k)]

    The first two have as many channels as the image, the others have one. For Gaussian
    pixels this cell follows the code of Tagger: the derivative is `pi_k (x - mu_k)`,
    instead of the posterior of the group times a factor, and the likelihoods have the
    variance `noise^2 + variance^2`.

    In the first explanation, `pi` is random for each pixel, because identical groups
    would stay identical, and `mu` is constant.

    Args:
        levels: List of `Level`, bottom row first, see `LadderCell`.
        groups: Number of groups, `K`.
        kernel_size: Integer or tuple: kernel size of the transposed convolutions that
            read `mu` and `pi` from `d_1`. Their strides lead from the grid of `d_1` to
            that of the image.
        pixels: `"gaussian"`, with one learned variance, or `"binary"`.
        noise: Standard deviation of the noise in Gaussian pixels, or the probability
            that a binary pixel is flipped. The likelihood accounts for this noise.
        start: The constant `mu` of the first iteration, and the mean `mu` of an
            untrained cell. For binary pixels it is the value before the sigmoid.
        mu_gain: Standard deviation of `mu` in an untrained cell.
        pi_gain: Standard deviation of the logits of `pi` in an untrained cell. If it
            was learned, starting from 1, groups of moving digits froze in patterns
            unrelated to the digits (docs/lab-notebook.md).
        learned_pi_gain: Whether `pi_gain` is learned. If it stays at 1, every group
            keeps a share of each pixel and sees the pixels that the others explain
            badly.
        variance: `sigma^2` before training. The default is Tagger's. As long as it is
            large, distinct groups are hardly better than identical groups.
        feedback: Which encoder rows receive the last output of their decoder:
            `"recurrent"`, `"all"` or `"none"`, see `LadderCell`.
        iterations: Number of rows of moving batch statistics, see `BatchNormalization`.
        seed: Integer seed of the first `pi`.
        **kwargs: `skip`, see `LadderCell`, and arguments of `keras.layers.Layer`.

    Call arguments:
        x: The image, with noise if it is to be denoised, shape `(batch, *grid,
            channels)`.
        states: `[t, s, d, explanation]`; for `t`, `s` and `d` see `LadderCell`. In `s`
            and `d` the groups are folded into the batch. The explanation is `[mu,
            logits of pi]`; for binary pixels `mu` is the value before the sigmoid.

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

    starts_from_zeros = False  # otherwise all groups would be identical

    def __init__(
        self,
        levels: Sequence[Level],
        groups: int = 3,
        kernel_size: Size = 8,
        *,
        pixels: str = "gaussian",
        noise: float = 0.2,
        start: float = 0.5,
        mu_gain: float = 1.0,
        pi_gain: float = 1.0,
        learned_pi_gain: bool = True,
        variance: float = 1 + 2**0.5,
        feedback: Feedback = "recurrent",
        iterations: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(levels, feedback, iterations, **kwargs)
        check_kind_of_pixels(pixels)
        if (
            not 0
            < check_number("`noise`", noise)
            < (0.5 if pixels == "binary" else np.inf)
        ):
            raise ValueError(
                "`noise` must be above 0, and below 0.5 for binary pixels; got "
                f"{noise!r}. Choose a value in this range."
            )
        self.groups = check_integer("`groups`", groups)
        self.kernel_size = check_sizes("`kernel_size` of TaggerCell", kernel_size)
        self.pixels = pixels
        self.noise = noise
        if not check_number("`variance`", variance) > 0:
            raise ValueError(
                f"`variance` must be above 0; got {variance!r}. Choose a positive "
                "value."
            )
        self.start = check_number("`start`", start)
        self.mu_gain = check_number("`mu_gain`", mu_gain)
        self.pi_gain = check_number("`pi_gain`", pi_gain)
        check_boolean("`learned_pi_gain`", learned_pi_gain)
        self.learned_pi_gain = learned_pi_gain
        self.first_variance = variance
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def build(self, x_shape: Shape, states_shape: Shapes = None) -> None:
        self.x_shape = tuple(x_shape)
        channels = x_shape[-1]
        super().build((*x_shape[:-1], 2 * channels + 2))
        bottom = next((d for d in self.d_shapes if d is not None), None)
        if bottom is None or len(bottom) != len(x_shape):
            found = "no decoder" if bottom is None else f"shape {tuple(bottom)}"
            raise ValueError(
                "The lowest decoder of a Tagger must return a map from which to read "
                f"the groups; got {found}. Give the lowest level a decoder that "
                "returns a map, such as ConvG1."
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
        self.check_iterations()
        if self.pixels == "gaussian":
            v = self.first_variance
            spread = keras.initializers.Constant((v - 1 / v) / 2)
            self.spread = self.add_weight((), spread, name="spread")

    # `training` is for Keras' call context, which passes it to the rows. There is no
    # `first` and no `unread`, because the state does not start from zeros and the
    # decoders are always read.
    def call(  # type: ignore[override]
        self, x: Tensor, states: State, training: bool | None = None
    ) -> tuple[TaggerOutput, State]:
        t, s, d, explanation, *mask = states
        if mask:
            raise ValueError(
                "`mask` must be None for a Tagger, which takes no mask; got a mask. "
                "Give sequences of equal length, without padding."
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

    def evidence(self, x: Tensor, mu: Tensor, pi: Tensor) -> Tensor:
        """Return `e_0` of each group, with the groups folded into the batch."""
        x, mu, pi = (ops.cast(value, "float32") for value in (x, mu, pi))
        x, pi = x[:, None], over_groups(pi)
        if self.pixels == "gaussian":
            # Without the factor 1 / variance, as in Tagger's code.
            derivative = pi * (x - mu)
            variance = self.noise**2 + ops.square(self.variance())
            log_p = -ops.square(x - mu) / (2 * variance)
        else:
            n = self.noise
            p = ops.sigmoid(mu) * (1 - 2 * n) + n  # probability that a noisy pixel is 1
            mixture = ops.sum(pi * p, axis=1, keepdims=True)
            slope = x / mixture - (1 - x) / (1 - mixture)
            derivative = (1 - 2 * n) * pi * slope
            log_p = x * ops.log(p) + (1 - x) * ops.log(1 - p)
        likelihood = over_groups(ops.sum(log_p, axis=-1, keepdims=True))
        maps = ops.concatenate([mu, derivative, pi, likelihood], axis=-1)
        return ops.cast(ops.reshape(maps, (-1, *maps.shape[2:])), self.compute_dtype)

    def read(self, bottom: Tensor, read: Linear, norm: BatchNormalization) -> Tensor:
        """Return `mu` or the logits of `pi`: shape `(batch, K, *grid, channels)`."""
        grid = self.x_shape[1:-1]
        x = norm(crop(read(bottom), grid))
        return ops.cast(ops.reshape(x, (-1, self.groups, *x.shape[1:])), "float32")

    def squash(self, mu: Tensor) -> Tensor:
        """Return `mu` as pixels: after the sigmoid for binary pixels."""
        return ops.sigmoid(mu) if self.pixels == "binary" else mu

    def variance(self) -> Tensor:
        """Return the learned `sigma^2`, which is always above 0."""
        a = ops.cast(self.spread, "float32")
        larger = ops.abs(a) + ops.sqrt(ops.square(a) + 1)
        return ops.where(a < 0, 1 / larger, larger)  # a + sqrt(a^2 + 1)

    def get_initial_state(self, batch_size: int | None = None) -> State:
        rows = None if batch_size is None else batch_size * self.groups
        t, s, d = super().get_initial_state(rows)
        shape = (batch_size, self.groups, *self.x_shape[1:])
        mu = ops.full(shape, self.start, self.compute_dtype)
        pi = keras.random.normal((*shape[:-1], 1), dtype="float32", seed=self.random)
        pi = ops.cast(pi, self.compute_dtype)
        return [t, s, d, [mu, pi]]

    def compute_output_shape(  # type: ignore[override]
        self, x_shape: Shape, states_shape: Shapes = None
    ) -> TaggerOutput:
        batch, *grid, channels = x_shape
        if not self.built:
            super().compute_output_shape((batch, *grid, 2 * channels + 2))
        return TaggerOutput(
            (batch, self.groups, *grid),
            (batch, self.groups, *grid, channels),
            (batch, 1) if self.pixels == "gaussian" else (),
            (batch, self.groups, *self.e_shapes[-1][1:]),
            [],
        )

    @property
    def output_dtypes(self) -> dict[str, str]:
        exact = ("groups", "reconstructions", "variance")
        return {**super().output_dtypes, **dict.fromkeys(exact, "float32")}

    def get_config(self) -> Config:
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
