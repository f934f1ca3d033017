"""Muon optimiser for dense and convolution kernels, for short training runs."""

import math
from typing import Any

import keras
from keras import ops

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the Newton-Schulz iteration (Jordan et al.)
SMALLEST_SIDE = 8  # fewest input and output channels of an orthogonalised kernel


@keras.saving.register_keras_serializable("zoo")
class KernelMuon(keras.optimizers.Optimizer):
    """Muon for dense and convolution kernels, and Adam for all other weights.

    `keras.optimizers.Muon` orthogonalises the updates of matrices only. This optimiser
    treats the kernel of a convolution, shape `(*grid, a, b)`, as a matrix of shape
    `(grid * a, b)`:

        m = momentum m + g
        w = w - rate 0.2 sqrt(max(rows, columns)) orthogonal(g + momentum m)

    The factor gives updates about the size of Adam's (Liu et al.). Adam trains gains,
    biases, and kernels with fewer than 8 input or output channels, such as read-outs.
    Its learning rate is `adam_ratio` times `learning_rate`.

    Args:
        learning_rate: Float or `keras.optimizers.schedules.LearningRateSchedule`.
        momentum: Momentum of the gradients of kernels.
        adam_ratio: Learning rate of Adam, as a fraction of `learning_rate`.
        iterations_of_newton_schulz: Number of Newton-Schulz iterations. More iterations
            make the updates closer to orthogonal.
        name: Name of the optimiser.
        **kwargs: Arguments of `keras.optimizers.Optimizer`.

    References:
        - Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
        - Liu et al., Muon is scalable for LLM training, 2025.

    Examples:
        >>> from zoo.training.muon import KernelMuon
        >>> rows = [keras.Input((8, 8, 16)), keras.layers.Conv2D(16, 3)]
        >>> model = keras.Sequential(rows)
        >>> model.compile(KernelMuon(5e-3), loss="mse")
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 5e-3,
        momentum: float = 0.95,
        adam_ratio: float = 0.4,
        iterations_of_newton_schulz: int = 5,
        name: str = "kernel_muon",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.adam_ratio = adam_ratio
        self.iterations_of_newton_schulz = iterations_of_newton_schulz

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.first = [
            self.add_variable_from_reference(v, "momentum") for v in variables
        ]
        self.second = [
            None if is_kernel(v) else self.add_variable_from_reference(v, "velocity")
            for v in variables
        ]

    def update_step(
        self, gradient: Any, variable: keras.Variable, learning_rate: Any
    ) -> None:
        index = self._get_variable_index(variable)  # as Keras' own optimisers do
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        first, second = self.first[index], self.second[index]
        if second is None:
            self.muon_step(gradient, variable, rate, first)
        else:
            self.adam_step(gradient, variable, rate * self.adam_ratio, first, second)

    def muon_step(
        self, gradient: Any, variable: keras.Variable, rate: Any, momentum: Any
    ) -> None:
        self.assign(momentum, self.momentum * momentum + gradient)
        update = gradient + self.momentum * momentum
        rows, columns = math.prod(variable.shape[:-1]), variable.shape[-1]
        matrix = ops.reshape(update, (rows, columns))
        matrix = orthogonal(matrix, self.iterations_of_newton_schulz)
        scale = 0.2 * math.sqrt(max(rows, columns))
        update = ops.reshape(matrix, variable.shape)
        self.assign_sub(variable, rate * scale * update)

    def adam_step(
        self,
        gradient: Any,
        variable: keras.Variable,
        rate: Any,
        first: Any,
        second: Any,
    ) -> None:
        beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
        step = ops.cast(self.iterations + 1, variable.dtype)
        correction = ops.sqrt(1 - ops.power(beta_2, step)) / (
            1 - ops.power(beta_1, step)
        )
        self.assign(first, beta_1 * first + (1 - beta_1) * gradient)
        self.assign(second, beta_2 * second + (1 - beta_2) * ops.square(gradient))
        update = first / (ops.sqrt(second) + epsilon)
        self.assign_sub(variable, rate * correction * update)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "adam_ratio": self.adam_ratio,
            "iterations_of_newton_schulz": self.iterations_of_newton_schulz,
        }


def is_kernel(variable: keras.Variable) -> bool:
    """Return whether a variable is a kernel with at least 8 channels on both sides."""
    shape = variable.shape
    return variable.name == "kernel" and min(shape[-2:]) >= SMALLEST_SIDE


def orthogonal(x: Any, iterations: int) -> Any:
    """Return a matrix with the singular vectors of `x` and singular values of about 1.

    Args:
        x: Tensor of shape `(rows, columns)`.
        iterations: Number of Newton-Schulz iterations.
    """
    rows, columns = x.shape
    x = ops.transpose(x) if rows > columns else x
    x = x / (ops.norm(x) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        gram = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.transpose(x) if rows > columns else x
