"""Message passing in Gaussian chains as a ladder (Appendices B and C).

The chains and their exact solutions are in `zoo/data/chains.py`. In this module, cells
of a ladder pass the messages of variational Bayesian inference. The mean of a level,
given its neighbours, is a `gate` between their messages:

    m_l = s_l below + (1 - s_l) above                                   (17-19, 24)
    below = (m_{l-1} - w_{l-1} m_{l-1,t-1}) / w_{l-1,l}
    above = w_l m_{l,t-1} + w_{l,l+1} m_{l+1}

The encoder computes `m~_l` from bottom to top. The decoder computes `m_l`, and the
prediction for the next time step `m'_l`, from top to bottom. As corrections (Appendix
C) these are

    m~_l = m'_l + s_l / w_{l-1,l} (m~_{l-1} - m'_{l-1})                 (28)
    m_l  = m~_l + (1 - s_l) w_{l,l+1} (m_{l+1} - m'_{l+1})              (30)

where the paper prints `1 - s_l` in (28) and `s_l` in (30). The first sweep of a time
step starts from the predictions. With several `sweeps`, later sweeps start from the
means of the sweep before, and the means of the last time step stay fixed.

The module has three kinds of models: the messages, the exact solutions, and small
ladders that are trained on data of the same chain. All builders return a compiled
`keras.Model` from observations, `(batch, T, sites, 1)`, to a dictionary with one output
of the same shape:

- `"x"`, the clean `x` of the time step (Appendix B), or
- `"next"`, the `x` of the next time step (Appendix C).

The file is longer than others because every builder and layer documents its arguments.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from rladder_keras import G1, ConvG1, ConvGRUCell, GRUCell, Level, RecurrentLadder
from rladder_keras.typing import Feedback, Tensor, Unroll
from zoo.data.chains import Chain, Posterior, check_chain, kalman
from zoo.data.epochs import check_integer
from zoo.metrics.sample_weights import by_step
from zoo.models.base import ZooModel
from zoo.models.fitting import named
from zoo.models.message_cells import HighestMean, MeanDown, MeanUp
from zoo.models.occluded_mnist import FIG_9C
from zoo.models.tables import channels

# Strong noise and strong coupling along 24 sites: the optimal denoiser depends on sites
# at both sides beyond the receptive field of one iteration of the ladder.
CHAIN_B = Chain((0.1, 0.1, 0.1), (1.0, 1.0), noise=10.0, sites=24, coupling=0.4999)
# Each level changes slowly and drives the level below almost without noise: the
# observations are a slow oscillation with strong noise.
CHAIN_C = Chain((4.0, 0.01, 0.01, 0.02), (1.0, 0.4, 0.4), past=(0.0, 0.95, 0.95, 0.95))
STEPS = 30  # length of the sequences of Appendix C
OUTPUTS = ("x", "next")
ITERATIONS = 4  # "several" in Appendix B

register = keras.saving.register_keras_serializable("zoo")


def messages(chain: Chain, sweeps: int = 1) -> list[Level]:
    """Build the levels of a ladder that passes the messages of a chain.

    Args:
        chain: A `zoo.data.chains.Chain`.
        sweeps: Number of iterations per time step. In Appendix B the sequence is a
            single time step.

    Returns:
        List of `Level`, for inputs `(batch, sites, 1)`. Row `l` has the outputs `e_l`,
        `(m~_l, below, w_l m_{l,t-1})`, and `d_l`, `(m_l, m'_l, w_{l,l+1} m_{l+1})`. In
        `d_l`, the term of the last time step is missing from `above`.
    """
    weights_below, weights_above = (None, *chain.weights), (*chain.weights, None)
    rows = zip(chain.gains, chain.memory, weights_below, weights_above, strict=True)
    *levels, top = [
        Level(MeanUp(s, w_below, w, sweeps), MeanDown(s, w_above, w))
        for s, w, w_below, w_above in rows
    ]
    highest = HighestMean(chain.memory[-1], chain.mean, chain.coupling)
    return [*levels, Level(top.encoder, highest)]


def rows_of(chain: Chain, units: int, decoder: bool = True) -> list[Level]:
    """Build as many levels as the chain has.

    If `x` has several sites, the cells are convolutional, and each reaches one more
    site per iteration. There is no normalisation, because the amplitude is to be
    estimated.

    Args:
        chain: A `zoo.data.chains.Chain`.
        units: Number of units, or channels, of each row.
        decoder: Whether the rows have decoders.

    Returns:
        List of `Level`.
    """

    def level() -> Level:
        if chain.sites == 1:
            encoder = GRUCell(units, normalization=None, forget_bias=1.0)
            return Level(encoder, G1(normalization=None))
        wide = ConvGRUCell(units, 3, normalization=None, forget_bias=1.0)
        return Level(wide, ConvG1(3, normalization=None))

    levels = [level() for _ in range(chain.levels)]
    return levels if decoder else [Level(encoder) for encoder, _ in levels]


def gaussian_chain_rladder(
    width: float = 1.0,
    *,
    chain: Chain,
    output: str,
    units: int = 2,
    iterations: int = 1,
    feedback: Feedback = "recurrent",
    decoder: bool = True,
    skip: Iterable[str] = (),
    learning_rate: float = 0.01,
    unroll: Unroll = "auto",
) -> "ChainModel":
    """Build a small RLadder with as many rows as the chain has levels, to be trained.

    Args:
        width: Factor on the units.
        chain: A `zoo.data.chains.Chain`.
        output: `"x"` or `"next"`.
        units: Number of units of each row.
        iterations: Number of iterations per time step.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        decoder: Whether there are decoders. Without decoders the output is read from
            the highest row.
        skip: Skip connections that the paper's models do not have, see
            `rladder_keras.LadderCell`.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output, iterations)
    check_integer("units", units, 1)
    levels = rows_of(chain, channels(width, units), decoder)
    seen, outputs = iterated(chain, levels, iterations, feedback, unroll, skip)
    d = outputs["bottom"] if decoder else outputs["top"]
    if chain.sites == 1:
        d = layers.Reshape((-1, 1, d.shape[-1]))(d)
    return compiled(seen, {output: layers.Dense(1, name=output)(d)}, learning_rate)


