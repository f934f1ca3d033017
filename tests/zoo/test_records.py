"""Runs and cards record when and where a model was trained, not when it was saved."""

import csv
import json
import subprocess
from types import SimpleNamespace

import keras
import pytest

from zoo import report, reproduce, weights
from zoo.experiments import records, run
from zoo.training import checkpoint
from zoo.weights import WEIGHTS_DIR

pytestmark = pytest.mark.once

MADE_WITH = "commit", "versions", "device", "date", "backend", "seconds"


@pytest.fixture
def at(monkeypatch):
    """Return a function that sets commit, versions, device and date by a number."""

    def move(n):
        def present():
            return {
                "commits": f"commit {n}",
                "versions": f"keras {n}",
                "devices": f"device {n}",
                "dates": f"2026-01-0{n}",
            }

        for module in (run, records):
            monkeypatch.setattr(module, "present", present)

    return move


def train(tmp_path, *more):
    command = (
        "table-1 --ladder small --width 0.1 --epochs 2 --sequences 4 --validation 4 "
        f"--batch-size 2 --phases 1 --digits sklearn --verbose 0 --out {tmp_path} "
        f"--runs {tmp_path / 'runs.csv'}"
    )
    args = reproduce.arguments([*command.split(), "--row", "Temporal baseline", *more])
    (trained,) = reproduce.reproduce(args, args.row)
    return trained


def recorded(tmp_path):
    with open(tmp_path / "runs.csv") as file:
        return list(csv.DictReader(file))


def test_a_run_and_its_card_say_where_and_when_it_was_trained(
    tmp_path, monkeypatch, at
):
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path / "weights"))
    folder = tmp_path / "run"
    at(1)
    _, progress = train(folder, "--time-budget", "0.01")
    assert not progress["done"]
    at(2)
    train(folder, "--resume")
    (line,) = recorded(folder)
    assert line["commit"] == "commit 1, commit 2"
    assert line["versions"] == "keras 1, keras 2"
    assert (line["device"], line["date"]) == ("device 1, device 2", "2026-01-02")
    at(3)  # published on another day
    train(folder, "--resume", "--publish", "tiny")
    card = weights.card("occluded_mnist_temporal_baseline", "tiny")
    assert {k: str(card[k]) for k in MADE_WITH} == {k: line[k] for k in MADE_WITH}
    assert len(recorded(folder)) == 1


def test_a_row_that_is_not_trained_says_where_it_was_evaluated(tmp_path, at):
    at(4)
    command = (
        "appendix-b --sequences 4 --batch-size 2 --verbose 0 --seed 3 "
        f"--out {tmp_path} --runs {tmp_path / 'runs.csv'}"
    )
    args = reproduce.arguments([*command.split(), "--row", "exact posterior"])
    reproduce.reproduce(args, args.row)
    for line in recorded(tmp_path):
        found = [line[k] for k in MADE_WITH[:4]]
        assert found == ["commit 4", "keras 4", "device 4", "2026-01-04"]
        assert line["backend"] == keras.backend.backend()


def test_a_run_that_diverged_says_where(tmp_path, at):
    at(5)
    command = (
        "appendix-b --rate 1e38 --sequences 400 --batch-size 200 --verbose 0 "
        f"--out {tmp_path} --runs {tmp_path / 'runs.csv'}"
    )
    args = reproduce.arguments([*command.split(), "--row", "RLadder, 1 iteration"])
    with pytest.raises(FloatingPointError):
        reproduce.reproduce(args, args.row)
    (line,) = recorded(tmp_path)
    found = [line[k] for k in MADE_WITH[:4]]
    assert found == ["commit 5", "keras 5", "device 5", "2026-01-05"]


def test_a_run_from_before_does_not_borrow_the_present(tmp_path, at):
    """Its checkpoint does not know with what it was trained, but for the backend."""
    at(6)
    folder = report.RESULTS / "checkpoints" / "rladder-seed-0"
    progress = {"backends": ["tensorflow"], **checkpoint.progress(folder)}
    found = records.circumstances(progress)
    assert [found[k] for k in MADE_WITH[:4]] == [""] * 4
    assert found["epochs"] == 20


CARDS = sorted(weights.SHIPPED.glob("*.json"))


@pytest.mark.parametrize("card", CARDS, ids=[path.stem for path in CARDS])
def test_shipped_cards_agree_with_the_runs(card):
    """Each figure has its line, which says the same of the training."""
    card = json.loads(card.read_text())
    lines = report.read_runs(report.RESULTS / "runs.csv")
    for metric, value in card["metrics"].items():
        same = ["table", "row", "seed", "epochs", "examples", *MADE_WITH]
        assert any(
            (line["metric"], float(line["value"])) == (metric, value)
            and line["size"] == card["protocol"]
            and all(line[k] == str(card[k]) for k in same)
            for line in lines
        ), f"{metric} of {card['file']} is in no line of runs.csv"


def test_lines_are_appended_below_one_header(tmp_path):
    path = tmp_path / "runs.csv"
    path.touch()  # by another process, which has not written yet
    line = dict.fromkeys(records.COLUMNS, "x")
    for seed in ("0", "1"):
        records.append(path, [{**line, "seed": seed}])
    assert path.read_text().count("\n") == 3
    assert path.read_text().startswith(",".join(records.COLUMNS))
    path.write_bytes(path.read_bytes()[:-1])  # the last line was cut off
    records.append(path, [{**line, "seed": "2"}])
    assert path.read_text().splitlines()[-1].split(",")[2] == "2"


@pytest.mark.everywhere
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_the_name_of_a_gpu_is_that_of_its_maker(monkeypatch):
    import tensorflow as tf

    details = {"device_name": "NVIDIA H200"}
    gpu = SimpleNamespace(name="/physical_device:GPU:0")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    assert records.device() == "NVIDIA H200"


@pytest.mark.parametrize("changed", ["rladder_keras/ladder.py", "zoo/data/a.py", None])
def test_a_change_of_any_package_is_marked_at_the_commit(
    changed, tmp_path, monkeypatch
):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(tmp_path)]
    files = ["rladder_keras/ladder.py", "zoo/data/a.py", "zoo/experiments/records.py"]
    for name in (*files, "docs/hooks.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    for name in (changed, "docs/hooks.py"):
        if name:
            (tmp_path / name).write_text("a = 2\n")
    monkeypatch.setattr(records, "__file__", str(tmp_path / files[-1]))
    found = records.commit.__wrapped__()
    assert len(found.rstrip("+")) == 10 and found.endswith("+") == bool(changed)
