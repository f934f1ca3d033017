"""The Mean Teacher: its average, its losses, and what reaches what."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from short_tables import short
from zoo.videos import compiled

import zoo
from zoo.training import checkpoint

SIDE, CLASSES = 4, 10


def arrays(model):
    return [ops.convert_to_numpy(w.value) for w in model.weights]


def plain(**kwargs):
    """A model as a user may have: a list of layers and integer labels."""
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "softmax", **kwargs)], name="own"
    )
    student.compile(
        keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
    )
    return student


def points(n=8):
    rng = np.random.default_rng(0)
    return rng.random((n, 3)).astype("float32"), np.arange(n) % 4


def of_frames(seed=0):
    """A model like those of the zoo, with both tasks, and batch normalisation."""
    keras.utils.set_random_seed(seed)
    frames = keras.Input((None, SIDE, SIDE, 1), name="frames")
    x = layers.Reshape((-1, SIDE * SIDE))(frames)
    x = layers.BatchNormalization()(layers.Dense(8, "relu")(x))
    outputs = {"class": layers.Dense(CLASSES, "softmax", name="class")(x)}
    x = layers.Dense(SIDE * SIDE, "sigmoid")(x)
    outputs["frame"] = layers.Reshape((-1, SIDE, SIDE, 1), name="frame")(x)
    return compiled(frames, outputs, 0.01, {})


def films(n=6):
    rng = np.random.default_rng(1)
    frames = rng.random((n, 3, SIDE, SIDE, 1)).astype("float32")
    return frames, {"class": np.arange(n) % CLASSES, "frame": frames}


def test_the_teacher_is_the_average_of_the_student():
    """Through the ramp and after it; `fit` and `train_on_batch` do the same."""
    x, y = points(12)
    model = zoo.MeanTeacher(plain(), ramp=3, noise=0)
    mean = [w.astype("float64") for w in arrays(model.student)]
    for step in range(6):
        batch = slice(2 * step, 2 * step + 2)
        model.train_on_batch(x[batch], y[batch])
        a = 0.99 if step < 3 else 0.999
        for i, w in enumerate(arrays(model.student)):
            mean[i] = a * mean[i] + (1 - a) * w
    model.catch_up()
    for expected, w, student in zip(
        mean, arrays(model.teacher), arrays(model.student), strict=True
    ):
        np.testing.assert_allclose(w, expected, atol=1e-6)
        assert np.abs(w - student).max() > 1e-3
    model.catch_up()  # once for each step
    np.testing.assert_allclose(arrays(model.teacher)[0], mean[0], atol=1e-6)

    fitted = zoo.MeanTeacher(plain(), ramp=3, noise=0)
    fitted.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    for a, b in zip(arrays(fitted), arrays(model), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_only_the_student_follows_the_consistency():
    """A step without labels: the analytical gradient, with the teacher held fixed."""
    x, y = points()
    model = zoo.MeanTeacher(plain(use_bias=False), ramp=0, noise=0, consistency=2.0)
    (w,), (v,) = arrays(model.student), [np.float32([[1, 0, 0, 0]] * 3)]
    model.teacher.set_weights([v])
    model.train_on_batch(x, y, np.zeros(8))
    p, q = softmax(x @ w), softmax(x @ v)
    slope = 2 * 2.0 * (p - q) / p.size
    logits = p * (slope - (slope * p).sum(axis=1, keepdims=True))
    expected = w - 0.5 * x.T @ logits
    np.testing.assert_allclose(arrays(model.student)[0], expected, atol=1e-6)
    model.catch_up()
    mean = 0.999 * v + 0.001 * expected
    np.testing.assert_allclose(arrays(model.teacher)[0], mean, atol=1e-6)
    assert not model.teacher.trainable_variables
    assert len(model.trainable_variables) == 1


def test_the_consistency_ramps_up():
    x, y = points()
    model = zoo.MeanTeacher(plain(), ramp=4, noise=0, consistency=3.0)
    model.teacher.set_weights([w[::-1] for w in arrays(model.student)])
    for step in range(6):
        model.reset_metrics()
        logs = model.train_on_batch(x, y, np.zeros(8), return_dict=True)
        weight = 3 * np.exp(-5 * (1 - min(step / 4, 1)) ** 2)
        assert logs["consistency"] > 1e-3
        assert logs["loss"] == pytest.approx(weight * logs["consistency"], rel=1e-4)


def test_unlabelled_samples_do_not_touch_the_class_loss():
    frames, y = films()
    weight = {"class": np.float32([1, 0, 0, 1, 0, 0])}
    other = {**y, "class": np.where(weight["class"], y["class"], 9 - y["class"])}
    results = []
    for targets in (y, other):
        model = zoo.MeanTeacher(of_frames(), ramp=2, seed=3)
        logs = model.train_on_batch(frames, targets, weight, return_dict=True)
        results.append((logs, arrays(model)))
    (logs, weights), (again, others) = results
    assert logs == again
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_class_loss_is_a_mean_over_labelled_samples():
    frames, y = films()
    weight = {"class": np.float32([1, 0, 0, 1, 0, 0])}
    model = zoo.MeanTeacher(of_frames(), noise=0)
    model.teacher.set_weights([w + 0.1 for w in arrays(model.teacher)])
    values = model.test_on_batch(frames, y, weight, return_dict=True)
    p, q = (
        who.predict(frames, verbose=0)["class"][:, -1]
        for who in (model.student, model.teacher)
    )
    labels = y["class"][[0, 3]]
    for name, of in (("student", p), ("teacher", q)):
        error = (of[[0, 3]].argmax(axis=1) != labels).mean()
        assert values[f"{name}_class_error"] == pytest.approx(error)
    loss = -np.log(p[[0, 3], labels]).mean()
    assert values["student_class_loss"] == pytest.approx(loss, rel=1e-4)
    assert values["consistency"] == pytest.approx(((p - q) ** 2).mean(), rel=1e-4)


def test_metrics_are_those_of_both_alone():
    frames, y = films()
    model = zoo.MeanTeacher(of_frames(), ramp=2)
    logs = model.fit(frames, y, validation_data=(frames, y), epochs=2, verbose=0)
    values = model.evaluate(frames, y, verbose=0, return_dict=True)
    assert {f"val_{name}" for name in values} <= set(logs.history)
    for name in ("student", "teacher"):
        alone = of_frames()
        alone.set_weights(getattr(model, name).get_weights())
        expected = alone.evaluate(frames, y, verbose=0, return_dict=True)
        for metric in ("class_error", "frame_mse"):
            assert values[f"{name}_{metric}"] == pytest.approx(
                expected[metric], rel=1e-4
            )
    outputs = model.predict(frames, verbose=0)
    np.testing.assert_allclose(
        outputs["class"], alone.predict(frames, verbose=0)["class"], atol=1e-6
    )


def test_the_teacher_normalises_by_the_batch_and_averages_no_statistics():
    frames, y = films()
    model = zoo.MeanTeacher(of_frames(), ramp=2, noise=0)
    model.teacher.set_weights([w + 0.5 for w in arrays(model.teacher)])
    normal = [m.get_layer(index=3) for m in (model.student, model.teacher)]
    assert all(isinstance(layer, layers.BatchNormalization) for layer in normal)
    before = ops.convert_to_numpy(normal[1].moving_mean.value)
    inner = keras.Model(model.teacher.input, normal[1].input)
    batch = inner.predict(frames, verbose=0).mean(axis=(0, 1))
    model.train_on_batch(frames, y)
    after = ops.convert_to_numpy(normal[1].moving_mean.value)
    np.testing.assert_allclose(after, 0.99 * before + 0.01 * batch, atol=1e-5)
    model.catch_up()
    np.testing.assert_array_equal(
        after, ops.convert_to_numpy(normal[1].moving_mean.value)
    )


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path):
    """Ramp, decay, noise and optimiser go on."""
    frames, y = films()

    def new(seed):
        return zoo.MeanTeacher(of_frames(seed), ramp=4)

    whole = new(0)
    for _ in range(3):
        whole.fit(frames, y, batch_size=2, shuffle=False, verbose=0)
    part = new(0)
    part.fit(frames, y, batch_size=2, shuffle=False, verbose=0)
    checkpoint.save(tmp_path, part, {})
    resumed = new(1)
    checkpoint.load(tmp_path, resumed)
    for _ in range(2):
        resumed.fit(frames, y, batch_size=2, shuffle=False, verbose=0)
    for a, b in zip(arrays(whole), arrays(resumed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(ops.convert_to_numpy(resumed.steps.value)) == 9


def test_noise_is_drawn_twice_and_in_training_only():
    x, _ = points()
    model = zoo.MeanTeacher(plain(), noise=0.5)
    noisy, clean = model(x, training=True), model(x)
    for outputs, differ in ((noisy, True), (clean, False)):
        a, b = (ops.convert_to_numpy(outputs[k]) for k in ("student", "teacher"))
        assert (np.abs(a - b).max() > 1e-3) == differ
    for who in ("student", "teacher"):
        a, b = (ops.convert_to_numpy(outputs[who]) for outputs in (noisy, clean))
        assert np.abs(a - b).max() > 1e-3


def test_updates_count_and_not_calls():
    """Gradients of two batches make one update; a call alone makes none."""
    x, y = points(12)
    student = plain()
    student.compile(
        keras.optimizers.SGD(0.5, gradient_accumulation_steps=2), student.loss
    )
    model = zoo.MeanTeacher(student, ramp=2, noise=0, consistency=3.0)
    mean, ramp = arrays(model.teacher)[0].astype("float64"), []
    for step in range(6):
        model(x, training=True)
        model.reset_metrics()
        batch = slice(2 * step, 2 * step + 2)
        logs = model.train_on_batch(x[batch], y[batch], np.zeros(2), return_dict=True)
        ramp.append((logs["loss"], logs["consistency"]))
        if step % 2:
            a = 0.99 if step < 4 else 0.999
            mean = a * mean + (1 - a) * arrays(model.student)[0]
        np.testing.assert_allclose(arrays(model.teacher)[0], mean, atol=1e-6)
        assert int(ops.convert_to_numpy(model.averaged.value)) == (step + 1) // 2
        if step == 0:  # something to agree on
            model.teacher.set_weights([w[::-1] for w in arrays(model.student)])
            mean = arrays(model.teacher)[0].astype("float64")
    for step, (loss, consistency) in enumerate(ramp[1:], 1):
        weight = 3 * np.exp(-5 * (1 - min(step // 2 / 2, 1)) ** 2)
        assert consistency > 1e-5
        assert loss == pytest.approx(weight * consistency, rel=1e-4)


def test_a_model_compiled_again_counts_on():
    x, y = points()
    model = zoo.MeanTeacher(plain(), ramp=9, noise=0)
    for updates in (3, 6):
        model.fit(x, y, epochs=3, verbose=0)
        assert int(ops.convert_to_numpy(model.averaged.value)) == updates
        before = arrays(model.teacher)
        model.compile("sgd", model.loss)
        model.evaluate(x, y, verbose=0)
        model.catch_up()
        for a, b in zip(before, arrays(model.teacher), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX must be started with it"
)
def test_double_precision():
    x, y = points()
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        model = zoo.MeanTeacher(plain(), ramp=2)
        logs = model.fit(x, y, verbose=0).history
    finally:
        keras.config.set_floatx(before)
    assert np.isfinite(logs["loss"]).all()


@pytest.mark.once
@pytest.mark.parametrize("student", [plain, of_frames])
def test_student_and_teacher_have_names_of_their_own(student):
    semi = zoo.MeanTeacher(student())
    assert semi.student.name != semi.teacher.name
    paths = [w.path for w in (*semi.student.weights, *semi.teacher.weights)]
    assert len(set(paths)) == len(paths)
    both = keras.Input(semi.student.input_shape[1:])
    keras.Model(both, [semi.student(both), semi.teacher(both)])


def test_what_is_no_float_gets_no_noise():
    tokens = keras.Input((3,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(9, 2)(tokens))
    model = zoo.MeanTeacher(keras.Model(tokens, layers.Dense(4, "softmax")(x)), noise=1)
    x = np.full((2, 3), 5, "int32")
    noisy, clean = (model(x, training=t)["student"] for t in (True, False))
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (noisy, clean)))


@pytest.mark.parametrize("student", [plain, of_frames])
def test_file_has_both(tmp_path, student):
    x, y = points() if student is plain else films()
    model = zoo.MeanTeacher(student(), ramp=2, noise=0, consistency=7.0)
    model.fit(x, y, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.ramp, loaded.consistency) == (2, 7.0)
    for a, b in zip(arrays(model), arrays(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
    values = [m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, loaded)]
    assert values[0] == pytest.approx(values[1])
    for m in (model, loaded):
        m.fit(x, y, shuffle=False, verbose=0)
    for a, b in zip(arrays(model), arrays(loaded), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_loaded_ladder_goes_on_learning(tmp_path):
    """Keras then makes losses and metrics from shapes alone."""
    table = short(zoo.occluded_mnist.small_table, 1, 3)
    frames = np.random.default_rng(0).random((2, 3, 32, 32, 1), dtype="float32")
    y = {"class": np.array([1, 2]), "frame": frames, "probe": frames}
    student = zoo.occluded_mnist_rladder(0.1, table=table, unroll=False)
    model = zoo.MeanTeacher(student, noise=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for m in (model, loaded):
        m.fit(frames, y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(arrays(model), arrays(loaded), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.once
def test_a_students_teacher_is_compiled_like_any_model():
    """A functional model of the user's, not compiled, several outputs, own names."""
    x, y = points()
    inputs = keras.Input((3,))
    h = layers.Dropout(0.5)(layers.Dense(8, "relu")(inputs))
    outputs = {
        "digit": layers.Dense(4, "softmax", name="digit")(h),
        "size": layers.Dense(1, name="size")(h),
    }
    model = zoo.MeanTeacher(keras.Model(inputs, outputs), "digit", ramp=2)
    assert not model.compiled
    model.compile(
        "adam",
        {"digit": "sparse_categorical_crossentropy", "size": "mse"},
        metrics={"digit": ["accuracy"]},
    )
    targets = {"digit": y, "size": np.ones((8, 1), "float32")}
    logs = model.fit(x, targets, epochs=2, verbose=0).history
    assert {"loss", "consistency", "student_digit_accuracy"} < set(logs)
    assert "teacher_digit_accuracy" in logs
    assert set(model.predict(x, verbose=0)) == {"digit", "size"}


