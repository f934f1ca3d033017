"""Models of perceptual grouping: Table 9, its metrics, training, saving."""

import keras
import numpy as np
import pytest
import reference
from keras import layers, ops
from keras.layers import AveragePooling2D
from short_tables import short
from sklearn.cluster import KMeans

from rladder_keras import G1, Conv, ConvG1, ConvLSTMCell, Softmax, TaggerCell
from zoo import data, grouping
from zoo.metrics import groups as group_metrics
from zoo.metrics.segmentation import adjusted_mutual_information
from zoo.models import moving_mnist, textured_mnist, unlearned_groups

pytestmark = pytest.mark.once

# Appendix D.3: layer, stride, channels (size), filter, decoder.
TABLE_9 = """
ConvLSTM 2 96  8 convG1
Conv     1 96  5 convG1
Conv     1 96  5 convG1
ConvLSTM 2 192 4 convG1
Conv     1 192 5 convG1
Conv     1 192 5 convG1
ConvLSTM 2 192 4 convG1
Conv     1 192 5 convG1
Conv     1 192 5 convG1
ConvLSTM 2 11  4 convG1
AVERAGE  6 -   6 -
FC       - 11  - G1
"""


def test_table_9_is_the_papers():
    names = {
        ConvLSTMCell: lambda e: ("ConvLSTM", e.strides, e.filters, e.kernel_size),
        Conv: lambda e: ("Conv", e.strides, e.filters, e.kernel_size),
        AveragePooling2D: lambda e: ("AVERAGE", *e.strides[:1], "-", *e.pool_size[:1]),
        Softmax: lambda e: ("FC", "-", e.classes, "-"),
    }
    decoders = {ConvG1: "convG1", G1: "G1", type(None): "-"}
    expected = [line.split() for line in TABLE_9.strip().splitlines()]
    for (encoder, decoder), row in zip(textured_mnist.table_9(), expected, strict=True):
        found = [*names[type(encoder)](encoder), decoders[type(decoder)]]
        assert list(map(str, found)) == row
        if isinstance(encoder, ConvLSTMCell):
            assert encoder.normalization == "batch"


def test_size_at_full_width():
    """Counted by hand: maps without bias, each with gain and offset."""

    def lstm(inputs, units, size):
        maps = (inputs, units, units)  # from below, feedback, state
        return sum(4 * units * (size**2 * n + 2) for n in maps) + 4 * units

    def conv(inputs, filters, size=5):
        return size**2 * inputs * filters + 2 * filters

    def g1(v_top, h, size):
        return size**2 * v_top * h + 2 * h + 10 * h

    encoders = lstm(4, 96, 8) + 2 * conv(96, 96) + lstm(96, 192, 4)
    encoders += 4 * conv(192, 192) + lstm(192, 192, 4) + lstm(192, 11, 4)
    encoders += 11 * 11 + 2 * 11  # the softmax
    decoders = 2 * g1(96, 96, 5) + g1(192, 96, 4)
    decoders += 2 * g1(192, 192, 5) + g1(192, 192, 4)
    decoders += 2 * g1(192, 192, 5) + g1(11, 192, 4) + 2 * g1(11, 11, 1)
    heads = 2 * (8 * 8 * 96 + 2) + 1
    cell = TaggerCell(textured_mnist.table_9(), 3, 8, iterations=3)
    cell.build((None, 96, 96, 1))
    trainable = sum(int(np.prod(w.shape)) for w in cell.trainable_weights)
    assert trainable == encoders + decoders + heads == 27_202_498


