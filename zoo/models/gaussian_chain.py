"""Message passing in Gaussian chains as a ladder (Appendices B and C).

The models, with their exact answers, are in `zoo/data/chains.py`. Here the
messages of the variational Bayesian procedure run in the cells of a ladder. A level's
mean, given its neighbours, is a `gate` between what they say:

    m_l = s_l below + (1 - s_l) above                                   (17-19, 24)
    below = (m_{l-1} - w_{l-1} m_{l-1,t-1}) / w_{l-1,l}
    above = w_l m_{l,t-1} + w_{l,l+1} m_{l+1}

The encoder goes up with it and gives `m~_l`, the decoder comes down with it and gives
`m_l`, and `m'_l`, the prediction for the next time step. Written as corrections, as in
Appendix C, this is

    m~_l = m'_l + s_l / w_{l-1,l} (m~_{l-1} - m'_{l-1})                 (28)
    m_l  = m~_l + (1 - s_l) w_{l,l+1} (m_{l+1} - m'_{l+1})              (30)

where the paper prints `1 - s_l` in (28) and `s_l` in (30). The first sweep of a time
step starts from the predictions; with several `sweeps` the later ones start from the
means of the last one, while those of the last time step stay as they were.

The messages stand beside the exact answers and beside small ladders that learn from
data of the same chain. All builders return a compiled `keras.Model` from what is seen,
`(batch, T, sites, 1)`, to a dictionary with one output of that shape:

- `"x"`, the clean `x` of the time step (Appendix B), or
- `"next"`, the `x` of the next time step (Appendix C).
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from rladder_keras import G1, ConvG1, ConvGRUCell, GRUCell, Level, RecurrentLadder
from zoo.data.chains import Chain, check_chain, kalman
from zoo.data.epochs import check_integer
from zoo.metrics.sample_weights import by_step
from zoo.models.base import ZooModel
from zoo.models.fitting import named
from zoo.models.message_cells import HighestMean, MeanDown, MeanUp
from zoo.models.occluded_mnist import FIG_9C
from zoo.models.tables import channels

# Strong noise and strong coupling along 24 sites: the best denoiser looks far to both
# sides, further than an iteration of the ladder reaches.
CHAIN_B = Chain((0.1, 0.1, 0.1), (1.0, 1.0), noise=10.0, sites=24, coupling=0.4999)
# Each level lasts, and drives the one below almost without noise: a slow swing in what
# is seen, buried in noise.
CHAIN_C = Chain((4.0, 0.01, 0.01, 0.02), (1.0, 0.4, 0.4), past=(0.0, 0.95, 0.95, 0.95))
STEPS = 30  # of the sequences of Appendix C
OUTPUTS = ("x", "next")
ITERATIONS = 4  # "several", in Appendix B

register = keras.saving.register_keras_serializable("zoo")


def messages(chain, sweeps=1):
    """Levels of a ladder that passes the messages of a chain.

    Args:
        chain: A `zoo.data.gaussian_chain.Chain`.
        sweeps: Iterations in a time step. In Appendix B all iterations are of one.

    Returns:
        List of `Level`, for inputs `(batch, sites, 1)`. Row `l` has the outputs `e_l`,
        `(m~_l, below, w_l m_{l,t-1})`, and `d_l`, `(m_l, m'_l, w_{l,l+1} m_{l+1})`,
        which lacks what comes from the past.
    """
    weights_below, weights_above = (None, *chain.weights), (*chain.weights, None)
    rows = zip(chain.gains, chain.memory, weights_below, weights_above, strict=True)
    *levels, top = [
        Level(MeanUp(s, w_below, w, sweeps), MeanDown(s, w_above, w))
        for s, w, w_below, w_above in rows
    ]
    highest = HighestMean(chain.memory[-1], chain.mean, chain.coupling)
    return [*levels, Level(top.encoder, highest)]


def rows_of_sites(units, levels, decoder=True):
    """Levels for `x` at several sites; an iteration reaches one further in each cell.

    Nothing is normalised: the amplitude is what is to be estimated.

    Args:
        units: Channels.
        levels: Number of rows.
        decoder: Whether there are decoders.
    """
    return [
        Level(
            ConvGRUCell(units, 3, normalization=None, forget_bias=1.0),
            ConvG1(3, normalization=None) if decoder else None,
        )
        for _ in range(levels)
    ]


def rows_of_vectors(units, levels, decoder=True):
    """Levels for `x` at a single site, see `rows_of_sites`."""
    return [
        Level(
            GRUCell(units, normalization=None, forget_bias=1.0),
            G1(normalization=None) if decoder else None,
        )
        for _ in range(levels)
    ]


def gaussian_chain_rladder(
    width=1.0,
    *,
    chain,
    output,
    units=2,
    iterations=1,
    feedback="recurrent",
    decoder=True,
    skip=(),
    learning_rate=0.01,
    unroll="auto",
):
    """A small RLadder with as many rows as the chain has levels, to be trained.

    Args:
        width: Factor on the units.
        chain: A `zoo.data.gaussian_chain.Chain`.
        output: `"x"` or `"next"`.
        units: Of each row.
        iterations: In a time step.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        decoder: Whether there are decoders; without them the output is read from the
            highest row.
        skip: Skip connections that the paper leaves out, see
            `rladder_keras.LadderCell`.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output, iterations)
    check_integer("units", units, 1)
    rows = rows_of_vectors if chain.sites == 1 else rows_of_sites
    levels = rows(channels(width, units), chain.levels, decoder)
    seen, outputs = iterated(chain, levels, iterations, feedback, unroll, skip)
    d = outputs["bottom"] if decoder else outputs["top"]
    if chain.sites == 1:
        d = layers.Reshape((-1, 1, d.shape[-1]))(d)
    return compiled(seen, {output: layers.Dense(1, name=output)(d)}, learning_rate)


