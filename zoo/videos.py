"""A ladder for videos: it names what it sees and predicts the next frame.

`rladder` builds one of any table of levels, for data as `zoo.data.from_arrays` and
`zoo.data.from_folder` make them. The models of `zoo.occluded_mnist` have their losses,
metrics and read-outs from here.
"""

import math

import keras
from keras import initializers, layers, ops

from rladder_keras import RecurrentLadder, Softmax
from rladder_keras.validation import check_number, is_integer
from zoo.model import ZooModel

HEADS = ("class", "frame")
DARK = -4.0  # initial bias of the read-outs, the logit of an average pixel

register = keras.saving.register_keras_serializable("zoo")


def rladder(
    levels,
    input_shape,
    heads=("frame",),
    *,
    iterations=10,
    feedback="recurrent",
    frame_weight=1.0,
    learning_rate=1e-3,
    unroll="auto",
):
    """A recurrent ladder for videos of one's own.

    Args:
        levels: List of `rladder_keras.Level`, the lowest first. For the head `"class"`
            the last one is `Level(Softmax(classes))`.
        input_shape: Of a frame, `(height, width, channels)`.
        heads: What the model is to give: `"frame"`, the next frame after each frame,
            `"class"`, or both.
        iterations: Number of frames that have batch statistics of their own, if
            rows of the table have batch normalisation (G1, ConvG1): the length of
            the sequences, or more. What comes later shares the last ones.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        frame_weight: Weight of the squared error, summed over the pixels of a frame,
            against the cross-entropy of the class.
        learning_rate: Of Adam.
        unroll: See `rladder_keras.RecurrentLadder`.

    Returns:
        Compiled `keras.Model` from frames `(batch, T, *input_shape)` in [0, 1] to a
        dictionary of the heads: `"class"`, probabilities after each frame, `(batch, T,
        classes)`, and `"frame"`, shape of the input. The target `y["frame"]` is the
        input once more: the losses compare what was predicted after frame t with frame
        t + 1. `y["class"]` is one integer for each video.

    Raises:
        ValueError: If the levels do not fit each other, the frames or the heads; which
            one does not is named.

    Examples:
        >>> levels = [Level(ConvLSTMCell(4, 3), ConvG3(3)), Level(Conv(8, 3))]
        >>> zoo.rladder(levels, input_shape=(16, 16, 3)).output["frame"].shape
        (None, None, 16, 16, 3)
    """
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    if not heads or not set(heads) <= set(HEADS):
        raise ValueError(f"heads must be some of {HEADS}, not {heads!r}.")
    if not isinstance(levels, (list, tuple)):
        raise ValueError(
            "levels must be a list of Level, which a table such as `small_table` gives "
            f"when it is called: `small_table()`. It is {levels!r}."
        )
    sides = input_shape if isinstance(input_shape, (list, tuple)) else ()
    if len(sides) != 3 or not all(is_integer(n, 1) for n in sides):
        raise ValueError(
            "input_shape must be (height, width, channels), three integers of at least "
            f"1; got {input_shape!r}."
        )
    frames = keras.Input((None, *input_shape), name="frames")
    ladder = RecurrentLadder(levels, feedback, iterations, unroll, name="ladder")
    if "class" in heads and not isinstance(ladder.cell.encoders[-1], Softmax):
        raise ValueError(
            "the head 'class' needs Level(Softmax(classes)) as the last level."
        )
    d = ladder(frames)
    outputs = {}
    if "class" in heads:
        outputs["class"] = layers.Identity(dtype="float32", name="class")(d["top"])
    if "frame" in heads:
        outputs["frame"] = pixels(bottom(d), input_shape, name="frame")
    return compiled(frames, outputs, learning_rate, {"frame": frame_weight})


def bottom(outputs):
    """`d_1`, of which frames are read; a table without decoders is refused."""
    if "bottom" not in outputs:
        raise ValueError(
            "this table has no decoder to predict frames with: give a row one, or "
            "leave the prediction out."
        )
    if len(outputs["bottom"].shape) != 5:
        raise ValueError(
            "the lowest decoder of this table gives no map to read frames from: give a "
            "row below it a decoder too."
        )
    return outputs["bottom"]


def pixels(d, frame_shape, name):
    """Read a frame from `d_1`, shape `(batch, T, height, width, channels)`.

    A 1x1 convolution; where `d_1` lies on a coarser grid than the frame, it gives all
    pixels that a cell of the grid stands for.
    """
    *sides, channels = frame_shape
    grid = d.shape[2:4]
    if any(side % n for side, n in zip(sides, grid, strict=True)):
        raise ValueError(
            f"frames of {sides[0]} x {sides[1]} pixels cannot be read from a grid of "
            f"{grid[0]} x {grid[1]}: choose sides that the strides below the lowest "
            "decoder divide."
        )
    blocks = [side // n for side, n in zip(sides, grid, strict=True)]
    coarse = math.prod(blocks) > 1
    readout = layers.Dense(
        math.prod(blocks) * channels,
        "sigmoid",
        bias_initializer=initializers.Constant(DARK),
        dtype="float32",
        name=f"{name}_readout" if coarse else name,
    )
    if not coarse:
        return readout(d)
    x = layers.Reshape((-1, *grid, *blocks, channels))(readout(d))
    return layers.Reshape((-1, *frame_shape), name=name)(
        layers.Permute((1, 2, 4, 3, 5, 6))(x)
    )


def compiled(frames, outputs, learning_rate, weights, **more_losses):
    """The model with its losses, their weights, and metrics (Sections 3.1 and D.1)."""
    check_number("`frame_weight`", weights.get("frame", 1.0), 0)
    losses = {"class": LastClass(), "frame": frame_loss, **more_losses}
    model = ZooModel(frames, outputs)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={name: losses[name] for name in outputs},
        loss_weights={name: weights.get(name, 1.0) for name in outputs},
        metrics={"frame": [mse]} if "frame" in outputs else None,
        # A class without a label is not counted: its weight is 0.
        weighted_metrics={"class": [error]} if "class" in outputs else None,
    )
    return model.make_variables(**{"class": ops.zeros((1,))})


@register
class LastClass(keras.losses.Loss):
    """Cross-entropy of the class after the last frame or iteration.

    Its mean is over the samples whose weight is not 0: those with a label.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="last_class", **k):
        super().__init__(name=name, reduction=reduction, **k)

    def call(self, labels, probabilities):
        labels = ops.reshape(labels, (-1,))
        return ops.sparse_categorical_crossentropy(labels, probabilities[:, -1])


@register
def error(labels, probabilities):
    """1 where the most probable class after the last frame is wrong, else 0."""
    predicted = ops.argmax(probabilities[:, -1], axis=-1)
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))  # also where they are (B, 1)
    wrong = ops.not_equal(labels, ops.cast(predicted, "int32"))
    return ops.cast(wrong, "float32")


@register
def frame_loss(frames, predicted):
    """Squared error of the next frame, summed over pixels, mean over transitions."""
    return mse(frames, predicted) * math.prod(predicted.shape[2:])


@register
def mse(frames, predicted):
    """Mean squared error of the next frame, shape `(batch,)`: Table 1 has it in 1e-5.

    The prediction made after frame t is compared with frame t + 1; the last one has
    nothing to be compared with. A sequence of one frame has no transition and no error.
    """
    squares = ops.square(predicted[:, :-1] - ops.cast(frames[:, 1:], predicted.dtype))
    transitions = ops.cast(ops.maximum(ops.shape(frames)[1] - 1, 1), predicted.dtype)
    means = ops.mean(squares, axis=(2, 3, 4))
    return ops.sum(means, axis=1) / transitions
