"""Tests of the two elementwise functions of Appendix A."""

import numpy as np
import pytest
import reference
from keras import ops

from rladder_keras import f, gate


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (2, 4, 5, 3)])
def test_f_is_equation_6(rng, shape):
    u = rng.normal(0, 2, shape).astype("float32")
    w = rng.normal(0, 1, (5, 3)).astype("float32")
    y = ops.convert_to_numpy(f(ops.array(u), ops.array(w)))
    assert y.shape == shape
    np.testing.assert_allclose(y, reference.f(u, w), atol=1e-5)


def test_f_has_parameters_of_its_own_for_each_channel(rng):
    u = ops.array(rng.normal(0, 2, (4, 3)).astype("float32"))
    w = rng.normal(0, 1, (5, 3)).astype("float32")
    before = ops.convert_to_numpy(f(u, ops.array(w)))
    w[:, 1] += 1
    after = ops.convert_to_numpy(f(u, ops.array(w)))
    assert (before[:, 1] != after[:, 1]).all()
    np.testing.assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])


@pytest.mark.parametrize(
    ("w", "expected"),
    [
        ((0, 0, 0, 1, 0), lambda u: u),
        ((0, 0, 0, 0, 7), lambda u: 0 * u + 7),
        ((1, 1, 0, 0, 0), reference.sigmoid),
        ((2, 0, 0, 0, -1), lambda u: 0 * u),
        ((1, -1, 0.5, 0, 0), lambda u: reference.sigmoid(0.5 - u)),
    ],
)
def test_f_at_parameters_that_single_out_one_term(w, expected):
    u = np.linspace(-3, 3, 7, dtype="float32")[:, None]
    y = f(ops.array(u), ops.array(np.array(w, "float32")[:, None]))
    np.testing.assert_allclose(ops.convert_to_numpy(y), expected(u), atol=1e-6)


def test_gate_mixes_and_its_ends_let_one_side_through(rng):
    s, a, b = rng.normal(0, 2, (3, 2, 4, 3)).astype("float32")

    def mixed(s):
        return ops.convert_to_numpy(gate(ops.array(s), ops.array(a), ops.array(b)))

    np.testing.assert_allclose(mixed(s), reference.gate(s, a, b), atol=1e-5)
    np.testing.assert_array_equal(mixed(s * 0 + 1), a)
    np.testing.assert_array_equal(mixed(s * 0), b)
