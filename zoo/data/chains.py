"""Gaussian chains (Appendices B and C): data, and the exact answers.

One model covers both appendices. Its levels are `x, y, z, ...`, bottom first:

    z_t ~ N(mu + w_z z_{t-1}, sigma_z^2)               the highest level
    y_t ~ N(w_y y_{t-1} + w_yz z_t, sigma_y^2)         Equation 21
    x_t ~ N(w_x x_{t-1} + w_xy y_t, sigma_x^2)         Equation 20
    x~_t ~ N(x_t, sigma^2)                             Equation 11, what is seen

with zeros at t = 0. Appendix B is its first time step, Appendix C has `sigma = 0`: `x`
itself is seen. So that denoising is more than a factor, `x`, `y` and `z` may be rows of
`sites`. Each column is then a chain of its own, but the noise of the highest level is a
field: each site, given its neighbours, has the mean `coupling` times their sum, and the
variance `sigma_z^2`.
"""

from typing import NamedTuple

import numpy as np

from zoo.data.epochs import SampleDataset, check_integer


class Chain(NamedTuple):
    """Parameters of a model, see the module's text; L levels.

    Attributes:
        variances: `sigma_l^2`, bottom first, L of them.
        weights: `w_{l,l+1}`, bottom first, L - 1 of them, none 0.
        past: `w_l`, bottom first, L of them; without them nothing lasts.
        noise: `sigma^2` of what is seen.
        mean: `mu` of the highest level.
        sites: Number of columns.
        coupling: Of neighbours at the highest level, below 1/2.
    """

    variances: tuple
    weights: tuple
    past: tuple = ()
    noise: float = 0.0
    mean: float = 0.0
    sites: int = 1
    coupling: float = 0.0

    @property
    def levels(self):
        return len(self.variances)

    @property
    def gains(self):
        """`s_l` (Eqs. 17-19, 25, 29): how far each level trusts the one below it."""
        return [
            v * w**2 / (v * w**2 + v_below) for v, w, v_below in self.neighbourhoods
        ]

    @property
    def mean_field_variances(self):
        """`v_l` of Equations 17-19, and of Appendix C; 0 for an `x` that is seen."""
        return [
            v * v_below / (v * w**2 + v_below) for v, w, v_below in self.neighbourhoods
        ]

    @property
    def neighbourhoods(self):
        """For each level `sigma_l^2`, `w_{l-1,l}` and `sigma_{l-1}^2`."""
        below = (self.noise, *self.variances[:-1])
        return list(zip(self.variances, (1.0, *self.weights), below, strict=True))

    @property
    def memory(self):
        """`past`, with zeros where it was not given."""
        return self.past or (0.0,) * self.levels


def state_space(chain):
    """The model as `v_t = A v_{t-1} + b + noise of covariance Q`.

    Returns:
        `A`, `b` and `Q` for the vector `v` of all levels, `x` first, with all the sites
        of a level one behind the other.
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


def sample(chain, n, steps, rng):
    """Draw sequences.

    Returns:
        What is seen, shape `(n, steps, sites)`, and the levels, `(n, steps, L, sites)`.
    """
    A, b, Q = state_space(chain)
    noise = rng.normal(size=(n, steps, len(b))) @ np.linalg.cholesky(Q).T
    v = np.zeros((n, steps + 1, len(b)))
    for t in range(steps):
        v[:, t + 1] = v[:, t] @ A.T + b + noise[:, t]
    levels = v[:, 1:].reshape(n, steps, chain.levels, chain.sites)
    seen = levels[:, :, 0]
    return seen + np.sqrt(chain.noise) * rng.normal(size=seen.shape), levels


def check_chain(chain):
    """Refuse what is no chain, such as the letter of its appendix."""
    if not isinstance(chain, Chain):
        raise ValueError(
            f"`chain` must be a `zoo.data.gaussian_chain.Chain`; got {chain!r}. Give "
            "`zoo.gaussian_chain.CHAIN_B`, `CHAIN_C`, or one of your own."
        )


class Posterior(NamedTuple):
    """What is known of the levels, and of the next `x`.

    Attributes:
        means: Shape `(n, T, L, sites)`.
        covariances: After each step, of all levels and sites, `(T, L sites, L sites)`.
        predictions: Means of the next `x`, `(n, T, sites)`.
        prediction_covariances: Of it, `(T, sites, sites)`.
    """

    means: np.ndarray
    covariances: np.ndarray
    predictions: np.ndarray
    prediction_covariances: np.ndarray


def kalman(chain, seen, frozen=False):
    """The Kalman filter: the distribution of the levels given what was seen so far.

    Args:
        chain: Parameters.
        seen: Shape `(n, T, sites)`.
        frozen: Whether to forget after each step how uncertain the levels are, as
            Appendix C does, which takes of the last step the means only.

    Returns:
        A `Posterior`. After a single step both are the exact posterior of Appendix B.
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
    m, P, predictions, ahead = zip(*steps, strict=True)
    means = np.stack(m, axis=1).reshape(*seen.shape[:2], chain.levels, sites)
    return Posterior(means, np.stack(P), np.stack(predictions, axis=1), np.stack(ahead))


