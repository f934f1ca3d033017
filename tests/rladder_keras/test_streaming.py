"""A model of sequences given one frame at a time."""

import keras
import numpy as np
import pytest
import reference
from keras import layers, ops
from short_tables import short
from zoo.gaussian_chain import CHAIN_C, gaussian_chain_rladder

import zoo
from rladder_keras import (
    G1,
    Conv,
    ConvG3,
    ConvLSTMCell,
    Level,
    LSTMCell,
    RecurrentLadder,
    initial_state,
    step_model,
)


def test_a_ladder_may_be_called_by_keyword_and_once_only():
    ladder = RecurrentLadder([Level(LSTMCell(3), G1())], iterations=1)
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    model = keras.Model(a, ladder(sequences=a)["top"])
    x = np.ones((2, 1, 4), "float32")
    top, _ = step_model(model).predict_on_batch([x[:, 0], initial_state(model, 2)])
    np.testing.assert_allclose(top, model.predict(x, verbose=0)[:, 0], atol=1e-6)
    twice = keras.Model([a, b], [ladder(a)["top"], ladder(b)["top"]])
    with pytest.raises(
        ValueError, match="must call its ladder once.* got a second call"
    ):
        step_model(twice)


@pytest.mark.once
def test_the_mask_of_a_ladder_may_be_given_by_position():
    ladder = RecurrentLadder([Level(LSTMCell(3), G1())], iterations=1)
    x, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], ladder(x, None, mask)["top"])
    frames = np.random.default_rng(0).random((2, 3, 4), dtype="float32")
    valid = np.array([[True, False, True], [True, True, True]])
    step, state = step_model(model), initial_state(model, 2)
    for t in range(3):
        top, state = step.predict_on_batch([[frames[:, t], valid[:, t]], state])
    expected = model.predict([frames, valid], verbose=0)[:, -1]
    np.testing.assert_allclose(top, expected, atol=1e-6)


@pytest.mark.once
def test_an_initial_state_that_a_step_would_not_see_is_refused():
    ladder = RecurrentLadder([Level(LSTMCell(3))], iterations=1)
    ladder.build((2, None, 4))
    state = ladder.cell.get_initial_state(2)
    x = keras.Input((None, 4), batch_size=2)
    model = keras.Model(x, ladder(x, initial_state=state)["top"])
    with pytest.raises(ValueError, match="must start from its own initial state"):
        step_model(model)


def ladder_of(levels=None, **kwargs):
    return RecurrentLadder(
        levels
        or [
            Level(ConvLSTMCell(3, 3), ConvG3(2)),
            Level(Conv(4, 3), ConvG3(2)),
            Level(layers.AveragePooling2D(2), G1()),
            Level(LSTMCell(5), G1()),
        ],
        **kwargs,
    )


def small_model(**kwargs):
    x = keras.Input((None, 4, 4, 1))
    outputs = ladder_of(**kwargs)(layers.Rescaling(2.0)(x))
    model = keras.Model(x, {"class": layers.Dense(2)(outputs["top"]), **outputs})
    reference.randomise(model)
    return model


def one_by_one(step, state, frames):
    steps = []
    for t in range(frames.shape[1]):
        outputs, state = step.predict_on_batch([frames[:, t], state])
        steps.append(outputs)
    return {name: np.stack([o[name] for o in steps], 1) for name in steps[0]}


@pytest.mark.parametrize("unroll", [True, False])
def test_frames_one_by_one_give_what_the_sequence_gives(unroll):
    """Also beyond the iterations that have batch statistics of their own."""
    model = small_model(iterations=3, unroll=unroll)
    frames = np.random.default_rng(0).random((2, 5, 4, 4, 1), dtype="float32")
    whole = model.predict(frames, verbose=0)
    found = one_by_one(step_model(model), initial_state(model, 2), frames)
    assert set(found) == {"class", "top", "bottom"}
    for name, expected in whole.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_the_batch_may_vary_and_the_weights_are_those_of_the_model():
    model = small_model(iterations=1, unroll=True)
    step = step_model(model)
    assert {id(w) for w in step.weights} == {id(w) for w in model.weights}
    for batch in (1, 3):
        reference.randomise(model, seed=batch)
        frames = np.random.default_rng(0).random((batch, 2, 4, 4, 1), dtype="float32")
        found = one_by_one(step, initial_state(model, batch), frames)
        expected = model.predict(frames, verbose=0)["bottom"]
        np.testing.assert_allclose(found["bottom"], expected, atol=1e-5)


