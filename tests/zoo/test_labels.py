"""Which samples are labelled, and how batches mix them with the others."""

from fractions import Fraction

import numpy as np
import pytest

import zoo
from zoo.data.digits.labels import balanced, check_labelled, cycle, places
from zoo.data.digits.occluded import OccludedMNIST

pytestmark = pytest.mark.once


def digits(n=40):
    rng = np.random.default_rng(0)
    images = rng.random((n, 14, 14)).astype("float32")
    return images, (np.arange(n) % 10).astype("int32")


def test_balanced():
    labels = np.arange(200) % 10
    chosen = balanced(labels, 50, 3)
    assert len(set(chosen)) == 50
    assert (np.bincount(labels[chosen]) == 5).all()
    np.testing.assert_array_equal(chosen, balanced(labels, 50, 3))
    assert not np.array_equal(chosen, balanced(labels, 50, 4))
    assert balanced(labels, 0, 3).shape == (0,)
    for count, message in [
        (55, "`labelled` must be a multiple of 10, as many of each class"),
        (-10, "`labelled` must be an integer of at least 0"),
        (210, "at most 200 for these digits, which have 20 of class 0; got 210"),
    ]:
        with pytest.raises(ValueError, match=message):
            balanced(labels, count, 3)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.2, 0.75, 0.9, 1])
def test_the_same_part_of_each_batch_is_labelled(share):
    _, fraction = check_labelled([3], 40, 20, True, share)
    where = places(200, fraction)
    assert where[0]
    np.testing.assert_allclose(where.reshape(10, 20).mean(axis=1), share)
    np.testing.assert_array_equal(where[:20], where[20:40])


def test_nothing_is_labelled():
    labelled, share = check_labelled([], 40, 7, False)
    assert len(labelled) == 0 and share == Fraction(0)
    assert not places(10, share).any()
    data = OccludedMNIST(*digits(), 5, fresh=True, labelled=[])
    assert data[0][2]["class"].sum() == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labelled": [0, 40]}, "`labelled` must be a list of indices from 0 to 39"),
        ({"labelled": [0.5]}, "`labelled` must be a list of indices"),
        ({"labelled": [3], "fresh": False}, "`labelled` must be None with fresh=False"),
        ({"labelled": range(40)}, "`labelled` must leave .*; got all 40 digits"),
        ({"labelled": [3], "batch_size": 5}, "A fraction of 1/2 of a .*; got .* 5."),
        (
            {"labelled": [3], "labelled_share": 0.01},
            "a multiple of 100 as `batch_size`, or another `labelled_share`",
        ),
        ({"labelled": [3], "labelled_share": 0}, "`labelled_share` must be above 0"),
        ({"labelled": [3], "labelled_share": 2}, "`labelled_share` must be above 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    options = {"batch_size": 10, "fresh": True, **options}
    with pytest.raises(ValueError, match=message):
        OccludedMNIST(*digits(), **options)


@pytest.mark.parametrize("share, used", [(0.5, 40), (1, 80)])
def test_labelled_digits_fly_again_and_again(share, used):
    labelled = np.arange(10)
    data = OccludedMNIST(
        *digits(),
        10,
        fresh=True,
        sequences=80,
        labelled=labelled,
        labelled_share=share,
    )
    chosen = np.concatenate([data.sequences(i).digits for i in range(8)])
    known = (chosen[:, None] == data.images[labelled]).all(axis=(2, 3)).any(axis=1)
    weights = np.concatenate([data[i][2]["class"] for i in range(8)])
    np.testing.assert_array_equal(known, weights == 1)
    assert known.sum() == used
    counts = (chosen[:, None] == data.images[labelled]).all(axis=(2, 3)).sum(axis=0)
    assert (counts == used / 10).all()


def test_what_is_drawn_does_not_depend_on_the_size_of_the_batches():
    few, many = (
        OccludedMNIST(*digits(), size, fresh=True, labelled=[1, 2, 3])
        for size in (10, 20)
    )
    x = np.concatenate([few[0][0], few[1][0]])
    np.testing.assert_array_equal(x, many[0][0])


def test_occluded_mnist_with_few_labels(capsys):
    sets = [
        zoo.data.occluded_mnist(
            "sklearn",
            10,
            labelled=50,
            labelled_share=0.2,
            seed=3,
            merge_validation=merged,
        )
        for merged in (False, True)
    ]
    assert "labelled digits 50." in capsys.readouterr().out
    apart, merged = (train for train, _, _ in sets)
    np.testing.assert_array_equal(apart.labelled, merged.labelled)
    assert (np.bincount(apart.labels[apart.labelled]) == 5).all()
    assert apart[0][2]["class"].sum() == 2
    _, valid, test = sets[0]
    assert len(valid[0]) == len(test[0]) == 2


def test_the_static_classifier_has_few_labels_too():
    train, _, _ = zoo.data.occluded_mnist(
        "sklearn", 10, labelled=50, inputs="reconstruction", verbose=False
    )
    x, y, weight = train[0]
    assert x.shape == (10, 1, 32, 32, 1) and set(y) == set(weight) == {"class"}


def test_more_labels_than_digits_are_refused():
    with pytest.raises(ValueError, match="of class 0; got 5000. Choose a smaller"):
        zoo.data.occluded_mnist("sklearn", labelled=5000)
    with pytest.raises(ValueError, match="multiple of 10"):
        zoo.data.occluded_mnist("sklearn", labelled=999)


def test_which_digits_are_labelled_depends_on_the_seed():
    chosen = [
        zoo.data.occluded_mnist("sklearn", labelled=50, seed=seed, verbose=False)[0]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(chosen[0].labelled, chosen[1].labelled)
    assert not np.array_equal(chosen[0].labelled, chosen[2].labelled)


def test_each_round_has_an_order_of_its_own():
    rounds = cycle(np.arange(20), 50, np.random.default_rng(0))
    first, second, rest = rounds[:20], rounds[20:40], rounds[40:]
    for order in (first, second):
        np.testing.assert_array_equal(np.sort(order), np.arange(20))
    assert len(set(rest)) == 10
    assert not np.array_equal(first, second) and not np.array_equal(second[:10], rest)