@keras.saving.register_keras_serializable("test_mean_teacher")
class Own(keras.Model):
    """Without an argument `training`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4, "softmax")

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return self.dense(x)


def test_a_class_of_ones_own():
    x, y = points()
    student = Own()
    student.build((None, 3))
    model = zoo.MeanTeacher(student)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()
    assert model.predict(x, verbose=0).shape == (8, 4)


def test_a_loss_of_ones_own():
    def mine(y, p):
        return keras.losses.sparse_categorical_crossentropy(y, p)

    x, y = points()
    student = plain()
    with pytest.raises(ValueError, match="Register its custom layers, losses"):
        student.compile("sgd", mine)
        zoo.MeanTeacher(student)
    student = plain()
    model = zoo.MeanTeacher(student)
    model.compile("sgd", mine)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()


def stacked(outputs):
    inputs = keras.Input((3,))
    return keras.Model(inputs, outputs(layers.Dense(4)(inputs)))


@pytest.mark.once
@pytest.mark.parametrize(
    "student, options, message",
    [
        (
            lambda: stacked(lambda x: {"frame": x}),
            {},
            "output of the student, 'frame'; got 'class'",
        ),
        (lambda: stacked(lambda x: [x, x]), {}, "Make it a dictionary"),
        (lambda: keras.Sequential([layers.Dense(4)]), {}, "Start it with keras.Input"),
        (lambda: "rladder", {}, "must be a Keras model"),
        (plain, {"ramp": -1}, "`ramp` must be an integer of at least 0"),
        (plain, {"noise": -1.0}, "`noise` must be a number from 0 to 1; got -1.0"),
        (plain, {"consistency": float("nan")}, "`consistency` must be a finite number"),
        (
            plain,
            {"consistency": "1"},
            "`consistency` must be a finite number of at least 0",
        ),
        (plain, {"noise": None}, "`noise` must be a number from 0 to 1; got None"),
        (plain, {"noise": 2.0}, "`noise` must be a number from 0 to 1; got 2.0"),
        (of_frames, {"output": "frame"}, r"got 'frame' of shape \(None, None, "),
    ],
)
def test_what_cannot_be_is_refused(student, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.MeanTeacher(student(), **options)


def test_the_teacher_is_a_model_like_others(tmp_path):
    frames, y = films()
    semi = zoo.MeanTeacher(of_frames())
    weights = np.arange(6) % 2
    semi.fit(frames, y, sample_weight={"class": weights}, verbose=0)
    semi.evaluate(frames, y, sample_weight={"class": weights}, verbose=0)
    semi.teacher.save(tmp_path / "teacher.keras")
    loaded = keras.saving.load_model(tmp_path / "teacher.keras")
    expected = semi.predict(frames, verbose=0)
    found = loaded.predict(frames, verbose=0)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_compiling_anew_forgets_the_old_metrics():
    frames, y = films()
    semi = zoo.MeanTeacher(of_frames())
    assert "teacher_class_error" in semi.evaluate(
        frames, y, verbose=0, return_dict=True
    )
    semi.compile("adam", semi.loss)
    found = semi.evaluate(frames, y, verbose=0, return_dict=True)
    assert not [name for name in found if name.endswith("error")]
    semi.compile("adam", {"class": semi.loss["class"]})
    semi.fit(frames, {"class": y["class"]}, verbose=0)


@pytest.mark.once
def test_frames_that_are_none_are_refused():
    frames, y = films()
    model = zoo.MeanTeacher(of_frames())
    wrong = {**y, "class": y["class"] + 10}
    for use in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="Divide 8-bit images by 255"):
            use(frames * 255, y)
        with pytest.raises(ValueError, match="must be from 0 to"):
            use(frames, wrong)
        with pytest.raises(ValueError, match="must be finite numbers .* got -1"):
            use(frames, y, sample_weight=-np.ones(len(frames)))
    weights = {"class": np.arange(6) % 2}
    assert np.isfinite(model.train_on_batch(frames, y, weights)).all()
    assert np.isfinite(model.test_on_batch(frames, y, weights)).all()


@pytest.mark.once
def test_the_defaults_are_those_of_the_mean_teachers_code():
    """Tarvainen and Valpola: weight 100, ramp of 5,000 updates; Table 2's noise."""
    model = zoo.MeanTeacher(plain())
    assert (model.consistency, model.ramp, model.noise.stddev) == (100, 5000, 0.005)
