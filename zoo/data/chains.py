"""Gaussian chains (Appendices B and C): datasets and exact inference.

One generative model covers both appendices. Its levels are `x, y, z, ...`, bottom
level first:

    z_t ~ N(mu + w_z z_{t-1}, sigma_z^2)               the highest level
    y_t ~ N(w_y y_{t-1} + w_yz z_t, sigma_y^2)         Equation 21
    x_t ~ N(w_x x_{t-1} + w_xy y_t, sigma_x^2)         Equation 20
    x~_t ~ N(x_t, sigma^2)                             Equation 11, the observation

with zeros at t = 0. Appendix B is the first time step of this model. In Appendix C
`sigma = 0`: `x` itself is observed.

With a single site, optimal denoising is a multiplication by a constant. To make the
task less trivial, `x`, `y` and `z` may have several `sites`. Each site is then a chain,
and the noise of the highest level is correlated between neighbours: given its
neighbours, a site has the mean `coupling` times their sum and the variance `sigma_z^2`.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from zoo.data.epochs import SampleDataset, check_integer


class Chain(NamedTuple):
    """Parameters of a Gaussian chain with L levels, see `zoo.data.chains`.

    Attributes:
        variances: L variances `sigma_l^2`, bottom level first.
        weights: L - 1 weights `w_{l,l+1}` between levels, bottom first, all nonzero.
        past: L weights `w_l` of the previous time step, bottom first. By default they
            are 0: time steps are independent.
        noise: Variance `sigma^2` of the observation.
        mean: Mean `mu` of the highest level.
        sites: Number of sites.
        coupling: Coupling of neighbouring sites at the highest level, below 1/2.
    """

    variances: tuple[float, ...]
    weights: tuple[float, ...]
    past: tuple[float, ...] = ()
    noise: float = 0.0
    mean: float = 0.0
    sites: int = 1
    coupling: float = 0.0

    @property
    def levels(self) -> int:
        """Number of levels, L."""
        return len(self.variances)

    @property
    def gains(self) -> list[float]:
        """Weights `s_l` of the message from below (Equations 17-19, 25, 29)."""
        return [
            v * w**2 / (v * w**2 + v_below) for v, w, v_below in self.neighbourhoods
        ]

    @property
    def mean_field_variances(self) -> list[float]:
        """Variances `v_l` (Equations 17-19, Appendix C); 0 if `x` is observed."""
        return [
            v * v_below / (v * w**2 + v_below) for v, w, v_below in self.neighbourhoods
        ]

    @property
    def neighbourhoods(self) -> list[tuple[float, float, float]]:
        """`sigma_l^2`, `w_{l-1,l}` and `sigma_{l-1}^2` of each level."""
        below = (self.noise, *self.variances[:-1])
        return list(zip(self.variances, (1.0, *self.weights), below, strict=True))

    @property
    def memory(self) -> tuple[float, ...]:
        """`past`, or zeros if it is empty."""
        return self.past or (0.0,) * self.levels


def state_space(chain: Chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write a chain as a linear model, `v_t = A v_{t-1} + b + noise of covariance Q`.

    Args:
        chain: Parameters.

    Returns:
        `A`, shape `(L sites, L sites)`, `b`, shape `(L sites,)`, and `Q`, shape
        `(L sites, L sites)`. The vector `v` has all sites of `x` first, then those of
        the level above, and so on.
    """
    n, eye = chain.sites, np.eye(chain.sites)
    W = np.kron(np.diag(chain.weights, 1), eye)
    inverse = np.linalg.inv(np.eye(len(W)) - W)
    variances = np.kron(np.diag(chain.variances), eye)
    lines = np.eye(n, k=1) + np.eye(n, k=-1)
    variances[-n:, -n:] = chain.variances[-1] * np.linalg.inv(
        eye - chain.coupling * lines
    )
    mean = np.zeros(len(W))
    mean[-n:] = chain.mean
    A = inverse @ np.kron(np.diag(chain.memory), eye)
    return A, inverse @ mean, inverse @ variances @ inverse.T


