"""Tests of Moving MNIST against the program of Srivastava et al. (2015)."""

import math
import time

import keras
import numpy as np
import pytest

from zoo.data.digits.moving import (
    MovingMNIST,
    Sequences,
    digit_side,
    moving_mnist,
    trajectories,
)
from zoo.data.digits.sources import Digits, Split, _find_mnist, load_digits

pytestmark = pytest.mark.once


def make_digits(n=30, seed=0, side=7):
    rng = np.random.default_rng(seed)
    return Split(
        rng.uniform(0, 1, (n, side, side)).astype(np.float32),
        rng.integers(10, size=n).astype(np.int32),
    )


def make(n=30, batch_size=4, **options):
    return MovingMNIST(*make_digits(n), batch_size, **{"size": 16, **options})


def same(a, b):
    return all(
        np.array_equal(left, right)
        for left, right in zip(
            keras.tree.flatten(a), keras.tree.flatten(b), strict=True
        )
    )


@pytest.fixture(scope="module")
def mnist():
    if _find_mnist() is None:
        pytest.skip("MNIST is not on this machine; RLADDER_DATA_DIR names its folder")
    return load_digits("mnist")


# The flight


def slow_flight(y, x, angle, room, frames):
    """One digit, step by step, as the published program goes about it."""
    v_y, v_x = math.sin(angle), math.cos(angle)
    flight = []
    for _ in range(frames):
        y += v_y * 0.1
        x += v_x * 0.1
        if x <= 0:
            x, v_x = 0, -v_x
        if x >= 1:
            x, v_x = 1, -v_x
        if y <= 0:
            y, v_y = 0, -v_y
        if y >= 1:
            y, v_y = 1, -v_y
        flight.append((int(room * y), int(room * x)))
    return flight


def test_flights_equal_their_slow_twins():
    rng = np.random.default_rng(0)
    start, angle = rng.random((50, 2, 2)), rng.uniform(0, 2 * np.pi, (50, 2))
    flights = trajectories(start, angle, 36, 60)
    assert flights.shape == (50, 2, 60, 2) and flights.dtype == np.int64
    assert flights.min() == 0 and flights.max() == 36
    for b in range(50):
        for d in range(2):
            slow = slow_flight(*start[b, d], angle[b, d], 36, 60)
            np.testing.assert_array_equal(flights[b, d], slow)


def test_a_flight_by_hand():
    """A digit reaches the edge and is there for one frame only."""
    flight = trajectories(np.array([0.75, 0.5]), np.array(np.pi / 2), 100, 5)
    np.testing.assert_array_equal(flight[:, 0], [85, 95, 100, 90, 80])
    assert set(flight[:, 1]) <= {49, 50}


def test_starts_and_directions_are_uniform():
    data = make(4000, 4000, sequences=8000)
    _, places, angles = data.draw(0)
    for values in (places[..., 0], places[..., 1], angles / (2 * np.pi)):
        counts = np.histogram(values, 10, (0, 1))[0]
        assert counts.sum() == 16_000
        np.testing.assert_allclose(counts, 1600, atol=5 * 40)
    # All three are drawn one by one.
    drawn = np.stack([places[..., 0], places[..., 1], angles], axis=-1).reshape(-1, 6)
    correlations = np.corrcoef(drawn.T) - np.eye(6)
    assert abs(correlations).max() < 5 / 8000**0.5


# The pictures


def slow_pictures(sequences, b):
    """One sequence, pixel by pixel."""
    digits, flights = sequences.digits[b], sequences.positions[b]
    size, side, frames = sequences.size, digits.shape[-1], flights.shape[1]
    x = np.zeros((frames, size, size))
    segments = np.full((frames, size, size), -1)
    for t in range(frames):
        for i in range(size):
            for j in range(size):
                values = []
                for digit, flight in zip(digits, flights, strict=True):
                    y, z = i - flight[t, 0], j - flight[t, 1]
                    inside = 0 <= y < side and 0 <= z < side
                    values.append(digit[y, z] if inside else 0)
                x[t, i, j] = max(values)
                inked = [k for k, value in enumerate(values) if value > 0.5]
                if len(inked) == 1:
                    segments[t, i, j] = inked[0]
    return x, segments


@pytest.mark.parametrize("digits", [1, 2, 3, 8])
def test_pictures_equal_their_slow_twins(digits):
    sequences = make(digits=digits, frames=6).sequences(0)
    assert sequences.frames.shape == (4, 6, 16, 16, 1)
    assert sequences.segments.shape == (4, 6, 16, 16)
    for b in range(4):
        x, segments = slow_pictures(sequences, b)
        np.testing.assert_array_equal(sequences.frames[b, ..., 0], np.float32(x))
        np.testing.assert_array_equal(sequences.segments[b], segments)


