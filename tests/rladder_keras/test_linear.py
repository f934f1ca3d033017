"""Tests of the linear maps: (transposed) convolutions and matrices, normalised."""

import keras
import numpy as np
import pytest
import reference
from keras import ops

from rladder_keras.cells.linear import Linear, crop, per_axis, stride_between, unpool

GRIDS = [
    # grid, kernel, strides
    ((5,), 3, 1),
    ((5,), 2, 1),
    ((11,), 3, 2),
    ((8,), 4, 2),
    ((7,), 3, 3),
    ((6,), 1, 2),
    ((4, 4), 3, 1),
    ((5, 4), 3, 2),
    ((4, 4), 4, 2),
    ((4, 3), 2, 1),
    ((1, 6), (1, 3), (1, 2)),
    ((1, 5), 3, 1),
    ((3, 2, 2), 3, 2),
    # The filter covers the map, or what the transposed one gives, once.
    ((4, 3), (4, 3), (4, 3)),
    ((1, 1), (3, 2), (3, 2)),
    ((1,), 1, 1),
]


class Cell(keras.layers.Layer):
    """A linear map is called by a built cell only."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        self.built = True

    def call(self, x):
        return self.linear(x)


def built(input_shape, *args, **kwargs):
    layer = Linear(*args, **kwargs)
    layer.build(input_shape)
    return reference.randomise(layer)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(("grid", "kernel", "strides"), GRIDS)
def test_convolution_pads_as_the_twin_does(run, rng, grid, kernel, strides, transpose):
    x = rng.normal(0, 1, (2, *grid, 3)).astype("float32")
    layer = built(x.shape, 2, kernel, strides=strides, transpose=transpose)
    w = reference.weights_of(layer)
    y = run(Cell(layer), x)
    expected = reference.linear(w, x.astype("float64"), strides, transpose)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *y.shape[1:])


@pytest.mark.parametrize(("grid", "kernel", "strides"), GRIDS)
def test_the_twins_of_the_two_convolutions_are_each_others_transposes(
    rng, grid, kernel, strides
):
    """`<conv(fine), coarse> = <fine, transposed(coarse)>`, which defines the second."""
    strides = reference.per_axis(strides, len(grid))
    fine = [n * s for n, s in zip(grid, strides, strict=True)]
    fine, coarse = rng.normal(0, 1, (1, *fine, 2)), rng.normal(0, 1, (1, *grid, 3))
    w = rng.normal(0, 1, (*reference.per_axis(kernel, len(grid)), 2, 3))
    left = (reference.convolution(fine, w, strides) * coarse).sum()
    right = (fine * reference.transposed_convolution(coarse, w, strides)).sum()
    assert left == pytest.approx(right)


@pytest.mark.parametrize("shape", [(3, 6), (3, 2, 3), (3, 1, 2, 3)])
def test_without_a_kernel_size_it_is_a_matrix_on_what_is_flattened(run, rng, shape):
    x = rng.normal(0, 1, shape).astype("float32")
    layer = built(shape, 4)
    kernel = reference.weights_of(layer)["kernel"]
    assert kernel.shape == (6, 4)
    np.testing.assert_allclose(run(Cell(layer), x), x.reshape(3, 6) @ kernel, atol=1e-5)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, 4)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("normalization", ["layer", "batch"])
@pytest.mark.parametrize("kernel", [None, 3])
def test_normalisation_comes_after_the_map(run, rng, kernel, normalization, training):
    x = rng.normal(0, 1, (3, 4, 2)).astype("float32")
    layer = built(x.shape, 4, kernel, normalization=normalization)
    w = reference.weights_of(layer)
    iteration = reference.Iteration(None if training else 0)
    y = reference.linear(w, x.astype("float64"))
    y = reference.normalise(w, y, normalization, iteration)
    np.testing.assert_allclose(run(Cell(layer), x, training=training), y, atol=1e-5)


def test_groups_are_normalised_as_maps_of_their_own(run, rng):
    x = rng.normal(0, 1, (2, 4, 2)).astype("float32")
    layer = built(x.shape, 6, 3, normalization="layer", groups=2)
    w = reference.weights_of(layer)
    y = [
        reference.layer_norm(reference.convolution(x, kernel), gain)
        for kernel, gain in zip(
            np.split(w["kernel"], 2, axis=-1), np.split(w["gain"], 2), strict=True
        )
    ]
    np.testing.assert_allclose(
        run(Cell(layer), x), np.concatenate(y, axis=-1), atol=1e-5
    )


def test_gain_is_the_start_of_the_layer_normalisation():
    layer = Linear(3, normalization="layer", gain=0.1)
    layer.build((None, 2))
    np.testing.assert_allclose(reference.weights_of(layer)["gain"], 0.1, atol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "transpose", "shape", "fans"),
    [
        (None, False, (600, 30), 630),
        ((3, 5), False, (3, 5, 20, 30), 15 * 50),
        ((3, 5), True, (3, 5, 30, 20), 15 * 50),
    ],
)
def test_kernels_start_uniform_in_glorots_range(kernel, transpose, shape, fans):
    layer = Linear(30, kernel, transpose=transpose)
    layer.build((None, 5, 6, 20))
    value = reference.weights_of(layer)["kernel"]
    limit = np.sqrt(6 / fans)
    assert value.shape == shape
    assert 0.98 * limit < np.abs(value).max() <= limit * (1 + 1e-6)
    assert abs(value.mean()) < 0.02 * limit
    assert value.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_kernels_of_one_seed_are_the_same_on_each_backend():
    keras.utils.set_random_seed(7)
    layers = [Linear(4), Linear(4)]
    for layer in layers:
        layer.build((None, 3))
    np.random.seed(7)
    limit = np.sqrt(6 / 7)
    for layer in layers:
        expected = np.random.uniform(-limit, limit, (3, 4))
        kernel = reference.weights_of(layer)["kernel"]
        np.testing.assert_allclose(kernel, expected, atol=1e-6)


@pytest.mark.parametrize("normalization", ["instance", "", 1])
def test_an_unknown_normalisation_is_refused(normalization):
    with pytest.raises(ValueError, match="'layer', 'batch' or None"):
        Linear(3, normalization=normalization)


def test_a_kernel_that_has_not_the_rank_of_the_input_is_refused():
    with pytest.raises(ValueError, match="2 integers.*3 spatial axes"):
        Linear(3, (3, 3)).build((None, 4, 4, 4, 1))


def test_per_axis_repeats_integers_and_takes_tuples():
    assert per_axis(3, (None, 8, 8, 1)) == (3, 3)
    assert per_axis([1, 3], (None, 8, 8, 1)) == (1, 3)


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [((3,), (6,)), ((6,), (11,)), ((2, 3), (4, 3)), ((1, 3), (1, 5)), ((2, 2), (2, 2))],
)
def test_unpool_copies_to_blocks_and_crops(rng, coarse, fine):
    x = rng.normal(0, 1, (2, *coarse, 3)).astype("float32")
    y = ops.convert_to_numpy(unpool(ops.array(x), fine))
    np.testing.assert_array_equal(y, reference.copy_to_grid(x, fine))


def test_crop_cuts_at_the_end_of_each_axis(rng):
    x = rng.normal(0, 1, (2, 4, 6, 3)).astype("float32")
    y = ops.convert_to_numpy(crop(ops.array(x), (3, 5)))
    np.testing.assert_array_equal(y, x[:, :3, :5])


@pytest.mark.parametrize(
    ("fine", "coarse", "strides"),
    [
        ((11,), (6,), (2,)),
        ((8, 8), (8, 4), (1, 2)),
        ((5,), (5,), (1,)),
        ((7,), (3,), (3,)),
    ],
)
def test_stride_between_two_grids(fine, coarse, strides):
    assert stride_between((None, *fine, 1), (None, *coarse, 4)) == strides
