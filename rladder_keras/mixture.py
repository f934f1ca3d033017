"""The mixture of groups: its cost, and the posterior of each group (Section 4.1)."""

from typing import Any

import keras
from keras import layers, ops

from rladder_keras.typing import Config, Shape, Tensor

PIXELS = ("gaussian", "binary")


def check_kind_of_pixels(pixels: Any) -> None:
    """Raise `ValueError` if `pixels` is not one of `PIXELS`."""
    if pixels not in PIXELS:
        raise ValueError(
            f"`pixels` must be one of {PIXELS}; got {pixels!r}. Choose one of these."
        )


class _Mixture(layers.Layer):
    """Base of the layers that compare pixels with the mixture of the groups."""

    def __init__(self, pixels: str = "gaussian", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_kind_of_pixels(pixels)
        self.pixels = pixels

    def log_joint(
        self, x: Tensor, pi: Tensor, mu: Tensor, variance: Tensor | None
    ) -> Tensor:
        """Return `log pi_k p(x | mu_k)`, up to a constant.

        The shape is `(batch, T, K, *grid)`. All channels of a pixel belong to one
        group.
        """
        x = x[:, :, None]
        if self.pixels == "binary":
            mu = ops.clip(mu, 1e-4, 1 - 1e-4)
            log_p = x * ops.log(mu) + (1 - x) * ops.log(1 - mu)
        else:
            v = ops.cast(variance, "float32")
            v = ops.reshape(v, (*ops.shape(v), *(1 for _ in mu.shape[3:])))
            log_p = -ops.square(x - mu) / (2 * v) - ops.log(v) / 2
        return ops.sum(log_p, axis=-1) + ops.log(pi + 1e-5)

    def get_config(self) -> Config:
        return {**super().get_config(), "pixels": self.pixels}


@keras.saving.register_keras_serializable("rladder_keras")
class MixtureCost(_Mixture):
    """Negative log likelihood of pixels under the mixture of the groups.

    It is Equation 4 summed over the groups `z`, without the prior of `h`:

        - log sum_k pi_k N(x | mu_k, sigma^2)      Gaussian pixels, up to a constant
        - log Bernoulli(x | sum_k pi_k mu_k)       binary pixels

    Args:
        pixels: `"gaussian"` or `"binary"`; the same as in the `TaggerCell`.

    Call arguments:
        x: Target frames, shape `(batch, T, *grid, channels)`, or with a time axis of
            length 1.
        groups: Probabilities of the groups, shape `(batch, T, K, *grid)`.
        reconstructions: Shape `(batch, T, K, *grid, channels)`.
        variance: Shape `(batch, T, 1)`; `None` for binary pixels.

    Output shape:
        `(batch, T)`: nats per pixel for each iteration: the sum over the channels and
        the mean over the pixels. Channels of binary pixels are independent.

    Examples:
        >>> x, mu = np.zeros((2, 1, 8, 8, 1)), np.zeros((2, 5, 3, 8, 8, 1))
        >>> groups, variance = np.full((2, 5, 3, 8, 8), 1 / 3), np.ones((2, 5, 1))
        >>> ops.shape(MixtureCost()(x, groups, mu, variance))
        (2, 5)
    """

    def call(
        self,
        x: Tensor,
        groups: Tensor,
        reconstructions: Tensor,
        variance: Tensor | None = None,
    ) -> Tensor:
        x, pi, mu = (ops.cast(v, "float32") for v in (x, groups, reconstructions))
        if self.pixels == "binary":
            p = ops.clip(ops.sum(pi[..., None] * mu, axis=2), 1e-4, 1 - 1e-4)
            cost = ops.sum(-x * ops.log(p) - (1 - x) * ops.log(1 - p), axis=-1)
        else:
            cost = -ops.logsumexp(self.log_joint(x, pi, mu, variance), axis=2)
        return ops.mean(cost, axis=tuple(range(2, len(cost.shape))))


@keras.saving.register_keras_serializable("rladder_keras")
class MixturePosterior(_Mixture):
    """Posterior probability of each group given the pixels: Bayes' rule for Equation 4.

    The posterior is `pi_k p(x | mu_k)`, divided by its sum over the groups. If the
    model predicts frames, `pi` is the prior before the frame is seen.

    Args:
        pixels: `"gaussian"` or `"binary"`; the same as in the `TaggerCell`.

    Call arguments:
        x: Frames, shape `(batch, T, *grid, channels)`, or with a time axis of length 1.
        groups: Probabilities of the groups, shape `(batch, T, K, *grid)`.
        reconstructions: Shape `(batch, T, K, *grid, channels)`.
        variance: Shape `(batch, T, 1)`; `None` for binary pixels.

    Output shape:
        `(batch, T, K, *grid)`.

    Examples:
        >>> x, mu = np.ones((2, 5, 8, 8, 1)), np.full((2, 5, 2, 8, 8, 1), 0.2)
        >>> mu[:, :, 1] = 0.6
        >>> posterior = MixturePosterior("binary")(x, np.full(mu.shape[:-1], 0.5), mu)
        >>> ops.convert_to_numpy(posterior[0, 0, :, 0, 0]).round(2).tolist()
        [0.25, 0.75]
    """

    def call(
        self,
        x: Tensor,
        groups: Tensor,
        reconstructions: Tensor,
        variance: Tensor | None = None,
    ) -> Tensor:
        x, pi, mu = (ops.cast(v, "float32") for v in (x, groups, reconstructions))
        return over_groups(self.log_joint(x, pi, mu, variance), axis=2)

    def compute_output_shape(
        self,
        x_shape: Shape,
        groups_shape: Shape,
        reconstructions_shape: Shape,
        variance_shape: Shape | None = None,
    ) -> Shape:
        return tuple(groups_shape)


def over_groups(logits: Tensor, axis: int = 1) -> Tensor:
    """Return the softmax over the axis of the groups.

    Written out, because `softmax` of TensorFlow takes five times as long on an axis in
    the middle: up to half the time of a training step.
    """
    if 0 in logits.shape:  # torch has no maximum of an empty tensor
        return logits
    highest = ops.stop_gradient(ops.max(logits, axis=axis, keepdims=True))
    odds = ops.exp(logits - highest)
    return odds / ops.sum(odds, axis=axis, keepdims=True)
