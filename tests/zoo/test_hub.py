"""Weights as a folder for a model hub."""

import types

import keras
import numpy as np
import pytest

import zoo
from zoo.weights import export

yaml = pytest.importorskip("yaml")

WEIGHTS = [
    (model, name) for model, names in zoo.list_weights().items() for name in names
]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in for the hub: `hf://user/name` is a folder here."""

    def snapshot_download(repo_id, **kwargs):
        return str(tmp_path / repo_id)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    saving = "keras.src.saving.saving_lib.huggingface_hub"
    monkeypatch.setattr(saving, module)
    return tmp_path


@pytest.mark.once
def test_a_model_from_the_hub_is_the_one_that_was_exported(hub):
    picture = hub / "picture.png"
    picture.write_bytes(b"a picture")
    name = "small-sklearn"
    export(hub / "user" / "ladder", "occluded_mnist_rladder", name, picture)
    loaded = keras.saving.load_model("hf://user/ladder")
    model = zoo.occluded_mnist_rladder(weights=name)
    x = np.random.default_rng(0).random((2, 5, 32, 32, 1), dtype="float32")
    expected = model.predict(x, verbose=0)
    for key, found in loaded.predict(x, verbose=0).items():
        np.testing.assert_allclose(found, expected[key], atol=1e-6)
    text = (hub / "user" / "ladder" / "README.md").read_text()
    assert "](assets/picture.png)" in text
    assert (hub / "user" / "ladder" / "assets" / "picture.png").exists()


@pytest.mark.once
@pytest.mark.parametrize(("model", "name"), WEIGHTS)
def test_the_card_has_the_metadata_that_a_hub_reads(model, name):
    from zoo.weights.hub import page

    known = zoo.weights.card(model, name)
    _, head, text = page(known).split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["license"] == "apache-2.0" and about["library_name"] == "keras"
    (result,) = about["model-index"][0]["results"]
    figures = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert figures == known["metrics"] and figures
    assert known["command"] in text and known["data"] in text


@pytest.mark.once
def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="`folder` must be new or empty"):
        export(tmp_path, "occluded_mnist_rladder", "small")
    with pytest.raises(ValueError, match="got 'large'"):
        export(tmp_path / "new", "occluded_mnist_rladder", "large")
    with pytest.raises(ValueError, match="`picture` must be a file"):
        export(tmp_path / "new", "occluded_mnist_rladder", "small", "no.png")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_card_that_lacks_a_key_is_refused_by_name():
    from zoo.weights.hub import page

    known = dict(zoo.weights.card(*WEIGHTS[0]))
    del known["inputs"], known["seconds"]
    with pytest.raises(ValueError, match="it lacks inputs, seconds"):
        page(known)