def gaussian_chain_messages(
    width: float = 1.0,
    *,
    chain: Chain,
    output: str,
    iterations: int = 1,
    learning_rate: float = 0.01,
    unroll: Unroll = "auto",
) -> "ChainModel":
    """Build the hand-derived message passing, without trainable weights.

    Args:
        width: Ignored, because there are no channels.
        chain: A `zoo.data.chains.Chain`.
        output: `"x"` or `"next"`.
        iterations: Number of iterations per time step.
        learning_rate: Ignored, because the model has no weights; accepted for the same
            signature as the other rows of the table.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output, iterations)
    levels = messages(chain, iterations)
    seen, outputs = iterated(chain, levels, iterations, "recurrent", unroll)
    m, predicted, _ = ops.split(outputs["bottom"], 3, axis=-1)
    y = {"x": m, "next": predicted}[output]
    result = layers.Identity(name=output)(y)
    return compiled(seen, {output: result}, learning_rate)


def gaussian_chain_exact(
    width: float = 1.0,
    *,
    chain: Chain,
    output: str,
    steps: int = 1,
    learning_rate: float = 0.01,
    unroll: Unroll = "auto",
) -> "ChainModel":
    """Build the optimal estimator as a linear map: the Kalman filter or the posterior.

    Args:
        width: Ignored, because there are no channels.
        chain: A `zoo.data.chains.Chain`.
        output: `"x"` or `"next"`.
        steps: Length of the sequences.
        learning_rate: Ignored, because nothing is trained; accepted for the same
            signature as the other rows of the table.
        unroll: Ignored, because there is no loop over time.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output)
    steps = check_integer("steps", steps, 1)
    seen = keras.Input((steps, chain.sites, 1), name="seen")
    size = steps * chain.sites
    impulses = np.concatenate([np.zeros((1, size)), np.eye(size)])
    y = estimate(kalman(chain, impulses.reshape(-1, steps, chain.sites)), output)
    bias, *rows = y.reshape(-1, size)
    linear = layers.Dense(size, trainable=False, name="kalman")
    flat = linear(layers.Flatten()(seen))
    linear.set_weights([np.array(rows) - bias, bias])
    y = layers.Reshape((steps, chain.sites, 1), name=output)(flat)
    return compiled(seen, {output: y}, learning_rate)


def check_arguments(chain: Any, output: Any, iterations: Any = 1) -> None:
    """Raise `ValueError` for invalid arguments of the builders."""
    check_chain(chain)
    if output not in OUTPUTS:
        raise ValueError(
            f"`output` must be one of {OUTPUTS}; got {output!r}. Choose one of these."
        )
    check_integer("iterations", iterations, 1)


