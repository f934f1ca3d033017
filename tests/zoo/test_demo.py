"""`python -m zoo.demo`: pictures of trained weights, then two models of equal steps."""

from functools import partial

import keras
import pytest
from zoo.occluded_mnist import small_table

import zoo
from zoo import demo, weights
from zoo.models.base import ZooModel

pytestmark = pytest.mark.once


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(demo, "STEPS", 2)


def test_both_models_train_the_same_number_of_steps(short, tmp_path, monkeypatch):
    steps = []
    fit = ZooModel.fit

    def counted(model, *args, **kwargs):
        history = fit(model, *args, **kwargs)
        steps.append(int(model.optimizer.iterations))
        return history

    monkeypatch.setattr(ZooModel, "fit", counted)
    demo.main(["--out", str(tmp_path), "--epochs", "1", "--width", "0.1"])
    assert steps == [2, 2]
    written = {path.name for path in tmp_path.iterdir()}
    assert {"data.png", "sequence.png", "sequence.gif", "rladder.keras"} <= written
    assert keras.saving.load_model(tmp_path / "rladder.keras")


def test_trained_weights_of_the_same_digits_come_first(
    short, tmp_path, monkeypatch, capsys
):
    """Whatever those of other digits are called; training begins after the picture."""
    monkeypatch.setenv(weights.WEIGHTS_DIR, str(tmp_path / "weights"))
    model = zoo.occluded_mnist_rladder(0.1, table=small_table)
    about = {"metrics": {"classification error (%)": 12.5}, "examples": 1000}
    for name, data in (("a", "MNIST"), ("b", "the digits of scikit-learn")):
        weights.publish(
            model,
            partial(zoo.occluded_mnist_rladder, 0.1, table=small_table),
            name,
            {**about, "data": data},
        )
    demo.main(["--out", str(tmp_path / "out"), "--epochs", "1", "--width", "0.1"])
    before, after = capsys.readouterr().out.split("temporal baseline:", 1)
    assert "weights 'b'" in before and "12.5 after 1,000 sequences" in before
    assert "trained.png" in before and "weights 'b'" in after
    assert (tmp_path / "out" / "trained.gif").exists()


def test_the_sequences_shown_are_different_digits():
    shown = demo.different_digits(zoo.data.load_digits("sklearn"))
    assert sorted(shown.labels) == list(range(10))
    assert shown.frames.shape == (10, 5, 32, 32, 1)


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit):
        demo.main(["--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "(default: 10)" in help_text and "(default: sklearn)" in help_text


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(demo.zoo.data, "load_digits", None)  # is not reached
    with pytest.raises(SystemExit, match="--out must be writable; got"):
        demo.main(["--out", str(tmp_path / "file")])
