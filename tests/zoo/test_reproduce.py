"""The protocol of Appendix D.1, stopping and resuming, and the files of results."""

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from short_tables import short

from zoo import music, onednn, report, reproduce
from zoo.data.music.corpora import Corpus
from zoo.experiments import EXPERIMENTS, records, table_1
from zoo.experiments.run import about_weights
from zoo.experiments.run import size as size_of
from zoo.listing import TABLES, listing
from zoo.models import occluded_mnist as om
from zoo.models.beat import Beat
from zoo.models.repeats import Repeats
from zoo.training import checkpoint, protocol, schedules
from zoo.training.muon import KernelMuon
from zoo.weights import WEIGHTS_DIR, learned

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("few_digits")]
EVERYWHERE = pytest.mark.everywhere


def test_rate_is_halved_when_the_error_rose_against_the_epoch_before():
    errors, rates = [], [schedules.FIRST_RATE]
    for error in (0.5, 0.4, 0.45, 0.42, 0.43, 0.44, 0.45, 0.46):
        errors.append(error)
        rates.append(schedules.next_rate(rates[-1], errors))
    expected = [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 1.25e-4, 1e-4, 1e-4]
    np.testing.assert_allclose(rates, expected)
    assert schedules.next_rate(5e-5, [0.4, 0.5]) == 5e-5  # it was chosen so low


def test_phase_1_ends_when_the_error_settles_at_the_lowest_rate():
    finished = partial(schedules.finished, schedules.D1._replace(patience=1))
    assert not finished([], [])
    assert not finished([0.3, 0.2], [1e-3, 1e-3])
    assert not finished([0.2, 0.1], [1e-4, 1e-4])
    assert finished([0.1, 0.2], [1e-4, 1e-4])
    assert finished([0.1, 0.2], [1e-3, 1e-3], epochs=2)


def test_for_music_phase_2_has_as_many_epochs_as_led_to_the_lowest_error():
    errors = [9.0, 7.0, 8.0, 7.5]
    assert (
        schedules.D2.first_rate is None and schedules.D2.next_rate(0.01, errors) == 0.01
    )
    assert schedules.D2.repeated(errors) == 2
    assert not schedules.finished(schedules.D2, errors, [0.01] * 4)
    assert schedules.finished(schedules.D2, [*errors, 7.1], [0.01] * 5)


def command(tmp_path, *more, row="Temporal baseline", out="run"):
    return (
        f"table-1 --ladder small --width 0.1 --epochs 2 --sequences 8 --batch-size 4 "
        f"--digits sklearn --verbose 0 --out {tmp_path / out} "
        f"--runs {tmp_path / 'runs.csv'}"
    ).split() + ["--row", row, *more]


def train(tmp_path, *more, **kwargs):
    args = reproduce.arguments(command(tmp_path, *more, **kwargs))
    (run,) = reproduce.reproduce(args, args.row)
    return run


def weights(model):
    return [
        ops.convert_to_numpy(v.value) for v in model.weights + model.optimizer.variables
    ]


