"""Trained weights, their cards, and the argument `weights` of the builders."""

import inspect
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import reference
from zoo.music import table_8
from zoo.occluded_mnist import small_table

import zoo
from rladder_keras import RecurrentLadder
from zoo import reproduce, weights
from zoo.data.digits.sources import _find_mnist, load_digits
from zoo.data.music.corpora import FILES, Corpus
from zoo.data.music.rolls import PianoRolls, piano_rolls
from zoo.experiments import EXPERIMENTS
from zoo.weights.cards import ALIASES

pytestmark = pytest.mark.once

BUILD = partial(
    zoo.occluded_mnist_rladder, 0.1, table=small_table, prediction=False, unroll=True
)
SHIPPED = [
    (model, name) for model, names in zoo.list_weights().items() for name in names
]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A model with random weights, whose name is "tiny"."""
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    model = BUILD()
    reference.randomise(model)
    weights.publish(model, BUILD, "tiny", {"seed": 3}, tmp_path)
    return model


def frames():
    return np.random.default_rng(1).random((2, 3, 32, 32, 1), dtype="float32")


@pytest.mark.everywhere
@pytest.mark.parametrize("model, name", SHIPPED)
def test_shipped_weights_give_on_each_backend_what_they_gave(model, name):
    card = weights.card(model, name)
    trained = getattr(zoo, model)(weights=name)
    found = weights.fingerprint(trained)
    assert found.keys() == card["check"].keys()
    for output, values in found.items():
        np.testing.assert_allclose(values, card["check"][output], atol=1e-4)
    assert card["metrics"] and card["command"].startswith("python -m zoo.reproduce")
    assert {"table", "row", "seed", "commit", "inputs", "licence"} <= set(card)
    names = {"MNIST", load_digits("sklearn").name, *(f.title for f in FILES.values())}
    assert trained.trained_on in names


def test_trained_weights_that_learn_on_have_no_data_of_their_own():
    model = zoo.occluded_mnist_rladder(weights="small_sklearn")
    assert model.trained_on is not None
    x = np.zeros((2, 5, 32, 32, 1), "float32")
    model.train_on_batch(x, {"class": np.zeros(2, int), "frame": x, "probe": x})
    assert model.trained_on is None


def test_groups_of_shipped_weights_are_the_digits():
    """On a hundred films, about as on all of them."""
    if _find_mnist() is None:
        pytest.skip("MNIST is not on this machine; RLADDER_DATA_DIR names its folder")
    films = {"size": 20, "frames": 8, "evaluation_sequences": 100, "verbose": False}
    _, _, test = zoo.data.moving_mnist("mnist", 50, **films)
    found = zoo.moving_mnist_rtagger(weights="small").evaluate(
        test, verbose=0, return_dict=True
    )
    metrics = weights.card("moving_mnist_rtagger", "small")["metrics"]
    assert abs(found["posterior_ami"] - metrics["AMI, frame seen"]) < 0.08
    assert found["posterior_ami"] > 0.4


@pytest.mark.everywhere
def test_a_name_brings_the_arguments_and_the_weights(published):
    assert zoo.list_weights("occluded_mnist_rladder")[-1] == "tiny"
    assert "tiny" in zoo.list_weights()["occluded_mnist_rladder"]
    found = zoo.occluded_mnist_rladder(weights="tiny", learning_rate=1e-4)
    assert float(found.optimizer.learning_rate) == pytest.approx(1e-4)
    expected = published.predict(frames(), verbose=0)
    for name, values in found.predict(frames(), verbose=0).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)
    assert weights.card("occluded_mnist_rladder", "tiny")["seed"] == 3


@pytest.mark.parametrize("joint", [{}, {"joint": True}])
def test_what_serves_training_only_is_left_out(tmp_path, monkeypatch, joint):
    """The state that is carried between batches, and the initial bias."""
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    frequencies = np.full(88, 0.05)
    build = partial(
        zoo.polyphonic_music_rladder, 0.07, frequencies=frequencies, carry=4, **joint
    )
    model = build(unroll=False)
    weights.publish(model, build, "tiny", {}, tmp_path)
    assert weights.card("polyphonic_music_rladder", "tiny")["arguments"] == {
        "width": 0.07,
        **joint,
    }
    found = zoo.polyphonic_music_rladder(weights="tiny", unroll=False, carry=2)
    rolls = (np.random.default_rng(0).random((1, 3, 88)) < 0.1).astype("float32")
    rolls = {"roll": rolls, "next": rolls} if joint else rolls
    values, expected = (m.predict(rolls, verbose=0)["notes"] for m in (found, model))
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_models_of_groups_by_name(tmp_path, monkeypatch):
    """A table with an argument, and a model whose outputs are random."""
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    table = partial(zoo.moving_mnist.bottleneck_table_of_motion, size=22)
    build = partial(zoo.moving_mnist_rtagger, 0.1, table=table, size=22, frames=3)
    model = build()
    weights.publish(model, build, "tiny", {}, tmp_path)
    card = weights.card("moving_mnist_rtagger", "tiny")
    name = {"name": "bottleneck_table_of_motion", "arguments": {"size": 22}}
    assert card["arguments"]["table"] == name and card["check"] == {}
    found = zoo.moving_mnist_rtagger(weights="tiny", table=partial(table))
    for a, b in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_builder_hands_on_to_another_what_it_does_not_name(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    build = partial(
        zoo.moving_mnist_tagger,
        0.1,
        size=16,
        frames=3,
    )
    weights.publish(build(), build, "tiny", {}, tmp_path)
    assert weights.card("moving_mnist_tagger", "tiny")["arguments"]["size"] == 16
    zoo.moving_mnist_tagger(weights="tiny", size=16)
    with pytest.raises(ValueError, match="Leave `size` out"):
        zoo.moving_mnist_tagger(weights="tiny", size=20)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_baselines_of_table_3_are_published_by_their_units(tmp_path, monkeypatch, kind):
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    row = f"{kind} of Keras"
    args = reproduce.arguments(["table-3", "--row", row, "--width", "0.01"])
    train = PianoRolls([np.eye(88)], batch_size=2)
    build = EXPERIMENTS["table-3"].build(args, row, train)
    model = build()
    weights.publish(model, build, "tiny", {}, tmp_path)
    found = getattr(zoo, f"polyphonic_music_{kind.lower()}")(weights="tiny")
    for a, b in zip(found.weights, weights.learned(model), strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))


def test_another_architecture_is_refused(published, tmp_path):
    with pytest.raises(ValueError, match="`width` must be 0.1 .*Leave `width` out"):
        zoo.occluded_mnist_rladder(0.2, weights="tiny")
    (file,) = tmp_path.glob("*.h5")
    with pytest.raises(ValueError, match="another architecture"):
        zoo.occluded_mnist_rladder(0.2, table=small_table, weights=file)
    assert BUILD(weights=file)


@pytest.mark.parametrize(
    ("saved", "other"),
    [
        ({"joint": True}, {}),
        ({}, {"feedback": "none"}),
        ({"carry": 2}, {"feedback": "none"}),
    ],
)
def test_weights_that_a_model_has_no_place_for_are_refused(saved, other, tmp_path):
    build = partial(
        zoo.polyphonic_music_rladder, 0.1, table=lambda width: table_8(width)[4:]
    )
    file = tmp_path / "a.weights.h5"
    build(**saved).save_weights(file)
    with pytest.raises(ValueError, match="another architecture"):
        build(**other, weights=file)
    for carry in (None, 2, 3):
        assert build(**{**saved, "carry": carry}, weights=file)


def test_a_model_tells_when_its_weights_are_of_other_data(tmp_path, monkeypatch):
    """`evaluate` and `predict` warn until `fit` has changed the weights."""
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    weights.publish(BUILD(), BUILD, "tiny", {"data": "MNIST"}, tmp_path)
    model = zoo.occluded_mnist_rladder(weights="tiny")
    train, _, test = zoo.data.occluded_mnist(
        "sklearn", 5, sequences=5, evaluation_sequences=5, verbose=False
    )
    for call in (model.evaluate, model.predict):
        with pytest.warns(UserWarning, match="on MNIST.*the digits of scikit-learn"):
            call(test, verbose=0)
        test.origin = "MNIST"
        call(test, verbose=0)
        test.origin = "the digits of scikit-learn"
    with pytest.raises(ValueError, match="8-bit|float"):
        model.fit(np.zeros((5, 5, 32, 32, 1), "uint8"), {}, verbose=0)
    assert model.trained_on == "MNIST"  # nothing was trained
    zoo.MeanTeacher(model).fit(train, verbose=0)
    assert model.trained_on is None
    model = zoo.occluded_mnist_rladder(weights="tiny")
    model.fit(train, validation_data=test, verbose=0)
    model.evaluate(test, verbose=0)


def test_music_of_another_corpus_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    build = partial(zoo.polyphonic_music_lstm, 4)
    weights.publish(build(), build, "tiny", {"data": "JSB Chorales"}, tmp_path)
    model = zoo.polyphonic_music_lstm(weights="tiny")
    corpus = Corpus("scales", *[(np.eye(88),)] * 3)
    _, _, test = piano_rolls(corpus, verbose=False)
    with pytest.warns(UserWarning, match="on JSB Chorales, and these data are scales"):
        zoo.music.negative_log_likelihood(model, test)


def test_weights_are_listed_by_their_data():
    assert zoo.list_weights("occluded_mnist_rladder", data="MNIST") == [
        "reduced_mnist",
        "small_mnist",
    ]
    muse = {"polyphonic_music_rladder": ["small_muse"]}
    assert zoo.list_weights(data="MuseData") == muse


@pytest.mark.once
def test_former_names_of_weights_stay_valid(published, tmp_path):
    for former, name in ALIASES.items():
        model, *_ = (m for m, names in zoo.list_weights().items() if name in names)
        assert weights.card(model, former) == weights.card(model, name)
    weights.publish(published, BUILD, "small", {}, tmp_path)
    assert weights.card("occluded_mnist_rladder", "small")["name"] == "small"


def test_trained_weights_serve_any_number_of_groups():
    model = zoo.moving_mnist_rtagger(weights="small", groups=3, digits=3)
    assert model.output["groups"].shape == (None, None, 3, 20, 20)
    two = zoo.moving_mnist_rtagger(weights="small")
    for a, b in zip(model.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_arguments_than_the_usual_are_refused(published, tmp_path):
    with pytest.raises(
        ValueError, match="`feedback` must be 'recurrent' .* got 'none'"
    ):
        zoo.occluded_mnist_rladder(weights="tiny", feedback="none")
    assert zoo.occluded_mnist_rladder(weights="tiny", feedback="recurrent", skip=())
    build = partial(BUILD, skip=("diagonal",))
    weights.publish(build(), build, "diagonal", {}, tmp_path)
    assert zoo.occluded_mnist_rladder(weights="diagonal", skip=("diagonal",))


@pytest.mark.everywhere
def test_a_part_of_a_model_is_trained(published):
    (ladder,) = (n for n in published.layers if isinstance(n, RecurrentLadder))
    frozen = ladder.cell.encoders[:2]
    for row in frozen:
        row.trainable = False
    published.compile_from_config(published.get_compile_config())
    layers = [*frozen, ladder]
    before = [[w.copy() for w in layer.get_weights()] for layer in layers]
    targets = {"class": np.array([1, 2]), "probe": frames()}
    published.train_on_batch(frames(), targets)
    for layer, weights_before in zip(layers, before, strict=True):
        same = all(map(np.array_equal, layer.get_weights(), weights_before))
        assert same == (layer is not ladder)


@pytest.mark.parametrize(("carries", "other"), [(None, 2), (3, None), (3, 2)])
def test_a_state_that_is_carried_is_no_part_of_the_weights(tmp_path, carries, other):
    build = partial(zoo.polyphonic_music_rladder, 0.07, unroll=False)
    model = build(carry=carries)
    reference.randomise(model)
    file = tmp_path / "mine.weights.h5"
    model.save_weights(file)
    other = build(carry=other, weights=file)
    rolls = (np.random.default_rng(0).random((1, 3, 88)) < 0.1).astype("float32")
    values, expected = (m.predict(rolls, verbose=0)["notes"] for m in (other, model))
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_unknown_names_are_refused_with_the_known_ones(published):
    with pytest.raises(ValueError, match="'tiny'.*path of a file"):
        zoo.occluded_mnist_rladder(weights="large")
    with pytest.raises(ValueError, match="no file"):
        zoo.occluded_mnist_rladder(weights="mine.weights.h5")
    with pytest.raises(ValueError, match="occluded_mnist_temporal_baseline"):
        zoo.list_weights("lenet")


def test_what_is_altered_is_refused_and_what_is_missing_downloaded(
    published, tmp_path, monkeypatch
):
    (file,) = tmp_path.glob("*.h5")
    (card,) = tmp_path.glob("*.json")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="incomplete or was altered"):
        zoo.occluded_mnist_rladder(weights="tiny")
    file.unlink()
    with pytest.raises(ValueError, match="is missing"):
        zoo.occluded_mnist_rladder(weights="tiny")
    elsewhere = tmp_path / "elsewhere" / "file"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(whole)
    known = {**json.loads(card.read_text()), "url": elsewhere.as_uri()}
    card.write_text(json.dumps(known))
    get_file = partial(keras.utils.get_file, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert zoo.occluded_mnist_rladder(weights="tiny")


def test_a_whole_model_is_loaded_by_keras():
    for name in ("m.keras", Path("m.keras")):
        with pytest.raises(ValueError, match=r"keras.saving.load_model\('m.keras'\)"):
            zoo.occluded_mnist_rladder(weights=name)


def test_a_file_that_is_damaged_in_the_middle_is_named(published, tmp_path):
    """Damage may raise any error in h5py, or may read as invalid numbers."""
    file = tmp_path / "mine.weights.h5"
    published.save_weights(file)
    whole, refused = file.read_bytes(), 0
    for part in range(1, 20):
        place = len(whole) * part // 20
        for hole in (b"\xff" * 512, b""):
            file.write_bytes(whole[:place] + hole + whole[place + 512 :])
            with pytest.raises(ValueError, match="must be a complete file of weights;"):
                weights.loaded(published, file)
            refused += 1
    assert refused
    file.write_bytes(whole)
    assert weights.loaded(published, file) is published


@pytest.mark.parametrize("key", ["arguments", "sha256", "file", None])
def test_a_card_without_a_key_is_named(published, tmp_path, key):
    (card,) = tmp_path.glob("*.json")
    known = json.loads(card.read_text())
    known.pop(key, None)
    card.write_text(json.dumps(known if key else []))
    with pytest.raises(ValueError, match=f"must be a card with.* lacks .*{key or ''}"):
        zoo.occluded_mnist_rladder(weights="tiny")


def test_what_is_published_is_found_and_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path))
    weights.publish(BUILD(), BUILD, "tiny", {})
    assert zoo.list_weights("occluded_mnist_rladder").count("tiny") == 1
    with pytest.raises(ValueError, match="exists. Delete it, or publish under another"):
        weights.check_publishable(BUILD, "tiny")


def test_models_of_no_builder_are_not_published(tmp_path):
    with pytest.raises(ValueError, match="takes no weights"):
        weights.publish(None, partial(dict), "x", {}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", zoo.list_models())
def test_builders_say_that_they_take_weights(name):
    builder = getattr(zoo, name)
    assert "weights" in inspect.signature(builder).parameters
    assert "zoo.list_weights" in builder.__doc__
