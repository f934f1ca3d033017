"""Checks of arguments, at construction: one sentence instead of a backend's error."""

import math

import numpy as np


def is_integer(value, low):
    """Whether `value` is a whole number of at least `low`, and no truth value."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return integer and value >= low


def check_integer(name, value, low=1):
    """Refuse what is not an integer of at least `low`, and return the others."""
    if not is_integer(value, low):
        raise ValueError(f"{name} must be an integer of at least {low}; got {value!r}.")
    return value


def check_sizes(name, value):
    """Refuse what is no kernel size or stride, and return the others."""
    sizes = value if isinstance(value, (list, tuple)) and value else [value]
    if not all(is_integer(n, 1) for n in sizes):
        raise ValueError(
            f"{name} must be an integer of at least 1, or a tuple with one for each "
            f"spatial axis; got {value!r}."
        )
    return value


def fits(found, shape):
    """Whether two shapes are the same, as far as both are known."""
    return len(found) == len(shape) and all(
        None in (n, m) or n == m for n, m in zip(found, shape, strict=True)
    )


def is_number(value):
    """Whether `value` is a finite number, and no truth value."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and math.isfinite(value)


def check_number(name, value, low=-math.inf):
    """Refuse what is not a finite number of at least `low`, and return the others."""
    if not is_number(value) or value < low:
        least = "" if low == -math.inf else f" of at least {low}"
        raise ValueError(f"{name} must be a finite number{least}; got {value!r}.")
    return value
