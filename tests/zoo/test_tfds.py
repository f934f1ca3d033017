"""Builders of tensorflow-datasets: they hold what `zoo.data` draws."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from zoo.occluded_mnist import small_table

import zoo
from zoo.data.digits.moving import moving_mnist
from zoo.data.digits.textured import textured_mnist
from zoo.data.music.rolls import PianoRolls

tfds = pytest.importorskip("tensorflow_datasets")

from zoo.data.tfds import Batches, Config, PianoRollsBuilder  # noqa: E402
from zoo.data.tfds.__main__ import main  # noqa: E402
from zoo.data.tfds.base import local_data  # noqa: E402

pytestmark = pytest.mark.once

FEW = {"sequences": 6, "evaluation_sequences": 4}
ARGUMENTS = {
    "occluded_mnist": {**FEW, "frames": 3},
    "textured_mnist": {**FEW, "size": 24, "textures": "generated"},
    "segmented_moving_mnist": {**FEW, "size": 20, "frames": 3},
}
DRAW = {
    "occluded_mnist": zoo.data.occluded_mnist,
    "textured_mnist": textured_mnist,
    "segmented_moving_mnist": moving_mnist,
}


def few(name):
    return Config(name="few", source="sklearn", arguments=ARGUMENTS[name])


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Builds the data set of that name, once."""
    folder, built = tmp_path_factory.mktemp("tfds"), {}

    def build(name):
        if name not in built:
            built[name] = tfds.builder(name, config=few(name), data_dir=folder)
            built[name].download_and_prepare()
        return built[name]

    return build


