"""Tests of the decoder cells of Appendix A against their NumPy twins."""

import numpy as np
import pytest
import reference

from rladder_keras import G1, ConvG1, ConvG2, ConvG3, Identity, TopDown

UPSAMPLING = {ConvG2: reference.conv_g2, ConvG3: reference.conv_g3}
ATOL = 2e-5


def draws(rng, *shapes):
    return [rng.normal(0, 1, shape).astype("float32") for shape in shapes]


def compare(run, rng, cell, twin, v_top, h, below=None, **kwargs):
    """One cell in inference and in training; `kwargs` are the twin's."""
    v_top, h = draws(rng, v_top, h)
    below = below or h.shape
    cell.build(v_top.shape, h.shape, below)
    w = reference.weights_of(reference.randomise(cell))
    normalized_by_batch = any(name.endswith("moving_mean") for name in w)
    for training in (False, True) if normalized_by_batch else (False,):
        iteration = reference.Iteration(None if training else 0)
        y = run(cell, v_top, h, training=training)
        inputs = v_top.astype("float64"), h.astype("float64")
        expected = twin(w, *inputs, iteration, **kwargs)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, atol=ATOL)
    shape = cell.compute_output_shape(
        *((None, *shape[1:]) for shape in (v_top.shape, h.shape, below))
    )
    assert shape == (None, *y.shape[1:])
    return cell


# G1 and ConvG1


@pytest.mark.parametrize(
    ("v_top", "h"),
    [
        ((4, 3), (4, 5)),
        ((4, 3), (4, 2, 3, 2)),
        ((4, 2, 2), (4, 3)),
        ((4, 3), (4, 3, 2)),
    ],
)
def test_g1_works_on_whatever_can_be_flattened(run, rng, v_top, h):
    cell = compare(run, rng, G1(), reference.g1, v_top, h)
    assert tuple(cell.w_s.shape) == (5, np.prod(h[1:]))


@pytest.mark.parametrize(
    ("v_top", "h", "kernel", "strides"),
    [
        ((3, 4, 3, 2), (3, 4, 3, 5), 3, 1),
        ((3, 5, 2), (3, 5, 3), 2, 1),
        ((3, 1, 5, 2), (3, 1, 5, 3), (1, 3), 1),
        # from a coarser grid
        ((3, 2, 2, 2), (3, 4, 4, 3), 4, 2),
        ((3, 3, 2, 2), (3, 5, 4, 3), 3, 2),
        ((3, 1, 6, 2), (3, 1, 11, 3), (1, 3), (1, 2)),
        ((3, 6, 2), (3, 11, 3), 2, 2),
        # from a vector
        ((3, 4), (3, 3, 4, 2), 3, 1),
        ((3, 4), (3, 5, 2), 3, 1),
    ],
)
def test_conv_g1_from_any_grid_above(run, rng, v_top, h, kernel, strides):
    cell = compare(
        run, rng, ConvG1(kernel), reference.conv_g1, v_top, h, strides=strides
    )
    assert tuple(cell.w.shape) == (5, h[-1])


@pytest.mark.parametrize(
    ("v_top", "h", "kernel", "strides"),
    [
        ((3, 4, 3, 2), (3, 4, 3, 5), 3, 1),
        ((3, 1, 1, 4), (3, 3, 3, 2), 3, 3),
        ((3, 3, 2, 2), (3, 5, 4, 3), 3, 2),
        ((3, 4), (3, 5, 2), 3, 1),
    ],
)
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_top_down_is_a_rectified_conv_of_what_is_above(
    run, rng, v_top, h, kernel, strides, normalization
):
    cell = TopDown(kernel, normalization=normalization)
    kwargs = {"strides": strides, "normalization": normalization}
    compare(run, rng, cell, reference.top_down, v_top, h, **kwargs)
    v_top, *hs = draws(rng, v_top, h, h)
    ys = [run(cell, v_top, h) for h in hs]
    np.testing.assert_array_equal(*ys)
    assert ys[0].min() == 0


@pytest.mark.parametrize("normalization", ["layer", None])
def test_g1_and_conv_g1_without_batch_normalisation_have_a_b(run, rng, normalization):
    kwargs = {"normalization": normalization}
    cell = compare(run, rng, G1(**kwargs), reference.g1, (4, 3), (4, 5), **kwargs)
    assert G1.from_config(cell.get_config()).normalization == normalization
    coarse, fine = (3, 2, 2, 2), (3, 4, 4, 3)
    cell = ConvG1(4, **kwargs)
    compare(run, rng, cell, reference.conv_g1, coarse, fine, strides=2, **kwargs)
    assert ConvG1.from_config(cell.get_config()).normalization == normalization
    assert tuple(cell.b.shape) == (3,)


@pytest.mark.parametrize(("cell", "h"), [(G1(), (3, 4)), (ConvG1(3), (3, 4, 4))])
def test_g1_starts_as_an_even_mixture_of_h_and_u(run, rng, cell, h):
    """`s = sigmoid(u)` and `f(u, w) = u`."""
    v_top, h = draws(rng, h, h)
    cell.build(v_top.shape, h.shape)
    w = reference.weights_of(cell)
    u = reference.linear(reference.below(w, "A"), v_top)
    u = reference.batch_norm(
        u, reference.below(w, "A/norm"), reference.Iteration(row=0)
    )
    expected = reference.gate(reference.sigmoid(u), h, u)
    np.testing.assert_allclose(run(cell, v_top, h), expected, atol=ATOL)