def posterior_precision(chain):
    """Precision of the levels of one time step, given `x~` and the step before.

    Where `x` itself is seen it is that of the levels above.

    Returns:
        Shape `(L sites, L sites)`, or of one level less.
    """
    precision = np.linalg.inv(state_space(chain)[2])
    n = chain.sites
    if not chain.noise:
        return precision[n:, n:]
    precision[:n, :n] += np.eye(n) / chain.noise
    return precision


def contraction(chain):
    """Factor by which the error falls with each sweep up and down, in the long run.

    A sweep sets one level after the other to its mean given its neighbours, up and down
    again: the Gauss-Seidel method for `precision @ means`. It converges if the factor,
    the spectral radius of the sweep, is below 1.
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
    """Batches of sequences of a chain.

    A batch is `(x, y)`: `x` is what is seen, `float32` of shape `(B, T, sites, 1)`, and
    `y` has `"x"`, the levels `x` that it shows, and `"next"`, those of the next step,
    both of the same shape.

    For `epoch` and resuming see `zoo.data.epochs.SampleDataset`.

    Args:
        chain: A `Chain`.
        batch_size: Number of sequences in a batch, `B`.
        steps: Length of the sequences, `T`.
        sequences: Number of sequences in an epoch; a last batch that is not full is
            left out.
        seed: Integer, at least 0.
        use: 0 for training, where each epoch draws anew; 1 for validation, 2 to test.
            Sets of different uses have nothing in common, whatever their seeds.

    Attributes:
        num_sequences: Number of sequences in an epoch.

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self, chain, batch_size=100, *, steps=1, sequences=10000, seed=0, use=0
    ):
        check_chain(chain)
        check_integer("steps", steps, 1)
        check_integer("sequences", sequences, 1)
        super().__init__(sequences, batch_size, seed, fresh=True)
        self.chain, self.steps, self.use = chain, steps, use

    def batch(self, index):
        seen, x = self.draw(index)
        x = x.astype("float32")[..., None]
        return seen[:, :-1, :, None].astype("float32"), {
            "x": x[:, :-1],
            "next": x[:, 1:],
        }

    def draw(self, index):
        """What is seen and the level `x` in batch `index`, `(B, T + 1, sites)`."""
        epoch = self.epoch if self.use == 0 else 0
        rng = np.random.default_rng([self.use, self.seed, epoch, index])
        seen, levels = sample(self.chain, self.batch_size, self.steps + 1, rng)
        return seen, levels[:, :, 0]


def gaussian_chain(
    chain, batch_size=100, *, steps=1, sequences=10000, evaluation=10000, seed=0
):
    """Sequences of a chain.

    Args:
        chain: A `Chain`.
        batch_size: Number of sequences in a batch.
        steps: Length of the sequences: 1 for Appendix B.
        sequences: Number of sequences in an epoch of training; each epoch has new ones.
        evaluation: Number of sequences for validation, and as many again to test.
        seed: Of the training sequences.

    Returns:
        Training, validation and test set, each a `GaussianChain`.
    """
    sets = (sequences, seed), (evaluation, 0), (evaluation, 0)
    return tuple(
        GaussianChain(chain, batch_size, steps=steps, sequences=n, seed=seed, use=use)
        for use, (n, seed) in enumerate(sets)
    )