def test_overlap_and_faint_ink_count_for_nothing():
    digits = np.array([[[[0.9, 0.5]] * 2, [[0.6, 0.8]] * 2]], np.float32)
    positions = np.array([[[[0, 0], [0, 0]], [[0, 0], [1, 1]]]])
    sequences = Sequences(digits, np.array([[3, 4]]), positions, 3)
    np.testing.assert_array_equal(
        sequences.segments[0],
        [
            [[-1, 1, -1], [-1, 1, -1], [-1, -1, -1]],
            [[0, -1, -1], [0, 1, 1], [-1, 1, 1]],
        ],
    )
    np.testing.assert_array_equal(
        sequences.frames[0, ..., 0],
        np.array(
            [
                [[0.9, 0.8, 0], [0.9, 0.8, 0], [0, 0, 0]],
                [[0.9, 0.5, 0], [0.9, 0.6, 0.8], [0, 0.6, 0.8]],
            ],
            np.float32,
        ),
    )


# Batches


def test_batches_have_the_shapes_that_models_take():
    data = make(30, 8, frames=5, digits=3)
    x, y = data[0]
    assert x.shape == (8, 5, 16, 16, 1) and x.dtype == np.float32
    assert x.min() == 0 and 0.9 < x.max() <= 1
    assert set(y) == {"class", "groups"}
    assert y["class"].shape == (8, 3) and y["class"].dtype == np.int32
    assert y["groups"].shape == (8, 5, 16, 16) and y["groups"].dtype == np.int32
    assert set(np.unique(y["groups"])) == {-1, 0, 1, 2}
    assert [len(y["class"]) for _, y in data] == [8, 8, 8, 6]
    assert same(data[-1], data[3])


def test_the_classes_are_those_of_the_digits_in_their_order():
    digits = make_digits(30)
    data = MovingMNIST(digits.images, np.arange(30), size=40, batch_size=30)
    sequences = data.sequences(0)
    np.testing.assert_array_equal(sequences.digits, digits.images[sequences.labels])
    # Where a digit has ink, it is the one with that index.
    for k in range(2):
        y, x = np.moveaxis(sequences.positions[:, k, -1], -1, 0)
        for b in range(30):
            window = sequences.segments[b, -1, y[b] : y[b] + 7, x[b] : x[b] + 7]
            assert (sequences.digits[b, k][window == k] > 0.5).all()
            assert (window == k).any()


def test_training_draws_depend_on_seed_and_epoch_alone():
    one, other = make(seed=7, fresh=True), make(seed=7, fresh=True)
    first = one[2]
    one.epoch = 3
    third = [one[i] for i in range(len(one))]
    one.epoch = 0
    assert same(one[2], first)
    other.epoch = 3
    for i in (5, 0, 6, 2):
        assert same(other[i], third[i])
    assert not same(third[2], first)
    assert not same(make(seed=8, fresh=True)[2], first)
    # Two batches of four are one batch of eight.
    a, b, c = one[0][0], one[1][0], make(batch_size=8, seed=7, fresh=True)[0][0]
    np.testing.assert_array_equal(np.concatenate([a, b]), c)


def test_fewer_sequences_or_frames_are_the_first_ones():
    x, y = make(frames=9)[0]
    few_x, few_y = make(frames=4, sequences=5)[0]
    np.testing.assert_array_equal(few_x, x[:, :4])
    np.testing.assert_array_equal(few_y["class"], y["class"])
    many_x, many_y = make(frames=9, sequences=100)[0]
    assert same((many_x, many_y), (x, y))


def test_an_epoch_uses_every_digit_equally_often():
    images = make_digits(30).images
    data = MovingMNIST(images, np.arange(30), 10, size=16, fresh=True)
    labels = []
    for _ in range(2):
        labels.append(np.concatenate([y["class"] for _, y in data]))
        assert (np.bincount(labels[-1].ravel()) == 2).all()
        assert (labels[-1][:, 0] != labels[-1][:, 1]).all()
        data.on_epoch_end()
    assert data.epoch == 2 and not same(*labels)
    data = make(30, 8, fresh=True)
    assert len(data) == 3 and data.num_sequences == 24
    assert make(30, 8, fresh=True, sequences=70).num_sequences == 64


def test_evaluation_is_always_the_same():
    data = make(30, 8)
    before = [data[i] for i in range(4)]
    data.on_epoch_end()
    data.epoch = 5
    assert all(same(data[i], before[i]) for i in range(4))
    assert data.num_sequences == 30


@pytest.mark.parametrize("seed", [1, 2])
def test_training_flies_other_ways_than_evaluation(seed):
    train, *evaluation = moving_mnist("sklearn", 8, size=20, seed=seed, verbose=False)
    for data in evaluation:
        a, b = (d.sequences(0).positions for d in (train, data))
        assert not np.array_equal(a, b)


class Frames(MovingMNIST):
    """With one target, for a model with one output."""

    def batch(self, index):
        x, y = super().batch(index)
        return x, x


