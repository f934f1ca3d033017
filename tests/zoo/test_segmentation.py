"""Tests of the segmentation metrics against scikit-learn, image by image."""

import time

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from zoo.metrics import segmentation
from zoo.metrics.segmentation import (
    adjusted_mutual_information,
    adjusted_rand_index,
    contingency,
)

pytestmark = pytest.mark.once

METHODS = ("max", "arithmetic", "geometric", "min")


def reference(score, truth, prediction, **options):
    """The score of scikit-learn for each image, nan where no pixel counts."""
    scores = []
    for t, p in zip(truth, prediction, strict=True):
        counted = t >= 0
        value = score(t[counted], p[counted], **options) if counted.any() else np.nan
        scores.append(value)
    return np.array(scores)


def random_segmentations(rng, n, shape, truths=3, predictions=3, low=-1):
    """Truth and a prediction that agrees with it now more, now less."""
    truth = rng.integers(low, truths, size=(n, *shape))
    agree = rng.random((n, *shape)) < rng.random((n,) + (1,) * len(shape))
    drawn = rng.integers(predictions, size=(n, *shape))
    return truth, np.where(agree, (truth + 1) % predictions, drawn)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n", "shape", "truths", "predictions", "low"),
    [
        (150, (6, 7), 3, 3, -1),
        (60, (20, 20), 2, 3, 0),
        (60, (40,), 5, 2, -3),
        (150, (5,), 3, 3, -1),
        (100, (2, 2, 2), 4, 6, 0),
        (5, (96, 96), 2, 3, -1),
    ],
)
def test_scores_are_those_of_scikit_learn(n, shape, truths, predictions, low, method):
    pair = random_segmentations(
        np.random.default_rng(n), n, shape, truths, predictions, low
    )
    scores = adjusted_mutual_information(*pair, average_method=method)
    assert scores.shape == (n,) and scores.dtype == np.float64
    expected = reference(adjusted_mutual_info_score, *pair, average_method=method)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
    if method == "max":
        np.testing.assert_array_equal(scores, adjusted_mutual_information(*pair))
        scores = adjusted_rand_index(*pair)
        assert scores.shape == (n,) and scores.dtype == np.float64
        expected = reference(adjusted_rand_score, *pair)
        np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-12)


def test_unequal_segments_as_in_moving_digits():
    """Few true pixels, and a prediction with one segment that is nearly everything."""
    rng = np.random.default_rng(0)
    truth = np.full((20, 64, 64), -1)
    truth[:, 5:15, 5:9] = 0
    truth[:, 30:34, 20:40] = 1
    prediction = np.zeros_like(truth)
    prediction[rng.random(truth.shape) < 0.01] = 1
    prediction[:, 31, :25] = 2
    for truth_too in (truth, truth + 1):
        np.testing.assert_allclose(
            adjusted_mutual_information(truth_too, prediction),
            reference(
                adjusted_mutual_info_score,
                truth_too,
                prediction,
                average_method="max",
            ),
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            adjusted_rand_index(truth_too, prediction),
            reference(adjusted_rand_score, truth_too, prediction),
            rtol=1e-12,
        )


def test_all_segmentations_of_four_pixels():
    """Degenerate ones above all: single segments and single pixels."""
    labels = np.stack(np.meshgrid(*[np.arange(4)] * 4), axis=-1).reshape(-1, 4)
    canonical = [
        row for row in labels if (row <= np.r_[0, 1 + np.cumsum(row)[:3]]).all()
    ]
    truth = np.repeat(canonical, len(canonical), axis=0)
    prediction = np.tile(canonical, (len(canonical), 1))
    assert len(truth) > 200
    for method in ("max", "arithmetic", "geometric"):
        np.testing.assert_allclose(
            adjusted_mutual_information(truth, prediction, method),
            reference(
                adjusted_mutual_info_score, truth, prediction, average_method=method
            ),
            atol=1e-9,
        )
    np.testing.assert_allclose(
        adjusted_rand_index(truth, prediction),
        reference(adjusted_rand_score, truth, prediction),
        atol=1e-12,
    )


SCORES = [
    *(
        lambda t, p, m=method: adjusted_mutual_information(t, p, m)
        for method in METHODS
    ),
    adjusted_rand_index,
]


@pytest.mark.parametrize("score", SCORES)
def test_degenerate_images(score):
    nothing = [-1] * 6
    halves = [0, 0, 0, 1, 1, 1]
    one, apart = [0] * 6, [0, 1, 2, 3, 4, 5]
    truth, prediction, expected = zip(
        (nothing, halves, np.nan),
        (nothing, one, np.nan),
        (one, one, 1),
        (one, [7] * 6, 1),
        (one, halves, 0),
        (halves, one, 0),
        (one, apart, 0),
        (apart, apart[::-1], 1),
        (halves, [5, 5, 5, -2, -2, -2], 1),
        ([0, 0, -1, 1, 1, -1], [1, 1, 0, 0, 0, 1], 1),
        ([3, -1, -1, -1, -1, -1], halves, 1),
        strict=True,
    )
    scores = score(np.array(truth), np.array(prediction))
    np.testing.assert_array_equal(scores, np.array(expected, float))
    assert np.nanmean(scores) == pytest.approx(6 / 9)


