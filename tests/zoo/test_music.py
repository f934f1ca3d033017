"""Table 8, piano rolls in batches, the likelihood of music, and its generation."""

import itertools
import sys
from functools import partial

import keras
import numpy as np
import pytest
import reference
from keras import layers, ops
from keras.layers import AveragePooling1D
from short_tables import short

import zoo
from rladder_keras import (
    G1,
    ConvG2,
    ConvLSTMCell,
    Identity,
    Level,
    LSTMCell,
    RecurrentLadder,
    Softmax,
)
from zoo import music
from zoo.data.music import midi
from zoo.data.music.corpora import Corpus
from zoo.data.music.rolls import PianoRolls, pack, piano_rolls, share
from zoo.models import music_model
from zoo.models.beat import Beat
from zoo.models.repeats import Repeats

pytestmark = pytest.mark.once

# Appendix D.2: layer, stride, channels (size), filter, decoder.
TABLE_8 = """
ConvLSTM 1 32  3 convG2
ConvLSTM 2 64  3 convG2
ConvLSTM 2 96  3 convG2
ConvLSTM 2 128 3 convG2
ConvLSTM 2 160 3 convG2
AVERAGE  2 -   2 G1
LSTM     - 96  - G1
SoftMax  - 19  - Identity
"""


def test_table_8_is_the_papers():
    names = {
        ConvLSTMCell: lambda e: ("ConvLSTM", e.strides, e.filters, e.kernel_size),
        AveragePooling1D: lambda e: ("AVERAGE", e.strides, "-", e.pool_size),
        LSTMCell: lambda e: ("LSTM", "-", e.filters, "-"),
        Softmax: lambda e: ("SoftMax", "-", e.classes, "-"),
    }
    decoders = {ConvG2: "convG2", G1: "G1", Identity: "Identity"}
    expected = [line.split() for line in TABLE_8.strip().splitlines()]
    for (encoder, decoder), row in zip(music.table_8(), expected, strict=True):
        found = [*names[type(encoder)](encoder), decoders[type(decoder)]]
        assert [str(n[0] if isinstance(n, tuple) else n) for n in found] == row
        assert getattr(decoder, "kernel_size", 3) == 3


def test_size_at_full_width():
    """Counted by hand from Table 8, with a bias of the read-out for each key."""

    def lstm(inputs, units, feedback, size=3):
        maps = [inputs, units] + ([feedback] if feedback else [])
        return sum(size * n * 4 * units + 4 * units for n in maps) + 4 * units

    def g1(v_top, h):
        return v_top * h + 2 * h + 10 * h  # A, its gain and offset, two f

    def g2(v_top, h):
        return 3 * (3 * v_top * h + 3 * h * h + 2 * h + h) + 15 * h

    c = [1, 32, 64, 96, 128, 160]
    rows = sum(lstm(c[i], c[i + 1], c[i + 1]) for i in range(5))
    up = sum(g2(c[i + 1], c[i]) for i in range(1, 5)) + g2(160, 160)
    top = lstm(480, 96, 96, 1) + 96 * 19 + 19
    total = rows + up + top + g1(19, 96) + g1(96, 480) + 32 + 88
    model = zoo.polyphonic_music_rladder()
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == total == 3_285_067


@pytest.mark.everywhere
@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.01)]
)
def test_the_beat_counts_from_the_start_of_each_piece(unroll, dtype, tolerance):
    periods = [2, 3, 16]
    x = np.random.default_rng(0).random((2, 70, 5, 1)).astype("float32")
    mask = np.ones((2, 70), bool)
    mask[1, 2] = False  # padding between two pieces
    ladder = RecurrentLadder([Level(Beat(periods))], unroll=unroll, dtype=dtype)
    found = ops.cast(ladder(x, mask=mask)["top"], "float32")
    t = np.array([range(70), [0, 1, 2, *range(67)]])[..., None]
    angle = 2 * np.pi * t / periods
    wave = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)[:, :, None]
    expected = np.concatenate([x, np.broadcast_to(wave, (2, 70, 5, 6))], axis=-1)
    found = ops.convert_to_numpy(found)
    np.testing.assert_allclose(found[mask], expected[mask], atol=tolerance)


