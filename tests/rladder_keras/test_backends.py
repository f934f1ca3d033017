"""One file of weights gives the same numbers on TensorFlow, JAX and torch.

The suite runs once for each backend. The stored weights come from NumPy, and were
saved, with the outputs, by one of the backends; each must load them and give these
outputs. When a change of the library moves the numbers on purpose:

    python tests/rladder_keras/test_backends.py --regenerate
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a script, without the settings of pytest
    tests = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(tests.parent), str(tests)]

import h5py  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import reference  # noqa: E402
from keras import layers, ops  # noqa: E402

from rladder_keras import (  # noqa: E402
    G1,
    Conv,
    ConvG1,
    ConvG2,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
)

GOLDEN = Path(__file__).parent / "golden"
WEIGHTS, OUTPUTS = GOLDEN / "small_ladder.weights.h5", GOLDEN / "small_ladder.npz"
SHAPE = (2, 8, 8, 1)
ATOL = 1e-4
MODES = {"inference": False, "training": True}
HOW = (
    "The numbers on this backend are not the stored ones. If the library was meant to "
    "change them, store new ones, and say so in the change log: "
    "python tests/rladder_keras/test_backends.py --regenerate"
)


def small_ladder(unroll="auto"):
    """Every cell of the paper, in a model with random weights."""
    ladder = RecurrentLadder(
        [
            Level(ConvLSTMCell(2, 4, 2), ConvG3(4)),
            Level(Conv(3, 3), ConvG2(3)),
            Level(layers.MaxPooling2D(2), ConvG3(2)),
            Level(Conv(2, (2, 3)), ConvG1(3)),
            Level(layers.AveragePooling2D(2), G1()),
            Level(LSTMCell(3), G1()),
            Level(Softmax(3)),
        ],
        feedback="all",
        unroll=unroll,
    )
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, ladder(inputs))
    reference.randomise(ladder, seed=2017)
    return model, ladder


def names_in(path):
    """The arrays of a weights file and their shapes."""
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item.shape

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "scanned"])
def test_outputs_are_those_of_the_other_backends(run, unroll, mode):
    model, _ = small_ladder(unroll)
    reference.randomise(model, seed=1)
    model.load_weights(WEIGHTS)
    with np.load(OUTPUTS) as stored:
        outputs = run(model, stored["x"], training=MODES[mode])
        for name, value in outputs.items():
            expected = stored[f"{mode}/{name}"]
            np.testing.assert_allclose(value, expected, atol=ATOL, err_msg=HOW)


def test_a_weights_file_of_another_backend_puts_each_weight_in_its_place():
    """The stored file holds what NumPy drew for each weight."""
    drawn, loaded = small_ladder()[0], small_ladder()[0]
    reference.randomise(loaded, seed=1)
    loaded.load_weights(WEIGHTS)
    for a, b in zip(drawn.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(
            reference.numpy_of(a), reference.numpy_of(b), err_msg=f"{a.path}. {HOW}"
        )


def test_the_weights_file_of_this_backend_has_the_same_layout(tmp_path):
    model, _ = small_ladder()
    model.save_weights(tmp_path / "here.weights.h5")
    assert names_in(tmp_path / "here.weights.h5") == names_in(WEIGHTS), HOW


def test_the_stored_files_are_small():
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 200_000


def regenerate():
    """Write the golden files, after a check against the NumPy twin."""
    rng = np.random.default_rng(0)
    model, ladder = small_ladder()
    x = rng.uniform(0, 1, (4, *SHAPE)).astype("float32")
    stored = {"x": x, "backend": keras.backend.backend(), "keras": keras.__version__}
    GOLDEN.mkdir(exist_ok=True)
    model.save_weights(WEIGHTS)
    for mode, training in MODES.items():
        expected = reference.ladder(ladder, x, training)
        outputs = model(ops.array(x), training=training)
        for name, value in outputs.items():
            value = ops.convert_to_numpy(value)
            np.testing.assert_allclose(value, expected[name], atol=ATOL / 2)
            stored[f"{mode}/{name}"] = value
    np.savez_compressed(OUTPUTS, **stored)
    for path in (WEIGHTS, OUTPUTS):
        print(path, path.stat().st_size, "bytes, by", stored["backend"])


if __name__ == "__main__":
    if sys.argv[1:] != ["--regenerate"]:
        sys.exit(__doc__)
    regenerate()