def gaussian_chain_messages(
    *, chain, output, iterations=1, learning_rate=0.01, unroll="auto"
):
    """The messages derived by hand: nothing to be trained.

    Args:
        chain: A `zoo.data.gaussian_chain.Chain`.
        output: `"x"` or `"next"`.
        iterations: In a time step.
        learning_rate: Not used.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output, iterations)
    levels = messages(chain, iterations)
    seen, outputs = iterated(chain, levels, iterations, "recurrent", unroll)
    m, predicted, _ = ops.split(outputs["bottom"], 3, axis=-1)
    y = {"x": m, "next": predicted}[output]
    named = layers.Identity(name=output)(y)
    return compiled(seen, {output: named}, learning_rate)


def gaussian_chain_exact(*, chain, output, steps=1, learning_rate=0.01, unroll="auto"):
    """The optimum: the Kalman filter of a chain, or its posterior, as a linear map.

    Args:
        chain: A `zoo.data.gaussian_chain.Chain`.
        output: `"x"` or `"next"`.
        steps: Length of the sequences.
        learning_rate: Not used.
        unroll: Not used.

    Returns:
        Compiled model.
    """
    check_arguments(chain, output)
    check_integer("steps", steps, 1)
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


def check_arguments(chain, output, iterations=1):
    """Refuse arguments of the builders, before something else is blamed."""
    check_chain(chain)
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {OUTPUTS}; got {output!r}.")
    check_integer("iterations", iterations, 1)


def iterated(chain, levels, iterations, feedback, unroll, skip=()):
    """The input, and what a ladder gives after the last iteration of each time step."""
    seen = keras.Input((None, chain.sites, 1), name="seen")
    x = ops.repeat(seen, iterations, axis=1) if iterations > 1 else seen
    ladder = RecurrentLadder(levels, feedback, 1, unroll, skip=skip, name="ladder")
    outputs = {k: d[:, iterations - 1 :: iterations] for k, d in ladder(x).items()}
    return seen, outputs


def compiled(seen, outputs, learning_rate):
    """The model with the loss of Appendix C, `C_pred`, or that of denoising."""
    model = ChainModel(seen, outputs)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=dict.fromkeys(outputs, "mse"),
        metrics={name: [keras.metrics.MeanSquaredError("mse")] for name in outputs},
    )
    return model.make_variables()


@register
class ChainModel(ZooModel):
    """A `ZooModel` of numbers that may be of any size."""

    @staticmethod
    def _weights(sample_weight, y_pred):
        """Those of steps with an axis for the sites, as Keras' losses need them."""
        weights = ZooModel._weights(sample_weight, y_pred)
        if weights is None:
            return None
        return {
            name: by_step(named(weights, name), y)[..., None]
            for name, y in y_pred.items()
        }

    def check_inputs(self, x):
        shape = tuple(self.input_shape[2:])
        if isinstance(x, np.ndarray) and (x.ndim != 4 or x.shape[2:] != shape):
            raise ValueError(
                f"the sequences have shape {x.shape}, and must have (batch, T, "
                f"{shape[0]}, 1)."
            )
        if isinstance(x, np.ndarray) and not np.isfinite(x).all():
            raise ValueError(
                "the sequences have NaN or infinite numbers: clean them first."
            )


def estimate(posterior, output):
    """The best estimate of an output, shape `(n, T, sites)`."""
    return {"x": posterior.means[:, :, 0], "next": posterior.predictions}[output]


def excess(model, data):
    """How far a model is from the optimum.

    The error of any estimate is that of the optimal one plus the squared difference of
    the two, in the mean over all data. So the difference is compared with the exact
    error, which needs fewer data than to subtract two measured errors.

    Args:
        model: One of those above.
        data: A `zoo.data.gaussian_chain.GaussianChain`.

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


def by_hand(iterations, width=1.0, **kwargs):
    """`gaussian_chain_messages` as the row of a table whose other rows have a width."""
    return gaussian_chain_messages(iterations=iterations, **kwargs)


def exact(steps, width=1.0, **kwargs):
    """`gaussian_chain_exact` likewise."""
    return gaussian_chain_exact(steps=steps, **kwargs)


RLADDER = gaussian_chain_rladder
APPENDIX_B = {
    "exact posterior": partial(exact, 1),
    "hand-derived messages, 1 iteration": partial(by_hand, 1),
    f"hand-derived messages, {ITERATIONS} iterations": partial(by_hand, ITERATIONS),
    "hand-derived messages, 1000 iterations": partial(by_hand, 1000),
    "RLadder, 1 iteration": RLADDER,
    f"RLadder, {ITERATIONS} iterations": partial(RLADDER, iterations=ITERATIONS),
    "RLadder w/o feedback": partial(RLADDER, iterations=ITERATIONS, feedback="none"),
    "RLadder w/o decoder": partial(RLADDER, iterations=ITERATIONS, decoder=False),
}
APPENDIX_C = {
    "Kalman filter": partial(exact, STEPS),
    "hand-derived messages, 1 iteration": partial(by_hand, 1),
    "hand-derived messages, 20 iterations": partial(by_hand, 20),
    "RLadder, 1 iteration": RLADDER,
    "RLadder, 2 iterations": partial(RLADDER, iterations=2),
    **{row: partial(RLADDER, skip=skip) for row, skip in FIG_9C.items()},
    "RLadder w/o feedback": partial(RLADDER, feedback="none"),
    "RLadder w/o decoder": partial(RLADDER, decoder=False),
}
