"""Tables 1, 5, 6 and 7, transcribed a second time."""

from functools import partial

import keras
import numpy as np
import pytest
from keras.layers import AveragePooling2D, MaxPooling2D
from short_tables import short

import zoo
from rladder_keras import (
    G1,
    Conv,
    ConvG3,
    ConvGRUCell,
    ConvLSTMCell,
    LSTMCell,
    Softmax,
    StockCell,
)
from zoo.models import occluded_mnist as om

pytestmark = pytest.mark.once

# Appendix D.1: layer, stride, channels (size), filter, decoder, its filter.
TABLE_5 = """
ConvLSTM 1 32 3 convG3 9
Conv     1 32 3 convG3 3
Conv     1 32 3 convG3 3
Conv     1 32 3 convG3 3
MAX      2 -  2 convG3 6
ConvLSTM 1 32 3 convG3 9
Conv     1 64 3 convG3 3
Conv     1 64 3 convG3 3
Conv     1 64 3 convG3 3
MAX      2 -  2 convG3 6
Conv     1 128 3 convG3 3
Conv     1 64 1 convG3 3
Conv     1 32 1 convG3 3
AVERAGE  2 -  2 G1     -
LSTM     - 16 - G1     -
SoftMax  - 10 - -      -
"""
TABLE_6 = """
Conv     1 32 3
Conv     1 32 3
Conv     1 32 3
MAX      2 -  2
Conv     1 64 3
Conv     1 64 3
Conv     1 64 3
MAX      2 -  2
Conv     1 128 3
Conv     1 64 1
Conv     1 32 1
AVERAGE  2 -  2
LSTM     - 16 -
SoftMax  - 10 -
"""
TABLE_7 = TABLE_6.replace("LSTM     - 16 -\n", "")
NAMES = {
    ConvLSTMCell: "ConvLSTM",
    Conv: "Conv",
    MaxPooling2D: "MAX",
    AveragePooling2D: "AVERAGE",
    LSTMCell: "LSTM",
    Softmax: "SoftMax",
}


def printed(levels, decoders):
    """A list of levels in the form of the tables above."""
    for encoder, decoder in levels:
        name = NAMES[type(encoder)]
        row = [name, "-", "-", "-"]
        if name in ("MAX", "AVERAGE"):
            row = [name, encoder.strides[0], "-", encoder.pool_size[0]]
        elif name in ("ConvLSTM", "Conv"):
            row = [name, encoder.strides, encoder.filters, encoder.kernel_size]
        else:
            row[2] = encoder.classes if name == "SoftMax" else encoder.filters
        if decoders:
            kinds = {ConvG3: "convG3", G1: "G1", type(None): "-"}
            row += [kinds[type(decoder)], getattr(decoder, "kernel_size", "-")]
        yield [str(cell) for cell in row]


@pytest.mark.parametrize(
    "table, text", [(om.table_5, TABLE_5), (om.table_6, TABLE_6), (om.table_7, TABLE_7)]
)
def test_table_is_the_papers(table, text):
    rows = [line.split() for line in text.strip().splitlines()]
    assert list(printed(table(), decoders=table is om.table_5)) == rows


def test_the_reduced_ladder_is_one_stack_for_all_rows():
    """Rows of Table 1 differ in what it says that they differ in, and in no filter."""
    table = om.reduced_table()
    kinds = [type(level.encoder) for level in table]
    assert kinds.count(ConvLSTMCell) == 2 and kinds.count(LSTMCell) == 1
    # Without a decoder: what lies on the whole grid, and the classes.
    assert [l for l, level in enumerate(table) if level.decoder is None] == [0, 12]
    recurrent = ConvLSTMCell, LSTMCell
    plain = [list(printed([level], False)) for level in table]
    for smaller, left_out in ((om.table_6, recurrent[:1]), (om.table_7, recurrent)):
        kept = [row for row, k in zip(plain, kinds, strict=True) if k not in left_out]
        rows = smaller(table=om.reduced_table)
        assert [list(printed([level], False)) for level in rows] == kept