@pytest.mark.everywhere
@pytest.mark.parametrize("unroll", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_repeated_passages_are_those_of_the_same_piece(unroll, dtype):
    x = (np.random.default_rng(0).random((2, 60, 3, 1)) < 0.5).astype("float32")
    x[0, 40:55] = x[0, 5:20]  # longer ago than the row remembers
    x[1, 40:] = x[1, 30:50]
    mask = np.ones((2, 60), bool)
    mask[1, 20] = False  # padding between two pieces
    ladder = RecurrentLadder([Level(Repeats(16))], unroll=unroll, dtype=dtype)
    found = ops.convert_to_numpy(ops.cast(ladder(x, mask=mask)["top"], "float32"))
    pieces = [(0, slice(None)), (1, slice(20)), (1, slice(21, None))]
    for row, steps in pieces:
        expected = with_repeats(x[row, steps], 16)
        np.testing.assert_allclose(found[row, steps], expected, atol=4e-3)


def with_repeats(piece, memory):
    """Append what followed the longest passages: search each lag step by step."""
    steps = []
    for t, now in enumerate(piece):
        lags = range(1, min(memory, t) + 1)
        lengths = {lag: repeated(piece, t, lag) for lag in lags}
        longest = max(lengths.values(), default=0)
        followed = np.zeros_like(now)
        if longest:
            best = [lag for lag in lags if lengths[lag] == longest]
            followed = np.mean([2 * piece[t + 1 - lag] - 1 for lag in best], axis=0)
        size = np.full_like(now, np.log(1 + longest) / np.log(257))
        steps.append(np.concatenate([now, followed, size], axis=-1))
    return np.array(steps)


def repeated(piece, t, lag):
    """Count the steps up to `t` that are equal to those `lag` steps before."""
    same = (piece[t - n] == piece[t - n - lag] for n in range(t - lag + 1))
    return len(list(itertools.takewhile(np.all, same)))


def test_a_piece_composed_step_by_step_keeps_its_context(tmp_path):
    table = short(music.table_8, 1)
    model = zoo.polyphonic_music_rladder(0.07, table=table, beat=True, repeats=True)
    piece = np.tile(rolls(12)[0], (3, 1))
    whole = model.predict(piece[None].astype("float32"), verbose=0)["notes"]
    state = model.init_state(1)
    for t, notes in enumerate(piece):
        step, state = model.step(notes[None].astype("float32"), state)
        np.testing.assert_allclose(step["notes"], whole[:, t], atol=1e-5)
    model.save(tmp_path / "context.keras")
    loaded = keras.saving.load_model(tmp_path / "context.keras")
    again = loaded.predict(piece[None].astype("float32"), verbose=0)["notes"]
    np.testing.assert_allclose(again, whole, atol=1e-6)


@pytest.mark.parametrize("periods", [[], [1], [2.5], [7, 64]])
def test_periods_of_the_beat_are_few_integers(periods):
    with pytest.raises(ValueError, match="periods.*must be"):
        Beat(periods)


@pytest.mark.parametrize(("beat", "repeats"), list(np.ndindex(2, 2)))
def test_flags_of_numpy_choose_the_context(beat, repeats):
    flags = np.bool_(beat), np.bool_(repeats)
    model = zoo.polyphonic_music_lstm(3, beat=flags[0], repeats=flags[1])
    encoders = model.get_layer("ladder").cell.encoders
    rows = [Repeats] * repeats + [Beat] * beat
    assert [type(encoder) for encoder in encoders[:-1]] == rows


def rolls(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random((n, 88)) < 0.05).astype("uint8") for n in lengths]


rladder = partial(
    zoo.polyphonic_music_rladder, 0.07, table=short(music.table_8, 1), unroll=False
)
BUILDERS = [
    rladder,
    partial(rladder, joint=True),
    partial(zoo.polyphonic_music_lstm, 5),
    partial(zoo.polyphonic_music_gru, 5),
    zoo.polyphonic_music_repeat,
    zoo.polyphonic_music_frequency,
]
# On all backends those whose layers differ.
EACH = [
    *(pytest.param(build, marks=pytest.mark.everywhere) for build in BUILDERS[:3]),
    *BUILDERS[3:],
]


@pytest.mark.parametrize("seed", range(20))
def test_no_piece_is_lost_and_rows_are_filled(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 12).tolist()
    for rows in (pack(lengths, 9), share(lengths, 3)):
        assert sorted(i for row in rows for i in row) == list(range(12))
    assert max(sum(lengths[i] for i in row) for row in pack(lengths, 9)) <= 9
    filled = [sum(lengths[i] for i in row) for row in share(lengths, 3)]
    assert max(filled) - min(filled) <= max(lengths)


