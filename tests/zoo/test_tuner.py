"""Hypermodels: what they propose, and searches by one process and by several."""

import inspect
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from zoo.occluded_mnist import small_table
from zoo.textured_mnist import small_table_9

import zoo
from zoo.data.music.rolls import PianoRolls

keras_tuner = pytest.importorskip("keras_tuner")

from zoo import tuner  # noqa: E402

pytestmark = pytest.mark.once

SMALL = {
    "textured_mnist_rtagger": {"size": 32, "table": small_table_9, "iterations": 2},
    "moving_mnist_rtagger": {"size": 20, "frames": 3},
    "polyphonic_music_rladder": {"unroll": False},
}


def searched(hp):
    return {p.name for p in hp.space if type(p).__name__ != "Fixed"}


@pytest.mark.parametrize("name", tuner.SPACES)
def test_space_is_of_the_builder(name):
    builder, _, space = tuner.SPACES[name]
    assert builder is getattr(zoo, name)
    assert set(space) <= set(inspect.signature(builder).parameters)


@pytest.mark.parametrize("name", tuner.SPACES)
def test_proposals_build_a_model(name):
    hp = keras_tuner.HyperParameters()
    model = zoo.hypermodel(name, **SMALL.get(name, {})).build(hp)
    assert model.optimizer is not None
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    assert rate == pytest.approx(hp.values["learning_rate"])
    assert searched(hp) - {"depth"} <= set(tuner.SPACES[name][2])


def test_both_ends_of_the_noise_build_a_model():
    noise = tuner.SPACES["moving_mnist_rtagger"][2]["noise"]
    hp = keras_tuner.HyperParameters()
    noise("noise", hp)
    (space,) = hp.space
    for noise in (space.min_value, space.max_value):
        zoo.moving_mnist_rtagger(0.1, size=20, frames=3, noise=noise)


def test_depth_leaves_rows_out():
    space = tuner.SPACES["polyphonic_music_rladder"][2]["table"]
    hp = keras_tuner.HyperParameters()
    hp.Fixed("depth", 3)
    shorter, whole = space("table", hp)(0.5), zoo.music.table_8(0.5)
    assert len(shorter) == len(whole) - 2
    kinds = [type(level.encoder) for level in shorter]
    assert kinds == [type(whole[i].encoder) for i in (0, 1, 2, 5, 6, 7)]


def test_what_is_fixed_is_not_searched():
    hp = keras_tuner.HyperParameters()
    search = zoo.hypermodel(
        "occluded_mnist_rladder", width=0.1, table=small_table, classification=False
    )
    assert search.build(hp).output_names == ["frame", "probe"]
    assert searched(hp) == {"learning_rate", "feedback", "frame_weight"}
    assert search.objective.name == "val_frame_mse"


def test_the_weight_of_a_task_that_is_left_out_is_not_searched():
    assert "frame_weight" in zoo.hypermodel("occluded_mnist_rladder").space
    search = zoo.hypermodel("occluded_mnist_rladder", prediction=False)
    assert "frame_weight" not in search.space


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="got 'lstm'.*'polyphonic_music_lstm'"):
        zoo.hypermodel("lstm")


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="'widht'"):
        zoo.hypermodel("polyphonic_music_rladder", widht=0.5)


def test_no_weights_leave_the_search_as_it_is():
    search = zoo.hypermodel("occluded_mnist_rladder", weights=None)
    assert search.space == zoo.hypermodel("occluded_mnist_rladder").space


def test_trained_weights_leave_the_search_what_serves_training():
    search = zoo.hypermodel("occluded_mnist_rladder", weights="small")
    assert set(search.space) == {"learning_rate", "frame_weight"}


def test_missing_tensorboard_is_named(monkeypatch):
    monkeypatch.setattr(tuner, "find_spec", lambda name: None)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ImportError, match="pip install tensorboard"):
        zoo.hypermodel("polyphonic_music_lstm")


def music(seed, pieces=2):
    rng = np.random.default_rng(seed)
    pieces = [(rng.random((9, 88)) < 0.05).astype("uint8") for _ in range(pieces)]
    return PianoRolls(pieces, 1, seed=seed, fresh=True)


TUNERS = {
    "random": partial(keras_tuner.RandomSearch, max_trials=2),
    "bayesian": partial(keras_tuner.BayesianOptimization, max_trials=2),
    "hyperband": partial(keras_tuner.Hyperband, max_epochs=2, factor=2),
}


