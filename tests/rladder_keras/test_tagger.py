"""Perceptual grouping: the inputs of the groups, the cost, and the loop."""

import keras
import numpy as np
import pytest
import reference
from keras import layers, ops

from rladder_keras import (
    G1,
    Conv,
    ConvG1,
    ConvLSTMCell,
    Level,
    LSTMCell,
    MixtureCost,
    MixturePosterior,
    RecurrentLadder,
    Softmax,
    TaggerCell,
    TopDown,
)


def recurrent():
    cell = ConvLSTMCell(4, 4, 2, normalization="batch")
    return [Level(cell, ConvG1(3)), Level(Conv(3, 3), ConvG1(3)), top(), Level(soft())]


def feed_forward():
    return [Level(Conv(4, 4, 2), ConvG1(3)), top(), Level(soft())]


def top():
    return Level(layers.AveragePooling2D(4))


def soft():
    return Softmax(5, "batch")


def ladder(levels=recurrent, groups=3, steps=3, unroll=True, **kwargs):
    cell = TaggerCell(levels(), groups, 4, iterations=steps, seed=1, **kwargs)
    layer = RecurrentLadder(cell, unroll=unroll)
    layer.build((None, steps, 8, 8, 1))
    reference.randomise(layer)
    return layer


def start(groups, batch, layer, seed=0):
    """An explanation to begin with that is the same on all backends."""
    rng = np.random.default_rng(seed)
    state = layer.cell.get_initial_state(batch)
    mu = rng.random((batch, groups, 8, 8, 1), dtype="float32")
    pi = rng.normal(0, 1, (batch, groups, 8, 8, 1)).astype("float32")
    return [*state[:3], [ops.array(mu), ops.array(pi)]]


def images(batch=2, steps=3, seed=0):
    x = np.random.default_rng(seed).random((batch, 1, 8, 8, 1), dtype="float32")
    return np.repeat(x, steps, axis=1)


@pytest.mark.parametrize("pixels", ["gaussian", "binary"])
def test_what_a_group_sees(pixels):
    """Likelihoods that sum to one, and the gradient that it would have numerically."""
    cell = ladder(pixels=pixels, noise=0.2).cell
    rng = np.random.default_rng(0)
    x = rng.random((2, 8, 8, 1))
    if pixels == "binary":
        x = np.round(x)
    mu, pi = rng.normal(0, 1, (2, 2, 3, 8, 8, 1))
    found = cell.evidence(*(ops.array(a, "float32") for a in (x, mu, pi)))
    found = ops.convert_to_numpy(found).reshape(2, 3, 8, 8, 4)
    pi = reference.softmax(pi, 1)
    np.testing.assert_allclose(found[..., :1], mu, atol=1e-5)
    np.testing.assert_allclose(found[..., 2:3], pi, atol=1e-5)
    np.testing.assert_allclose(found[..., 3].sum(1), 1, atol=1e-5)
    x = x[:, None]
    if pixels == "gaussian":
        np.testing.assert_allclose(found[..., 1:2], pi * (x - mu), atol=1e-5)
        variance = 0.2**2 + float(ops.convert_to_numpy(cell.variance())) ** 2
        p = np.exp(-((x - mu) ** 2) / (2 * variance))
        np.testing.assert_allclose(found[..., 3:], p / p.sum(1, keepdims=True), 1e-4)
        return
    nu = 1 / (1 + np.exp(-mu))

    def log_p(nu):
        p = (pi * (nu * 0.6 + 0.2)).sum(1, keepdims=True)
        return np.log(np.where(x == 1, p, 1 - p))

    for k in range(3):
        more, less = nu.copy(), nu.copy()
        more[:, k] += 1e-5
        less[:, k] -= 1e-5
        slope = ((log_p(more) - log_p(less)) / 2e-5)[:, 0]
        np.testing.assert_allclose(found[:, k, ..., 1:2], slope, rtol=1e-3, atol=1e-3)


def drawn():
    """As in the table for moving digits: a bottleneck, and a decoder below it."""
    return [
        Level(Conv(3, 4, 2), TopDown(4)),
        Level(ConvLSTMCell(2, 4, 4, normalization="batch")),
        Level(Conv(3, 1), ConvG1(1)),
    ]