def same(batch, other):
    keras.tree.assert_same_structure(batch, other)
    pairs = zip(keras.tree.flatten(batch), keras.tree.flatten(other), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_examples_are_those_of_the_first_epoch(name, build):
    drawn = DRAW[name]("sklearn", 2, verbose=False, **ARGUMENTS[name])
    for split, data in zip(("train", "validation", "test"), drawn, strict=True):
        batches = Batches(build(name).as_data_source(split), 2)
        assert len(batches) == len(data)
        for index in range(len(data)):
            same(batches[index], data[index])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_features_are_as_declared(name, build):
    info = build(name).info
    assert info.file_format is tfds.core.FileFormat.ARRAY_RECORD
    (example,) = build(name).as_data_source("train[:1]")
    for key, feature in info.features.items():
        assert np.shape(example[key]) == feature.shape
        assert np.asarray(example[key]).dtype == feature.np_dtype


@pytest.mark.parametrize("name", [*ARGUMENTS, "piano_rolls"])
def test_says_what_it_is(name):
    cls = tfds.builder_cls(name)
    for config in cls.BUILDER_CONFIGS:
        info = tfds.builder(f"{name}/{config.name}").info
        assert "premont-schwarz2017recurrent" in info.citation
        assert info.citation.count("@") >= 2
        assert config.description and "Section" in info.description
        if name != "piano_rolls":
            assert "with a fixed seed" in " ".join(info.description.split())


@pytest.mark.everywhere
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_tfds_load_feeds_fit(build):
    folder = build("occluded_mnist").data_dir_root
    examples, info = tfds.load(
        "occluded_mnist",
        split="train",
        data_dir=folder,
        as_supervised=True,
        with_info=True,
        builder_kwargs={"config": few("occluded_mnist")},
    )
    assert len(examples) == info.splits["train"].num_examples == 6
    for batch, expected in zip(
        examples.batch(2).as_numpy_iterator(),
        Batches(build("occluded_mnist").as_data_source("train"), 2),
        strict=True,
    ):
        same(batch, expected)
    model = zoo.occluded_mnist_temporal_baseline(0.1, table=small_table)
    history = model.fit(examples.batch(2), shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.everywhere
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_tf_data_can_be_shuffled(build):
    def labels(**order):
        examples = build("occluded_mnist").as_dataset(split="train", **order)
        return [example["label"] for example in examples.as_numpy_iterator()]

    seed = tfds.ReadConfig(shuffle_seed=1)
    shuffled = labels(shuffle_files=True, read_config=seed)
    assert shuffled != labels() and sorted(shuffled) == sorted(labels())
    assert shuffled == labels(shuffle_files=True, read_config=seed)


def test_batches_for_training_have_an_order_for_each_epoch(build):
    source = build("occluded_mnist").as_data_source("train")
    batches = Batches(source, 4, fresh=True)
    assert len(batches) == 1 and batches.num_sequences == 4
    first, _ = batches[0]
    batches.on_epoch_end()
    second, _ = batches[0]
    assert not np.array_equal(first, second)
    batches.epoch = 0
    np.testing.assert_array_equal(batches[0][0], first)


def test_batches_refuse_what_they_cannot_take(build):
    sources = build("occluded_mnist").as_data_source()
    with pytest.raises(ValueError, match="split='train'"):
        Batches(sources)
    with pytest.raises(ValueError, match="smaller `batch_size`"):
        Batches(sources["train"], 7, fresh=True)


def pieces():
    rng = np.random.default_rng(0)
    return [(rng.random((n, 88)) < 0.1).astype("uint8") for n in (5, 9, 3)]


def test_piano_rolls(tmp_path, monkeypatch):
    corpus = zoo.data.music.Corpus("noise", *((piece,) for piece in pieces()))
    config = Config(name="noise", source=corpus)
    builder = PianoRollsBuilder(config=config, data_dir=tmp_path)
    builder.download_and_prepare()
    sources = builder.as_data_source()
    for split, piece in zip(("train", "validation", "test"), pieces(), strict=True):
        (example,) = sources[split]
        np.testing.assert_array_equal(example["roll"], piece)
        assert example["roll"].dtype == np.uint8
    assert PianoRolls([e["roll"] for e in sources["train"]]).num_steps == 4
    with pytest.raises(ValueError, match="PianoRolls"):
        Batches(sources["train"])


def test_a_corpus_from_the_manual_folder(tmp_path, monkeypatch):
    """A file there is taken, and `$RLADDER_DATA_DIR` is as before."""
    monkeypatch.setenv("RLADDER_DATA_DIR", str(tmp_path / "elsewhere"))
    manual = tmp_path / "manual"
    (manual / "music").mkdir(parents=True)
    (manual / "music" / "JSB_Chorales.mat").write_bytes(b"damaged")
    builder = tfds.builder("piano_rolls/jsb", data_dir=tmp_path)
    config = tfds.download.DownloadConfig(manual_dir=manual)
    with pytest.raises(ValueError, match="JSB_Chorales.mat must .* Delete it and run"):
        builder.download_and_prepare(download_config=config)
    assert os.environ["RLADDER_DATA_DIR"] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("held", [None, "of another data set"])
def test_a_manual_folder_without_our_files_is_passed_over(tmp_path, monkeypatch, held):
    monkeypatch.setenv("RLADDER_DATA_DIR", "before")
    if held:
        (tmp_path / held).touch()
    manager = tfds.download.DownloadManager(
        download_dir=tmp_path / "downloads",
        manual_dir=tmp_path,
        manual_dir_instructions="none",
    )
    with local_data(manager):
        assert os.environ["RLADDER_DATA_DIR"] == "before"


def test_missing_files_are_named_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv("RLADDER_DATA_DIR", raising=False)
    arguments = {**ARGUMENTS["textured_mnist"], "textures": "brodatz"}
    config = Config(name="few", source="sklearn", arguments=arguments)
    builder = tfds.builder("textured_mnist", config=config, data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="Put its scans there"):
        builder.download_and_prepare()


def test_unknown_arguments_are_refused(tmp_path):
    config = Config(name="few", source="sklearn", arguments={"batch_size": 3})
    with pytest.raises(ValueError, match="must be some of frames.*; got 'batch_size'"):
        tfds.builder("occluded_mnist", config=config, data_dir=tmp_path)


WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] == "tensorflow"
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if f is PathFinder else f for f in sys.meta_path]
import tensorflow_datasets as tfds
import zoo.data.tfds
from zoo.data.tfds.__main__ import main

arguments = {"sequences": 3, "evaluation_sequences": 2}
few = zoo.data.tfds.Config(name="sklearn", source="sklearn", arguments=arguments)
zoo.data.tfds.OccludedMNISTBuilder.BUILDER_CONFIGS = [few]
folder = sys.argv[1]
main(["occluded_mnist/sklearn", "--data_dir", folder])
source = tfds.data_source(
    "occluded_mnist/sklearn", split="train", data_dir=folder, download=False
)
x, y = zoo.data.tfds.Batches(source, 3)[0]
assert x.shape == (3, 5, 32, 32, 1) and list(y) == ["class", "frame", "probe"]
assert "tensorflow" not in sys.modules
"""


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="needs another")
def test_builds_and_reads_without_tensorflow(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_command_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("RLADDER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "brodatz").mkdir()
    (tmp_path / "mnist.npz").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match="error: .*mnist.npz must be .* be read"):
        main(["textured_mnist/mnist_brodatz", "--data_dir", str(tmp_path)])
    with pytest.raises(SystemExit, match="error: .*noise"):
        main(["occluded_mnist/noise", "--data_dir", str(tmp_path)])