@pytest.mark.parametrize("window", [None, 8, 3])
def test_every_step_of_every_piece_is_predicted_once_from_the_one_before(window):
    pieces = rolls(30, 2, 11, 7)
    data = PianoRolls(pieces, 2, window, fresh=True)
    assert data.num_steps == 29 + 1 + 10 + 6
    pairs = []
    for i in range(len(data)):
        x, y, weight = data[i]
        y, weight = y["notes"], weight["notes"]
        assert x.shape == y.shape == (2, window or 30, 88)
        assert weight.shape == x.shape[:2]
        np.testing.assert_array_equal(weight == 0, (x == -1).all(-1))
        assert (y[weight == 0] == 0).all()
        pairs += [pair.tobytes() for pair in np.stack([x, y], 2)[weight == 1]]
    expected = [
        np.stack([piece[t], piece[t + 1]]).astype("float32").tobytes()
        for piece in pieces
        for t in range(len(piece) - 1)
    ]
    assert sorted(pairs) == sorted(expected)


def test_batches_go_along_the_pieces_and_each_piece_ends_with_padding():
    pieces = rolls(30, 2, 11, 7, 9)
    data = PianoRolls(pieces, 2, 4, fresh=True, seed=1)
    whole = np.concatenate([data[i][0] for i in range(len(data))], axis=1)
    found = []
    for row in whole:
        ends = np.flatnonzero((row == -1).all(-1))
        assert ends[-1] == len(row) - 1
        found += [part for part in np.split(row, ends + 1) if len(part) > 1]
    assert len(found) == len(pieces)
    for piece in pieces:
        assert any(np.array_equal(part[:-1], piece[:-1]) for part in found)


@pytest.mark.parametrize("window", [6, None])
def test_each_epoch_has_an_order_of_its_own_and_can_be_repeated(window):
    data, again = (
        PianoRolls(rolls(*range(2, 20)), 2, window, fresh=True) for _ in "ab"
    )
    first = data[0][0]
    data.epoch = again.epoch = 1
    assert (data[0][0] != first).any()
    np.testing.assert_array_equal(data[0][0], again[0][0])


def moved(data, pieces):
    """By how many keys each piece is moved up, as the batches of this epoch have it."""
    rows = np.concatenate([data[i][0] for i in range(len(data))], axis=1)
    found = {}
    for row in rows:
        for part in np.split(row, np.flatnonzero((row == -1).all(-1))):
            part = part[(part >= 0).all(-1)]
            found[len(part)] = part
    return [
        next(
            n
            for n in range(-44, 44)
            if np.array_equal(found[len(piece) - 1], np.roll(piece[:-1], n, axis=1))
        )
        for piece in pieces
    ]


def test_training_pieces_are_moved_as_a_whole_and_no_note_leaves_the_keys():
    middle, near, wide = rolls(9, 12, 15)
    middle[:, :40] = middle[:, 48:] = 0
    near[0, 0] = near[0, 86] = 1
    near[:, 87] = 0  # one key is free above
    wide[0, 0] = wide[0, 87] = 1
    pieces = middle, near, wide
    data = PianoRolls(pieces, 2, 4, fresh=True, transpose=3)
    found = []
    for epoch in range(60):
        data.epoch = epoch
        found.append(moved(data, pieces))
    assert [set(n) for n in np.transpose(found)] == [{*range(-3, 4)}, {0, 1}, {0}]


def test_frequencies_are_those_of_moved_pieces():
    """In expectation: the mean over all moves of how often the keys then sound."""
    low, wide = rolls(9, 15)
    low[:, 40:] = low[:, 0] = 0
    low[0, 1] = 1  # one key is free below
    wide[0, 0] = wide[0, 87] = 1
    pieces = low, wide
    sounding = wide.sum(axis=0, dtype=float)
    for up in (-1, -1, -1, 0, 1, 2, 3):
        sounding += np.roll(low, up, axis=1).sum(axis=0, dtype=int) / 7
    expected = (sounding + 0.5) / (9 + 15 + 1)
    found = PianoRolls(pieces, 2, fresh=True, transpose=3).frequencies
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    still = (np.concatenate(pieces).sum(axis=0, dtype=int) + 0.5) / (9 + 15 + 1)
    np.testing.assert_array_equal(PianoRolls(pieces, 2).frequencies, still)


def test_what_a_model_is_judged_by_is_not_moved():
    pieces = [np.pad(piece[:, 20:60], ((0, 0), (24, 24))) for piece in rolls(9, 12, 15)]
    corpus = Corpus("pieces", pieces, pieces, pieces)
    train, valid, test = piano_rolls(corpus, 1, 4, transpose=5, verbose=False)
    assert any(moved(train, pieces))
    assert not any(moved(valid, pieces)) and not any(moved(test, pieces))


