"""Settings of the whole suite."""

import gc
import os

# The models under test are tiny: compiling them without optimisation is faster.
FLAGS = ["--xla_backend_optimization_level=0"]
if os.environ.get("KERAS_BACKEND") == "jax":
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
    FLAGS += ["--xla_cpu_parallel_codegen_split_count=1"]
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))

import keras  # noqa: E402
import pytest  # noqa: E402

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Graphs are run as they are traced.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_configure(config):
    line = "everywhere: on all backends, in a file that is marked `once`"
    config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(items):
    """Tests of code that does not depend on the backend run on one backend only.

    `once` selects PyTorch, which compiles nothing and is the fastest with small models;
    `once("jax")` selects JAX. In a file that is marked as a whole, `everywhere` exempts
    a test.
    """
    for item in items:
        marks = (m for m in item.iter_markers() if m.name in ("once", "everywhere"))
        closest = next(marks, None)
        if closest is None or closest.name == "everywhere":
            continue
        (backend,) = closest.args or ("torch",)
        if backend != keras.backend.backend():
            item.add_marker(pytest.mark.skip(reason=f"runs on {backend} only"))


def pytest_collection_finish():
    """The garbage collector does not search what was imported."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def models_freed():
    """Free the models of a module, which refer to themselves, before the next one."""
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="module")
def seeded_module():
    """The models of a module that its tests share are the same in each run."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def seeded():
    """What fails once fails again."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy():
    """Sets the dtype policy of what is made after it, for the length of one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
