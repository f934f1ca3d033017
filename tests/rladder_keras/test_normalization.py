"""Tests of the normalisations and of the statistics of each iteration."""

import keras
import numpy as np
import pytest
import reference
from keras import ops

from rladder_keras import BatchNormalization
from rladder_keras.cells.normalization import BatchStatistics, layer_normalization


def number(tensor):
    """A tensor or a variable of any backend as an array."""
    return ops.convert_to_numpy(ops.convert_to_tensor(tensor))


# Layer normalisation


@pytest.mark.parametrize("shape", [(3, 6), (2, 5, 6), (2, 3, 4, 6)])
def test_layer_normalization_is_over_space_and_channels(rng, shape):
    x = rng.normal(1, 2, shape).astype("float32")
    gain = rng.normal(0, 1, 6).astype("float32")
    y = number(layer_normalization(ops.array(x), ops.array(gain)))
    np.testing.assert_allclose(
        y, reference.layer_norm(x.astype("float64"), gain), atol=1e-5
    )


def test_layer_normalization_treats_groups_of_channels_separately(rng):
    x = rng.normal(0, 1, (2, 3, 4, 6)) * [1, 1, 10, 10, 0.1, 0.1]
    gain = rng.normal(0, 1, 6)
    y = number(
        layer_normalization(
            ops.array(x.astype("float32")), ops.array(gain.astype("float32")), groups=3
        )
    )
    parts = [
        reference.layer_norm(x[..., i : i + 2], gain[i : i + 2]) for i in (0, 2, 4)
    ]
    np.testing.assert_allclose(y, np.concatenate(parts, axis=-1), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
def test_an_offset_is_added_after_the_layer_normalization(rng, groups):
    x = ops.array(rng.normal(1, 2, (2, 3, 4, 6)).astype("float32"))
    gain, offset = rng.normal(0, 1, (2, 6)).astype("float32")
    plain = number(layer_normalization(x, ops.array(gain), groups=groups))
    moved = number(layer_normalization(x, ops.array(gain), ops.array(offset), groups))
    np.testing.assert_allclose(moved, plain + offset, atol=1e-5)


def test_layer_normalization_of_a_blank_frame_is_zero(rng):
    x = np.full((1, 4, 4, 2), 0.3, "float32")
    y = number(layer_normalization(ops.array(x), ops.ones(2)))
    np.testing.assert_allclose(y, 0, atol=1e-5)


# Batch normalisation by itself


def test_outside_of_a_recurrence_it_is_that_of_keras(run, rng):
    ours, theirs = (
        cls(momentum=0.8, epsilon=0.01)
        for cls in (BatchNormalization, keras.layers.BatchNormalization)
    )
    for layer in (ours, theirs):
        layer.build((None, 3, 2))
    for ours_w, theirs_w in (
        (ours.gain, theirs.gamma),
        (ours.offset, theirs.beta),
        (ours.moving_mean, theirs.moving_mean),
        (ours.moving_variance, theirs.moving_variance),
    ):
        value = rng.uniform(0.5, 2, 2).astype("float32")
        ours_w.assign(np.reshape(value, ours_w.shape))
        theirs_w.assign(value)
    for i in range(2):
        x = rng.normal(i, 2, (4, 3, 2)).astype("float32")
        for training in (True, False):
            y = run(ours, x, training=training)
            np.testing.assert_allclose(y, run(theirs, x, training=training), atol=1e-5)
    np.testing.assert_allclose(
        number(ours.moving_mean)[0], number(theirs.moving_mean), atol=1e-5
    )
    np.testing.assert_allclose(
        number(ours.moving_variance)[0], number(theirs.moving_variance), atol=1e-5
    )


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization_against_its_twin(run, rng, training):
    layer = BatchNormalization()
    layer.build((None, 3, 2, 4))
    reference.randomise(layer)
    w = reference.weights_of(layer)
    x = rng.normal(1, 2, (3, 3, 2, 4)).astype("float32")
    iteration = reference.Iteration(None if training else 0)
    expected = reference.batch_norm(x.astype("float64"), w, iteration)
    np.testing.assert_allclose(run(layer, x, training=training), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_its_moments_are_taken_in_float32(rng, dtype):
    layer = BatchNormalization(dtype=f"mixed_{dtype}")
    layer.build((None, 4))
    x = rng.normal(5, 0.5, (256, 4)).astype("float32")
    seen = number(ops.cast(ops.cast(ops.array(x), dtype), "float32"))
    y = layer(ops.cast(ops.array(x), dtype), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    np.testing.assert_allclose(
        number(layer.moving_mean)[0], 0.1 * seen.mean(0), atol=1e-6
    )
    np.testing.assert_allclose(
        number(layer.moving_variance)[0], 0.9 + 0.1 * seen.var(0), atol=1e-5
    )


@pytest.mark.parametrize("value", [0.0, 300.1])
def test_a_constant_map_stays_finite(value):
    layer = BatchNormalization()
    layer.build((None, 4, 1))
    y = number(layer(ops.full((7, 4, 1), value), training=True))
    assert np.isfinite(y).all()


# Batch normalisation inside a recurrence


def recurrence(iterations, layers=1, channels=2):
    statistics = BatchStatistics(iterations)
    with statistics.building():
        made = [BatchNormalization() for _ in range(layers)]
        for layer in made:
            layer.build((None, channels))
    for i, layer in enumerate(made):
        reference.randomise(layer, seed=i)
    return statistics, made


def index(t):
    return ops.array(np.array([t], "int32"))


@pytest.mark.parametrize(
    ("iterations", "steps"),
    [(3, 3), (3, 1), (2, 5), (1, 4)],
)
def test_one_update_for_each_iteration_and_the_last_row_takes_the_rest(
    rng, iterations, steps
):
    statistics, (layer,) = recurrence(iterations)
    moments = rng.uniform(0.5, 2, (steps, 2, 2)).astype("float32")
    before = reference.weights_of(layer)
    indices = np.arange(steps, dtype="int32")[None]
    share = np.ones((1, steps), "float32")
    statistics.update([ops.array(a) for a in (indices, share, moments[None])])
    after = reference.weights_of(layer)
    for i, name in enumerate(("moving_mean", "moving_variance")):
        expected = reference.moving_average(before[name], moments[:, i])
        np.testing.assert_allclose(after[name], expected, atol=1e-6)
        np.testing.assert_array_equal(after[name][steps:], before[name][steps:])


def test_an_update_weighs_as_much_as_samples_count(rng):
    """Of three iterations for the last row one has half of the batch, one nothing."""
    statistics, (layer,) = recurrence(iterations=2)
    moments = rng.uniform(0.5, 2, (4, 2, 2)).astype("float32")
    share = np.array([1, 0.5, 1, 0], "float32")
    before = reference.weights_of(layer)
    indices = np.arange(4, dtype="int32")
    statistics.update([ops.array(a[None]) for a in (indices, share, moments)])
    after = reference.weights_of(layer)
    for i, name in enumerate(("moving_mean", "moving_variance")):
        expected = before[name].copy()
        expected[0] += 0.1 * (moments[0, i] - expected[0])
        mean = (0.5 * moments[1, i] + moments[2, i]) / 1.5
        expected[1] += 0.1 * (1.5 / 3) * (mean - expected[1])
        np.testing.assert_allclose(after[name], expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (3, 4, 2)])
def test_samples_of_padding_count_in_no_batch_moment(rng, shape):
    statistics, (layer,) = recurrence(1)
    x = rng.normal(1, 2, (5, *shape)).astype("float32")
    valid = np.array([1, 0, 1, 1, 0], "float32")
    x[valid == 0] = np.nan
    outputs, moments = [], []
    for samples, mask in ((x, ops.array(valid)), (x[valid == 1], None)):
        with statistics.iteration(index(0), mask) as present:
            outputs.append(number(layer(ops.array(samples), training=True)))
            _, share, collected = present.collect()
            moments.append(number(collected))
            assert number(share)[0] == pytest.approx(1 if mask is None else 0.6)
    np.testing.assert_allclose(outputs[0][valid == 1], outputs[1], atol=1e-5)
    np.testing.assert_allclose(moments[0], moments[1], atol=1e-5)


@pytest.mark.parametrize("t", [0, 1, 2, 7])
def test_inference_takes_the_row_of_its_iteration_or_the_last(rng, t):
    statistics, (layer,) = recurrence(iterations=3)
    x = rng.normal(0, 1, (4, 2)).astype("float32")
    with statistics.iteration(index(t)) as present:
        y = number(layer(ops.array(x)))
        assert present.collect() == []
    w = reference.weights_of(layer)
    expected = reference.batch_norm(x, w, reference.Iteration(row=t))
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_moments_are_collected_in_the_order_of_building_and_assigned_only_after(rng):
    statistics, layers = recurrence(iterations=2, layers=3)
    before = [reference.weights_of(layer) for layer in layers]
    x = rng.normal(0, 1, (3, 4, 2)).astype("float32")
    with statistics.iteration(index(0)) as present:
        for i in (2, 0, 1):
            layers[i](ops.array(x[i]), training=True)
        t, share, *collected = [number(m) for m in present.collect()]
    assert (t, share) == ([0], [1])
    assert [m.shape for m in collected] == [(1, 2, 2)] * 3
    for i, (mean, variance) in enumerate(m[0] for m in collected):
        np.testing.assert_allclose(mean, x[i].mean(0), atol=1e-6)
        np.testing.assert_allclose(variance, x[i].var(0), atol=1e-6)
    for layer, w in zip(layers, before, strict=True):
        after = reference.weights_of(layer)
        for name in w:
            np.testing.assert_array_equal(after[name], w[name])


def test_two_recurrences_do_not_see_each_other(rng):
    """A ladder inside a step of another one, as two models used one after the other."""
    (outer, (a,)), (inner, (b,)) = recurrence(3), recurrence(2)
    x = ops.array(rng.normal(0, 1, (4, 2)).astype("float32"))
    with outer.iteration(index(2)) as present:
        with inner.iteration(index(0)) as within:
            b(x, training=True)
            assert len(within.collect()) == 3  # index, share and moments
        y = number(a(x))
        assert present.collect() == []
    w = reference.weights_of(a)
    expected = reference.batch_norm(number(x), w, reference.Iteration(row=2))
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
def test_it_works_in_half_precision_at_inference(rng, dtype):
    x = ops.cast(rng.normal(0, 1, (2, 3, 4)), dtype.removeprefix("mixed_"))
    norm = BatchNormalization(dtype=dtype)
    norm(x, training=True)
    y = norm(x)
    x, mean, variance = (
        number(ops.cast(v, "float32"))
        for v in (x, norm.moving_mean[0], norm.moving_variance[0])
    )
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    assert keras.backend.standardize_dtype(y.dtype) == dtype.removeprefix("mixed_")
    np.testing.assert_allclose(number(ops.cast(y, "float32")), expected, atol=0.05)