@pytest.mark.parametrize(
    ("levels", "pixels", "training"),
    [
        (recurrent, "gaussian", True),
        (feed_forward, "gaussian", False),
        (drawn, "binary", True),
        pytest.param(recurrent, "gaussian", False, marks=pytest.mark.once),
        pytest.param(feed_forward, "gaussian", True, marks=pytest.mark.once),
        pytest.param(drawn, "binary", False, marks=pytest.mark.once),
    ],
)
def test_whole_tagger_against_its_twin(run, levels, pixels, training):
    """Three iterations on other frames each, from what is given."""
    layer = ladder(levels, groups=2, pixels=pixels)
    x = images(steps=1) * np.linspace(0.5, 1, 3).reshape(3, 1, 1, 1).astype("float32")
    state = start(2, 2, layer)
    explanation = [ops.convert_to_numpy(value) for value in state[3]]
    found = run(layer, x, state, training=training)
    expected = reference.tagger(layer.cell, x, *explanation, training)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("variance", [1e-6, 1e-3, 1.0, 1e3])
def test_variances_of_any_size_keep_their_precision(variance):
    layer = RecurrentLadder(TaggerCell(recurrent(), variance=variance))
    layer.build((None, 2, 8, 8, 1))
    found = float(ops.convert_to_numpy(layer.cell.variance()))
    assert found == pytest.approx(variance, rel=1e-5)


def test_the_cost_against_numpy():
    rng = np.random.default_rng(0)
    x, mu = rng.random((2, 1, 4, 4, 1)), rng.random((2, 3, 2, 4, 4, 1))
    pi = reference.softmax(rng.normal(0, 1, (2, 3, 2, 4, 4)), 2)
    v = np.full((2, 3, 1), 0.3)
    arguments = [ops.array(a, "float32") for a in (x, pi, mu, v)]
    normal = np.exp(-((x[:, :, None] - mu) ** 2) / 0.6)[..., 0] / np.sqrt(0.3)
    expected = -np.log((pi * normal).sum(2)).mean((2, 3))
    found = ops.convert_to_numpy(MixtureCost()(*arguments))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    p = (pi * mu[..., 0]).sum(2)
    each = x[..., 0] * np.log(p) + (1 - x[..., 0]) * np.log(1 - p)
    found = ops.convert_to_numpy(MixtureCost("binary")(*arguments[:3]))
    np.testing.assert_allclose(found, -each.mean((2, 3)), atol=1e-4)


def test_the_cost_of_several_channels_is_per_pixel():
    """Channels of equal content cost as many times as much as one."""
    rng = np.random.default_rng(0)
    x, mu = rng.random((2, 1, 4, 4, 1)), rng.uniform(0.1, 0.9, (2, 3, 1, 4, 4, 1))
    groups = np.ones(mu.shape[:-1])
    x, mu, groups = (a.astype("float32") for a in (x, mu, groups))
    one = ops.convert_to_numpy(MixtureCost("binary")(x, groups, mu))
    three = MixtureCost("binary")(x.repeat(3, -1), groups, mu.repeat(3, -1))
    np.testing.assert_allclose(ops.convert_to_numpy(three), 3 * one, rtol=1e-4)


@pytest.mark.parametrize("layer", [MixtureCost, MixturePosterior])
def test_pixels_of_another_kind_are_refused(layer):
    with pytest.raises(ValueError, match="`pixels` must be one of .*; got 'Binary'"):
        layer("Binary")


@pytest.mark.parametrize("pixels", ["gaussian", "binary"])
def test_the_posterior_against_numpy(pixels):
    rng = np.random.default_rng(0)
    x, mu = rng.integers(2, size=(2, 3, 4, 4, 1)), rng.random((2, 3, 2, 4, 4, 1))
    pi = reference.softmax(rng.normal(0, 1, (2, 3, 2, 4, 4)), 2)
    seen = x[:, :, None]
    if pixels == "binary":
        likelihood, variance = np.where(seen == 1, mu, 1 - mu), []
    else:
        likelihood, variance = (
            np.exp(-((seen - mu) ** 2) / 0.6),
            [np.full((2, 3, 1), 0.3)],
        )
    expected = pi * likelihood[..., 0]
    expected /= expected.sum(axis=2, keepdims=True)
    arguments = (ops.array(a, "float32") for a in (x, pi, mu, *variance))
    found = ops.convert_to_numpy(MixturePosterior(pixels)(*arguments))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("levels", "groups"),
    [
        (recurrent, 3),
        pytest.param(recurrent, 1, marks=pytest.mark.once),
        pytest.param(feed_forward, 3, marks=pytest.mark.once),
        (feed_forward, 1),
    ],
)
def test_shapes_and_that_groups_share_the_pixels(levels, groups):
    layer = ladder(levels, groups)
    outputs = layer(images(), initial_state=start(groups, 2, layer))
    shapes = {k: tuple(v.shape) for k, v in outputs.items()}
    assert shapes == {
        "groups": (2, 3, groups, 8, 8),
        "reconstructions": (2, 3, groups, 8, 8, 1),
        "variance": (2, 3, 1),
        "top": (2, 3, groups, 5),
    }
    assert shapes == {
        k: tuple(v) for k, v in layer.compute_output_shape((2, 3, 8, 8, 1)).items()
    }
    total = ops.convert_to_numpy(outputs["groups"]).sum(2)
    np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize("pixels", ["gaussian", "binary"])