@pytest.mark.parametrize("score", SCORES)
def test_names_of_segments_and_places_of_pixels_do_not_matter(score):
    rng = np.random.default_rng(3)
    truth, prediction = random_segmentations(rng, 30, (8, 8))
    scores = score(truth, prediction)
    names = np.array([10**9, -(10**9), 3])
    np.testing.assert_allclose(score(truth, names[prediction]), scores, atol=1e-12)
    np.testing.assert_allclose(
        score(np.where(truth < 0, -7, names[[0, 2, 0]][truth] + truth), prediction),
        scores,
        atol=1e-12,
    )
    order = rng.permutation(64)
    shuffled = (labels.reshape(30, 64)[:, order] for labels in (truth, prediction))
    np.testing.assert_allclose(score(*shuffled), scores, atol=1e-12)
    # Each image by itself, and what counts for nothing.
    alone = [score(truth[i : i + 1], prediction[i : i + 1])[0] for i in range(30)]
    np.testing.assert_allclose(alone, scores, atol=1e-12)
    other = np.where(truth < 0, 2, prediction)
    np.testing.assert_array_equal(score(truth, other), scores)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64"]
)
def test_all_integer_types(dtype):
    low = 0 if dtype.startswith("u") else -1
    pair = random_segmentations(np.random.default_rng(4), 10, (6, 6), low=low)
    typed = [labels.astype(dtype) for labels in pair]
    for score in SCORES:
        np.testing.assert_array_equal(score(*typed), score(*pair))
        np.testing.assert_array_equal(
            score(typed[0], pair[1]), score(pair[0], typed[1])
        )


def test_chance_scores_zero_on_average():
    rng = np.random.default_rng(5)
    truth = rng.integers(2, size=(2000, 50))
    prediction = rng.integers(3, size=(2000, 50))
    for score in (adjusted_mutual_information, adjusted_rand_index):
        scores = score(truth, prediction)
        assert abs(scores.mean()) < 5 * scores.std() / 2000**0.5
        assert scores.min() < 0


def test_methods_are_ordered():
    """The arithmetic mean gives higher values than the maximum."""
    pair = random_segmentations(np.random.default_rng(6), 50, (10, 10), 2, 3, low=0)
    most, arithmetic, geometric, least = (
        adjusted_mutual_information(*pair, method) for method in METHODS
    )
    assert (abs(most) <= abs(arithmetic)).all()
    assert (abs(arithmetic) <= abs(geometric)).all()
    assert (abs(geometric) <= abs(least)).all()
    assert (most < arithmetic).any()


def test_chunks_do_not_matter(monkeypatch):
    pair = random_segmentations(np.random.default_rng(7), 20, (30, 30))
    counts = contingency(*pair)
    scores = adjusted_mutual_information(*pair)
    for chunk in (1, 1000, 5000):
        monkeypatch.setattr(segmentation, "CHUNK", chunk)
        np.testing.assert_array_equal(contingency(*pair), counts)
        np.testing.assert_allclose(
            adjusted_mutual_information(*pair), scores, rtol=1e-12
        )


def test_contingency():
    truth = np.array([[0, 0, 2, -1], [-1, -1, -1, -1]])
    prediction = np.array([[1, 0, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(
        contingency(truth, prediction), [[[1, 1], [0, 0], [1, 0]], np.zeros((3, 2))]
    )


@pytest.mark.parametrize("score", SCORES)
def test_no_images_and_no_pixels(score):
    assert score(np.zeros((0, 4, 4), int), np.zeros((0, 4, 4), int)).shape == (0,)
    empty = np.zeros((3, 0), int)
    np.testing.assert_array_equal(score(empty, empty), [np.nan] * 3)
    nothing = np.full((3, 4), -1)
    np.testing.assert_array_equal(score(nothing, nothing), [np.nan] * 3)


def test_bad_arguments():
    truth = np.zeros((2, 3, 3), int)
    for score in (adjusted_mutual_information, adjusted_rand_index, contingency):
        with pytest.raises(ValueError, match=r"must hold integers.*float64.*argmax"):
            score(truth, truth + 0.5)
        with pytest.raises(ValueError, match=r"`truth` must hold integers"):
            score(truth > 0, truth)
        with pytest.raises(ValueError, match=r"\(2, 3, 3\) and \(2, 3\)"):
            score(truth, truth[..., 0])
        with pytest.raises(ValueError, match=r"shape \(n, \.\.\.\)"):
            score(truth[0, 0], truth[0, 0])
    with pytest.raises(ValueError, match="'max', .* 'min', and it is 'mean'"):
        adjusted_mutual_information(truth, truth, average_method="mean")


def test_a_thousand_large_images_take_a_second():
    """About a tenth of a second for each score; a few seconds are allowed."""
    pair = random_segmentations(np.random.default_rng(8), 10, (96, 96), 2, 3)
    pair = [np.tile(labels, (100, 1, 1)) for labels in pair]
    start = time.process_time()
    adjusted_mutual_information(*pair)
    adjusted_rand_index(*pair)
    assert time.process_time() - start < 5