BOTH = "RLadder with both skips of Fig. 9c"
ROWS = om.TABLE_1 | {BOTH: om.WITH_SKIPS[BOTH]}


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    "row, count",
    [
        # Encoder 426,538, decoder with read-out 1,651,041, and probe.
        ("RLadder", 426_538 + 1_651_041 + 33),
        # Without the three maps of the feedback and their gains.
        ("RLadder w/o decoder-to-encoder conn.", 2_077_612 - 75_072),
        ("RLadder w/o prediction task", 2_077_612 - 33),
        ("RLadder w/o classification task", 2_077_612),
        ("Hierarchical RNN (encoder only)", 351_466),
        ("Temporal baseline", 230_026),
        # 195,872 below, then 512 inputs for each of ten classes.
        ("Optimal reconstruction and static classifier", 195_872 + 5_130),
    ],
)
def test_full_width_has_as_many_weights_as_counted_by_hand(row, count):
    assert trainable(om.TABLE_1[row]()) == count


def test_skips_are_more_channels_where_grids_are_equal():
    rows = [om.WITH_SKIPS[row](table=om.small_table) for row in om.FIG_9C]
    plain = trainable(om.occluded_mnist_rladder(table=om.small_table))
    diagonal, recurrent, both = (trainable(row) - plain for row in rows)
    # To ConvLSTM 16 from 32, to LSTM 16 from the pooled map of 4 x 4 x 32.
    assert diagonal == 4 * 16 * 9 * 32 + 4 * 16 * 16 * 32
    # Into ConvG3 of 16 (5 x 5), of 32 and 16 (3 x 3), and G1 of 16, with gains.
    kernels = 16**2 * 25 + 9 * (32**2 + 16**2) + 16**2
    assert recurrent == kernels + 16 + 32 + 16 + 16
    assert both == diagonal + recurrent


def test_the_letter_of_convg3_doubles_the_decoder():
    model = om.occluded_mnist_rladder(table=partial(om.table_5, literal=True))
    # In each ConvG3 of n channels and kernel k three more inner kernels of k x k - 1.
    of_32, of_64 = 9**2 + 3 * 3**2 + 6**2 + 9**2 - 6, 3 * 3**2 + 6**2 + 3**2 - 5
    more = 3 * (32**2 * (of_32 + 8) + 64**2 * of_64 + 128**2 * 8)
    assert trainable(model) == 2_077_612 + more == 3_991_468


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf")])
def test_widths_that_are_none_are_refused(width):
    with pytest.raises(ValueError, match="`width` must be a number above 0"):
        om.occluded_mnist_rladder(width)


def test_a_table_without_decoders_cannot_predict_frames():
    with pytest.raises(
        ValueError, match="must have a decoder for the predicted frames"
    ):
        om.occluded_mnist_rladder(0.1, table=lambda width: om.table_6(width))


def test_baselines_leave_out_the_recurrent_rows_of_any_table():
    def table(width):
        gru, stock = ConvGRUCell(2, 3), StockCell(keras.layers.LSTMCell(3))
        return [(gru, ConvG3(3)), (AveragePooling2D(4),), (stock,), (Softmax(10),)]

    for other, kept in ((om.table_6, 3), (om.table_7, 2)):
        levels = other(1.0, table)
        assert len(levels) == kept
        assert not any(isinstance(level.encoder, ConvGRUCell) for level in levels)


def test_tables_without_levels_are_refused():
    with pytest.raises(ValueError, match="`table` must return a list of Level; got"):
        om.occluded_mnist_rladder(table=lambda width: None)
    rows = [(MaxPooling2D(2), None), (Softmax(11),)]
    for build in (zoo.textured_mnist_rtagger, zoo.moving_mnist_rtagger):
        with pytest.raises(ValueError, match="The lowest level must be a convolution"):
            build(table=lambda width: rows, size=16)


# The whole ladder and still images; other rows have less, or skips in addition.
EVERYWHERE = ("RLadder", "Optimal reconstruction and static classifier")


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=pytest.mark.everywhere if row in EVERYWHERE else ())
        for row in ROWS
    ],
)
def test_every_row_trains_saves_and_loads(row, tmp_path):
    """One step of each model of Table 1 at a small size, and its file."""
    model = ROWS[row](0.1, table=short(om.small_table))
    static = row.startswith("Optimal")
    frames = np.random.default_rng(0).random((4, 1 if static else 3, 32, 32, 1))
    frames = frames.astype("float32")
    y = {"class": np.arange(4), "frame": frames, "probe": frames}
    history = model.fit(frames, y, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    outputs = model.predict(frames, verbose=0)
    assert set(outputs) == set(model.output_names)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.predict(frames, verbose=0)
    for name, value in outputs.items():
        np.testing.assert_allclose(again[name], value, atol=1e-6)
