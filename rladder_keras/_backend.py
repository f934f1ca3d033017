"""Check of Keras' backend, with an error message that names the remedy.

The check runs before Keras is imported: Keras' own error only names the missing
module.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

KNOWN = ("tensorflow", "jax", "torch")


def check_backend() -> None:
    """Raise `ImportError` if the backend of Keras is unknown or not installed."""
    if "keras" in sys.modules:
        return
    backend = os.environ.get("KERAS_BACKEND")
    if backend and backend not in KNOWN:
        raise ImportError(
            f"KERAS_BACKEND must be one of {', '.join(KNOWN)}; got {backend!r}. Set it "
            "to one of these."
        )
    if backend and not installed(backend):
        raise ImportError(
            f"KERAS_BACKEND must be a backend that is installed; got {backend!r}. Run "
            f"pip install {backend}, or set KERAS_BACKEND to another of "
            f"{', '.join(KNOWN)}."
        )
    if not backend and not installed(default_backend()):
        others = [name for name in KNOWN if installed(name)]
        remedy = (
            f"Run pip install {default_backend()}, or another of {', '.join(KNOWN)}"
        )
        if others:
            remedy = f"Set KERAS_BACKEND={others[0]} before Python starts"
        raise ImportError(
            "KERAS_BACKEND must name an installed backend; got none, and the default "
            f"backend {default_backend()} is not installed. {remedy}."
        )


def installed(package: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(package) is not None


def default_backend() -> str:
    """Return the backend in Keras' configuration file; TensorFlow if there is none."""
    home = os.environ.get("KERAS_HOME") or Path("~", ".keras").expanduser()
    try:
        settings = json.loads(Path(home, "keras.json").read_text())
        return settings.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


check_backend()
