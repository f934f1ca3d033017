"""`--seeds`: several seeds give the same runs as one seed after the other."""

import csv

import numpy as np
import pytest
from short_tables import short

from zoo import reproduce
from zoo.experiments import table_1
from zoo.models import occluded_mnist as om
from zoo.training import checkpoint

pytestmark = pytest.mark.once

SEEDS = 3, 5


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.once("jax"))])
def together(request, monkeypatch):
    """Whether the runs are trained in one step; without a GPU it is not the default."""
    monkeypatch.setattr(reproduce, "stackable", lambda data: request.param)
    return request.param


@pytest.fixture(autouse=True)
def few_rows(few_digits, monkeypatch):
    """A ladder of few rows is trained on few digits."""
    monkeypatch.setitem(table_1.LADDERS, "small", short(om.small_table, 1, 3))


def run(folder, *more):
    command = (
        "table-1 --row RLadder --ladder small --width 0.1 --epochs 2 --phases 1 "
        "--frame-weight 1 0.1 "
        f"--sequences 8 --batch-size 4 --digits sklearn --verbose 0 --out {folder} "
        f"--runs {folder}.csv"
    )
    reproduce.main([*command.split(), *more])


def lines(folder):
    with open(f"{folder}.csv") as file:
        return list(csv.DictReader(file))


def figures(folder):
    return {
        (line["row"], line["seed"], line["metric"]): float(line["value"])
        for line in lines(folder)
    }


def test_seeds_are_trained_like_separate_runs(tmp_path, together):
    """Stopped after the first epoch, and resumed one by one or together."""
    single, several = tmp_path / "single", tmp_path / "several"
    seeds = "--seeds", *map(str, SEEDS)
    for seed in SEEDS:
        run(single / f"seed-{seed}", "--seed", str(seed), "--runs", f"{single}.csv")
    run(several, *seeds, "--time-budget", "0.01")
    assert not (tmp_path / "several.csv").exists()
    epochs = [checkpoint.progress(several / f"seed-{s}")["epoch"] for s in SEEDS]
    assert epochs == [1, 1]
    run(several, *seeds, "--resume")
    expected, found = figures(single), figures(several)
    assert set(found) == set(expected) and len(found) == 4
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3)
    for name in ("size", "epochs", "examples"):
        assert {line[name] for line in lines(several)} == {lines(single)[0][name]}
    for seed in SEEDS:
        a, b = (arrays(folder / f"seed-{seed}") for folder in (single, several))
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(b[name], a[name], rtol=2e-3, atol=2e-4)
    # A run of several seeds can be continued alone.
    run(several / "seed-5", "--seed", "5", "--resume")


def arrays(folder):
    """The arrays of the checkpoint of a run."""
    found = {}
    for shard in folder.glob("checkpoint-*/shard-*.npz"):
        found.update(np.load(shard))
    return found


def test_a_seed_that_diverges_does_not_stop_the_others(tmp_path, together, monkeypatch):
    """The weights of seed 3 are infinite after its first epoch."""
    finite = reproduce.protocol.all_finite
    first = []

    def all_finite(model):
        first.append(model)
        return finite(model) and len(first) > 1

    monkeypatch.setattr(reproduce.protocol, "all_finite", all_finite)
    with pytest.raises(SystemExit, match="RLadder, seed 3: The loss of epoch 1"):
        run(tmp_path / "runs", "--seeds", "3", "5")
    metrics = {seed: set() for seed in "35"}
    for _, seed, metric in figures(tmp_path / "runs"):
        metrics[seed].add(metric)
    assert metrics["3"] == {"diverged in epoch"}
    assert metrics["5"] == {"classification error (%)", "prediction error (1e-5)"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds", "1", "1"], "must be different seeds"),
        (["--seeds", "1", "--seed", "2"], "not allowed with"),
        (["--seeds", "one"], "an integer of 0 or more"),
    ],
)
def test_seeds_that_cannot_be_meant(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit):
        run(tmp_path / "runs", *more)
    assert message in capsys.readouterr().err


def test_seeds_and_a_name_for_weights(tmp_path):
    with pytest.raises(SystemExit, match="Name its --row and --seed"):
        run(tmp_path / "runs", "--seeds", "1", "2", "--publish", "name")
