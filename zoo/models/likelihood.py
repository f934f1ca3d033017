"""Negative log likelihood of pieces of music: the figures of Table 3."""

from typing import Any

import keras
import numpy as np

from zoo.data.music.rolls import PianoRolls
from zoo.models.music_model import is_joint
from zoo.weights import check_origin


def negative_log_likelihood(model: keras.Model, pieces: Any) -> float:
    """Return the figure of Table 3: the mean over all time steps of all pieces.

    Computed in NumPy in double precision. Probabilities are clipped to [1e-7, 1 -
    1e-7], so that a key with a probability of 1 that does not sound costs 16.1 nats.

    Args:
        model: A model of `zoo.music`.
        pieces: List of piano rolls of shape `(n, 88)`, or `PianoRolls`.

    Returns:
        Mean negative log likelihood, in nats per time step.

    Examples:
        >>> model = zoo.polyphonic_music_frequency(frequencies=np.full(88, 0.5))
        >>> loss = zoo.music.negative_log_likelihood(model, [np.eye(88)])
        >>> round(loss / np.log(2))  # bits: one for each key
        88
    """
    check_origin(model, pieces)
    pieces = getattr(pieces, "pieces", pieces)
    total, data = 0.0, PianoRolls(pieces, joint=is_joint(model))
    for x, y, weight in (data[i] for i in range(len(data))):
        y, p = y["notes"], model.predict_on_batch(x)["notes"].astype(np.float64)
        p = np.clip(p, 1e-7, 1 - 1e-7)
        terms = y * np.log(p) + (1 - y) * np.log1p(-p)
        total -= (terms * weight["notes"][..., None]).sum()
    return total / data.num_steps