def test_images_in_colour(pixels):
    cell = TaggerCell(recurrent(), 2, 4, pixels=pixels, noise=0.2)
    colour = np.random.default_rng(0).random((2, 3, 8, 8, 3)).astype("float32")
    outputs = RecurrentLadder(cell)(colour)
    assert tuple(outputs["groups"].shape) == (2, 3, 2, 8, 8)
    assert tuple(outputs["reconstructions"].shape) == (2, 3, 2, 8, 8, 3)


def test_groups_are_alike_but_for_where_they_start():
    """All share one ladder: another order at the start is the same order at the end."""
    layer = ladder()
    state = start(3, 2, layer)
    order = [2, 0, 1]
    mixed = [*state[:3], [ops.take(x, order, axis=1) for x in state[3]]]
    one = layer(images(), initial_state=state)
    two = layer(images(), initial_state=mixed)
    for name in ("groups", "reconstructions", "top"):
        a, b = (ops.convert_to_numpy(o[name]) for o in (one, two))
        np.testing.assert_allclose(a[:, :, order], b, atol=1e-5)
    # Nothing passes from one image to the next.
    alone = layer(
        images()[:1],
        initial_state=[
            state[0],
            keras.tree.map_structure(lambda x: x[:3], state[1]),
            keras.tree.map_structure(lambda x: x[:3], state[2]),
            [x[:1] for x in state[3]],
        ],
    )
    for name, x in alone.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(x), ops.convert_to_numpy(one[name])[:1], atol=1e-5
        )


def test_unrolled_is_scanned_and_a_model_is_saved_and_loaded(tmp_path):
    x = images()
    for unroll in (True, False):
        layer = ladder(unroll=unroll)
        outputs = layer(x, initial_state=start(3, 2, layer))
        found = {k: ops.convert_to_numpy(v) for k, v in outputs.items()}
        if unroll:
            expected = found
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    inputs = keras.Input((3, 8, 8, 1))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    (again,) = (n for n in loaded.layers if isinstance(n, RecurrentLadder))
    outputs = again(x, initial_state=start(3, 2, again))
    for name in expected:
        np.testing.assert_allclose(
            ops.convert_to_numpy(outputs[name]), expected[name], atol=1e-5
        )


@pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "scanned"])
def test_mixed_precision_is_close_to_float32(policy, unroll):
    x = images()
    layer = ladder(unroll=unroll)
    expected = layer(x, initial_state=start(3, 2, layer))
    policy("mixed_bfloat16")
    mixed = ladder(unroll=unroll)
    found = mixed(x, initial_state=start(3, 2, mixed))
    for name in ("groups", "reconstructions", "variance"):
        assert keras.backend.standardize_dtype(found[name].dtype) == "float32"
        a, b = (ops.convert_to_numpy(y[name]) for y in (found, expected))
        assert np.abs(a - b).mean() < 0.03
    model = keras.Sequential([keras.Input((3, 8, 8, 1)), ladder(unroll=unroll)])
    assert np.isfinite(model.predict(x, verbose=0)["groups"]).all()