def test_a_step_has_the_precision_of_the_model(policy):
    model = small_model(iterations=1)
    frames = np.random.default_rng(0).random((2, 2, 4, 4, 1), dtype="float32")
    expected = model.predict(frames, verbose=0)
    policy("mixed_float16")
    found = one_by_one(step_model(model), initial_state(model, 2), frames)
    for name in ("top", "bottom"):
        assert found[name].dtype == "float32"
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_a_step_model_can_be_saved_and_loaded(tmp_path):
    model = small_model(iterations=2)
    step = step_model(model)
    step.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    frames = np.random.default_rng(0).random((2, 3, 4, 4, 1), dtype="float32")
    state = initial_state(model, 2)
    for name, x in one_by_one(step, state, frames).items():
        np.testing.assert_allclose(
            one_by_one(loaded, state, frames)[name], x, atol=1e-6
        )


@pytest.mark.once
def test_a_model_without_a_ladder_or_with_two_is_refused():
    x = keras.Input((None, 3))
    none = keras.Model(x, layers.Dense(1)(x))
    y = ladder_of([Level(LSTMCell(2))])(x)["top"]
    two = keras.Model(x, ladder_of([Level(LSTMCell(2))])(y))
    for model, n in ((none, "0"), (two, "2")):
        with pytest.raises(
            ValueError, match=f"must have exactly one RecurrentLadder.* got {n}"
        ):
            step_model(model)


def test_models_of_the_zoo_take_steps_before_and_after_training(tmp_path):
    table = short(zoo.occluded_mnist.small_table)
    model = zoo.occluded_mnist_temporal_baseline(0.1, table=table)
    frames = np.random.default_rng(0).random((2, 5, 32, 32, 1), dtype="float32")

    def check(model):
        state = model.init_state(2)
        whole = model.predict(frames, verbose=0)
        for t in range(5):
            outputs, state = model.step(frames[:, t], state)
            for name, x in outputs.items():
                np.testing.assert_allclose(x, whole[name][:, t], atol=1e-5)

    check(model)
    model.fit(frames, {"class": np.zeros(2, "int32")}, verbose=0)
    check(model)
    model.save(tmp_path / "model.keras")
    check(keras.models.load_model(tmp_path / "model.keras"))
    with pytest.raises(ValueError, match=r"Divide 8-bit images by 255"):
        model.step(frames[:, 0] * 255, model.init_state(2))


@pytest.mark.once
def test_the_ladder_of_table_5_takes_steps():
    model = zoo.occluded_mnist_rladder(0.1)
    frames = np.random.default_rng(0).random((1, 5, 32, 32, 1), dtype="float32")
    whole, state = model.predict(frames, verbose=0), model.init_state(1)
    for t in range(5):
        outputs, state = model.step(frames[:, t], state)
        for name, x in outputs.items():
            np.testing.assert_allclose(x, whole[name][:, t], atol=1e-5)


def test_rollout_feeds_the_model_what_it_predicted():
    table = short(zoo.occluded_mnist.small_table)
    model = zoo.occluded_mnist_rladder(0.1, table=table)
    reference.randomise(model)
    context = np.random.default_rng(0).random((2, 2, 32, 32, 1), dtype="float32")
    frames, outputs = model.rollout(context, 2)
    assert frames.shape == (2, 4, 32, 32, 1)
    np.testing.assert_array_equal(frames[:, :2], context)
    np.testing.assert_array_equal(frames[:, 2:], outputs["frame"][:, 1:3])
    for name, expected in model.predict(frames, verbose=0).items():
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5)
    with pytest.raises(ValueError, match="`context` must contain at least one frame"):
        model.rollout(context[:, :0], 2)


@pytest.mark.once
def test_a_model_that_predicts_no_frames_has_no_rollout():
    frames = np.zeros((1, 1, 32, 32, 1), "float32")
    with pytest.raises(
        ValueError, match="must have the output 'frame'.* got the outputs 'class'"
    ):
        zoo.occluded_mnist_temporal_baseline(0.1).rollout(frames, 1)
    with pytest.raises(ValueError, match="zoo.music.generate"):
        zoo.polyphonic_music_lstm(3).rollout(np.zeros((1, 1, 88), "float32"), 1)


@pytest.mark.once
def test_a_model_of_still_images_takes_no_steps():
    table = zoo.textured_mnist.small_table_9
    model = zoo.textured_mnist_rtagger(0.1, table=table, size=32)
    with pytest.raises(ValueError, match="of a fixed length.* Use predict"):
        model.init_state(1)


