"""Trained weights: their names, their cards, and the builders' argument `weights`."""

from zoo.weights.cards import (
    SHIPPED,
    WEIGHTS_DIR,
    card,
    check_origin,
    list_models,
    list_weights,
    takes_weights,
)
from zoo.weights.files import learned, loaded
from zoo.weights.hub import export
from zoo.weights.publishing import check_publishable, fingerprint, publish

__all__ = [
    "SHIPPED",
    "WEIGHTS_DIR",
    "card",
    "fingerprint",
    "check_origin",
    "check_publishable",
    "export",
    "learned",
    "list_models",
    "list_weights",
    "loaded",
    "publish",
    "takes_weights",
]
