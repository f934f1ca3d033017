"""A sentence for users without the backend that Keras would load, before it does."""

import importlib.util
import json
import os
import sys
from pathlib import Path

KNOWN = ("tensorflow", "jax", "torch")


def check_backend():
    """Raise an error that names the remedy if Keras' backend cannot be had."""
    if "keras" in sys.modules:
        return
    backend = os.environ.get("KERAS_BACKEND")
    if backend and backend not in KNOWN:
        raise ImportError(
            f"KERAS_BACKEND is {backend!r}: set it to one of {', '.join(KNOWN)}."
        )
    if backend and not installed(backend):
        raise ImportError(
            f"KERAS_BACKEND is {backend!r}, which is not installed: pip install "
            f"{backend}, or set it to another of {', '.join(KNOWN)}."
        )
    if not backend and not installed(default_backend()):
        others = [name for name in KNOWN if installed(name)]
        remedy = f"pip install {default_backend()}, or another of {', '.join(KNOWN)}"
        if others:
            remedy = f"Set KERAS_BACKEND={others[0]} before Python starts"
        raise ImportError(
            "KERAS_BACKEND must name the backend, where it is not "
            f"{default_backend()}; got none, and {default_backend()} is not installed. "
            f"{remedy}."
        )


def installed(package):
    return importlib.util.find_spec(package) is not None


def default_backend():
    """The backend of Keras' settings, which are in a file, or TensorFlow."""
    home = os.environ.get("KERAS_HOME") or Path("~", ".keras").expanduser()
    try:
        settings = json.loads(Path(home, "keras.json").read_text())
        return settings.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


check_backend()
