"""One iteration, written for other runtimes and run there."""

import sys

import keras
import numpy as np
import pytest
import reference
from short_tables import short

import zoo
from rladder_keras import export_step, initial_state
from rladder_keras.export import FORMATS

BACKEND = keras.backend.backend()
ABLE = [name for name, able in FORMATS.items() if BACKEND in able]
ENDINGS = {"onnx": "onnx", "torch": "pt2", "litert": "tflite", "tf_saved_model": "tf"}

# What other packages say of themselves while they write.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def classifier():
    table = short(zoo.occluded_mnist.small_table)
    return zoo.occluded_mnist_rladder(0.25, table=table)


def music():
    """A model with a mask, and with states of each kind."""
    table = short(zoo.music.table_8)
    return zoo.polyphonic_music_rladder(0.05, table=table, beat=True, repeats=True)


def onnx(path, names):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path)
    assert [x.name for x in session.get_outputs()] == names[1]
    return lambda x: session.run(names[1], dict(zip(names[0], x, strict=True)))


def torch(path, names):
    import torch

    program = torch.export.load(path).module()

    def call(arrays):
        outputs = program([torch.as_tensor(x) for x in arrays])
        return [outputs[name].detach().numpy() for name in names[1]]

    return call


def litert(path, names):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    runner = runtime.Interpreter(str(path)).get_signature_runner()

    def call(arrays):
        outputs = runner(**dict(zip(names[0], arrays, strict=True)))
        return [outputs[name] for name in names[1]]

    return call


def tf_saved_model(path, names):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def call(arrays):
        outputs = loaded.serve([tf.convert_to_tensor(x) for x in arrays])
        return [outputs[name].numpy() for name in names[1]]

    return call


# The backend that writes a mask in each format; tests/test_live.py has ONNX of
# TensorFlow.
MASKED = {
    "onnx": "torch",
    "torch": "torch",
    "litert": "tensorflow",
    "tf_saved_model": "jax",
}
RUNTIMES = {f.__name__: f for f in (onnx, torch, litert, tf_saved_model)}


@pytest.mark.parametrize(
    ("format", "build"),
    [
        *((format, classifier) for format in ABLE),
        *((format, music) for format in ABLE if MASKED[format] == BACKEND),
    ],
)
def test_other_runtimes_give_what_the_model_gives(format, build, tmp_path):
    """Frame by frame, and beyond the first, where the state is another one.

    The frames are repeated, so that there are passages to find.
    """
    for package in FORMATS[format][BACKEND]:
        pytest.importorskip(package)
    model = build()
    reference.randomise(model)
    shape = (2, 3, *model.input_shape[2:])
    frames = np.random.default_rng(0).integers(0, 2, shape).astype("float32")
    frames = np.concatenate([frames, frames], axis=1)
    path = tmp_path / "new" / f"step.{ENDINGS[format]}"
    names = model.export_step(path, format, batch_size=2)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    call = RUNTIMES[format](path, names)
    expected = model.predict(frames, verbose=0)
    state = initial_state(model, 2)
    for t in range(frames.shape[1]):
        given = dict(zip(names[1], call([frames[:, t], *state]), strict=True))
        for name, x in expected.items():
            np.testing.assert_allclose(given[name], x[:, t], atol=1e-4)
        state = [given[f"next_{name}"] for name in names[0][1:]]


@pytest.mark.skipif(BACKEND != "torch", reason="its export follows random numbers")
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_tagger_whose_groups_begin_at_random_is_written(format, tmp_path):
    for package in FORMATS[format][BACKEND]:
        pytest.importorskip(package)
    model = zoo.moving_mnist_rtagger(0.1, size=16, frames=3, groups=2)
    reference.randomise(model)
    frame = np.random.default_rng(0).random((1, 16, 16, 1), dtype="float32")
    path = tmp_path / "step"
    call = RUNTIMES[format](path, names := model.export_step(path, format))
    state = model.init_state(1)
    given = dict(zip(names[1], call([frame, *state]), strict=True))
    expected, _ = model.step(frame, state)
    for name, x in expected.items():
        np.testing.assert_allclose(given[name], x, atol=1e-4)


@pytest.mark.parametrize("format", set(FORMATS) - set(ABLE))
def test_what_the_backend_cannot_write_is_named(format, tmp_path):
    with pytest.raises(ValueError, match=rf"can write; got '{format}'.*KERAS_BACKEND="):
        export_step(None, tmp_path / "step", format)


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="tf_saved_model, onnx, litert, torch"):
        export_step(None, tmp_path / "step", "caffe")


@pytest.mark.skipif(BACKEND == "jax", reason="needs no package but TensorFlow")
def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="pip install onnx"):
        export_step(None, tmp_path / "step.onnx")


def test_a_folder_is_not_overwritten(tmp_path):
    with pytest.raises(FileExistsError, match="Choose another path"):
        export_step(None, tmp_path, ABLE[0])


def test_nothing_is_left_where_writing_fails(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError("disk full")

    for package in FORMATS[ABLE[0]][BACKEND]:
        pytest.importorskip(package)
    model = classifier()
    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(OSError, match="disk full"):
        model.export_step(tmp_path / "step", ABLE[0])
    assert not list(tmp_path.iterdir())