@pytest.mark.everywhere
def test_training_goes_on_from_batch_to_batch():
    """The loss of the second batch is that of a piece whose beginning is known."""
    (piece,) = rolls(9)
    data = PianoRolls([piece], 1, 4)
    build = partial(zoo.polyphonic_music_lstm, 5, learning_rate=0.0)
    losses = {}
    for carry in (None, 1):
        keras.utils.set_random_seed(0)
        model = build(carry=carry)
        losses[carry] = [model.train_on_batch(*data[i])[0] for i in range(2)]
        p = model.predict(piece[None, :-1].astype("float32"), verbose=0)["notes"]
        each = ops.convert_to_numpy(music.nll(piece[None, 1:].astype("float32"), p))[0]
        assert losses[carry][0] == pytest.approx(each[:4].mean(), rel=1e-5)
    assert losses[1][1] == pytest.approx(each[4:].mean(), rel=1e-5)
    assert losses[None][1] != pytest.approx(each[4:].mean(), rel=1e-5)


@pytest.mark.parametrize("build", EACH)
def test_padding_and_company_count_nowhere(build):
    """The figure of several pieces in rows is that of each piece by itself."""
    model = build()
    pieces = rolls(9, 4, 6, 2)
    data = PianoRolls(pieces, 3, joint=music_model.is_joint(model))
    assert len(data) == 1 and data.window == 9
    expected = music.negative_log_likelihood(model, pieces)
    values = model.evaluate(data, verbose=0, return_dict=True)
    assert values["notes_nll"] == pytest.approx(expected, rel=1e-5)
    assert values["loss"] == pytest.approx(expected, rel=1e-5)
    first = model.predict(data[0][0], verbose=0)["notes"]
    assert first.shape == (3, 9, 88) and (0 <= first).all() and (first <= 1).all()


# On all backends only the joint model is trained: it contains the layers of the other.
@pytest.mark.parametrize("build", [BUILDERS[0], *EACH[1:]])
def test_a_model_learns_is_saved_and_loaded(build, tmp_path):
    model = build()
    roll = np.zeros((6, 88), "uint8")
    roll[::2, 40] = roll[1::2, 47] = 1
    data = PianoRolls([roll], 1, joint=music_model.is_joint(model))
    before = model.evaluate(data, verbose=0)[0]
    history = model.fit(data, epochs=8, verbose=0).history
    assert {"loss", "notes_nll", "notes_frame_accuracy"} <= set(history)
    assert model.evaluate(data, verbose=0)[0] < before
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    notes = [m.predict_on_batch(data[0][0])["notes"] for m in (model, loaded)]
    np.testing.assert_allclose(*notes, atol=1e-6)
    assert loaded.evaluate(data, verbose=0) == pytest.approx(
        model.evaluate(data, verbose=0), rel=1e-5
    )


def test_probabilities_are_clipped_in_the_figure():
    """A key that a model is sure of, and wrong, does not cost infinitely much."""

    class Sure:
        input = None

        def predict_on_batch(self, x):
            return {"notes": np.ones_like(x)}

    loss = music.negative_log_likelihood(Sure(), [np.eye(88)[:3]])
    assert loss == pytest.approx(-87 * np.log(1e-7), rel=1e-6)


@pytest.mark.everywhere
def test_negative_log_likelihood_and_accuracy_against_numpy(rng=None):
    rng = np.random.default_rng(0)
    y = (rng.random((2, 5, 88)) < 0.1).astype("float32")
    p = rng.uniform(0.01, 0.99, y.shape).astype("float32")
    weight = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "float32")
    each = -np.log(np.where(y == 1, p, 1 - p).astype("float64")).sum(-1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(music.nll(y, ops.array(p))), each, rtol=1e-5
    )
    loss = music.NegativeLogLikelihood()(y, ops.array(p), weight)
    assert float(loss) == pytest.approx((each * weight).sum() / weight.sum(), rel=1e-5)
    metric = music.FrameAccuracy()
    for i in range(2):
        metric.update_state(
            ops.array(y[i : i + 1]), ops.array(p[i : i + 1]), weight[i : i + 1]
        )
    hits = ((y > 0.5) & (p > 0.5))[weight == 1].sum()
    all_ = ((y > 0.5) | (p > 0.5))[weight == 1].sum()
    assert float(metric.result()) == pytest.approx(hits / all_)


