"""Appendices B and C: messages in a ladder against exact answers, and learned ones."""

import csv

import keras
import numpy as np
import pytest
from keras import tree
from zoo.gaussian_chain import (
    CHAIN_B,
    CHAIN_C,
    excess,
    gaussian_chain_exact,
    gaussian_chain_messages,
    gaussian_chain_rladder,
    messages,
    rows_of,
)

from rladder_keras import RecurrentLadder
from zoo import reproduce
from zoo.data.chains import (
    Chain,
    contraction,
    gaussian_chain,
    kalman,
    posterior_precision,
    sample,
    state_space,
)
from zoo.experiments import EXPERIMENTS

B = Chain((0.7, 1.3, 2.0), (1.4, -0.6), noise=0.5, mean=1.5)
C = Chain((0.4, 0.3, 0.2), (0.9, 1.2), past=(0.3, 0.7, 0.9))
FIVE = Chain(
    (0.3, 0.5, 0.2, 0.4, 0.6), (0.8, 1.1, -0.9, 0.7), past=(0.0, 0.5, 0.8, 0.6, 0.9)
)
LINE = B._replace(sites=6, coupling=0.45, mean=0.3)
DEEP_LINE = FIVE._replace(noise=0.4, sites=4, coupling=0.3, mean=-0.5)


ONCE = pytest.mark.once


def once(*chains):
    """Chains as parameters of tests that run on one backend."""
    return [pytest.param(chain, marks=ONCE) for chain in chains]


@pytest.fixture
def precise():
    """Lets JAX have float64 for the length of one test; the others have it."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


def sweep(chain, seen, sweeps):
    """Messages of each iteration, `d_l`, shape `(n, T sweeps, L, sites, 3)`.

    The lowest are also what `RecurrentLadder` gives.
    """
    x = np.repeat(seen, sweeps, axis=1)[..., None]
    ladder = RecurrentLadder(messages(chain, sweeps), dtype="float64")
    bottom = keras.ops.convert_to_numpy(ladder(x)["bottom"])
    state, steps = ladder.cell.get_initial_state(len(x)), []
    for t in range(x.shape[1]):
        _, state = ladder.cell(keras.ops.convert_to_tensor(x[:, t]), state)
        d = tree.map_structure(keras.ops.convert_to_numpy, state[2])
        steps.append(np.stack(d, axis=1))
    d = np.stack(steps, axis=1)
    assert d.dtype == bottom.dtype == "float64"
    np.testing.assert_allclose(d[:, :, 0], bottom, atol=1e-12)
    return d


def drawn(chain, steps, n=3):
    return sample(chain, n, steps, np.random.default_rng(0))[0]


def exact_means(chain, seen):
    """Of all time steps given the last means, by the joint Gaussian, no filter."""
    A, b, Q = state_space(chain)
    n, m, means = chain.sites, np.zeros(len(A)), []
    S = Q[:n, :n] + chain.noise * np.eye(n)
    for x in seen:
        prior = A @ m + b
        m = prior + Q[:, :n] @ np.linalg.solve(S, x - prior[:n])
        means.append(m.reshape(chain.levels, n))
    return np.array(means)


def enough(chain):
    """Sweeps after which the error is below 1e-9."""
    return int(np.ceil(np.log(1e-9) / np.log(contraction(chain))))


# Appendix B


@pytest.mark.parametrize("chain", [B, DEEP_LINE, *once(B._replace(mean=0.0), LINE)])
def test_the_means_of_appendix_b_are_the_exact_posterior(precise, chain):
    seen = drawn(chain, steps=1)
    exact = np.stack([exact_means(chain, x)[0] for x in seen])
    m = sweep(chain, seen, enough(chain))[:, -1, ..., 0]
    np.testing.assert_allclose(m, exact, atol=1e-6)
    m = sweep(chain, seen, 1)[:, -1, ..., 0]
    assert np.abs(m - exact).max() > 0.01


def test_equations_17_to_19_as_they_should_be_printed(precise):
    """The fixed point solves them with `w_x m_y` in (17), and not with `w_y m_y`."""
    (x,), (w_x, w_yz) = drawn(B, steps=1, n=1)[0], B.weights
    m_x, m_y, m_z = sweep(B, x[None, None], 40)[0, -1, :, 0, 0]
    s_x, s_y, s_z = B.gains
    v_x, v_y, v_z = B.variances
    r = np.array([v_x / B.noise, v_y * w_x**2 / v_x, v_z * w_yz**2 / v_y])
    np.testing.assert_allclose(B.gains, 1 / (1 + np.exp(-np.log(r))))
    assert m_x == pytest.approx(s_x * x[0] + (1 - s_x) * w_x * m_y)
    assert m_y == pytest.approx(s_y * m_x / w_x + (1 - s_y) * w_yz * m_z)
    assert m_z == pytest.approx(s_z * m_y / w_yz + (1 - s_z) * B.mean)
    assert abs(m_x - (s_x * x[0] + (1 - s_x) * w_yz * m_y)) > 0.1


@pytest.mark.once
@pytest.mark.parametrize("chain", [B, C, FIVE, LINE])
def test_independent_levels_are_thought_more_certain_than_they_are(chain):
    """`v_l` are the variances given all neighbours, not those given what is seen."""
    precision, n = posterior_precision(chain), chain.sites
    v = np.repeat(chain.mean_field_variances, n)
    if not chain.noise:
        assert v[0] == 0
        v = v[n:]
    np.testing.assert_allclose(v, 1 / np.diag(precision))
    exact = np.diag(kalman(chain, drawn(chain, 1), frozen=True).covariances[0])
    exact = exact[-len(v) :]
    np.testing.assert_allclose(exact, np.diag(np.linalg.inv(precision)))
    assert (v < 0.999 * exact).all()


@pytest.mark.parametrize("chain", [C, LINE, *once(B, FIVE, DEEP_LINE)])
def test_sweeps_converge_as_fast_as_theory_says(precise, chain):
    """The error falls by the sweep's spectral radius, computed without a ladder."""
    seen = drawn(chain, steps=1)
    exact = kalman(chain, seen).means[:, 0]
    # Until rounding, from where one mode of the error is left.
    last = int(np.log(1e-10) / np.log(contraction(chain)))
    m = sweep(chain, seen, last)[..., 0]
    errors = np.linalg.norm((m - exact[:, None]).reshape(*m.shape[:2], -1), axis=-1)
    first = last // 2
    rate = (errors[:, -1] / errors[:, first]) ** (1 / (last - 1 - first))
    np.testing.assert_allclose(rate, contraction(chain), rtol=0.02)