def test_models_of_sequences_of_one_length_take_steps():
    inputs = keras.Input((3, 4, 4, 1))
    ladder = RecurrentLadder([Level(ConvLSTMCell(2, 3), ConvG3(3))])
    frames = np.random.default_rng(0).random((2, 3, 4, 4, 1), dtype="float32")
    model = keras.Model(inputs, ladder(inputs))
    whole = model.predict(frames, verbose=0)["bottom"]
    step, state = step_model(model), initial_state(model, 2)
    for t in range(3):
        outputs, state = step.predict_on_batch([frames[:, t], state])
        np.testing.assert_allclose(outputs["bottom"], whole[:, t], atol=1e-6)


def test_padding_is_padding_in_steps_too():
    inputs = keras.Input((None, 3))
    mask = ops.any(inputs >= 0, axis=-1)
    ladder = RecurrentLadder([Level(LSTMCell(4), G1())], iterations=1)
    model = keras.Model(inputs, ladder(inputs, mask=mask))
    reference.randomise(model)
    frames = np.random.default_rng(0).random((2, 5, 3), dtype="float32")
    frames[0, 2] = -1
    whole = model.predict(frames, verbose=0)
    found = one_by_one(step_model(model), initial_state(model, 2), frames)
    for name, expected in whole.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


@pytest.mark.once
def test_a_mask_that_steps_would_not_see_is_refused():
    inputs = keras.Input((None, 3))
    ladder = RecurrentLadder([Level(LSTMCell(4))], iterations=1)
    model = keras.Model(inputs, ladder(layers.Masking(-1.0)(inputs))["top"])
    with pytest.raises(ValueError, match=r"must be given to the ladder itself"):
        step_model(model)


@pytest.mark.once
def test_a_model_of_several_iterations_for_a_frame_takes_no_steps():
    model = gaussian_chain_rladder(chain=CHAIN_C, output="next", iterations=2)
    with pytest.raises(ValueError, match="got 2 iterations for a frame"):
        model.step(np.zeros((3, 1, 1), "float32"), model.init_state(3))


def wrong_states(model):
    """Each with what is said of it; the frames are of two sequences."""
    state = model.init_state(2)
    n = len(state)
    return [
        (None, f"a list of {n} arrays; got a NoneType"),
        (state[:-1], f"a list of {n} arrays; got a list of {n - 1}"),
        (dict(enumerate(state)), "got a dict"),
        (({"class": 0}, state), "got a tuple of 2"),
        (state[::-1], r"`state\[0\]` must be an array of shape \(1,\)"),
        (["a"] * n, r"`state\[0\]` must be an array .* got str"),
        (model.init_state(1), r"`state\[1\]` must .* shape \(2, .* got shape \(1, "),
        (model.init_state(4), r"`state\[1\]` must .* shape \(2, .* got shape \(4, "),
        ([x * 1.5 for x in state], "the iteration, must be an integer; got float"),
    ]


@pytest.mark.once
def test_states_that_are_none_are_refused():
    model = zoo.occluded_mnist_rladder(0.1, table=zoo.occluded_mnist.small_table)
    frames = np.zeros((2, 32, 32, 1), "float32")
    for state, message in wrong_states(model):
        with pytest.raises(ValueError, match=f"{message}.*init_state"):
            model.step(frames, state)
    outputs, state = model.step(frames, tuple(model.init_state(2)))
    model.step(frames, state)


def test_the_state_of_groups_is_that_of_the_frames():
    model = zoo.moving_mnist_rtagger(
        0.1, table=lambda width: zoo.moving_mnist.table_of_motion(width)[:2], size=8
    )
    frames = np.zeros((2, 8, 8, 1), "float32")
    _, state = model.step(frames, model.init_state(2))
    model.step(frames, state)
    with pytest.raises(ValueError, match=r"shape \(6, .* got shape \(3, "):
        model.step(frames, model.init_state(1))


@pytest.mark.once
def test_a_step_model_refuses_the_state_of_another_batch():
    model = small_model(iterations=1)
    step, frame = step_model(model), np.zeros((2, 4, 4, 1), "float32")
    with pytest.raises(ValueError, match=r"must be .* shape \(2, .*got shape \(1, "):
        step.predict_on_batch([frame, initial_state(model, 1)])


@pytest.mark.once
@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "2", None, True])
def test_a_state_is_of_at_least_one_sequence(batch_size):
    model = small_model(iterations=1)
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least"):
        initial_state(model, batch_size)