@pytest.mark.everywhere
def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    """Stopped after every epoch, through both phases."""
    few = short(om.small_table, 1, 3)  # the models are compiled six times here
    monkeypatch.setitem(table_1.LADDERS, "small", few)
    whole, _ = train(tmp_path, out="whole")
    part, progress = train(tmp_path, "--time-budget", "0.01", out="parts")
    stops = 0
    while not progress["done"]:
        stops += 1
        part, progress = train(
            tmp_path, "--resume", "--time-budget", "0.01", out="parts"
        )
    assert stops == 3
    for a, b in zip(weights(whole), weights(part), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with open(tmp_path / "runs.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == ["Temporal baseline"] * 2
    assert lines[0]["value"] == lines[1]["value"]
    assert list(lines[0]) == records.COLUMNS
    assert lines[0]["size"].startswith("reduced: small ladder, width 0.1, 2 epochs")
    # Once a run is recorded, resuming it again records nothing.
    train(tmp_path, "--resume", out="parts")
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 3


COSINE = "--phases 1 --epochs 3 --cosine 0.01".split()


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_resumed_cosine_decay_ends_like_an_uninterrupted_one(
    tmp_path, monkeypatch, optimizer
):
    """Its rate is that of each update, and the same for every row and error."""
    few = short(om.small_table, 1, 3)
    monkeypatch.setitem(table_1.LADDERS, "reduced", few)
    options = [*COSINE, "--ladder", "reduced", "--optimizer", optimizer]
    whole, progress = train(tmp_path, *options, out="whole")
    rate = schedules.cosine_decay(0.01, updates=6)
    np.testing.assert_allclose(progress["rates"], [rate(n) for n in (0, 2, 4)])
    rates = sorted(float(rate(n)) for n in range(1, 7))
    assert rates[0] == pytest.approx(0, abs=1e-9)
    assert rates[-1] == pytest.approx(0.01)
    assert float(whole.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)
    stop = ["--time-budget", "0.01"]
    part, progress = train(tmp_path, *options, *stop, out="parts")
    while not progress["done"]:
        part, progress = train(tmp_path, *options, "--resume", *stop, out="parts")
    for a, b in zip(weights(whole), weights(part), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    (size, again) = (line["size"] for line in report.read(tmp_path / "runs.csv"))
    assert size == again
    assert size.startswith(f"reduced: reduced ladder, {optimizer}, cosine decay from")
    longer = [*options, "--epochs", "4"]  # would have had other rates from the start
    with pytest.raises(ValueError, match="holds another run, with epochs 3 and not 4"):
        train(tmp_path, *longer, "--resume", out="parts")


MISSING = "Give --epochs and --phases 1"  # the number of all updates
ALONE = "--optimizer must come with --cosine"
TWICE = "--cosine must come without --rate and --halve-rate"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("table-1 --cosine 0.01 --phases 1", MISSING),
        ("table-1 --cosine 0.01 --epochs 2", MISSING),
        ("table-1 --optimizer muon", ALONE),
        ("table-3 --cosine 0.01 --phases 1", MISSING),
        ("table-3 --cosine 0.01 --epochs 2", MISSING),
        ("table-3 --optimizer muon", ALONE),
        ("table-3 --optimizer muon --halve-rate", ALONE),
        ("table-3 --cosine 0.01 --rate 0.01", TWICE),
        ("table-3 --cosine 0.01 --halve-rate", TWICE),
    ],
)
def test_options_that_do_not_fit_a_cosine_decay(tmp_path, options, message):
    args = [*options.split(), "--row", "RLadder", "--out", str(tmp_path)]
    args = reproduce.arguments(args)
    with pytest.raises(ValueError, match=message):
        reproduce.reproduce(args, args.row)


@pytest.mark.parametrize(
    ("options", "rows", "words"),
    [
        ("--beat", [Beat], "position in the bar as input"),
        ("--repeats", [Repeats], "repeated passages as input"),
        (
            "--beat --repeats",
            [Repeats, Beat],
            "position in the bar as input, repeated passages as input",
        ),
    ],
)
@pytest.mark.parametrize("row", ["RLadder", "RLadder (joint)", "LSTM of Keras"])
def test_the_context_is_an_input_of_networks_only(row, options, rows, words):
    options = f"table-3 {options} --row".split()
    train = SimpleNamespace(frequencies=np.full(88, 0.1), batch_size=8)
    args = reproduce.arguments([*options, row, "--width", "0.1"])
    assert size_of(args) == f"reduced: width 0.1, {words}"
    model = EXPERIMENTS["table-3"].build(args, args.row, train)()
    encoders = model.get_layer("ladder").cell.encoders
    assert [type(encoder) for encoder in encoders[: len(rows)]] == rows
    args = reproduce.arguments([*options, "frequency of each key"])
    with pytest.raises(ValueError, match="must come with a row of a network"):
        EXPERIMENTS["table-3"].build(args, args.row, train)


def test_music_can_be_trained_by_muon():
    options = "table-3 --row RLadder --cosine 0.01 --epochs 3 --phases 1".split()
    args = reproduce.arguments([*options, "--optimizer", "muon"])
    assert size_of(args) == (
        "reduced: 3 epochs, training set only, muon, cosine decay from 0.01"
    )
    table_3 = EXPERIMENTS["table-3"]
    optimizer = table_3.optimizer(args, range(100))()  # 100 updates an epoch
    assert isinstance(optimizer, KernelMuon)
    assert float(optimizer.learning_rate) == pytest.approx(0.001)
    assert table_3.schedule(args) is schedules.COSINE


@pytest.fixture
def noise(monkeypatch):
    """A corpus of four pieces, whichever is asked for."""
    rng = np.random.default_rng(0)
    pieces = [(rng.random((9, 88)) < 0.05).astype("uint8") for _ in range(4)]
    corpus = Corpus("noise", tuple(pieces[:2]), (pieces[2],), (pieces[3],))
    monkeypatch.setattr("zoo.data.music.rolls.load_corpus", lambda name: corpus)
    return corpus


@pytest.mark.parametrize("row", ["LSTM of Keras", "RLadder (joint)"])
def test_music_is_reproduced_through_both_phases(tmp_path, noise, row):
    command = (
        f"table-3 --dataset muse --width 0.07 --epochs 2 --window 4 --batch-size 2 "
        f"--unroll no --verbose 0 --out {tmp_path / 'run'} --runs {tmp_path / 'runs'}"
    )
    args = reproduce.arguments([*command.split(), "--row", row])
    ((model, progress),) = reproduce.reproduce(args, row)
    assert progress["done"] and progress["phase"] == 2
    assert progress["epoch"] == schedules.best_epoch(progress["errors"])
    with open(tmp_path / "runs") as file:
        (line,) = csv.DictReader(file)
    assert (line["table"], line["row"], line["metric"]) == ("table-3", row, "MuseData")
    expected = music.negative_log_likelihood(model, noise.test)
    assert float(line["value"]) == pytest.approx(expected, rel=1e-3)
    assert line["size"] == "reduced: windows of 4, width 0.07, 2 epochs, batches of 2"


@pytest.mark.parametrize(
    "dtype", [pytest.param((), marks=EVERYWHERE), ("--dtype", "mixed_float16")]
)
def test_the_average_of_the_weights_is_judged_and_the_last_ones_go_on(
    tmp_path, noise, policy, monkeypatch, dtype
):
    """Training is the same with and without it, and so it is in parts."""
    monkeypatch.setenv(WEIGHTS_DIR, str(tmp_path / "weights"))

    def run(out, *more):
        command = (
            "table-3 --dataset muse --width 0.01 --epochs 2 --window 4 --batch-size 2 "
            f"--verbose 0 --out {tmp_path / out} --runs {tmp_path / 'runs'}"
        )
        row = "LSTM of Keras"
        args = reproduce.arguments([*command.split(), "--row", row, *dtype, *more])
        ((model, progress),) = reproduce.reproduce(args, row)
        (path,) = checkpoint.complete(tmp_path / out)
        with np.load(path / "shard-000.npz") as arrays:
            all_of_them = [arrays[f"model-{i:04d}"] for i in range(len(model.weights))]
        own = {id(v) for v in learned(model)}
        pairs = zip(model.weights, all_of_them, strict=True)
        last = [array for v, array in pairs if id(v) in own]
        return [v.numpy() for v in learned(model)], last, progress

    plain, last, progress = run("plain")
    averaged, same, steered = run("averaged", "--average", "0.5", "--publish", "noise")
    for a, b, c in zip(plain, last, same, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-6)
    assert progress["errors"] != steered["errors"]
    some = ("--average", "0.5", "--time-budget", "0.001", "--resume")
    done = False
    while not done:
        parts, last, progress = run("parts", *some)
        if progress["epoch"]:  # else phase 2 is yet to begin
            apart = [abs(a - b).max() for a, b in zip(parts, last, strict=True)]
            assert max(apart) > 1e-4
        done = progress["done"]
    published = music.polyphonic_music_lstm(weights="noise").get_weights()
    for a, b, c in zip(parts, averaged, published, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        np.testing.assert_array_equal(b, c)
    with open(tmp_path / "runs") as file:
        sizes = [line["size"] for line in csv.DictReader(file)]
    assert [size.endswith(", weights averaged with 0.5") for size in sizes] == [0, 1, 1]


@pytest.mark.parametrize(
    ("table", "row", "smaller", "figures"),
    [
        (
            "table-4 --ladder small --size 32 --textures generated",
            "Tagger, 50k labelled",
            "size 32, small ladder",
            {
                f"{name}, iteration {t}"
                for name in ("AMI", "error (%)")
                for t in (1, 2, 3)
            },
        ),
        (
            "table-4 --size 24 --textures generated",
            "ConvNet, 1k + 49k",
            "size 24",
            {"error (%), iteration 3"},
        ),
        (
            "table-4 --size 24 --textures generated",
            "K-means of pixels, 50k labelled",
            "size 24",
            {f"AMI, iteration {t}" for t in (1, 2, 3)},
        ),
        (
            "table-4 --ladder small --size 32 --textures generated",
            "RTagger with one iteration, 50k labelled",
            "size 32, small ladder",
            {"AMI, iteration 1", "error (%), iteration 1"},
        ),
        (
            "table-4 --size 24 --textures generated",
            "one mask for all images, 50k labelled",
            "size 24",
            {"AMI, iteration 1"},
        ),
        (
            "table-4 --ladder connected --groups 2 --size 24 --textures generated "
            "--texture-size 48 --upright --thickness 2 --variance 0.01 --rate 0.004",
            "RTagger, 50k labelled",
            "size 24, connected ladder, 2 groups, rate 0.004, variance 0.01",
            {f"AMI, iteration {t}" for t in (1, 2, 3)}
            | {f"error (%), iteration {t}" for t in (1, 2, 3)},
        ),
        (
            "section-4.3 --size 32 --frames 2",
            "RTagger",
            "size 32, 2 frames",
            {"AMI", "AMI, frame seen", "AMI, last frame, seen"},
        ),
        (
            "section-4.3 --size 32 --frames 2",
            "left and right half",
            "size 32, 2 frames",
            {"AMI", "AMI, frame seen", "AMI, last frame, seen"},
        ),
        (
            "section-4.3 --ladder connected --groups 2 --size 20 --frames 2",
            "Tagger",
            "connected ladder, 2 groups, size 20, 2 frames",
            {"AMI", "AMI, frame seen", "AMI, last frame, seen"},
        ),
        (
            "section-4.3 --ladder bottleneck --groups 2 --size 22 --frames 2",
            "RTagger",
            "bottleneck ladder, 2 groups, size 22, 2 frames",
            {"AMI", "AMI, frame seen", "AMI, last frame, seen"},
        ),
    ],
)
def test_grouping_is_reproduced(tmp_path, table, row, smaller, figures):
    command = (
        f"{table} --digits sklearn --width 0.1 --epochs 1 --sequences 4 --validation 4 "
        "--batch-size 2 --verbose 0 "
        f"--out {tmp_path / 'run'} --runs {tmp_path / 'runs'}"
    )
    args = reproduce.arguments([*command.split(), "--row", row])
    ((_, progress),) = reproduce.reproduce(args, row)
    assert progress["done"] and progress["phase"] == 1
    with open(tmp_path / "runs") as file:
        lines = list(csv.DictReader(file))
    assert {line["metric"] for line in lines} == figures
    assert lines[0]["size"].startswith(f"reduced: {smaller}, width 0.1")
    assert "training set only" not in lines[0]["size"]
    assert ", validation by 4 samples, batches of 2" in lines[0]["size"]


def test_the_command_on_a_card_is_the_run():
    given = "table-4 --upright --textures generated --rate 0.004 --epochs 2".split()
    args = reproduce.arguments([*given, "--row", "RTagger, 50k labelled"])
    about = about_weights(args, args.row, "films", {}, protocol.begun())
    words = shlex.split(about["command"])[3:]
    again = reproduce.arguments(words)
    for name in ("table", "row", "upright", "textures", "rate", "epochs", "seed"):
        assert getattr(again, name) == getattr(args, name)
    assert about["inputs"]


@pytest.mark.parametrize("table", ["table-1", "table-4", "section-4.3"])
def test_fewer_validation_samples_leave_the_test_set_whole(table):
    row = next(iter(EXPERIMENTS[table].rows))
    command = [table, "--digits", "sklearn", "--row", row]
    if table == "table-4":
        command += ["--textures", "generated"]
    _, _, _, whole = EXPERIMENTS[table].data(reproduce.arguments(command), row)
    args = reproduce.arguments([*command, "--validation", "2"])
    _, valid, _, test = EXPERIMENTS[table].data(args, row)
    assert valid.num_sequences == 2
    assert test.num_sequences == whole.num_sequences > 2
    assert "validation by 2 samples" in size_of(args)


@pytest.mark.parametrize(
    ("table", "row", "name", "words"),
    [
        ("table-1", "all", "mine", "Name its --row"),
        ("table-1", "RLadder", "a/b", "must have only letters.*; got 'a/b'"),
        ("table-2 --column", "1k + 59k, MT", "mine", "takes no weights"),
        ("section-4.3", "left and right half", "mine", "takes no weights"),
    ],
)
def test_what_cannot_be_published_is_refused_before_the_training(
    table, row, name, words, tmp_path
):
    command = f"--digits sklearn --out {tmp_path / 'run'} --runs {tmp_path / 'runs'}"
    rows = [row, "--row", "RLadder"] if "column" in table else ["--row", row]
    with pytest.raises(SystemExit, match=words):
        reproduce.main([*table.split(), *rows, *command.split(), "--publish", name])
    assert not list(tmp_path.iterdir())


def few_labels(tmp_path, column, *more, out="run", row="Optimal"):
    (row,) = (r for r in EXPERIMENTS["table-2"].rows if r.startswith(row))
    command = (
        f"table-2 --ladder small --width 0.1 --epochs 2 --sequences 20 --batch-size 10 "
        f"--labelled 50 --ramp 3 --digits sklearn --verbose 0 "
        f"--out {tmp_path / out} --runs {tmp_path / 'runs'}"
    ).split() + ["--column", column, "--row", row, *more]
    args = reproduce.arguments(command)
    (run,) = reproduce.reproduce(args, row)
    return run


def test_few_labels_are_reproduced_in_all_columns(tmp_path):
    short = ("--phases", "1", "--noise", "0.05", "--consistency", "7")
    few_labels(tmp_path, "1k labelled", *short, out="few")
    model, _ = few_labels(tmp_path, "1k + 59k, MT", *short, out="teacher")
    assert (model.ramp, model.consistency, model.noise.stddev) == (3, 7, 0.05)
    with open(tmp_path / "runs") as file:
        lines = list(csv.DictReader(file))
    names = ["1k labelled", "1k + 59k", "1k + 59k, MT", "1k + 59k, MT, student"]
    assert [line["metric"] for line in lines] == [f"error (%), {n}" for n in names]
    # A model without a task for unlabelled samples is the same with and without them.
    assert lines[0]["value"] == lines[1]["value"]
    assert lines[0]["size"].startswith("reduced: 50 labels, small ladder")
    assert lines[2]["size"].startswith("reduced: 50 labels, consistency 7, ramp of 3")


def test_few_labels_make_data_of_their_column():
    experiment = EXPERIMENTS["table-2"]
    common = "--digits sklearn --labelled 50 --sequences 20 --batch-size 10".split()
    for column, row, labelled in (
        ("1k labelled", "RLadder", 10),
        ("1k + 59k", "RLadder", 5),
        ("1k + 59k", "Temporal baseline", 10),
        ("1k + 59k, MT", "Temporal baseline", 5),
    ):
        args = ["table-2", "--row", row, "--column", column, *common]
        args = reproduce.arguments(args)
        for data in experiment.data(args, row)[::2]:
            assert data[0][2]["class"].sum() == labelled
        metric = "teacher_class_error" if "MT" in column else "class_error"
        assert experiment.steer(args, row) == metric


def test_a_resumed_mean_teacher_ends_like_an_uninterrupted_one(tmp_path):
    column = "1k + 59k, MT"
    short = ("--phases", "1", "--time-budget", "0.01")
    whole, _ = few_labels(tmp_path, column, *short[:2], out="whole")
    _, progress = few_labels(tmp_path, column, *short, out="parts")
    assert not progress["done"]
    part, progress = few_labels(tmp_path, column, *short, "--resume", out="parts")
    assert progress["done"]
    for a, b in zip(weights(whole), weights(part), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(ops.convert_to_numpy(part.steps.value)) == 4


@pytest.mark.parametrize(
    "row",
    [pytest.param("rladder", marks=EVERYWHERE), "hierarchical-rnn-encoder-only"],
)
def test_checkpoints_of_the_repository_can_go_on(tmp_path, row, capsys):
    """Made with TensorFlow, on all backends."""
    name = f"{row}-seed-0"
    shutil.copytree(report.RESULTS / "checkpoints" / name, tmp_path / name)
    identity = json.loads((tmp_path / name / "run.json").read_text())
    epoch = checkpoint.progress(tmp_path / name)["epoch"]
    command = (
        f"table-1 --ladder small --batch-size 10 --phases 1 --epochs {epoch} --resume "
        f"--out {tmp_path / name} --runs {tmp_path / 'runs'}"
    )
    args = reproduce.arguments([*command.split(), "--row", identity["row"]])
    ((model, progress),) = reproduce.reproduce(args, args.row)
    assert progress["done"] and progress["epoch"] == epoch
    assert f"resumes after epoch {epoch}" in capsys.readouterr().out
    valid = EXPERIMENTS["table-1"].data(args, args.row)[1]
    figures = model.evaluate(valid, verbose=0, return_dict=True)
    if row == "rladder":
        assert figures["frame_mse"] < 0.005  # a blank frame's is twice as much
    else:
        assert figures["loss"] < 1  # at chance it would be 2.3


def test_a_finished_run_can_go_on_for_more_epochs(tmp_path):
    whole, _ = train(tmp_path, "--phases", "1", "--epochs", "3", out="whole")
    train(tmp_path, "--phases", "1", out="part")
    more = ("--phases", "1", "--epochs", "3", "--resume")
    part, progress = train(tmp_path, *more, out="part")
    assert progress["epoch"] == 3 and progress["done"]
    for a, b in zip(weights(whole), weights(part), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with open(tmp_path / "runs.csv") as file:
        lines = list(csv.DictReader(file))
    assert [line["epochs"] for line in lines] == ["3", "2", "3"]
    with pytest.raises(ValueError, match="at least 3, the epochs that the run in"):
        train(tmp_path, "--phases", "1", "--resume", out="part")


def test_a_run_goes_on_with_another_backend_and_says_so(tmp_path, capsys):
    """Here only the name is another's: what it leaves behind are arrays in any case."""
    here = keras.backend.backend()
    train(tmp_path, "--time-budget", "0.01")
    file = tmp_path / "run" / "run.json"
    run = json.loads(file.read_text())
    file.write_text(json.dumps({**run, "backend": "abacus"}))
    while not train(tmp_path, "--time-budget", "0.01", "--resume")[1]["done"]:
        pass
    assert "epoch 1 of phase 1 on abacus" in capsys.readouterr().out
    with open(tmp_path / "runs.csv") as lines:
        (line,) = csv.DictReader(lines)
    assert line["backend"] == f"abacus, {here}"


def test_a_folder_keeps_to_its_run(tmp_path):
    train(tmp_path, "--time-budget", "0.01")
    with pytest.raises(SystemExit, match="--resume"):
        reproduce.main(command(tmp_path))
    with pytest.raises(SystemExit, match="seed 0 and not 1"):
        reproduce.main(command(tmp_path, "--resume", "--seed", "1"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("dear to someone")
    with pytest.raises(SystemExit, match="holds no run"):
        reproduce.main(command(tmp_path, "--resume", out="other"))


@pytest.mark.parametrize(
    "option",
    ["--epochs 0", "--epochs -1", "--width 0", "--width nan", "--sequences 0"]
    + ["--validation 0", "--batch-size x", "--frame-weight -1", "--seed -1"]
    + ["--time-budget nan", "--time-budget -5"],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        reproduce.main(command(tmp_path, *option.split()))
    assert "must be a" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_begin_leaves_its_folder_free(tmp_path):
    with pytest.raises(SystemExit, match="`batch_size` must be at most the number"):
        reproduce.main(command(tmp_path, "--batch-size", "50"))
    assert list(tmp_path.iterdir()) == []
    arguments = f"moving-mnist --row ladder --size 30 --out {tmp_path / 'run'}"
    with pytest.raises(SystemExit, match="30"):
        reproduce.main(arguments.split())
    assert list(tmp_path.iterdir()) == []


def test_a_run_may_begin_while_another_one_creates_the_file_of_runs(tmp_path):
    (tmp_path / "runs.csv").touch()
    train(tmp_path, "--time-budget", "0.01")


def test_a_run_of_one_update_has_a_cosine_decay():
    assert float(schedules.cosine_decay(0.1, 1)(0)) == pytest.approx(0.01)


@pytest.mark.parametrize("place", ["file/runs.csv", "folder", "/proc/runs.csv"])
def test_figures_that_cannot_be_written_are_refused_before_the_training(
    tmp_path, place
):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    if not Path(place).parent.exists() and place.startswith("/"):
        pytest.skip("this system has no /proc")
    arguments = [*command(tmp_path), "--runs", str(tmp_path / place)]
    with pytest.raises(SystemExit, match="runs.* must be writable;"):
        reproduce.main(arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_all_rows_do_not_go_into_the_folder_of_one(tmp_path):
    train(tmp_path, "--time-budget", "0.01")
    with pytest.raises(SystemExit, match="holds a single run. Name its --row"):
        reproduce.main(command(tmp_path, "--resume", row="all"))


@pytest.mark.parametrize(
    "name", ["run.json", "recorded.json", "progress.json", "shard-000.npz"]
)
def test_damaged_files_of_a_run_are_named(tmp_path, name):
    train(tmp_path, "--phases", "1")
    (path,) = (tmp_path / "run").rglob(name)
    path.write_bytes(path.read_bytes()[: 50 if name.endswith("npz") else 0])
    with pytest.raises(SystemExit, match=f"{name} must be .* is damaged"):
        reproduce.main(command(tmp_path, "--phases", "1", "--resume"))


def test_figures_are_written_to_files_of_runs_only(tmp_path):
    (tmp_path / "runs.csv").write_text("dear diary\n")
    with pytest.raises(SystemExit, match="not a file of runs"):
        reproduce.main(command(tmp_path, "--phases", "1", "--epochs", "1"))
    assert (tmp_path / "runs.csv").read_text() == "dear diary\n"


def test_a_run_in_mixed_precision_is_another_size(tmp_path, policy):
    policy("float32")
    model, _ = train(tmp_path, "--dtype", "mixed_bfloat16")
    ladder = next(x for x in model.layers if x.name == "ladder")
    assert ladder.compute_dtype == "bfloat16"
    sizes = {line["size"] for line in report.read(tmp_path / "runs.csv")}
    assert len(sizes) == 1 and sizes.pop().endswith(", mixed_bfloat16")
    with pytest.raises(ValueError, match="dtype 'mixed_bfloat16' and not None"):
        train(tmp_path, "--resume")
    model, _ = train(tmp_path, out="other")
    assert model.dtype_policy.name == "float32"


@pytest.mark.parametrize(
    ("weights", "words"),
    [("0.1", "frame weight 0.1,"), ("1.0 0.1", "frame weight 1 then 0.1,")],
)
def test_another_weight_of_the_prediction_is_another_size(tmp_path, weights, words):
    args = reproduce.arguments(command(tmp_path, "--frame-weight", *weights.split()))
    assert words in size_of(args)
    about = about_weights(args, "RLadder", None, {}, protocol.begun())
    assert f"--frame-weight {weights} --ladder" in about["command"]


def test_weights_of_the_prediction_change_from_epoch_to_epoch(tmp_path, monkeypatch):
    """Like a run that is resumed by another command after its first epoch."""
    few = short(om.small_table, 1, 3)
    monkeypatch.setitem(table_1.LADDERS, "small", few)
    common = ["--phases", "1", "--optimizer", "muon", "--cosine", "0.005"]

    def run(out, *more):
        model, progress = train(tmp_path, *common, *more, row="RLadder", out=out)
        return weights(model), progress["errors"]

    run("by-hand", "--frame-weight", "1", "--time-budget", "0.01")
    file = tmp_path / "by-hand" / "run.json"
    begun = file.read_text()
    file.write_text(begun.replace('"frame_weight": 1.0', '"frame_weight": 0.1'))
    expected = run("by-hand", "--frame-weight", "0.1", "--resume")
    several = "--frame-weight", "1", "0.1"
    run("stopped", *several, "--time-budget", "0.01")
    for found in (run("whole", *several), run("stopped", *several, "--resume")):
        assert found[1] == expected[1]
        for a, b in zip(found[0], expected[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    other, _ = run("constant")
    assert max(abs(a - b).max() for a, b in zip(other, expected[0], strict=True)) > 1e-3


@EVERYWHERE
def test_the_next_step_has_the_changed_weights_of_losses():
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = keras.Model(inputs, outputs)
    losses = {"a": "mse", "b": "mse"}
    model.compile("sgd", losses, loss_weights={"a": 1.0, "b": 1.0})
    x, y = np.ones((4, 3)), {name: np.ones((4, 1)) for name in "ab"}
    moved = []  # by one step: the kernels of both outputs
    for changed in ({}, {"b": 0.0}, {"b": 2.0}):
        protocol.set_loss_weights(model, changed)
        before = weights(model)
        model.fit(x, y, verbose=0)
        after = weights(model)
        moved.append([abs(after[i] - before[i]).max() for i in (0, 2)])
    assert all(a > 0 for a, _ in moved)
    assert moved[0][1] > 0 and moved[1][1] == 0
    assert moved[2][1] > moved[0][1]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("", "full"),
        ("--rate 0.005", "tuned: learning rate 0.005"),
        ("--rate 0.005 --width 0.5", "reduced: width 0.5, learning rate 0.005"),
        ("--halve-rate", "tuned: rate halved where the error rose"),
    ],
)
def test_a_run_at_another_rate_is_a_tuned_one(options, size):
    args = reproduce.arguments(["table-3", "--row", "RLadder", *options.split()])
    assert size_of(args) == size
    train = SimpleNamespace(frequencies=np.full(88, 0.1), batch_size=8)
    model = EXPERIMENTS["table-3"].build(args, "RLadder", train)()
    rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate)
    assert rate == pytest.approx(args.rate or 0.01)
    following = EXPERIMENTS["table-3"].schedule(args).next_rate(0.01, [7.0, 7.1])
    assert following == (0.005 if args.halve_rate else 0.01)


def test_the_listing_names_all_rows_and_its_examples_can_be_run():
    assert {name: table.rows for name, table in TABLES.items()} == {
        name: tuple(experiment.rows) for name, experiment in EXPERIMENTS.items()
    }
    for name, table in TABLES.items():
        args = reproduce.arguments([name, *shlex.split(table.example)])
        assert args.row in ("all", *table.rows)


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_without_a_table_the_tables_are_listed(argv, capsys):
    reproduce.main(argv)
    assert capsys.readouterr().out == listing()


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_the_tables_are_listed_before_keras_loads(argv, tmp_path):
    (tmp_path / "keras.py").write_text("raise SystemExit('Keras was loaded')")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    command = [sys.executable, "-m", "zoo.reproduce", *argv]
    found = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, listing(), "")


@pytest.mark.parametrize(
    ("argv", "given", "expected"),
    [
        (["zoo.demo"], None, "1"),
        (["zoo.reproduce", "table-1", "--help"], None, "1"),
        (["zoo.reproduce", "table-1", "--help"], "0", "0"),
        (["zoo.reproduce", "table-3", "--help"], None, "None"),
        (["zoo.report", "--help"], None, "None"),
    ],
)
def test_onednn_is_on_for_commands_that_train_on_images(
    argv, given, expected, tmp_path
):
    """The choice comes before Keras, which imports TensorFlow."""
    text = "import os\nraise SystemExit(str(os.environ.get('TF_ENABLE_ONEDNN_OPTS')))"
    (tmp_path / "keras.py").write_text(text)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    env = {**os.environ, "PYTHONPATH": path}
    env.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if given:
        env["TF_ENABLE_ONEDNN_OPTS"] = given
    command = [sys.executable, "-m", *argv]
    found = subprocess.run(command, env=env, capture_output=True, text=True)
    assert found.stderr.strip() == expected


def test_onednn_is_for_all_tables_but_music_and_chains():
    assert onednn.OF_IMAGES == {
        name for name in EXPERIMENTS if not name.startswith(("table-3", "appendix"))
    }


def test_an_unknown_row_is_answered_with_the_rows(tmp_path):
    with pytest.raises(SystemExit, match="Temporal baseline"):
        reproduce.main(command(tmp_path, row="RLader"))


@pytest.mark.parametrize("batch", [pytest.param(200, marks=EVERYWHERE), 400])
def test_a_run_that_diverged_is_recorded_once(tmp_path, batch):
    """Also if the last update diverged, after which no loss is computed."""
    command = (
        f"appendix-b --rate 1e38 --sequences 400 --batch-size {batch} --seed 3 "
        f"--verbose 0 --out {tmp_path / 'run'} --runs {tmp_path / 'runs.csv'}"
    )
    args = [*command.split(), "--row", "RLadder, 1 iteration"]
    for more in ([], ["--resume"]):
        with pytest.raises(SystemExit, match="Lower the learning rate"):
            reproduce.main([*args, *more])
    (lost,) = report.read(tmp_path / "runs.csv")
    assert (lost["metric"], lost["value"]) == (records.DIVERGED, "1")
    assert (lost["seed"], lost["row"], lost["epochs"]) == ("3", args[-1], "0")


def test_the_other_rows_of_all_go_on_where_one_diverges(tmp_path, monkeypatch):
    table = EXPERIMENTS["appendix-b"]
    rows = {row: table.rows[row] for row in ("RLadder, 1 iteration", "exact posterior")}
    monkeypatch.setitem(EXPERIMENTS, "appendix-b", table._replace(rows=rows))
    command = (
        "appendix-b --rate 1e30 --sequences 400 --batch-size 200 --verbose 0 --row all "
        f"--out {tmp_path / 'runs'} --runs {tmp_path / 'runs.csv'}"
    )
    with pytest.raises(SystemExit, match="1 iteration, seed 0: The loss of epoch 1"):
        reproduce.main(command.split())
    recorded = report.read(tmp_path / "runs.csv")
    assert set(rows) == {line["row"] for line in recorded}


@pytest.mark.everywhere
def test_a_checkpoint_in_bfloat16(tmp_path, policy):
    """NumPy has no bfloat16, but the carried state of music models has this type."""
    policy("mixed_bfloat16")
    models = [music.polyphonic_music_lstm(3, carry=2) for _ in range(2)]
    (carried,) = (v for v in models[0].variables if v.name == "carried_1")
    carried.assign(ops.ones(carried.shape))
    checkpoint.save(tmp_path, models[0], {})
    checkpoint.save(tmp_path, models[0], {})
    shutil.copytree(tmp_path / "checkpoint-000002", tmp_path / "checkpoint-backup")
    checkpoint.load(tmp_path, models[1])
    for a, b in zip(*(checkpoint.variables(m).values() for m in models), strict=True):
        np.testing.assert_array_equal(checkpoint.as_array(a), checkpoint.as_array(b))


def small_model(units=3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("adam", "mse")
    return model


@pytest.mark.everywhere
def test_a_checkpoint_is_split_into_small_files(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 30)
    model = small_model()
    checkpoint.save(tmp_path, model, {"epoch": 4})
    other = small_model()
    checkpoint.load(tmp_path, other)
    assert checkpoint.progress(tmp_path) == {"epoch": 4}
    assert len(list(tmp_path.glob("*/shard-*.npz"))) > 3
    for a, b in zip(weights(model), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_that_was_cut_off_is_not_seen(tmp_path, monkeypatch):
    model = small_model()
    checkpoint.save(tmp_path, model, {"epoch": 1})

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path, model, {"epoch": 2})
    assert checkpoint.progress(tmp_path) == {"epoch": 1}
    checkpoint.load(tmp_path, model)


def test_two_processes_never_mix_their_checkpoints(tmp_path, monkeypatch):
    """The second one, which began the same checkpoint, raises an error."""
    model, savez = small_model(), np.savez

    def interrupted(*args, **kwargs):
        monkeypatch.setattr(np, "savez", savez)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        checkpoint.save(tmp_path, model, "of another process")
        monkeypatch.undo()
        savez(*args, **kwargs)

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(OSError):
        checkpoint.save(tmp_path, model, "of this process")
    assert checkpoint.progress(tmp_path) == "of another process"
    checkpoint.save(tmp_path, model, "later")
    (only,) = tmp_path.iterdir()
    assert checkpoint.progress(tmp_path) == "later" and only.name.endswith("2")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    checkpoint.save(tmp_path, small_model(), {})
    with pytest.raises(ValueError, match="not of this model"):
        checkpoint.load(tmp_path, small_model(units=4))
    with pytest.raises(ValueError, match="must contain a checkpoint; got none"):
        checkpoint.load(tmp_path / "empty", small_model())