@pytest.mark.once
def test_the_rate_of_three_levels_of_which_one_is_seen():
    _, s_y, s_z = C.gains
    assert contraction(C) == pytest.approx(s_z * (1 - s_y))


# Appendix C


@pytest.mark.parametrize("chain", [FIVE, *once(C, DEEP_LINE)])
def test_sweeps_of_appendix_c_give_the_posterior_given_the_last_means(precise, chain):
    seen, sweeps = drawn(chain, steps=4), enough(chain)
    exact = np.stack([exact_means(chain, x) for x in seen])
    d = sweep(chain, seen, sweeps)[:, sweeps - 1 :: sweeps]
    np.testing.assert_allclose(d[..., 0], exact, atol=1e-6)
    posterior = kalman(chain, seen, frozen=True)
    np.testing.assert_allclose(posterior.means, exact)
    np.testing.assert_allclose(d[:, :, 0, :, 1], posterior.predictions, atol=1e-6)
    filtered = kalman(chain, seen)
    np.testing.assert_allclose(filtered.means[:, 0], exact[:, 0])
    assert np.abs(filtered.means - exact).max() > 0.01


@pytest.mark.parametrize("chain", [C, FIVE])
def test_one_sweep_is_equations_23_to_31(precise, chain):
    """As they should be printed, with `s_l` and `1 - s_l` swapped in (28) and (30)."""
    seen = drawn(chain, steps=5, n=1)
    d = sweep(chain, seen, 1)[0, :, :, 0, :2]
    assert np.abs(printed(chain, seen[0, :, 0]) - d).max() > 0.1
    np.testing.assert_allclose(printed(chain, seen[0, :, 0], True), d)


def printed(chain, seen, corrected=False):
    """`m_l` and `m'_l` of the next step, shape `(T, L, 2)`, by Equations 23 to 31."""
    L, w, past = chain.levels, chain.weights, chain.memory
    predicted, steps = np.zeros(L), []
    for x in seen:
        up = predicted.copy()
        up[0] = x
        for l in range(1, L):
            s = chain.gains[l]
            factor = s if corrected else 1 - s
            up[l] += factor / w[l - 1] * (up[l - 1] - predicted[l - 1])  # (24, 28)
        m = up.copy()
        for l in reversed(range(1, L - 1)):
            s = chain.gains[l]
            factor = 1 - s if corrected else s
            m[l] += factor * w[l] * (m[l + 1] - predicted[l + 1])  # (26, 30)
        predicted = past * m
        for l in reversed(range(L - 1)):
            predicted[l] += w[l] * predicted[l + 1]  # (23, 27)
        steps.append(np.stack([m, predicted], axis=-1))
    return np.array(steps)


