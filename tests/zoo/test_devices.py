"""The blocks of docs/guides/devices.md: several devices train as one device does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
BACKEND = keras.backend.backend()
FIRST_IMPORT = {
    "jax": "import keras",
    "tensorflow": "import tensorflow as tf",
    "torch": "import torch",
}

# On a CPU, and few narrow models, which begin alike.
BEFORE = """
import sys
import keras, numpy as np
import zoo
keras.utils.set_random_seed(0)
model_of, sets_of = zoo.occluded_mnist_rladder, zoo.data.occluded_mnist
def table(width):
    rows = zoo.occluded_mnist.small_table(width)
    return rows[:2] + rows[-3:]
def sets(batch_size=8):
    fixed = sets_of("sklearn", 8, frames=2, sequences=8, evaluation_sequences=16)[2]
    return fixed, fixed, fixed
zoo.occluded_mnist_rladder = lambda: model_of(0.2, table=table)
zoo.data.occluded_mnist = sets
"""
AFTER = """
np.savez(sys.argv[1], *model.get_weights())
"""
ONE_DEVICE = """
model = zoo.occluded_mnist_rladder()
model.fit(zoo.data.occluded_mnist()[0], epochs=1, shuffle=False)
"""
TWO_CPUS = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one, one])
"""


def block():
    """The block of the guide for this backend, shortened."""
    blocks = re.findall(
        r"```py\n(.*?)```", (ROOT / "docs/guides/devices.md").read_text(), re.S
    )
    (code,) = (b for b in blocks if b.startswith(FIRST_IMPORT[BACKEND]))
    code = code.replace("epochs=10", "epochs=1, shuffle=False")
    code = code.replace("range(10)", "range(1)")
    return code.replace("MirroredStrategy()", 'MirroredStrategy(["CPU:0", "CPU:1"])')


def weights_after(code, path, *launcher, **environment):
    script, saved = path / "train.py", path / "weights.npz"
    script.write_text(code)
    environment |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *launcher, script, saved],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(saved) as arrays:
        return [arrays[name] for name in arrays.files]


def test_two_devices_train_as_one(tmp_path):
    launcher, environment, before = [], {}, BEFORE
    if BACKEND == "jax":
        flag = "--xla_force_host_platform_device_count=4"
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    elif BACKEND == "tensorflow":
        before = TWO_CPUS + BEFORE
    else:
        launcher = "-m torch.distributed.run --standalone --nproc-per-node 2".split()
    expected = weights_after(BEFORE + ONE_DEVICE + AFTER, tmp_path)
    code = before + block() + AFTER
    found = weights_after(code, tmp_path, *launcher, **environment)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.skipif(BACKEND != "jax", reason="of keras.distribution, which is JAX's")
def test_jax_spreads_a_batch_over_all_devices(tmp_path):
    """Else the test above would compare one device with itself."""
    code = """
import jax, keras, numpy as np, sys
keras.distribution.set_distribution(keras.distribution.DataParallel())
batch = keras.distribution.DataParallel().device_mesh.shape
np.savez(sys.argv[1], np.array(batch))
"""
    flag = "--xla_force_host_platform_device_count=4"
    (shape,) = weights_after(code, tmp_path, XLA_FLAGS=flag)
    assert shape == [4]