@pytest.mark.parametrize("kind", TUNERS)
def test_search(kind, tmp_path):
    search = zoo.hypermodel("polyphonic_music_lstm", units=3)
    found = TUNERS[kind](search, search.objective, directory=tmp_path, seed=0)
    found.search(music(0), validation_data=music(1), epochs=1, verbose=0)
    trials = found.oracle.get_best_trials(9)
    scores = [trial.score for trial in trials]
    assert len(trials) >= 2 and scores == sorted(scores)
    best = found.get_best_hyperparameters()[0]
    assert set(best.values) >= {"learning_rate"}


def test_search_goes_on(tmp_path):
    """A stopped search resumes with the missing trials."""

    def run(trials):
        search = zoo.hypermodel("polyphonic_music_lstm", units=3)
        found = keras_tuner.RandomSearch(
            search, search.objective, max_trials=trials, directory=tmp_path, seed=0
        )
        found.search(music(0), validation_data=music(1), epochs=1, verbose=0)
        trials = found.oracle.trials.values()
        return [(trial.hyperparameters.values, trial.score) for trial in trials]

    one = run(1)
    assert run(2)[:1] == one


@pytest.mark.parametrize("trials", [1, 2])
def test_a_search_does_not_go_on_with_other_arguments(tmp_path, trials):
    def run(units, trials):
        search = zoo.hypermodel("polyphonic_music_lstm", units=units)
        found = keras_tuner.RandomSearch(
            search, search.objective, max_trials=trials, directory=tmp_path, seed=0
        )
        found.search(music(0), validation_data=music(1), epochs=1, verbose=0)
        return found.get_best_models()

    run(3, 1)
    with pytest.raises(ValueError, match='"units": 3.*"units": 4.*project_name'):
        run(4, trials)


@pytest.mark.everywhere
def test_trials_see_the_same_data():
    class Seen(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            epochs.append(data.epoch)

    epochs, data, valid = [], music(0, pieces=8), music(1)
    search = zoo.hypermodel("polyphonic_music_lstm", units=3)
    how = {"validation_data": valid, "epochs": 2, "verbose": 0, "callbacks": [Seen()]}
    for _ in range(2):
        hp = keras_tuner.HyperParameters()
        model = search.build(hp)
        search.fit(hp, model, data, **how)
    assert epochs == [0, 1, 0, 1]


WORKER = """
import sys
import keras, keras_tuner, numpy as np, zoo
from zoo.data.music.rolls import PianoRolls

rng = np.random.default_rng(0)
data = PianoRolls([(rng.random((9, 88)) < 0.05).astype("uint8")], 1)
search = zoo.hypermodel("polyphonic_music_lstm", units=3)
tuner = keras_tuner.RandomSearch(
    search, search.objective, max_trials=3, directory=sys.argv[1], seed=0
)
tuner.search(data, validation_data=data, epochs=1, verbose=0)
assert keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules
"""


def test_two_workers_share_a_search(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(zoo.__file__).parent.parent
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, tmp_path / "search"],
            env={
                **os.environ,
                "KERAS_BACKEND": keras.backend.backend(),
                "PYTHONPATH": str(root),
                "KERASTUNER_TUNER_ID": name,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": str(port),
            },
            stderr=subprocess.PIPE,
        )
        for name in ("chief", "worker-0", "worker-1")
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors.decode()
    finally:
        for process in processes:
            process.kill()
    trials = list((tmp_path / "search").rglob("trial.json"))
    assert len(trials) == 3
    assert all('"COMPLETED"' in trial.read_text() for trial in trials)


def test_a_search_without_validation_data_trains_nothing(tmp_path):
    class Trained(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise AssertionError("a trial was trained")

    search = zoo.hypermodel("polyphonic_music_lstm", units=3)
    found = keras_tuner.RandomSearch(
        search, search.objective, max_trials=2, directory=tmp_path, seed=0
    )
    message = "`validation_data` must be given.*'val_notes_nll'.*; got None. Call"
    with pytest.raises(ValueError, match=message):
        found.search(music(0), epochs=1, verbose=0, callbacks=[Trained()])


@pytest.mark.everywhere
def test_a_part_of_the_arrays_may_be_the_validation_data():
    search = zoo.hypermodel("polyphonic_music_lstm", units=3)
    hp, x = keras_tuner.HyperParameters(), np.zeros((4, 3, 88), "float32")
    model = search.build(hp)
    logs = search.fit(hp, model, x, {"notes": x}, validation_split=0.5, verbose=0)
    assert "val_notes_nll" in logs.history
