"""What observers that learn nothing predict of digits behind bars."""

import numpy as np
import pytest

from benchmarks import observers
from zoo.data import load_digits
from zoo.data.digits.occlusion import make_sequences

pytestmark = pytest.mark.once


def sequences(n, frames=5):
    digits = load_digits("sklearn").test
    rng = np.random.default_rng(0)
    return make_sequences(digits.images[:n], digits.labels[:n], rng, frames=frames)


def test_who_remembers_all_and_fills_nothing_in_predicts_the_reconstruction():
    """That of the last frame, moved to where the digit will be; pixel by pixel."""
    drawn = sequences(100)
    expected = []
    for t in range(1, 5):
        errors = []
        for i, digit in enumerate(drawn.digits):
            canvas = np.zeros((32, 32))
            y, x = drawn.positions[i, t]
            canvas[y : y + 14, x : x + 14] = digit * drawn.seen[i, t - 1]
            bars = (np.arange(32) - 2) % 12 < 4
            canvas[bars], canvas[:, bars] = 0, 0
            errors.append(np.mean((canvas - drawn.frames[i, t, :, :, 0]) ** 2))
        expected.append(1e5 * np.mean(errors))
    found = observers.observed(drawn, None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    one, two = (observers.observed(drawn, memory) for memory in (1, 2))
    assert one[:2] != two[:2] and one[0] == two[0] == found[0]
    assert two[1] == found[1] < one[1] and found[2] < two[2] < one[2]


def test_what_is_filled_in_is_the_regression_on_the_rest():
    """Of digits with two pixels of which one is half the other, and noise."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(10000, 1))
    x = np.concatenate([1 + a, 2 + a / 2 + 0.1 * rng.normal(size=a.shape)], axis=1)
    seen = np.array([[True, False], [False, True], [True, True], [False, False]])
    given = np.array([[3.0, 9.0], [9.0, 2.0], [5.0, 7.0], [9.0, 9.0]])
    found = observers.regression(x)(given, seen)
    np.testing.assert_allclose(found, [[3, 3], [1, 2], [5, 7], [1, 2]], atol=0.05)


def test_the_mean_over_eight_velocities():
    drawn = sequences(3)
    errors = []
    for i, digit in enumerate(drawn.digits):
        frames = []
        for v in (
            (1, 2),
            (1, -2),
            (-1, 2),
            (-1, -2),
            (2, 1),
            (2, -1),
            (-2, 1),
            (-2, -1),
        ):
            y, x = (
                -q if q < 0 else 36 - q if q > 18 else q
                for q in drawn.positions[i, 0] + np.array(v)
            )
            canvas = np.zeros((32, 32))
            canvas[y : y + 14, x : x + 14] = digit
            frames.append(canvas)
        bars = (np.arange(32) - 2) % 12 < 4
        mean = np.mean(frames, axis=0)
        mean[bars], mean[:, bars] = 0, 0
        errors.append(np.mean((mean - drawn.frames[i, 1, :, :, 0]) ** 2))
    found = observers.first_velocity_unknown(drawn)
    np.testing.assert_allclose(found, 1e5 * np.mean(errors), rtol=1e-5)


def test_the_table_is_written_between_its_lines(tmp_path, capsys):
    paper = tmp_path / "PAPER.md"
    begin, end = observers.MARKERS
    paper.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    command = f"--digits sklearn --sequences 5 --into {paper}"
    observers.main(command.split())
    written = paper.read_text()
    assert written.startswith("before\n") and written.endswith("\nafter\n")
    assert "| 5 test sequences, observer | 1-2 | 2-3 | 3-4 | 4-5 | mean |" in written
    assert "old" not in written and "| remembers two frames, fills in | " in written
    assert capsys.readouterr().out.strip() in written