@pytest.mark.everywhere
@pytest.mark.parametrize("length", [3, 5])
def test_weights_of_sequences_are_those_of_their_steps(length):
    model = zoo.polyphonic_music_lstm(4)
    rng = np.random.default_rng(0)
    x, y = (rng.random((2, 3, length, 88)) < 0.1).astype("float32")
    weight = np.array([1.0, 0.0, 3.0])
    evaluate = partial(model.evaluate, x, {"notes": y}, verbose=0, return_dict=True)
    found = evaluate(sample_weight=weight)
    steps = {"notes": np.repeat(weight[:, None], length, axis=1)}
    expected = evaluate(sample_weight=steps)
    probabilities = ops.array(model.predict(x, verbose=0)["notes"])
    nll = ops.convert_to_numpy(music.nll(y, probabilities))
    assert found["loss"] == pytest.approx(np.average(nll.mean(1), weights=weight), 1e-4)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("build", EACH)
def test_generated_music_goes_on_with_the_prompt_and_plays(build, tmp_path):
    """Drawn step by step from the probabilities that `predict` gives for the whole."""
    model = build()
    (prompt,) = rolls(5)
    roll = music.generate(model, prompt, 7, tmp_path / "out.mid", seed=3)
    assert roll.shape == (12, 88) and roll.dtype == np.uint8
    np.testing.assert_array_equal(roll[:5], prompt)
    x = roll[None].astype("float32")
    x = (
        {"roll": x[:, :-1], "next": x[:, 1:]}
        if music_model.is_joint(model)
        else x[:, :-1]
    )
    p = model.predict(x, verbose=0)["notes"][0, 4:]
    rng = np.random.default_rng(3)
    drawn = np.stack([rng.random(88) for _ in range(7)])
    clear = np.abs(drawn - p) > 1e-4
    np.testing.assert_array_equal((drawn < p)[clear], roll[5:][clear])
    read = midi.read_midi(tmp_path / "out.mid")
    np.testing.assert_array_equal(read, roll[: len(read)])
    assert not roll[len(read) :].any()


@pytest.mark.parametrize("build", EACH)
def test_music_is_drawn_from_the_probabilities_that_the_options_allow(build):
    """Against the probabilities that `predict` gives for the whole."""
    model = build()
    (prompt,) = rolls(5)
    voice = np.zeros((6, 88), bool)
    voice[np.arange(6), 40 + np.arange(6)] = True
    options = {"temperature": 2.0, "threshold": 0.3, "lowest": 40, "highest": 90}
    roll = music.generate(model, prompt, 6, seed=3, voice=voice, **options)
    x = roll[None].astype("float32")
    x = (
        {"roll": x[:, :-1], "next": x[:, 1:]}
        if music_model.is_joint(model)
        else x[:, :-1]
    )
    p = model.predict(x, verbose=0)["notes"][0, 4:].astype("float64")
    odds = np.sqrt(p / (1 - p))
    softer = odds / (1 + odds)
    number = np.arange(21, 109)
    allowed = (softer >= 0.3) & (number >= 40) & (number <= 90)
    rng = np.random.default_rng(3)
    drawn = np.stack([rng.random(88) for _ in range(6)])
    clear = (np.abs(drawn - softer) > 1e-4) & (np.abs(softer - 0.3) > 1e-4)
    expected = (drawn < softer) & allowed | voice
    np.testing.assert_array_equal(expected[clear], roll[5:][clear])
    assert roll[5:][voice].all()
    assert not roll[5:][:, (number < 40) | (number > 90)].any()


def test_the_step_that_composes_is_built_once(monkeypatch):
    """Later calls, also after more training, take the step of the first one."""
    built = []
    step_model = music_model.step_model
    monkeypatch.setattr(
        music_model,
        "step_model",
        lambda model: built.append(model) or step_model(model),
    )
    model = BUILDERS[0]()
    (prompt,) = rolls(5)
    music.generate(model, prompt, 3, seed=3)
    reference.randomise(model)
    roll = music.generate(model, prompt, 6, seed=3)
    assert len(built) == 1
    other = BUILDERS[0]()
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(roll, music.generate(other, prompt, 6, seed=3))