# ConvG2 and ConvG3


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
@pytest.mark.parametrize("cls", list(UPSAMPLING))
def test_upsampling_cells_with_each_normalisation(run, rng, cls, normalization):
    """Strides 2 and an uneven size: 5 x 4 -> 3 x 2 -> 6 x 4, cropped to 5 x 4."""
    cell = cls(4, normalization=normalization)
    v_top, h, below = (3, 3, 2, 2), (3, 3, 2, 3), (3, 5, 4, 1)
    kwargs = {"strides": 2, "grid": (5, 4), "normalization": normalization}
    compare(run, rng, cell, UPSAMPLING[cls], v_top, h, below, **kwargs)


@pytest.mark.parametrize(
    ("v_top", "h", "below", "kernel", "strides"),
    [
        ((2, 4, 3, 5), (2, 4, 3, 2), (2, 4, 3, 1), 3, 1),
        ((2, 4, 4, 2), (2, 4, 4, 2), (2, 4, 4, 1), 2, 1),
        ((2, 4, 2), (2, 4, 3), (2, 8, 1), 4, 2),
        ((2, 1, 6, 2), (2, 1, 6, 3), (2, 1, 11, 1), (1, 3), (1, 2)),
        # v_top on a coarser grid is copied to that of h
        ((2, 2, 2, 3), (2, 4, 4, 2), (2, 4, 4, 1), 3, 1),
        ((2, 1, 3, 3), (2, 1, 6, 2), (2, 1, 11, 1), (1, 3), (1, 2)),
        ((2, 3, 3), (2, 5, 2), (2, 5, 1), 3, 1),
    ],
)
@pytest.mark.parametrize("cls", list(UPSAMPLING))
def test_upsampling_cells_undo_the_strides_of_their_row(
    run, rng, cls, v_top, h, below, kernel, strides
):
    kwargs = {"strides": strides, "grid": below[1:-1]}
    compare(run, rng, cls(kernel), UPSAMPLING[cls], v_top, h, below, **kwargs)


def test_conv_g3_with_the_inner_kernel_of_the_papers_letter(run, rng):
    cell = ConvG3(3, inner_kernel_size=3)
    compare(run, rng, cell, reference.conv_g3, (2, 4, 3, 2), (2, 4, 3, 3))
    assert reference.weights_of(cell)["W_s_D_E/kernel"].shape == (3, 3, 3, 9)


@pytest.mark.parametrize("cls", [ConvG1, *UPSAMPLING])
def test_cells_with_layer_normalisation_in_mixed_precision(run, rng, cls):
    v_top, h = draws(rng, (2, 4, 3), (2, 4, 3))
    full, mixed = (
        cls(3, normalization="layer", dtype=dtype)
        for dtype in ("float32", "mixed_bfloat16")
    )
    for cell in (full, mixed):
        cell.build(v_top.shape, h.shape, h.shape)
    mixed.set_weights(full.get_weights())
    y = run(mixed, v_top, h)
    assert y.dtype.name == "bfloat16"
    np.testing.assert_allclose(y.astype("float32"), run(full, v_top, h), atol=0.1)


@pytest.mark.parametrize("cls", list(UPSAMPLING))
@pytest.mark.parametrize("v_top", [(None, 5), (None, 4, 2)])
def test_upsampling_cells_refuse_what_is_no_feature_map(cls, v_top):
    with pytest.raises(ValueError, match="must be feature maps"):
        cls(3).build(v_top, (None, 4, 4, 2), (None, 4, 4, 1))


@pytest.mark.parametrize("cls", [ConvG1, TopDown])
def test_convolutional_decoders_name_the_map_that_does_not_fit(cls):
    for v_top in ((2, 10), (2, 4, 4, 3)):
        with pytest.raises(ValueError, match="`h` must be a feature map .*Use G1 in"):
            cls(3).build(v_top, (2, 10))
    with pytest.raises(ValueError, match="`v_top` must be a vector, or a map like"):
        cls(3).build((2, 4, 3), (2, 8, 8, 3))


def test_conv_g2_starts_with_its_two_means_equal_to_their_inputs(run, rng):
    cell = ConvG2(3)
    v_top, h = draws(rng, (2, 4, 2), (2, 4, 2))
    cell.build(v_top.shape, h.shape)
    u_1, u_2, u_s = reference.first_convolutions(
        reference.weights_of(cell), v_top, h, None, 1, (4,), "layer", n=3
    )
    expected = reference.gate(reference.sigmoid(u_s), u_1, u_2)
    np.testing.assert_allclose(run(cell, v_top, h), expected, atol=ATOL)


def test_identity_hands_down_h_and_does_not_look_up(run, rng):
    v_top, other, h = draws(rng, (2, 5), (2, 5), (2, 4, 3))
    cell = Identity()
    cell.build(v_top.shape, h.shape, h.shape)
    np.testing.assert_array_equal(run(cell, v_top, h), h)
    np.testing.assert_array_equal(run(cell, other, h), h)
    assert cell.compute_output_shape((None, 5), (None, 4, 3)) == (None, 4, 3)
    assert not cell.weights


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", None, (3, 0)])
def test_kernel_sizes_are_refused_where_a_cell_is_made(value):
    for cell in (ConvG1, TopDown, ConvG2, ConvG3):
        with pytest.raises(ValueError, match="^`kernel_size` of .* must be .*; got"):
            cell(value)
    with pytest.raises(ValueError, match="^`inner_kernel_size` of ConvG3 must be"):
        ConvG3(3, value)