@pytest.mark.everywhere
@pytest.mark.parametrize("ahead", [False, True])
def test_ami_is_that_of_the_segmentation_module(ahead):
    rng = np.random.default_rng(0)
    shape = (6, 4, 9, 9)
    truth = rng.integers(-1, 2, shape)
    groups = rng.random((6, 4, 3, 9, 9)).astype("float32")
    shifted = np.roll(truth, -1, axis=1) if ahead else truth
    groups[:3, :, 1] += shifted[:3] == 0
    groups[0, :, 2] += 5  # one group only
    truth[1] = 0  # one segment only
    truth[2] = -1  # nothing
    metric = group_metrics.AMI(2, ahead=ahead)
    for half in (slice(0, 3), slice(3, 6)):
        metric.update_state(ops.array(truth[half], "int32"), ops.array(groups[half]))
    found = groups.argmax(2)
    if ahead:
        truth, found = truth[:, 1:], found[:, :-1]
    pairs = (x.reshape(-1, 9, 9) for x in (truth, found))
    expected = np.nanmean(adjusted_mutual_information(*pairs))
    assert float(metric.result()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.everywhere
def test_weights_of_images_count_in_metrics():
    truth = np.array([[[0, 1]], [[0, 1]]])
    groups = np.array([[[[[1, 0]], [[0, 1]]]], [[[[1, 1]], [[0, 0]]]]], "float32")
    for weights, expected in (([1, 0], 1), ([0, 1], 0), ([1, 1], 0.5)):
        metric = group_metrics.AMI(2, 0)
        metric.update_state(ops.array(truth), ops.array(groups), ops.array(weights))
        assert float(metric.result()) == pytest.approx(expected, abs=1e-5)
    metric = group_metrics.CostAt(0)
    metric.update_state(None, ops.array([[1.0], [5.0]]), ops.array([0.0, 1.0]))
    assert float(metric.result()) == 5


@pytest.mark.everywhere
def test_labels_with_an_axis_of_their_own():
    metric = group_metrics.ClassErrorAt(0)
    metric.update_state(ops.array([[0], [1]]), ops.array(np.eye(2)[:, None]))
    assert float(metric.result()) == 0


@pytest.mark.everywhere
def test_one_iteration_of_still_images():
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(0, 2, (5, 8, 8)), rng.random((5, 3, 3, 8, 8))
    metric = group_metrics.AMI(2, 1)
    metric.update_state(ops.array(truth, "int32"), ops.array(groups, "float32"))
    expected = adjusted_mutual_information(truth, groups[:, 1].argmax(1)).mean()
    assert float(metric.result()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.everywhere
def test_classes_are_what_the_groups_say_but_none():
    top = np.array([[[[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]]], "float32")
    found = ops.convert_to_numpy(grouping.GroupClasses()(top))
    np.testing.assert_allclose(found, [[[0.7 / 1.2, 0.5 / 1.2]]], rtol=1e-5)


def images(n=4, size=32):
    rng = np.random.default_rng(0)
    x = rng.random((n, size, size, 1), dtype="float32")
    y = {
        "class": rng.integers(10, size=n, dtype="int32"),
        "groups": rng.integers(-1, 2, (n, size, size), dtype="int32"),
    }
    return x, y


class Batches(keras.utils.PyDataset):
    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


STILL = {"table": short(textured_mnist.small_table_9, 1, 3), "size": 32}
FILMS = {"table": short(moving_mnist.table_of_motion, 1, 2), "size": 16}
# One iteration compiles in a fraction of the time of all.
STILL["unroll"] = FILMS["unroll"] = False


@pytest.mark.parametrize("row", textured_mnist.TABLE_4)
def test_rows_of_table_4_learn_and_are_saved_and_loaded(row, tmp_path):
    build = textured_mnist.TABLE_4[row]
    options = {"size": 32} if row == "ConvNet" else STILL
    model = build(0.2, learning_rate=0.01, **options)
    x, y = images()
    weights = {"class": np.array([1, 0, 1, 1], "float32")}
    history = model.fit(Batches(x, y, weights), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    if row == "ConvNet":
        expected = model.predict(x, verbose=0)["class"]
        assert expected.shape == (4, 1, 10)
        found = loaded.predict(x, verbose=0)["class"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        return
    shapes = {k: v.shape for k, v in loaded.predict(x, verbose=0).items()}
    assert shapes == {
        "groups": (4, 3, 3, 32, 32),
        "reconstructions": (4, 3, 3, 32, 32, 1),
        "cost": (4, 3),
        "class": (4, 3, 10),
    }
    values = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert {"groups_ami_3", "cost_1", "class_error_2"} <= set(values)


def test_metrics_of_the_last_iteration_are_named_last():
    at = group_metrics.AMI(2, -1), group_metrics.ClassErrorAt(-1)
    names = [metric.name for metric in (*at, group_metrics.CostAt(-1))]
    assert names == ["ami_last", "error_last", "last"]


def films():
    """A model of films, three films and their groups."""
    model = moving_mnist.moving_mnist_rtagger(0.1, frames=4, **FILMS)
    rng = np.random.default_rng(0)
    x = rng.random((3, 4, 16, 16, 1), dtype="float32")
    y = {"groups": rng.integers(-1, 2, (3, 4, 16, 16), dtype="int32")}
    return model, x, y


@pytest.mark.everywhere
def test_films():
    model, x, y = films()
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and "groups_ami" in history
    outputs = model.predict(x, verbose=0)
    shapes = {k: v.shape for k, v in outputs.items()}
    assert shapes == {
        "groups": (3, 4, 3, 16, 16),
        "reconstructions": (3, 4, 3, 16, 16, 1),
        "posterior": (3, 3, 3, 16, 16),
        "cost": (3, 3),
    }
    np.testing.assert_allclose(outputs["posterior"].sum(axis=2), 1, atol=1e-5)


def test_shorter_films_and_rollouts():
    model, x, y = films()
    shorter = model.evaluate(
        x[:, :3], {"groups": y["groups"][:, :3]}, verbose=0, return_dict=True
    )
    costs = model.predict(x[:, :3], verbose=0)["cost"]
    assert shorter["cost_last"] == pytest.approx(costs[:, -1].mean(), rel=1e-4)
    frames, free = model.rollout(x[:, :2], 3)
    mean = free["groups"][..., None] * free["reconstructions"]
    np.testing.assert_allclose(frames[:, 2:], mean.sum(axis=2)[:, 1:4], atol=1e-6)
    assert set(free) == {"groups", "reconstructions"}
    assert len(model.predict(frames, verbose=0)["cost"][0]) == 4


@pytest.mark.everywhere
@pytest.mark.parametrize("pixels", ["binary", "gaussian"])
def test_films_are_explained_by_what_was_said_a_frame_before(pixels):
    """Cost and posterior at t are of frame t + 1, pixel by pixel."""
    model = moving_mnist.moving_mnist_rtagger(0.1, frames=4, pixels=pixels, **FILMS)
    reference.randomise(model)
    cell = model.get_layer("ladder").cell
    for norm in (cell.norm_read_mu, cell.norm_read_pi):  # groups that differ
        norm.gain.assign(3 * ops.ones(norm.gain.shape))
    x = np.random.default_rng(0).random((3, 4, 16, 16, 1), dtype="float32")
    outputs = model.predict(x, verbose=0)
    pi, mu = outputs["groups"][:, :-1], outputs["reconstructions"][:, :-1, ..., 0]
    coming = x[:, 1:, None, ..., 0]  # (batch, T - 1, 1, H, W)
    if pixels == "binary":
        mu = np.clip(mu, 1e-4, 1 - 1e-4)
        likelihood = mu**coming * (1 - mu) ** (1 - coming)
        p = np.sum(pi * mu, axis=2)
        cost = -coming[:, :, 0] * np.log(p) - (1 - coming[:, :, 0]) * np.log(1 - p)
    else:
        variance = float(
            ops.convert_to_numpy(model.get_layer("ladder").cell.variance())
        )
        likelihood = np.exp(-((coming - mu) ** 2) / (2 * variance)) / variance**0.5
        cost = -np.log(np.sum(pi * likelihood, axis=2))
    posterior = pi * likelihood / np.sum(pi * likelihood, axis=2, keepdims=True)
    np.testing.assert_allclose(outputs["posterior"], posterior, atol=1e-3)
    np.testing.assert_allclose(outputs["cost"], cost.mean((2, 3)), atol=1e-3)
    now = pi * np.roll(likelihood, 1, axis=1)  # of another frame it is another one
    now = now / now.sum(axis=2, keepdims=True)
    assert abs(outputs["posterior"] - now).max() > 0.01  # ten times the tolerance


@pytest.mark.parametrize(
    "table", [textured_mnist.table_9, moving_mnist.table_of_motion]
)
def test_still_images_and_films_begin_with_what_was_seen(table):
    for encoder, _ in table(0.1):
        if isinstance(encoder, ConvLSTMCell):
            assert (encoder.forget_bias, encoder.recurrent_gain) == (-2, 1)


@pytest.mark.parametrize(
    ("build", "options", "expected"),
    [
        (
            textured_mnist.textured_mnist_rtagger,
            STILL,
            {
                "groups": 3,
                "pixels": "gaussian",
                "noise": 0.2,
                "start": 0.5,
                "mu_gain": 0.2,
                "pi_gain": 0.1,
                "learned_pi_gain": True,
                "variance": 1 + 2**0.5,
                "iterations": 3,
            },
        ),
        (
            moving_mnist.moving_mnist_rtagger,
            FILMS,
            {
                "groups": 3,
                "pixels": "binary",
                "noise": 0.1,
                "start": -2.0,
                "mu_gain": 0.5,
                "pi_gain": 1.0,
                "learned_pi_gain": False,
                "iterations": 20,
            },
        ),
    ],
)
def test_by_default_models_begin_with_the_numbers_of_paper_md(build, options, expected):
    model = build(0.1, **options)
    cell = model.get_layer("ladder").cell
    config = cell.get_config()
    assert {name: config[name] for name in expected} == expected
    for norm, gain in ((cell.norm_read_mu, "mu_gain"), (cell.norm_read_pi, "pi_gain")):
        found = ops.convert_to_numpy(norm.gain)
        np.testing.assert_allclose(found, expected[gain], rtol=1e-6)
    if expected["pixels"] == "gaussian":
        assert model.get_compile_config()["loss_weights"] == {"cost": 1, "class": 0.1}
        found = float(ops.convert_to_numpy(cell.variance()))
        assert found == pytest.approx(expected["variance"], rel=1e-5)


def test_a_film_of_gaussian_pixels_goes_on_with_frames():
    """Its means have no bounds, and frames do."""
    model = moving_mnist.moving_mnist_rtagger(0.1, frames=4, pixels="gaussian", **FILMS)
    pi, mu = np.full((1, 2, 4, 4), 0.5), np.zeros((1, 2, 4, 4, 1))
    mu[0, :, 0], mu[0, :, 1], mu[0, :, 2] = -0.1, 1.2, 0.4
    frame = model.next_frame({"groups": pi, "reconstructions": mu})
    np.testing.assert_allclose(frame[0, :3, 0, 0], [0, 1, 0.4])
    x = np.random.default_rng(0).random((1, 2, 16, 16, 1), dtype="float32")
    frames, _ = model.rollout(x, 8)
    assert frames.shape == (1, 10, 16, 16, 1)
    assert frames.min() >= 0 and frames.max() <= 1


def test_what_has_no_weight_costs_nothing():
    model = moving_mnist.moving_mnist_rtagger(0.1, frames=2, **FILMS)
    outputs = {"groups": np.zeros((3, 2)), "cost": np.zeros((3, 1))}
    _, weights = model.arranged(outputs, {"groups": np.zeros(3)}, outputs)
    assert not ops.convert_to_numpy(weights["cost"]).any()


def test_films_of_more_digits():
    model = moving_mnist.moving_mnist_rtagger(0.1, size=16, frames=2, digits=3)
    (ami,) = model.get_compile_config()["weighted_metrics"]["groups"]
    assert ami["config"]["segments"] == 3
    for wrong, word in (({"frames": 1}, "frames"), ({"digits": 0}, "digits")):
        with pytest.raises(ValueError, match=word):
            moving_mnist.moving_mnist_rtagger(0.1, size=16, **wrong)


def test_more_digits_than_the_metric_counts_are_refused():
    model = moving_mnist.moving_mnist_rtagger(0.1, size=20, frames=2)
    train, *_ = data.moving_mnist("sklearn", 2, size=20, frames=2, digits=3)
    with pytest.raises(ValueError, match="have 3 segments.* build it with digits=3"):
        model.fit(train, verbose=0)
    config = model.get_compile_config()
    alone = {"groups": group_metrics.AMI(2, 0)}  # not in a list
    loss = keras.saving.deserialize_keras_object(config["loss"])
    model.compile("sgd", loss, weighted_metrics=alone)
    with pytest.raises(ValueError, match="have 3 segments"):
        model.evaluate(train, verbose=0)


def test_outputs_keep_their_precision(policy):
    policy("mixed_bfloat16")
    model = textured_mnist.textured_mnist_rtagger(0.1, **STILL)
    convnet = textured_mnist.textured_mnist_convnet(0.1, size=32)
    for output in [*model.output.values(), *convnet.output.values()]:
        assert output.dtype == "float32"


def test_targets_that_are_missing_are_named():
    model = textured_mnist.textured_mnist_rtagger(0.2, **STILL)
    x, y = images()
    with pytest.raises(ValueError, match="'groups'"):
        model.fit(x, {"class": y["class"]}, verbose=0)
    with pytest.raises(ValueError, match="level 6 of 7"):
        textured_mnist.textured_mnist_rtagger(
            0.2, table=textured_mnist.small_table_9, size=16
        )


def test_images_and_segments_of_another_shape_are_refused():
    model = textured_mnist.textured_mnist_rtagger(0.2, **STILL)
    x, y = images()
    for wrong in (x[:, :, :28], x[:, :28], x[..., 0]):
        with pytest.raises(ValueError, match=r"must have shape \(batch, 32, 32, 1\)"):
            model.predict(wrong, verbose=0)
    masks = np.stack([y["groups"] == k for k in range(3)], axis=1).astype("int32")
    for wrong in (y["groups"][..., None], masks):
        with pytest.raises(
            ValueError, match=r"segments .* must have shape \(4, 32, 32\)"
        ):
            model.evaluate(x, y | {"groups": wrong}, verbose=0)
    with pytest.raises(ValueError, match=r"compile it with zoo.grouping.AMI\(3\)\.$"):
        model.evaluate(x, y | {"groups": y["groups"] + 1}, verbose=0)


@pytest.mark.everywhere
def test_films_of_one_frame_have_groups_and_no_score():
    model = moving_mnist.moving_mnist_rtagger(0.1, frames=4, **FILMS)
    x = np.random.default_rng(0).random((3, 2, 16, 16, 1), dtype="float32")
    segments = np.zeros((3, 2, 16, 16), "int32")
    outputs = model.predict(x[:, :1], verbose=0)
    assert outputs["groups"].shape == (3, 1, 3, 16, 16)
    assert outputs["posterior"].shape == (3, 0, 3, 16, 16)
    with pytest.raises(ValueError, match="at least two frames to be scored"):
        model.evaluate(x[:, :1], {"groups": segments[:, :1]}, verbose=0)
    for wrong in (segments[:, :1], segments[:, 0]):
        with pytest.raises(
            ValueError, match=r"segments .* must have shape \(3, 2, 16, 16\)"
        ):
            model.evaluate(x, {"groups": wrong}, verbose=0)


@pytest.mark.everywhere
def test_the_same_seed_before_the_model_gives_the_same_groups():
    x, _ = images()
    found = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(seed)
        model = textured_mnist.textured_mnist_rtagger(0.1, **STILL)
        found.append(model.predict(x, verbose=0)["groups"])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 1e-3


def test_noise_is_on_the_frames_and_not_on_what_is_to_be_explained():
    model = textured_mnist.textured_mnist_rtagger(0.2, noise=0.3, **STILL)
    noise = model.get_layer("noise")
    assert isinstance(noise, layers.GaussianNoise) and noise.stddev == 0.3
    assert model.get_layer("cost").input[0].shape == (None, 1, 32, 32, 1)


@pytest.mark.everywhere
def test_kmeans_is_that_of_scikit_learn():
    """From the same first means, after as many iterations as it takes."""
    x = np.random.default_rng(0).random((3, 6, 6, 1)).astype("float32")
    model = textured_mnist.textured_mnist_kmeans(size=6, groups=3, iterations=12)
    found = model.predict(x, verbose=0)
    for i, image in enumerate(x.reshape(3, 36, 1)):
        first = np.sort(image, axis=0)[[6, 18, 30]]
        expected = KMeans(3, init=first, n_init=1, tol=0).fit(image)
        groups = found["groups"][i, -1].argmax(axis=0).reshape(36)
        np.testing.assert_array_equal(groups, expected.labels_)
        means = found["reconstructions"][i, -1, :, 0, 0]
        np.testing.assert_allclose(means, expected.cluster_centers_, atol=1e-5)
        cost = expected.inertia_ / 36 / 2
        np.testing.assert_allclose(found["cost"][i, -1], cost, rtol=1e-4)
    config = model.get_layer("means").get_config()
    assert unlearned_groups.KMeans.from_config(config).get_config() == config
    y = {"groups": (x[..., 0] > 0.5).astype("int32")}
    values = model.evaluate(x, y, verbose=0, return_dict=True)
    assert values["groups_ami_12"] > 0.4


@pytest.mark.everywhere
def test_one_mask_for_all_images():
    """The usual mask is that of the digits, and what is told of it is true."""
    train, _, _ = data.textured_mnist(
        "sklearn", 8, size=24, textures="generated", verbose=False
    )
    mask = textured_mnist.usual_mask(train, batches=3)
    share = np.mean([train.samples(i).masks for i in range(3)], axis=(0, 1))
    np.testing.assert_array_equal(mask, share >= 0.4)
    x, y = train[0]
    model = textured_mnist.textured_mnist_fixed(size=24, mask=mask)
    found = model.predict(x, verbose=0)
    assert found["groups"].shape == (8, 1, 2, 24, 24)
    outputs = (found[name] for name in ("groups", "reconstructions", "cost"))
    for image, groups, mu, cost in zip(x[..., 0], *outputs, strict=True):
        np.testing.assert_array_equal(groups[0], [~mask, mask])
        means = [image[~mask].mean(), image[mask].mean()]
        np.testing.assert_allclose(mu[0, :, 0, 0, 0], means, rtol=1e-4)
        distance = np.square(image - np.where(mask, means[1], means[0]))
        np.testing.assert_allclose(cost[0], distance.mean() / 2, rtol=1e-4)
    values = model.evaluate(x, y, verbose=0, return_dict=True)
    expected = adjusted_mutual_information(
        y["groups"], np.repeat(mask[None].astype(int), 8, axis=0)
    )
    np.testing.assert_allclose(values["groups_ami_1"], np.mean(expected), atol=1e-4)
    with pytest.raises(ValueError, match=r"`mask` must have .* got shape \(24, 24\)"):
        textured_mnist.textured_mnist_fixed(size=32, mask=mask)
    config = model.get_layer("fixed").get_config()
    assert unlearned_groups.FixedGroups.from_config(config).get_config() == config


def test_halves_of_the_frame_are_groups_of_films():
    _, _, test = data.moving_mnist(
        "sklearn", 8, size=20, frames=3, evaluation_sequences=8, verbose=False
    )
    films, y = test[0]
    model = moving_mnist.moving_mnist_halves(size=20)
    outputs = model.predict(films, verbose=0)
    half = np.arange(20) >= 10
    assert outputs["groups"].shape == (8, 3, 2, 20, 20)
    np.testing.assert_array_equal(outputs["groups"][3, 1, 0], [~half] * 20)
    means = films[..., half, 0].mean(axis=(2, 3))
    mu = outputs["reconstructions"]
    np.testing.assert_allclose(mu[:, :, 1, 5, 5, 0], means, atol=1e-5)
    found = np.where(half[:, None], mu[:, :, 1], mu[:, :, 0])
    cost = np.square(films - found).mean(axis=(2, 3, 4)) / 2
    np.testing.assert_allclose(outputs["cost"], cost[:, 1:], atol=1e-5)
    values = model.evaluate(films, y, verbose=0, return_dict=True)
    weighted = {"sample_weight": np.ones(8), "verbose": 0, "return_dict": True}
    assert model.evaluate(films, y, **weighted) == pytest.approx(values, abs=1e-4)
    truth = y["groups"][:, 1:].reshape(16, 20, 20)
    expected = adjusted_mutual_information(
        truth, np.tile(half.astype(int), (16, 20, 1))
    )
    last = adjusted_mutual_information(
        y["groups"][:, -1], np.tile(half.astype(int), (8, 20, 1))
    )
    np.testing.assert_allclose(
        values["posterior_ami_last"], np.nanmean(last), atol=1e-4
    )
    for name in ("groups_ami", "posterior_ami"):
        np.testing.assert_allclose(values[name], np.nanmean(expected), atol=1e-4)