def test_what_cannot_be_composed_is_refused_before_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(music_model, "step_model", None)  # which composing begins with
    model, prompt = BUILDERS[2](), np.eye(88)[:4]
    (tmp_path / "folder.mid").mkdir()
    for options, message in (
        ({"steps": -1}, "`steps`"),
        ({"steps": 2.5}, "`steps`"),
        ({"step": 0}, "`step`"),
        ({"step": np.inf}, "`step`"),
        ({"step": np.nan}, "`step`"),
        ({"step": "1"}, "`step`"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 1.5}, "`seed`"),
        ({"temperature": 0}, "`temperature` must be a number above 0; got 0"),
        ({"temperature": np.nan}, "`temperature` must be a number above 0; got nan"),
        ({"threshold": 1.5}, "`threshold` must be from 0 to 1; got 1.5"),
        ({"lowest": 20}, "`lowest` must be an integer from 21 to 108; got 20"),
        ({"lowest": 60, "highest": 59}, "`highest` must be an integer from 60 to 108"),
        ({"voice": prompt, "steps": 3}, r"`voice` must have shape \(3, 88\)"),
        *(
            ({"voice": voice, "steps": len(prompt)}, "`voice` must have only .* 0 and")
            for voice in (-prompt, prompt * np.nan, 0.5 * prompt)
        ),
        (
            {"path": tmp_path / "out.png"},
            "must end in .mid, .midi or .wav; got .*out.png'",
        ),
        ({"path": tmp_path / "out"}, "must end in .mid, .midi or .wav; got .*out'"),
        ({"path": str(tmp_path / "folder.mid")}, "folder.mid', which is a folder"),
        (
            {"prompt": prompt[0]},
            r"`prompt` must have shape \(n, 88\); got shape \(88,\)",
        ),
    ):
        options = {"prompt": prompt} | options
        with pytest.raises(ValueError, match=message):
            music.generate(model, **options)
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(ImportError, match="pip install mido"):
        music.generate(model, prompt, path=tmp_path / "out.mid")
    other = keras.Sequential([layers.Dense(88)])
    with pytest.raises(
        ValueError, match="must be a model of `zoo.music`; got a Sequential"
    ):
        music.generate(other, prompt)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mid"]


def test_a_piece_may_be_written_as_it_is(tmp_path):
    path = tmp_path / "out.MIDI"
    prompt = np.eye(88)[:4]
    roll = music.generate(BUILDERS[2](), prompt, 0, path)
    np.testing.assert_array_equal(roll, prompt)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.MIDI", "out.png"]


def test_a_joint_model_says_what_it_takes():
    model = zoo.polyphonic_music_rladder(0.07, joint=True)
    roll = np.zeros((1, 4, 88), "float32")
    state = model.init_state()
    for call in (
        lambda: model.predict(roll),
        lambda: model.step(roll[:, 0], state),
        lambda: model.rollout(roll, 2),
    ):
        with pytest.raises(ValueError, match="'next'.*zoo.music.generate"):
            call()


def test_a_joint_model_is_saved_after_steps(tmp_path):
    model, data = BUILDERS[1](), PianoRolls(rolls(4), 1, joint=True)
    x = data[0][0]
    state, steps = model.init_state(), []
    for t in range(3):
        outputs, state = model.step({name: v[:, t] for name, v in x.items()}, state)
        steps.append(outputs["notes"])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.predict(x, verbose=0)["notes"][:, :3]
    np.testing.assert_allclose(found, np.stack(steps, 1), atol=1e-6)


def test_whole_pieces_and_epochs_leave_no_state_to_the_next():
    data = PianoRolls(rolls(9, 9, 5, 5), 1, fresh=True)
    models = []
    for carry in (1, None):
        keras.utils.set_random_seed(0)
        models.append(zoo.polyphonic_music_lstm(4, carry=carry, learning_rate=0.0))
    carries, plain = models
    (ladder,) = (n for n in carries.layers if hasattr(n, "carried"))
    for i in range(len(data)):
        losses = [
            m.train_on_batch(*data[i], return_dict=True)["loss"]
            for m in (carries, plain)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    ladder.carried[1].assign(ops.ones((1, 4)))  # as where training was interrupted
    carries.fit(data, verbose=0)
    assert not any(ops.convert_to_numpy(v).any() for v in ladder.carried[1:])


@pytest.mark.everywhere
def test_fit_begins_without_the_state_of_a_training_that_was_stopped():
    """Its first batch has the loss that it has in a new model."""
    keras.utils.set_random_seed(0)
    data = PianoRolls(rolls(30), 1, window=5, fresh=True)
    model = zoo.polyphonic_music_lstm(4, carry=1, learning_rate=0.0)
    (ladder,) = (n for n in model.layers if hasattr(n, "carried"))

    def first_loss():
        data.epoch, losses = 0, []
        batch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda index, logs: losses.append(logs["loss"])
        )
        model.fit(data, verbose=0, callbacks=[batch])
        return losses[0]

    expected = first_loss()
    for variable in ladder.carried[1:]:
        variable.assign(3 * ops.ones(variable.shape))
    assert first_loss() == pytest.approx(expected, rel=1e-6)
    for variable in ladder.carried[1:]:
        variable.assign(3 * ops.ones(variable.shape))
    found = model.train_on_batch(*data[0], return_dict=True)["loss"]
    assert found != pytest.approx(expected, rel=1e-4)  # the state does matter


