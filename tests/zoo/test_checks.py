"""What models of the zoo refuse, wherever their data come from."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from zoo.gaussian_chain import CHAIN_B, CHAIN_C
from zoo.occluded_mnist import small_table
from zoo.textured_mnist import small_table_9

import zoo
from rladder_keras import (
    G1,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    Softmax,
    step_model,
)
from zoo.data.epochs import EpochDataset

pytestmark = [
    pytest.mark.once,
    # Of Keras, where a generator ends.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]


def levels():
    return [
        Level(ConvLSTMCell(2, 3), ConvG3(3)),
        Level(layers.AveragePooling2D(2), G1()),
        Level(LSTMCell(3), G1()),
        Level(Softmax(3)),
    ]


def small_ladder():
    return zoo.rladder(
        levels(), (4, 4, 1), ("class", "frame"), iterations=3, unroll=False
    )


@pytest.fixture(scope="module")
def model():
    return small_ladder()


def films(n=4):
    x = np.random.default_rng(0).random((n, 3, 4, 4, 1)).astype("float32")
    return x, {"class": np.arange(n) % 3, "frame": x}


def tf_data(x, y):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(len(x))


def generator(x, y):
    for _ in range(9):
        yield x, y


def loader(x, y):
    data = pytest.importorskip("torch.utils.data")

    class Films(data.Dataset):
        def __len__(self):
            return len(x)

        def __getitem__(self, i):
            return x[i], {name: values[i] for name, values in y.items()}

    return data.DataLoader(Films(), batch_size=len(x))


class Same(keras.utils.PyDataset):
    def __init__(self, x, y, batches=1):
        super().__init__()
        self.xy, self.batches = (x, y), batches

    @property
    def num_batches(self):
        return self.batches

    def __getitem__(self, index):
        return self.xy


class Epochs(EpochDataset):
    """Says which batches of which epoch were drawn and given."""

    def __init__(self, x, y, batches=2):
        super().__init__()
        self.xy, self.batches, self.given = (x, y), batches, []

    def __len__(self):
        return self.batches

    def batch(self, index):
        return self.xy

    def __getitem__(self, index):
        self.given.append((self.epoch, index))
        return super().__getitem__(index)


SOURCES = [tf_data, generator, loader, Same, Epochs]


def with_targets(model):
    """Every use of batches with targets, by name."""
    fit = partial(model.fit, steps_per_epoch=1, shuffle=False, verbose=0)
    good = films()
    return {
        "fit": fit,
        "validation": lambda data: model.fit(*good, validation_data=data, verbose=0),
        "evaluate": partial(model.evaluate, steps=1, verbose=0),
    }


def bad_frames():
    x, y = films()
    return [
        (255 * x, y, "frames must have pixels in .*Divide 8-bit images by 255"),
        (x * np.float32("nan"), y, "frames must have finite pixels; got NaN"),
        (x[..., 0], y, r"frames must have shape \(batch, T, 4, 4, 1\); got"),
    ]


def bad_targets():
    x, y = films()
    return [
        (x, {**y, "class": y["class"] + 97}, "got labels from 97 to 99"),
        (x, {**y, "class": y["class"] - 1}, "got labels from -1 to 1"),
        (x, {**y, "frame": 255 * x}, r"frames of y\['frame'\] must have pixels in"),
        (x, {"frame": x}, r"targets for the output\(s\) \['class'\].*`labels=`"),
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_batch_of_every_source_is_checked(model, source):
    for x, y, message in bad_frames() + bad_targets():
        for use in with_targets(model).values():
            with pytest.raises(ValueError, match=message):
                use(source(x, y))
    for x, y, message in bad_frames():
        with pytest.raises(ValueError, match=message):
            model.predict(source(x, y), steps=1, verbose=0)


@pytest.mark.everywhere
@pytest.mark.parametrize("source", SOURCES)
def test_good_batches_of_every_source_are_taken(model, source):
    x, y = films()
    for labels in (y["class"], y["class"][:, None]):
        y = {**y, "class": labels}
        for use in with_targets(model).values():
            use(source(x, y))
    found = model.predict(source(x, y), steps=1, verbose=0)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(found["frame"], expected["frame"], atol=1e-6)


@pytest.mark.everywhere
def test_single_batches_are_checked(model):
    for x, y, message in bad_frames() + bad_targets():
        for method in (model.train_on_batch, model.test_on_batch):
            with pytest.raises(ValueError, match=message):
                method(x, y)
    for x, _, message in bad_frames():
        for of_batch in (x, [x], {"frames": x}):
            with pytest.raises(ValueError, match=message):
                model.predict_on_batch(of_batch)
    x, y = films()
    weights = {"class": np.float32([1, 0, 1, 1]), "frame": np.ones(4, "float32")}
    assert np.isfinite(model.train_on_batch(x, y, weights, return_dict=True)["loss"])
    assert np.isfinite(model.test_on_batch(x, y, return_dict=True)["loss"])
    assert model.predict_on_batch(x)["frame"].shape == x.shape


@pytest.mark.parametrize("source", [tf_data, generator, loader, Same, Epochs])
def test_data_without_a_batch_are_refused(model, source):
    x, y = films()
    empty = {
        "tf_data": lambda: tf_data(x, y).take(0),
        "generator": lambda: (batch for batch in ()),
        "loader": lambda: loader(x, y).__class__([], batch_size=2),
        "Same": lambda: Same(x, y, batches=0),
        "Epochs": lambda: Epochs(x, y, batches=0),
    }[source.__name__]
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="must have at least one batch; got an"):
            use(empty())


def counted(seen):
    x, y = films()
    for i in range(40):
        seen.append(i)
        yield x, y


class Trained(keras.callbacks.Callback):
    """Counts training batches; on TensorFlow Keras counts one iteration too many."""

    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


@pytest.mark.everywhere
def test_no_batch_of_a_generator_is_lost(model):
    taken, trained = [], Trained()
    model.fit(counted(taken), shuffle=False, verbose=0, callbacks=[trained])
    assert trained.batches == 40 and len(taken) == 40


@pytest.mark.everywhere
def test_a_generator_may_go_on_in_another_fit(model):
    batches = counted([])
    model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    assert next(batches, None) is not None


@pytest.mark.everywhere
def test_predictions_of_a_generator_begin_with_its_first_batch():
    model = small_ladder()  # not trained by the other tests: rounding is small
    x, _ = films()
    parts = ((part,) for part in (x[:2], x[2:]))
    found = model.predict(parts, steps=2, verbose=0)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(found["frame"], expected["frame"], atol=1e-5)


@pytest.mark.everywhere
def test_validation_by_a_generator_loses_no_batch(model):
    x, y = films()
    taken = []
    logs = model.fit(
        x,
        y,
        epochs=3,
        verbose=0,
        validation_data=counted(taken),
        validation_steps=2,
    ).history
    assert len(logs["val_loss"]) == 3 and len(taken) <= 3 * 2 + 2  # Keras prefetches


@pytest.mark.everywhere
def test_epochs_are_counted_and_ordered_as_without_checks(model):
    train, valid = Epochs(*films(), batches=3), Epochs(*films())
    model.fit(train, validation_data=valid, epochs=2, verbose=0)
    assert train.epoch == 2
    first = train.given.index((0, 2)) - 2
    assert train.given[first:] == [(e, i) for e in range(2) for i in range(3)]
    model.fit(train, epochs=1, verbose=0)
    assert train.epoch == 3 and train.given[-3:] == [(2, 0), (2, 1), (2, 2)]


def test_the_mean_teacher_checks_first_batches():
    table = small_table
    x = np.random.default_rng(0).random((2, 5, 32, 32, 1)).astype("float32")
    y = {"class": np.array([0, 10])}
    teacher = zoo.MeanTeacher(zoo.occluded_mnist_temporal_baseline(0.05, table=table))
    for use in (teacher.fit, teacher.evaluate):
        for source in (generator, tf_data):
            with pytest.raises(ValueError, match="got labels from 0 to 10"):
                use(source(x, y), verbose=0)
            with pytest.raises(ValueError, match="Divide 8-bit images by 255"):
                use(source(255 * x, y), verbose=0)
    good, trained = generator(x, {"class": np.array([0, 9])}), Trained()
    teacher.fit(good, shuffle=False, verbose=0, callbacks=[trained])
    assert trained.batches == 9


def test_sequences_of_a_chain_are_finite():
    model = zoo.gaussian_chain.gaussian_chain_messages(chain=CHAIN_C, output="x")
    x = np.full((2, 3, 1, 1), np.nan, "float32")
    for use in (model.predict, model.predict_on_batch):
        with pytest.raises(ValueError, match="NaN or infinite numbers"):
            use(x)


@pytest.mark.everywhere
def test_batches_that_do_not_fit_the_carried_state_are_refused_at_the_start():
    model = zoo.polyphonic_music_lstm(3, carry=2)
    x = np.zeros((5, 4, 88), "float32")
    before = int(model.optimizer.iterations)
    with pytest.raises(ValueError, match="must have 2 rows .* got 1 rows"):
        model.fit(x, {"notes": x}, batch_size=2, verbose=0)
    with pytest.raises(ValueError, match="must have 2 rows .* got 5 rows"):
        model.fit(x, {"notes": x}, verbose=0)
    assert int(model.optimizer.iterations) == before
    model.fit(x[:4], {"notes": x[:4]}, batch_size=2, verbose=0)
    model.fit(x, {"notes": x}, batch_size=2, validation_split=0.2, verbose=0)


# Arguments of builders


def build(**kwargs):
    return zoo.occluded_mnist_rladder(**{"width": 0.1, "table": small_table, **kwargs})


def tagger(**kwargs):
    options = {"table": small_table_9, "size": 32, **kwargs}
    return zoo.textured_mnist_rtagger(0.05, **options)


def test_sample_weights_are_finite_and_not_negative(model):
    x, y = films()
    every = np.ones(len(x), "float32")
    fit = partial(model.fit, x, y, verbose=0)
    weights = [([1] * len(x), "must be an array.*got a list")]
    for value in (-1, float("nan"), float("inf")):
        message = f"must be finite numbers of at least 0; got {float(value)}"
        weights.append((every * value, message))
    for weight, message in weights:
        for of_class in (weight, {"class": weight}):
            for use in (
                lambda w=of_class: fit(sample_weight=w),
                lambda w=of_class: fit(validation_data=(x, y, w)),
                lambda w=of_class: model.evaluate(x, y, sample_weight=w, verbose=0),
                lambda w=of_class: model.evaluate(iter([(x, y, w)]), verbose=0),
                lambda w=of_class: model.evaluate(Weighted(x, y, w), verbose=0),
                lambda w=of_class: model.train_on_batch(x, y, w),
                lambda w=of_class: model.test_on_batch(x, y, sample_weight=w),
            ):
                with pytest.raises(ValueError, match=f"`sample_weight` {message}"):
                    use()
    assert np.isfinite(model.test_on_batch(x, y, every == 1)).all()


class Weighted(keras.utils.PyDataset):
    """One batch with weights."""

    def __init__(self, *batch):
        super().__init__()
        self.only = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.only


@pytest.mark.parametrize("kind", [list, tuple])
def test_frames_are_one_array(kind, model):
    x, y = films()
    message = f"frames must be one array; got a {kind.__name__} of 4"
    for use in (model.predict, model.predict_on_batch, partial(model.fit, y=y)):
        with pytest.raises(ValueError, match=message):
            use(kind(x))


NUMBERS = [float("nan"), float("inf"), -1, "1", None]


@pytest.mark.parametrize("weight", NUMBERS)
def test_weights_of_losses_are_finite_and_not_negative(weight):
    for builder, name in (
        (build, "frame_weight"),
        (partial(zoo.rladder, levels(), (4, 4, 1)), "frame_weight"),
        (tagger, "class_weight"),
    ):
        message = f"`{name}` must be a finite number of at least 0; got {weight!r}"
        with pytest.raises(ValueError, match=message):
            builder(**{name: weight})


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_learning_rates_are_numbers(rate, model):
    message = f"`learning_rate` must be a finite number of at least 0; got {rate}"
    for builder in (build, tagger, partial(zoo.polyphonic_music_lstm, 3)):
        with pytest.raises(ValueError, match=message):
            builder(learning_rate=rate)
    with pytest.raises(ValueError, match=message):
        model.compile(keras.optimizers.SGD(rate), "mse")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    build(learning_rate=schedule)


@pytest.mark.parametrize("width", ["0.5", None, True, 0, -1, float("nan")])
def test_widths_are_numbers_above_0(width):
    for builder in (build, zoo.polyphonic_music_rladder, zoo.textured_mnist_convnet):
        message = f"`width` must be a number above 0; got {width!r}"
        with pytest.raises(ValueError, match=message):
            builder(width=width)


@pytest.mark.parametrize("value", ["no", 0, None])
def test_flags_are_true_or_false(value, tmp_path):
    occluded = partial(zoo.data.occluded_mnist, digits="sklearn", verbose=False)
    for use, name in (
        (build, "prediction"),
        (build, "classification"),
        (tagger, "remat"),
        (zoo.moving_mnist_rtagger, "learned_pi_gain"),
        (zoo.polyphonic_music_rladder, "joint"),
        (zoo.polyphonic_music_rladder, "beat"),
        (zoo.polyphonic_music_lstm, "repeats"),
        (occluded, "merge_validation"),
        (occluded, "random_bounce"),
        (partial(zoo.data.from_folder, tmp_path, (8, 8)), "colour"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be True or False; got"):
            use(**{name: value})


@pytest.mark.parametrize("noise", [-0.1, 1.5, float("nan"), "0.1", None])
def test_noise_is_from_0_to_1(noise):
    for builder in (tagger, partial(zoo.textured_mnist_convnet, 0.1, size=32)):
        with pytest.raises(ValueError, match="`noise` must be a number from 0 to 1"):
            builder(noise=noise)


def test_frequencies_are_numbers():
    for f in ("jsb", np.full(88, "0.1"), np.full(88, np.nan), np.full(87, 0.1)):
        with pytest.raises(ValueError, match="`frequencies` must be 88 numbers"):
            zoo.polyphonic_music_lstm(3, frequencies=f)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "an integer of at least 1; got 0"),
        ("batch_size", "2", "an integer of at least 1; got '2'"),
        ("epochs", -1, "an integer of at least 0; got -1"),
        ("epochs", 1.5, "an integer of at least 0; got 1.5"),
        ("validation_split", 2, "a number from 0 to below 1; got 2"),
        ("validation_split", "0.1", "a number from 0 to below 1; got '0.1'"),
    ],
)
def test_numbers_of_a_training_run_are_checked(model, name, value, message):
    for m in (model, zoo.MeanTeacher(model)):
        with pytest.raises(ValueError, match=f"`{name}` must be {message}"):
            m.fit(*films(), verbose=0, **{name: value})


def test_nothing_to_train_on_is_refused(model):
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="`x` must be arrays or a source of"):
            use(None, verbose=0)


def test_a_teacher_is_no_student(model):
    with pytest.raises(ValueError, match="`student` must be a plain model"):
        zoo.MeanTeacher(zoo.MeanTeacher(model))


def test_a_step_is_of_a_model():
    with pytest.raises(ValueError, match="`model` must be a keras.Model of sequences"):
        step_model(None)


@pytest.mark.parametrize("table", [small_table(), "small_table", None])
def test_tables_are_functions(table):
    for builder in (
        zoo.occluded_mnist_rladder,
        zoo.occluded_mnist_hierarchical_rnn,
        zoo.occluded_mnist_temporal_baseline,
        zoo.occluded_mnist_static_classifier,
        zoo.polyphonic_music_rladder,
        zoo.textured_mnist_rtagger,
        zoo.textured_mnist_tagger,
        zoo.moving_mnist_rtagger,
        zoo.moving_mnist_tagger,
    ):
        message = "`table` must be a function from `width` to a list of Level.*; got"
        with pytest.raises(ValueError, match=message):
            builder(0.1, table=table)


@pytest.mark.parametrize(
    "shape", [(0, 8, 1), (8.5, 8, 1), (None, None, 1), (8, 8), "881", 8, None]
)
def test_frames_have_three_integers_as_shape(shape):
    with pytest.raises(ValueError, match="`input_shape` must be .*height.*; got"):
        zoo.rladder(levels(), shape)


@pytest.mark.parametrize("value", [0, 2.5, "3"])
def test_sizes_of_taggers_are_integers(value):
    for name in ("size", "iterations", "groups"):
        with pytest.raises(
            ValueError, match=f"`{name}` must be an integer of at least"
        ):
            tagger(**{name: value})
    with pytest.raises(ValueError, match="`size` must be an integer of at least"):
        zoo.moving_mnist_rtagger(0.1, size=value)


def test_arguments_of_chains_are_checked():
    chains = zoo.gaussian_chain
    builders = (
        chains.gaussian_chain_rladder,
        chains.gaussian_chain_messages,
        chains.gaussian_chain_exact,
    )
    message = "`chain` must be a `zoo.data.chains.Chain`; got 'C'.*CHAIN_C"
    with pytest.raises(ValueError, match=message):
        zoo.data.gaussian_chain("C")
    for builder in builders:
        with pytest.raises(ValueError, match=message):
            builder(chain="C", output="x")
        with pytest.raises(ValueError, match="`output` must be one of .*; got 'y'"):
            builder(chain=CHAIN_B, output="y")
    for n in (0, -1, 2.5, "2"):
        for builder, name in (
            (chains.gaussian_chain_rladder, "iterations"),
            (chains.gaussian_chain_rladder, "units"),
            (chains.gaussian_chain_messages, "iterations"),
            (chains.gaussian_chain_exact, "steps"),
        ):
            with pytest.raises(ValueError, match=f"`{name}` must be an integer of at"):
                builder(chain=CHAIN_C, output="x", **{name: n})


# The command line


def test_a_full_disk_at_the_end_of_the_demo_is_one_sentence(tmp_path, monkeypatch):
    from zoo import demo

    def full(*args):
        raise OSError(28, "No space left on device")

    few = zoo.data.occluded_mnist("sklearn", 2, sequences=2, evaluation_sequences=2)
    monkeypatch.setattr(zoo.data, "occluded_mnist", lambda *args, **kwargs: few)
    monkeypatch.setattr(demo, "pictures", full)
    arguments = ["--out", str(tmp_path), "--width", "0.1", "--epochs", "1"]
    with pytest.raises(SystemExit, match="error: --out must .*No space left on device"):
        demo.main(arguments)