def iterated(
    chain: Chain,
    levels: list[Level],
    iterations: int,
    feedback: Feedback,
    unroll: Unroll,
    skip: Iterable[str] = (),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the input, and the ladder's outputs at the end of each time step."""
    seen = keras.Input((None, chain.sites, 1), name="seen")
    x = ops.repeat(seen, iterations, axis=1) if iterations > 1 else seen
    ladder = RecurrentLadder(levels, feedback, 1, unroll, skip=skip, name="ladder")
    outputs = {k: d[:, iterations - 1 :: iterations] for k, d in ladder(x).items()}
    return seen, outputs


def compiled(
    seen: Tensor, outputs: dict[str, Tensor], learning_rate: float
) -> "ChainModel":
    """Return the model with the loss of Appendix C, `C_pred`, or of denoising."""
    model = ChainModel(seen, outputs)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=dict.fromkeys(outputs, "mse"),
        metrics={name: [keras.metrics.MeanSquaredError("mse")] for name in outputs},
    )
    return model.make_variables()


@register
class ChainModel(ZooModel):
    """A `ZooModel` of real numbers, without bounds."""

    @staticmethod
    def _weights(sample_weight: Any, y_pred: dict[str, Tensor]) -> Any:
        """Return weights of time steps with an axis for the sites.

        Keras' losses need this axis.
        """
        weights = ZooModel._weights(sample_weight, y_pred)
        if weights is None:
            return None
        return {
            name: by_step(named(weights, name), y)[..., None]  # type: ignore[index]
            for name, y in y_pred.items()
        }

    def check_batch(self, x: Any) -> None:
        """Accept numbers of any dtype."""

    def check_inputs(self, x: Any) -> None:
        """Raise `ValueError` for arrays that are not sequences of this chain."""
        shape = tuple(self.input_shape[2:])
        if isinstance(x, np.ndarray) and (x.ndim != 4 or x.shape[2:] != shape):
            raise ValueError(
                f"the sequences must have shape (batch, T, {shape[0]}, 1); got shape "
                f"{x.shape}. Reshape the array."
            )
        if isinstance(x, np.ndarray) and not np.isfinite(x).all():
            raise ValueError(
                "the sequences must have finite numbers; got NaN or infinite numbers. "
                "Clean the data first."
            )


def estimate(posterior: Posterior, output: str) -> np.ndarray:
    """Return the optimal estimate of an output, shape `(n, T, sites)`."""
    return {"x": posterior.means[:, :, 0], "next": posterior.predictions}[output]


def excess(model: keras.Model, data: Any) -> float:
    """Return the excess error of a model over the optimum.

    The error of an estimate is the error of the optimal estimate plus the mean squared
    difference of both. The difference is therefore compared with the exact error, which
    needs less data than subtracting two measured errors.

    Args:
        model: A model of this module.
        data: A `zoo.data.chains.GaussianChain`.

    Returns:
        The excess of the mean squared error over the optimum, in per cent.
    """
    (output,) = model.output_names
    difference = 0.0
    for i in range(len(data)):
        seen, _ = data[i]
        exact = kalman(data.chain, seen[..., 0].astype("float64"))
        y = model.predict_on_batch(seen)[output][..., 0]
        difference += np.mean((y - estimate(exact, output)) ** 2) / len(data)
    sites = data.chain.sites
    covariances = {
        "x": exact.covariances[:, :sites, :sites],
        "next": exact.prediction_covariances,
    }[output]
    optimum = np.mean(np.diagonal(covariances, axis1=1, axis2=2))
    return 100 * difference / optimum


RLADDER = gaussian_chain_rladder
MESSAGES, EXACT = gaussian_chain_messages, gaussian_chain_exact
APPENDIX_B = {
    "exact posterior": EXACT,
    "hand-derived messages, 1 iteration": MESSAGES,
    f"hand-derived messages, {ITERATIONS} iterations": partial(
        MESSAGES, iterations=ITERATIONS
    ),
    "hand-derived messages, 1000 iterations": partial(MESSAGES, iterations=1000),
    "RLadder, 1 iteration": RLADDER,
    f"RLadder, {ITERATIONS} iterations": partial(RLADDER, iterations=ITERATIONS),
    "RLadder w/o feedback": partial(RLADDER, iterations=ITERATIONS, feedback="none"),
    "RLadder w/o decoder": partial(RLADDER, iterations=ITERATIONS, decoder=False),
}
APPENDIX_C = {
    "Kalman filter": partial(EXACT, steps=STEPS),
    "hand-derived messages, 1 iteration": MESSAGES,
    "hand-derived messages, 20 iterations": partial(MESSAGES, iterations=20),
    "RLadder, 1 iteration": RLADDER,
    "RLadder, 2 iterations": partial(RLADDER, iterations=2),
    **{row: partial(RLADDER, skip=skip) for row, skip in FIG_9C.items()},
    "RLadder w/o feedback": partial(RLADDER, feedback="none"),
    "RLadder w/o decoder": partial(RLADDER, decoder=False),
}
