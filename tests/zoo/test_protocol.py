"""The second phase of the protocols, and the rates, with a model of a few numbers."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.data.epochs import EpochDataset
from zoo.models.fitting import make_variables
from zoo.training import protocol, schedules, together

SEED = 7


class Batches(EpochDataset):
    """Two batches, others in each epoch."""

    num_sequences = 8

    def __init__(self, start):
        super().__init__()
        self.start = start

    def __len__(self):
        return 2

    def batch(self, index):
        rng = np.random.default_rng([self.start, self.epoch, index])
        return rng.normal(size=(4, 3)).astype("float32"), np.ones((4, 1), "float32")


class Scripted(keras.Sequential):
    """A model whose validation errors are given."""

    def evaluate(self, errors, **kwargs):
        return {"error": errors.pop(0)}


def build():
    """The noise draws numbers in training, the weights before it."""
    noise = keras.layers.GaussianNoise(0.5)
    model = Scripted([keras.Input((3,)), noise, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.025), loss="mse")
    one = ops.ones((4, 1))
    return make_variables(model, one, one)  # else the first `fit` draws a number


def trained(tmp_path, errors, schedule=schedules.D1, **kwargs):
    data, merged = (Batches(1), [*errors]), Batches(2)
    folder = tmp_path / "run"
    run = protocol.run(
        build, data, merged, "error", folder, seed=SEED, schedule=schedule, **kwargs
    )
    return protocol.train(run, verbose=0)


def by_hand(data, rates, seed=SEED):
    """What `fit` makes of a new model, epoch by epoch."""
    keras.utils.set_random_seed(seed)
    model = build()
    for epoch, rate in enumerate(rates):
        model.optimizer.learning_rate = rate
        data.epoch = epoch
        model.fit(data, shuffle=False, verbose=0)
    return model


class More(Batches):
    """Three batches: phase 2 has more data."""

    num_sequences = 12

    def __len__(self):
        return 3


@pytest.mark.once("jax")
@pytest.mark.parametrize("average", [None, 0.5])
def test_runs_that_are_trained_together_end_at_different_epochs(tmp_path, average):
    """The shorter one is in phase 2, with more batches, while the other is not."""
    errors = {1: [5, 6, 7, 8], 2: [5, 4, 3, 6, 7, 8]}

    def run(seed, kind):
        return protocol.run(
            build,
            (Batches(seed), [*errors[seed]]),
            More(seed + 2),
            "error",
            tmp_path / kind / str(seed),
            seed=seed,
            schedule=schedules.D2,
            average=average,
        )

    alone = [protocol.train(run(seed, "alone"), verbose=0) for seed in errors]
    both = together.train_together([run(seed, "both") for seed in errors], verbose=0)
    for (a, first), (b, second), epochs in zip(alone, both, (1, 3), strict=True):
        assert apart(a, b) < 1e-6
        assert first["epoch"] == second["epoch"] == epochs
        assert first["sequences"] == second["sequences"] == 12 * epochs
    assert apart(alone[0][0], alone[1][0]) > 1e-3


def weights(model):
    return [ops.convert_to_numpy(w) for w in model.trainable_variables]


def apart(a, b):
    return max(abs(x - y).max() for x, y in zip(weights(a), weights(b), strict=True))


RATES = [0.05, 0.05, 0.025, 0.025, 0.0125]
ERRORS = [0.9, 0.95, 0.95, 0.97, 0.8]  # it rose twice, and was once the same
D1 = schedules.D1._replace(
    first_rate=0.05, next_rate=lambda rate, e: 50 * schedules.next_rate(rate / 50, e)
)


def test_phase_2_trains_a_new_model_on_both_sets_with_the_rates_of_phase_1(tmp_path):
    model, progress = trained(tmp_path, ERRORS, D1, epochs=5)
    assert progress["done"] and progress["phase"] == 2 and progress["epoch"] == 5
    np.testing.assert_allclose(progress["rates"], RATES)
    assert progress["errors"] == ERRORS
    assert apart(model, by_hand(Batches(2), RATES)) < 1e-6
    # Each of the other readings ends elsewhere.
    for data, rates, seed in (
        (Batches(1), RATES, SEED),
        (Batches(2), [0.05] * 5, SEED),
        (Batches(2), RATES, SEED + 1),
        (Batches(2), RATES[:4], SEED),
    ):
        assert apart(model, by_hand(data, rates, seed)) > 1e-3


def test_phase_1_trains_on_the_training_set_only(tmp_path):
    model, progress = trained(tmp_path, ERRORS, D1, epochs=5, phases=1)
    assert progress["done"] and progress["phase"] == 1
    assert apart(model, by_hand(Batches(1), RATES)) < 1e-6


def test_phase_2_of_music_is_as_long_as_the_way_to_the_lowest_error(tmp_path):
    model, progress = trained(tmp_path, [5, 4, 3, 6, 7, 8], schedules.D2)
    assert (progress["phase"], progress["epoch"], progress["sequences"]) == (2, 3, 24)
    assert len(progress["errors"]) == 6  # three in a row without a new minimum
    assert apart(model, by_hand(Batches(2), [0.025] * 3)) < 1e-6


@pytest.mark.parametrize("budget", [None, 0.0001])
def test_phase_2_is_the_same_after_stops(tmp_path, budget):
    errors, progress = [*ERRORS], {"done": False}
    while not progress["done"]:
        seen = len(progress.get("errors", ()))
        model, progress = trained(
            tmp_path, errors[seen:], D1, epochs=5, time_budget=budget
        )
    assert apart(model, by_hand(Batches(2), RATES)) < 1e-6


def test_the_rate_stays_where_the_error_does():
    assert schedules.next_rate(1e-3, [0.5, 0.5]) == 1e-3
    assert schedules.next_rate(1e-3, [0.5, 0.4]) == 1e-3
    assert schedules.next_rate(1e-3, [0.5, 0.500001]) == 5e-4
    assert schedules.next_rate(1e-3, [0.1, 0.5, 0.4]) == 1e-3  # against the last only
    assert schedules.next_rate(1.5e-4, [0.1, 0.5]) == 1e-4


def test_phase_1_of_each_schedule_ends_where_its_text_says():
    lowest, longer = [1e-4] * 11, [1e-4] * 12
    assert not schedules.finished(schedules.D1, [0.1, *[0.2] * 9], lowest[:10])
    assert schedules.finished(schedules.D1, [0.1, *[0.2] * 10], lowest)
    assert not schedules.finished(schedules.D1, [0.1, *[0.2] * 10, 0.05], longer)
    assert not schedules.finished(schedules.D1, [0.1, *[0.2] * 10], [2e-4] * 11)
    for schedule, epochs in ((schedules.D3, 52), (schedules.CHAINS, 16)):
        errors = np.linspace(2, 1, epochs).tolist()
        assert not schedules.finished(schedule, errors[:-1], errors[:-1])
        assert schedules.finished(schedule, errors, errors)
    assert schedules.CHAINS.next_rate(0.01, [1.0]) == pytest.approx(0.008)
    assert schedules.D3.next_rate(0.01, [1.0, 2.0]) == 0.01
    assert schedules.FILMS.next_rate(0.01, [1.0, 2.0]) == 0.005


def test_the_lowest_error_that_came_first_counts():
    assert schedules.best_epoch([3, 2, 2]) == 2


def test_what_an_epoch_is_remembered_with_stands_once():
    progress = {}
    for commit in ("a", "a", "b", "a"):
        protocol.remember(progress, commits=commit)
    assert progress == {"commits": ["a", "b"]}