def test_data_that_a_model_is_not_made_for():
    model = zoo.polyphonic_music_lstm(4, carry=3)
    with pytest.raises(ValueError, match="batches of 3"):
        model.fit(PianoRolls(rolls(4, 4), 2, 4))
    with pytest.raises(ValueError, match=r"got joint=True.*joint=False"):
        model.evaluate(PianoRolls(rolls(4, 4), 3, joint=True))
    with pytest.raises(ValueError, match="`carry` must be an integer of at least 1"):
        zoo.polyphonic_music_lstm(4, carry=0)
    with pytest.raises(ValueError, match="got type list. Put .* into a `Corpus`"):
        zoo.data.piano_rolls(rolls(4, 4))


def test_notes_that_are_none_are_refused():
    model = zoo.polyphonic_music_lstm(4)
    x = np.stack(rolls(6, 6)).astype("float32")
    padded = x.copy()
    padded[:, 4:] = -1
    for notes, message in (
        (padded, "padding .*, set the target and the sample"),
        (80 * x, "other values than 0 and 1"),
        (x[:, :1], r"notes of y\['notes'\] must have shape \(2, 6, 88\)"),
    ):
        for method in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                method(x, {"notes": notes}, verbose=0)
    padded[:, 4:, :5] = 0
    with pytest.raises(ValueError, match="must be -1 for all keys"):
        model.predict(padded, verbose=0)


@pytest.mark.everywhere
@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64"])
def test_notes_may_be_of_any_type(dtype):
    model = zoo.polyphonic_music_lstm(4)
    x = np.stack(rolls(6, 6))
    evaluate = partial(model.evaluate, x.astype("float32"), verbose=0, return_dict=True)
    expected = evaluate({"notes": x.astype("float32")})
    found = evaluate({"notes": x.astype(dtype)})
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5)


def test_a_table_without_a_map_of_the_keys_is_refused():
    for levels in (music.table_8(0.1)[5:], [Level(LSTMCell(8), G1())]):
        with pytest.raises(ValueError, match="no map of the 88 keys"):
            zoo.polyphonic_music_rladder(table=lambda width, levels=levels: levels)


def test_a_share_of_units_is_refused():
    for build in (zoo.polyphonic_music_lstm, zoo.polyphonic_music_gru):
        with pytest.raises(ValueError, match="`units` must be an integer.*0.5"):
            build(0.5)


def test_frequencies_of_0_or_of_other_keys_are_refused():
    for frequencies in (np.zeros(88), np.full(12, 0.5), np.ones(88)):
        with pytest.raises(ValueError, match="train.frequencies"):
            zoo.polyphonic_music_lstm(units=4, frequencies=frequencies)


def test_the_state_that_is_carried_meets_the_piece_it_left():
    """`fit` leaves the batches in their order."""
    (piece,) = rolls(30)
    data = PianoRolls([piece], 1, window=3, fresh=True)
    model = zoo.polyphonic_music_lstm(units=4, carry=1)
    order, batch = [], data.batch
    data.batch = lambda index: order.append(index) or batch(index)
    model.fit(data, epochs=2, verbose=0)
    assert order[-len(data) :] == list(range(len(data)))


def test_the_corpora_in_batches(capsys):
    corpus = Corpus("three pieces", *((roll,) for roll in rolls(5, 6, 7)))
    train, valid, test = piano_rolls(corpus, 2, 3, merge_validation=True)
    assert (train.num_steps, valid.num_steps, test.num_steps) == (9, 5, 6)
    arrays = Corpus("arrays", *(np.stack(rolls(n, n)) for n in (5, 6, 7)))
    train, _, _ = piano_rolls(arrays, 2, 3, merge_validation=True)
    assert [len(piece) for piece in train.pieces] == [5, 5, 6, 6]
    assert "three pieces: training 2 (9)" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"step": 1}, {"unit": "seconds"}])
def test_what_does_not_apply_to_a_corpus_is_refused(options):
    corpus = Corpus("three pieces", *((roll,) for roll in rolls(5, 6, 7)))
    with pytest.raises(ValueError, match=f"`{[*options][0]}`, .* 'three pieces'"):
        piano_rolls(corpus, **options)
    with pytest.raises(TypeError, match="'transpsoe'"):
        piano_rolls(corpus, transpsoe=5)