@pytest.mark.parametrize("pixels", ["gaussian", "binary"])
def test_what_is_read_out_before_training(pixels):
    """About the first explanation, with groups that have about equal odds."""
    cell = TaggerCell(
        feed_forward(),
        2,
        4,
        pixels=pixels,
        start=-2.0,
        mu_gain=0.3,
        pi_gain=0.1,
        iterations=1,
    )
    inputs = keras.Input((1, 8, 8, 1))
    keras.utils.set_random_seed(0)
    ladder = RecurrentLadder(cell)
    ladder(inputs)
    x = images(16, 1)
    _, (*_, (mu, pi)) = cell(x[:, 0], cell.get_initial_state(16), training=True)
    for value, mean, deviation in ((mu, -2, 0.3), (pi, 0, 0.1)):
        value = ops.convert_to_numpy(value)
        assert value.mean() == pytest.approx(mean, abs=0.01)
        assert value.std() == pytest.approx(deviation, abs=0.01)


@pytest.mark.parametrize("learned", [True, pytest.param(False, marks=pytest.mark.once)])
def test_training_lowers_the_cost(learned):
    x = keras.Input((3, 8, 8, 1))
    cell = TaggerCell(recurrent(), 2, 4, learned_pi_gain=learned, seed=0)
    outputs = RecurrentLadder(cell, name="ladder")(x)
    shown = ("groups", "reconstructions", "variance")
    cost = MixtureCost()(x, *(outputs[name] for name in shown))
    model = keras.Model(x, cost)
    model.compile(keras.optimizers.Adam(0.02), lambda y, cost: cost)
    # Vertical bars of two greys.
    frames = np.tile(np.float32([0, 0, 1, 1]), (4, 3, 8, 2))[..., None]
    y = np.zeros((4, 3), "float32")
    losses = model.fit(frames, y, epochs=25, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.3
    gain = ops.convert_to_numpy(cell.norm_read_pi.gain)
    assert (gain != 1).all() if learned else (gain == 1).all()


@pytest.mark.once
def test_its_own_batch_normalisation_needs_the_number_of_iterations():
    cell = TaggerCell([Level(ConvLSTMCell(4, 4, 2), ConvG1(3))], 2, 4)
    with pytest.raises(ValueError, match="`iterations` must be given"):
        RecurrentLadder(cell)(keras.Input((None, 8, 8, 1)))


@pytest.mark.once
def test_outputs_are_declared_with_the_precision_that_they_have(policy):
    policy("mixed_bfloat16")
    layer = RecurrentLadder(TaggerCell(feed_forward(), 2, 4))
    declared = layer(keras.Input((3, 8, 8, 1)))
    found = layer(images())
    for name, x in declared.items():
        assert x.dtype == keras.backend.standardize_dtype(found[name].dtype), name


@pytest.mark.once
def test_bad_arguments_are_refused():
    for kwargs, message in (
        ({"groups": 0}, "`groups` must be an integer of at least 1; got 0"),
        ({"kernel_size": 0}, "`kernel_size` of TaggerCell must be"),
        ({"mu_gain": float("nan")}, "`mu_gain` must be a finite number; got nan"),
        ({"noise": "0.2"}, "`noise` must be a finite number; got '0.2'"),
        ({"pixels": "poisson"}, "`pixels` must be"),
        ({"noise": 0}, "`noise` must be"),
        ({"pixels": "binary", "noise": 0.5}, "`noise` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            TaggerCell(recurrent(), **kwargs)
    bare = TaggerCell([Level(Conv(2, 3))], iterations=1)
    with pytest.raises(ValueError, match="got no decoder. Give the lowest level a"):
        bare.build((None, 8, 8, 1))
    flat = TaggerCell([Level(LSTMCell(8), G1())], iterations=1)
    with pytest.raises(ValueError, match=r"got shape \(None, .*such as ConvG1"):
        flat.build((None, 8, 8, 1))
    layer = ladder()
    with pytest.raises(ValueError, match="takes no mask"):
        layer(images(), mask=np.ones((2, 3), bool))


@pytest.mark.once
def test_groups_that_start_at_random_are_not_carried():
    cell = TaggerCell(recurrent(), 2, 4, iterations=2)
    with pytest.raises(ValueError, match="does not start from zeros; .*TaggerCell"):
        RecurrentLadder(cell, carry=2)


@pytest.mark.once
def test_the_shape_of_the_output_is_known_before_building():
    ladder = RecurrentLadder(TaggerCell(feed_forward(), groups=3, kernel_size=4))
    shapes = ladder.compute_output_shape((2, 5, 8, 8, 1))
    assert not ladder.built
    ladder.build((2, 5, 8, 8, 1))
    assert shapes == ladder.compute_output_shape((2, 5, 8, 8, 1))
