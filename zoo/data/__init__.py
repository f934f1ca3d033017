"""Data of the experiments."""

from zoo.data.batches import occluded_mnist
from zoo.data.digits import load_digits

__all__ = ["load_digits", "occluded_mnist"]