def test_ladders_of_messages_can_be_saved_and_loaded():
    ladder = RecurrentLadder(messages(DEEP_LINE, 2))
    x = drawn(DEEP_LINE, steps=4)[..., None].astype("float32")
    again = RecurrentLadder.from_config(ladder.get_config())
    outputs = [keras.ops.convert_to_numpy(l(x)["bottom"]) for l in (ladder, again)]
    np.testing.assert_array_equal(*outputs)
    scanned = RecurrentLadder(messages(DEEP_LINE, 2), unroll=False)
    bottom = keras.ops.convert_to_numpy(scanned(x)["bottom"])
    np.testing.assert_allclose(bottom, outputs[0], atol=1e-6)


# The exact answers


@pytest.mark.once
@pytest.mark.parametrize("chain", [C, DEEP_LINE])
def test_the_kalman_filter_is_the_joint_gaussian_conditioned(chain):
    """Means and covariances of sequences as one long vector."""
    steps, n = 4, chain.sites
    A, b, Q = state_space(chain)
    size = len(A)
    # v = (I - shift A)^-1 (b + noise), all time steps one behind the other.
    M = np.linalg.inv(np.eye(steps * size) - np.kron(np.eye(steps, k=-1), A))
    mean, covariance = M @ np.tile(b, steps), M @ np.kron(np.eye(steps), Q) @ M.T
    sees = np.kron(np.eye(steps), np.eye(n, size))
    seen = drawn(chain, steps)
    posterior = kalman(chain, seen)
    for t in range(1, steps + 1):
        H = sees[: t * n]
        S = H @ covariance @ H.T + chain.noise * np.eye(t * n)
        K = covariance @ H.T @ np.linalg.inv(S)
        x = seen[:, :t].reshape(len(seen), -1)
        m = (mean + (x - H @ mean) @ K.T).reshape(len(seen), steps, size)
        P = covariance - K @ H @ covariance
        now = slice((t - 1) * size, t * size)
        flat = posterior.means[:, t - 1].reshape(len(seen), -1)
        np.testing.assert_allclose(flat, m[:, t - 1], atol=1e-9)
        np.testing.assert_allclose(posterior.covariances[t - 1], P[now, now], atol=1e-9)
        if t < steps:
            ahead = slice(t * size, t * size + n)
            np.testing.assert_allclose(
                posterior.predictions[:, t - 1], m[:, t, :n], atol=1e-9
            )
            np.testing.assert_allclose(
                posterior.prediction_covariances[t - 1], P[ahead, ahead], atol=1e-9
            )


@pytest.mark.once
@pytest.mark.parametrize("chain", [C, DEEP_LINE])
def test_samples_are_of_the_model(chain):
    """Each level given the one above and the step before: mean and variance."""
    rng = np.random.default_rng(0)
    seen, v = sample(chain, 20000, 3, rng)
    seen, now, before = seen[:, 2], v[:, 2], v[:, 1]
    noise = seen - now[:, 0]
    assert noise.var() == pytest.approx(chain.noise, rel=0.05)
    for l, variance in enumerate(chain.variances):
        rest = now[:, l] - chain.memory[l] * before[:, l]
        if l < chain.levels - 1:
            rest = rest - chain.weights[l] * now[:, l + 1]
        else:
            rest = rest - chain.mean
            rest[:, 1:-1] -= chain.coupling * (rest[:, :-2] + rest[:, 2:])
            rest = rest[:, 1:-1] if chain.sites > 2 else rest
        assert rest.var() == pytest.approx(variance, rel=0.05)
        assert rest.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.once
def test_data_are_the_same_again_and_sets_differ():
    train, valid, test = gaussian_chain(C, 4, steps=3, sequences=10, evaluation=8)
    assert (len(train), len(valid), train.num_sequences) == (2, 2, 8)
    x, y = train[1]
    assert x.shape == y["x"].shape == y["next"].shape == (4, 3, 1, 1)
    np.testing.assert_array_equal(x[:, 1:], y["next"][:, :-1])
    again, *_ = gaussian_chain(C, 4, steps=3, sequences=10)
    np.testing.assert_array_equal(again[1][0], x)
    again.epoch = 1
    others = [again[1][0], train[0][0], valid[1][0], test[1][0]]
    assert not any((x == other).any() for other in others)
    assert not (valid[1][0] == test[1][0]).any()
    valid.epoch = 1
    np.testing.assert_array_equal(valid[1][0], others[2])


