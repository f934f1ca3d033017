"""Models that an earlier version saved still load, and say what they said."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import tree

import zoo  # noqa: F401  (makes its classes known)

SAVED = Path(__file__).parent / "saved"


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("name", sorted(path.stem for path in SAVED.glob("*.keras")))
def test_a_model_saved_by_an_earlier_version_loads(name):
    model = keras.saving.load_model(SAVED / f"{name}.keras")
    assert model.get_compile_config()
    figures = SAVED / f"{name}.npz"
    if figures.exists():  # groups begin at random
        with np.load(figures) as known:
            outputs = tree.flatten(model.predict(known["x"], verbose=0))
            first = next(x for x in outputs if x.shape == known["y"].shape)
            np.testing.assert_allclose(first, known["y"], atol=1e-4)
