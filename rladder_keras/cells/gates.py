"""The two elementwise functions in every decoder cell (Appendix A)."""

from keras import ops

from rladder_keras.typing import Tensor


def gate(s: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Mix two tensors: `s * a + (1 - s) * b`, the last line of A.1, A.2 and A.3.

    Args:
        s: Gate: 1 selects `a`, and 0 selects `b`. It may be outside of [0, 1].
        a: Tensor that broadcasts with `s`.
        b: Tensor that broadcasts with `s`.

    Returns:
        Tensor of the broadcast shape.

    Examples:
        >>> gate(0.25, 4.0, 8.0)
        7.0
    """
    return s * a + (1 - s) * b


def f(u: Tensor, w: Tensor) -> Tensor:
    """Compute Equation 6: `w0 * sigmoid(w1 * u + w2) + w3 * u + w4`, elementwise.

    Args:
        u: Tensor of shape `(..., channels)`.
        w: Five parameters for each channel, shape `(5, channels)`. For separate
            parameters for each unit, flatten `u` to `(batch, units)` and use the shape
            `(5, units)`.

    Returns:
        Tensor of the shape of `u`.

    Examples:
        >>> u, w = ops.zeros((2, 8, 8, 16)), ops.ones((5, 16))
        >>> ops.shape(f(u, w))
        (2, 8, 8, 16)
    """
    w0, w1, w2, w3, w4 = (w[i] for i in range(5))
    return w0 * ops.sigmoid(w1 * u + w2) + w3 * u + w4
