"""A word to who has set a backend that is not there, before Keras is imported."""

import importlib.util
import os

KNOWN = ("tensorflow", "jax", "torch")


def check_backend():
    """Raise an error that names the remedy if `$KERAS_BACKEND` cannot be had."""
    backend = os.environ.get("KERAS_BACKEND")
    if backend and backend not in KNOWN:
        raise ImportError(
            f"KERAS_BACKEND is {backend!r}: set it to one of {', '.join(KNOWN)}."
        )
    if backend and importlib.util.find_spec(backend) is None:
        raise ImportError(
            f"KERAS_BACKEND is {backend!r}, which is not installed: pip install "
            f"{backend}, or set it to another of {', '.join(KNOWN)}."
        )


check_backend()