@pytest.mark.everywhere
def test_fit_counts_epochs():
    model = keras.Sequential([keras.Input((3, 16, 16, 1)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    data = Frames(*make_digits(), 4, size=16, frames=3, fresh=True)
    model.fit(data, epochs=2, verbose=0)
    assert data.epoch == 2


def test_bad_arguments_of_batches():
    images, labels = make_digits(30)
    for options, message in [
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1"),
        ({"size": 7}, "`size` must be an integer of at least 8; got 7"),
        ({"digits": 0}, "`digits` must be an integer from 1 to 8"),
        ({"digits": 9}, "`digits` must be an integer from 1 to 8"),
        ({"frames": 2.5}, "`frames` must be an integer"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"sequences": 0}, "`sequences` must be an integer of at least 1"),
        ({"fresh": True, "batch_size": 31}, "got 31 for 30 sequences"),
    ]:
        with pytest.raises(ValueError, match=message):
            MovingMNIST(images, labels, **options)
    for arguments, message in [
        ((images[:, :6], labels), r"shape \(n, side, side\).*\(30, 6, 7\)"),
        ((images[:0], labels[:0]), r"shape \(n, side, side\)"),
        ((images * 255, labels), r"from 0 \(background\) to 1"),
        ((images * np.nan, labels), r"from 0 \(background\) to 1"),
        ((images, labels[:2]), "one integer for each of the 30 digits"),
        ((images, labels + 0.5), "Labels must be one integer"),
    ]:
        with pytest.raises(ValueError, match=message):
            MovingMNIST(*arguments)
    data = make(30, 8)
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"from -4 to 3; got {index}"):
            data[index]


def test_sides_of_digits():
    sides = {64: 28, 32: 14, 48: 21, 128: 56, 20: 9}
    assert {size: digit_side(size) for size in sides} == sides


# The function


def small_digits():
    splits = [make_digits(n, seed, side=28) for n, seed in ((40, 1), (20, 2), (20, 3))]
    return Digits("small", *splits)


def test_moving_mnist(capsys):
    train, valid, test = moving_mnist(small_digits(), 8, frames=3)
    assert capsys.readouterr().out == (
        "Moving MNIST from small: training 40, validation 20, test 20 sequences.\n"
    )
    assert [data.fresh for data in (train, valid, test)] == [True, False, False]
    assert {data.digits_name for data in (train, valid, test)} == {"small"}
    assert train[0][0].shape == (8, 3, 64, 64, 1)
    assert not np.array_equal(valid.sequences(0).positions, test.sequences(0).positions)
    others = moving_mnist(small_digits(), 8, frames=3, seed=5, verbose=False)
    assert capsys.readouterr().out == ""
    assert not same(others[0][0], train[0])
    assert same(others[1][0], valid[0]) and same(others[2][0], test[0])


def test_moving_mnist_merges_and_limits():
    train, valid, test = moving_mnist(
        small_digits(),
        20,
        size=20,
        digits=3,
        frames=2,
        sequences=80,
        evaluation_sequences=5,
        merge_validation=True,
        verbose=False,
    )
    assert train.images.shape == (60, 9, 9)
    np.testing.assert_array_equal(train.images[40:], valid.images)
    assert [data.num_sequences for data in (train, valid, test)] == [80, 5, 5]
    assert train[0][0].shape == (20, 2, 20, 20, 1)
    assert test[0][1]["class"].shape == (5, 3)
    for options, message in [
        ({"evaluation_sequences": 0}, "`evaluation_sequences` must be an integer"),
        ({"size": 18}, "`size` must be an integer of at least 20; got 18"),
        ({"size": 32.0}, "`size` must be an integer"),
    ]:
        with pytest.raises(ValueError, match=message):
            moving_mnist(small_digits(), **options)


def test_shares_of_pixels_of_mnist(mnist):
    """A run of the published program on the same digits gave 0.050, 0.049, 0.051."""
    _, _, test = moving_mnist(evaluation_sequences=200, verbose=False)
    batches = zip(*((x[..., 0], y["groups"]) for x, y in test), strict=True)
    x, segments = map(np.concatenate, batches)
    assert x.shape == (200, 20, 64, 64)
    ink = x > 0.5
    assert x.mean() == pytest.approx(0.050, rel=0.05)
    assert np.square(np.diff(x, axis=1)).mean() == pytest.approx(0.049, rel=0.05)
    assert ink.mean() == pytest.approx(0.051, rel=0.05)
    # Digits overlap in few of their pixels.
    assert (segments[~ink] == -1).all()
    assert 0.01 < (segments[ink] == -1).mean() < 0.05


def test_drawing_is_fast():
    """Some 4,000 sequences a second on one core; a tenth of that is asked for."""
    data = MovingMNIST(*make_digits(160, side=28), fresh=True)
    data[0]
    start = time.process_time()
    for _ in data:
        pass
    assert 160 / (time.process_time() - start) > 400