def sample(
    chain: Chain, n: int, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences from a chain.

    Args:
        chain: Parameters.
        n: Number of sequences.
        steps: Number of time steps.
        rng: Source of randomness.

    Returns:
        Observations, shape `(n, steps, sites)`, and levels, shape
        `(n, steps, L, sites)`.
    """
    A, b, Q = state_space(chain)
    noise = rng.normal(size=(n, steps, len(b))) @ np.linalg.cholesky(Q).T
    v = np.zeros((n, steps + 1, len(b)))
    for t in range(steps):
        v[:, t + 1] = v[:, t] @ A.T + b + noise[:, t]
    levels = v[:, 1:].reshape(n, steps, chain.levels, chain.sites)
    seen = levels[:, :, 0]
    return seen + np.sqrt(chain.noise) * rng.normal(size=seen.shape), levels


def check_chain(chain: Chain) -> None:
    """Raise `ValueError` if `chain` is not a `Chain`."""
    if not isinstance(chain, Chain):
        raise ValueError(
            f"`chain` must be a `zoo.data.chains.Chain`; got {chain!r}. Pass "
            "`zoo.gaussian_chain.CHAIN_B`, `CHAIN_C`, or your own."
        )


class Posterior(NamedTuple):
    """Posterior of the levels and predictive distribution of the next `x`.

    Attributes:
        means: Posterior means of the levels, shape `(n, T, L, sites)`.
        covariances: Posterior covariances of all levels and sites after each time step,
            shape `(T, L sites, L sites)`.
        predictions: Means of the next `x`, shape `(n, T, sites)`.
        prediction_covariances: Covariances of the next `x`, shape `(T, sites, sites)`.
    """

    means: np.ndarray
    covariances: np.ndarray
    predictions: np.ndarray
    prediction_covariances: np.ndarray


def kalman(chain: Chain, seen: np.ndarray, frozen: bool = False) -> Posterior:
    """Compute the posterior of the levels with the Kalman filter.

    Args:
        chain: Parameters.
        seen: Observations, shape `(n, T, sites)`.
        frozen: Whether to set the covariance of the previous time step to zero, as in
            Appendix C, which uses only the means of the previous time step.

    Returns:
        `Posterior`, given all observations so far. After the first time step it is the
        exact posterior of Appendix B, with and without `frozen`.
    """
    A, b, Q = state_space(chain)
    sites, size = chain.sites, len(b)
    m, P = np.zeros((len(seen), size)), np.zeros((size, size))
    steps = []
    for x in np.moveaxis(seen, 1, 0):
        m, P = m @ A.T + b, (0 if frozen else A @ P @ A.T) + Q
        S = P[:sites, :sites] + chain.noise * np.eye(sites)
        K = np.linalg.solve(S, P[:sites]).T
        m = m + (x - m[:, :sites]) @ K.T
        P = P - K @ P[:sites]
        ahead = A @ P @ A.T + Q
        steps.append((m, P, (m @ A.T + b)[:, :sites], ahead[:sites, :sites]))
    means, covariances, predicted, spread = zip(*steps, strict=True)
    return Posterior(
        np.stack(means, axis=1).reshape(*seen.shape[:2], chain.levels, sites),
        np.stack(covariances),
        np.stack(predicted, axis=1),
        np.stack(spread),
    )


def posterior_precision(chain: Chain) -> np.ndarray:
    """Return the posterior precision of the levels, given the previous time step.

    Args:
        chain: Parameters.

    Returns:
        Array of shape `(L sites, L sites)`. If `x` itself is observed, the precision of
        the levels above `x`, shape `((L - 1) sites, (L - 1) sites)`.
    """
    precision = np.linalg.inv(state_space(chain)[2])
    n = chain.sites
    if not chain.noise:
        return precision[n:, n:]
    precision[:n, :n] += np.eye(n) / chain.noise
    return precision


def contraction(chain: Chain) -> float:
    """Return the asymptotic factor of the error in each sweep of message passing.

    A sweep sets each level to its mean given the neighbouring levels, first upwards,
    then downwards. This is the Gauss-Seidel method for the posterior means. It
    converges if the factor, the spectral radius of a sweep, is below 1.

    Args:
        chain: Parameters.
    """
    precision = posterior_precision(chain)
    levels = len(precision) // chain.sites
    sweep = np.eye(len(precision))
    for l in [*range(levels), *range(levels - 2, -1, -1)]:
        level = slice(l * chain.sites, (l + 1) * chain.sites)
        rows = precision[level] / np.diag(precision)[level, None]
        sweep[level] -= rows @ sweep
    return np.abs(np.linalg.eigvals(sweep)).max()


class GaussianChain(SampleDataset):
    """Batches of sequences drawn from a Gaussian chain.

    A batch is `(x, y)`. `x` are the observations, `float32` of shape
    `(B, T, sites, 1)`. `y` is a dictionary of

    - `"x"`: the level `x` of the same time steps, shape `(B, T, sites, 1)`;
    - `"next"`: the level `x` one time step later, shape `(B, T, sites, 1)`.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        chain: Parameters, a `Chain`.
        batch_size: Number of sequences in a batch, `B`.
        steps: Number of time steps in a sequence, `T`.
        sequences: Number of sequences in an epoch. A last batch that is not full is
            dropped.
        seed: Seed of the sequences, an integer of at least 0.
        use: 0 for training, with new sequences in each epoch; 1 for validation; 2 for
            testing. Datasets of different uses are independent, also with equal seeds.

    Attributes:
        num_sequences: Number of sequences in an epoch.

    Raises:
        ValueError: If an argument is invalid.
    """

    def __init__(
        self,
        chain: Chain,
        batch_size: int = 100,
        *,
        steps: int = 1,
        sequences: int = 10000,
        seed: int = 0,
        use: int = 0,
    ):
        check_chain(chain)
        check_integer("steps", steps, 1)
        check_integer("sequences", sequences, 1)
        super().__init__(sequences, batch_size, seed, fresh=True)
        self.chain, self.steps, self.use = chain, steps, use

    def batch(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        seen, x = self.draw(index)
        x = x.astype("float32")[..., None]
        return seen[:, :-1, :, None].astype("float32"), {
            "x": x[:, :-1],
            "next": x[:, 1:],
        }

    def draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw observations and levels `x` of a batch, shape `(B, T + 1, sites)`."""
        epoch = self.epoch if self.use == 0 else 0
        rng = np.random.default_rng([self.use, self.seed, epoch, index])
        seen, levels = sample(self.chain, self.batch_size, self.steps + 1, rng)
        return seen, levels[:, :, 0]


def gaussian_chain(
    chain: Chain,
    batch_size: int = 100,
    *,
    steps: int = 1,
    sequences: int = 10000,
    evaluation: int = 10000,
    seed: int = 0,
) -> tuple[GaussianChain, GaussianChain, GaussianChain]:
    """Return datasets of a Gaussian chain (Appendices B and C).

    Args:
        chain: Parameters, a `Chain`.
        batch_size: Number of sequences in a batch.
        steps: Number of time steps in a sequence: 1 for Appendix B.
        sequences: Number of training sequences in an epoch. Each epoch has new
            sequences.
        evaluation: Number of validation sequences, and of test sequences.
        seed: Seed of the training sequences.

    Returns:
        Training, validation and test set, each a `GaussianChain`.
    """
    dataset = partial(GaussianChain, chain, batch_size, steps=steps)
    return (
        dataset(sequences=sequences, seed=seed, use=0),
        dataset(sequences=evaluation, seed=0, use=1),
        dataset(sequences=evaluation, seed=0, use=2),
    )