def test_batches_of_padding_are_told(capsys):
    corpus = Corpus("a long piece", *((roll,) for roll in rolls(90, 6, 7)))
    piano_rolls(corpus, 2, 5, merge_validation=True)
    told = capsys.readouterr().out
    assert "48% of the time steps in training batches are padding" in told
    assert "the longest of 2 pieces has 90 steps" in told and "batch_size=1" in told
    piano_rolls(corpus, 1, 5, merge_validation=True)
    assert "padding" not in capsys.readouterr().out


def test_a_model_may_begin_with_the_frequencies_of_the_keys():
    data = PianoRolls(rolls(40, 30), 2)
    assert data.frequencies.shape == (88,)
    for build in BUILDERS:
        model = build(frequencies=data.frequencies)
        readout = model.get_layer("readout")
        for weight in readout.weights:
            if weight is not readout.bias:
                weight.assign(np.zeros(weight.shape))
        x = PianoRolls(data.pieces, 2, joint=music_model.is_joint(model))[0][0]
        p = model.predict(x, verbose=0)["notes"][0, 0]
        np.testing.assert_allclose(p, data.frequencies, rtol=1e-4)


def test_the_baseline_of_frequencies_scores_their_entropy():
    pieces = rolls(9, 4)
    p = PianoRolls(pieces, 2).frequencies
    model = zoo.polyphonic_music_frequency(frequencies=p)
    notes = np.concatenate([piece[1:] for piece in pieces])
    expected = -np.log(np.where(notes == 1, p, 1 - p)).sum(axis=1).mean()
    found = music.negative_log_likelihood(model, pieces)
    assert found == pytest.approx(expected, rel=1e-5)
    model.get_layer("readout").kernel.assign(np.ones((88, 1)))
    assert music.negative_log_likelihood(model, pieces) == pytest.approx(found)


def test_the_baseline_that_repeats_looks_at_the_last_step_of_the_key_alone():
    model = zoo.polyphonic_music_repeat()
    readout = model.get_layer("readout")
    readout.kernel.assign(np.linspace(0, 4, 88)[:, None])
    readout.bias.assign(np.linspace(-3, -1, 88))
    roll = rolls(6)[0][None].astype("float32")
    logits = np.linspace(-3, -1, 88) + np.linspace(0, 4, 88) * roll
    p = model.predict(roll, verbose=0)["notes"]
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.everywhere
def test_the_joint_probabilities_of_all_chords_sum_to_one():
    """All 64 chords of six keys, each with the probability that the read-out gives."""
    readout = music.KeyReadout(3)
    d = np.random.default_rng(0).normal(0, 1, (1, 1, 6, 4)).astype("float32")
    chords = np.array(list(itertools.product((0, 1), repeat=6)), "float32")
    readout.build((None, None, 6, 4), (None, None, 6))
    reference.randomise(readout)
    logits = readout(np.tile(d, (1, 64, 1, 1)), chords[None])
    p = 1 / (1 + np.exp(-ops.convert_to_numpy(logits)[0].astype("float64")))
    each = np.where(chords == 1, p, 1 - p)
    assert each.prod(axis=1).sum() == pytest.approx(1, abs=1e-6)
    independent = np.abs(p - p[:1]).max(axis=0)
    assert independent[0] == 0 and (independent[1:] > 0).all()


@pytest.mark.everywhere
def test_no_key_sees_itself_or_those_above():
    readout = music.KeyReadout(24)
    d = np.zeros((1, 1, 88, 2), "float32")
    readout.build(d.shape, (1, 1, 88))
    reference.randomise(readout)
    silence = np.zeros((1, 1, 88), "float32")
    before = ops.convert_to_numpy(readout(d, silence))
    for key in (0, 3, 40, 87):
        chord = silence.copy()
        chord[..., key] = 1
        changed = ops.convert_to_numpy(readout(d, chord)) != before
        assert not changed[..., : key + 1].any()
        assert changed[..., key + 1 :].all()


def test_what_is_refused():
    for pieces, message in (
        ([], "at least one piece"),
        ([np.zeros((3, 87))], "got \\(3, 87\\)"),
        ([np.zeros((1, 88))], "two steps"),
        ([np.full((3, 88), 2)], "0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            PianoRolls(pieces)
    model = BUILDERS[2]()
    for x, message in (
        (np.zeros((2, 3, 87)), "piano rolls must have shape"),
        (np.full((2, 3, 88), 0.5), "other values"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(x)
    state = model.init_state(1)
    for frame in (np.zeros(88), np.zeros((1, 1, 88))):
        with pytest.raises(ValueError, match=r"shape \(batch, 88\); got shape"):
            model.step(frame, state)
    with pytest.raises(ValueError, match="at least one step"):
        music.generate(model, np.zeros((0, 88)))
    assert isinstance(model.get_layer("readout"), layers.Dense)