# Learned against exact


SMALL_B = LINE._replace(mean=0.0)


@pytest.mark.parametrize(("chain", "output"), [(SMALL_B, "x"), (C, "next")])
def test_the_exact_row_is_the_optimum_and_messages_come_near_it(chain, output):
    """In Appendix B; in C they stop at what the last means tell."""
    steps = 1 if output == "x" else 6
    *_, test = gaussian_chain(chain, 20, steps=steps, evaluation=40)
    exact = gaussian_chain_exact(chain=chain, output=output, steps=steps)
    assert excess(exact, test) < 1e-6
    once, often = (
        excess(gaussian_chain_messages(chain=chain, output=output, iterations=n), test)
        for n in (1, 40)
    )
    assert once > often
    if output == "x":
        assert often < 1e-6
    else:
        seen = np.concatenate([test[i][0] for i in range(2)])[..., 0]
        best, frozen = (kalman(chain, seen, f) for f in (False, True))
        difference = np.mean((best.predictions - frozen.predictions) ** 2)
        optimum = best.prediction_covariances.mean()
        assert often == pytest.approx(100 * difference / optimum, rel=1e-3)


@pytest.mark.once
def test_ladders_begin_with_the_usual_memory_and_no_normalisation():
    for chain in (CHAIN_B, CHAIN_C):
        levels = rows_of(chain, 2)
        assert len(levels) == chain.levels
        for encoder, decoder in levels:
            assert (encoder.forget_bias, encoder.normalization) == (1, None)
            assert decoder.normalization is None


def test_the_excess_is_that_of_the_measured_errors():
    """Up to the noise of the measurement, for a model that is far from the optimum."""
    *_, test = gaussian_chain(C, 1000, steps=4, evaluation=20000)
    right, wrong = (
        gaussian_chain_exact(chain=chain, output="next", steps=4)
        for chain in (C, C._replace(past=(0.0, 0.2, 0.9)))
    )
    optimum, error = (
        model.evaluate(test, verbose=0, return_dict=True)["next_mse"]
        for model in (right, wrong)
    )
    measured = 100 * (error / optimum - 1)
    assert excess(wrong, test) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("chain", "output", "kwargs"),
    [
        (SMALL_B, "x", {"iterations": 2}),
        pytest.param(SMALL_B, "x", {"iterations": 2, "feedback": "none"}, marks=ONCE),
        (C, "next", {}),
        pytest.param(C, "next", {"iterations": 2, "decoder": False}, marks=ONCE),
    ],
)
def test_ladders_learn_something(chain, output, kwargs):
    train, valid, _ = gaussian_chain(
        chain, 50, steps=1 if output == "x" else 4, sequences=2000, evaluation=500
    )
    model = gaussian_chain_rladder(chain=chain, output=output, **kwargs)
    before = model.evaluate(valid, verbose=0, return_dict=True)[f"{output}_mse"]
    model.fit(train, epochs=1, verbose=0)
    after = model.evaluate(valid, verbose=0, return_dict=True)[f"{output}_mse"]
    assert after < 0.95 * before
    assert excess(model, valid) > 0


@pytest.mark.once
@pytest.mark.parametrize("table", ["appendix-b", "appendix-c"])
def test_rows_are_reproduced(tmp_path, table):
    command = (
        f"{table} --epochs 1 --sequences 20 --batch-size 10 --verbose 0 "
        f"--out {tmp_path / 'run'} --runs {tmp_path / 'runs'}"
    )
    row = list(EXPERIMENTS[table].rows)[4]
    args = reproduce.arguments([*command.split(), "--row", row])
    ((_, progress),) = reproduce.reproduce(args, row)
    assert progress["done"]
    with open(tmp_path / "runs") as file:
        lines = list(csv.DictReader(file))
    metrics = ["excess mean squared error (%)", "mean squared error"]
    assert [line["metric"] for line in lines] == metrics
    assert lines[0]["size"] == "reduced: 1 epochs of 20 sequences, batches of 10"


@pytest.mark.once
def test_sequences_of_another_shape_are_refused():
    model = gaussian_chain_messages(chain=C, output="next")
    with pytest.raises(ValueError, match=r"must have shape \(batch, T, 1, 1\)"):
        model.predict(np.zeros((3, 4, 2, 1), "float32"))
