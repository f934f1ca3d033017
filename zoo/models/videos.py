"""A ladder for videos: it names what it sees and predicts the next frame.

`rladder` builds one of any table of levels, for data as `zoo.data.from_arrays` and
`zoo.data.from_folder` make them. The models of `zoo.occluded_mnist` have their losses,
metrics and read-outs from here.
"""

import math

import keras
import numpy as np
from keras import initializers, layers, ops, tree

from rladder_keras import RecurrentLadder, Softmax
from rladder_keras.validation import check_number, is_integer
from zoo.metrics.frames import ClassError, FrameLoss, FrameMSE, LastClass
from zoo.models.base import ZooModel

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
    mask_value=None,
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
        mask_value: Value of padding, a number outside [0, 1], for videos of unequal
            length. Frames whose pixels all have this value count in no loss, metric or
            batch statistics. After them `"class"` stays as it was, and `"frame"` is to
            be ignored. Padding comes last, as `keras.utils.pad_sequences` with
            `padding="post"` puts it. Default: frames are never padding.

    Returns:
        Compiled `keras.Model` from frames `(batch, T, *input_shape)` in [0, 1] to a
        dictionary of the heads: `"class"`, probabilities after each frame, `(batch, T,
        classes)`, and `"frame"`, shape of the input. The target `y["frame"]` is the
        input once more: the losses compare what was predicted after frame t with frame
        t + 1. `y["class"]` is one integer for each video. A `sample_weight` has one
        number for each video, `(batch,)`, or for each frame, `(batch, T)`: a transition
        has the smaller weight of its two frames, and the class is scored after the last
        frame that has weight.

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
    mask = None if mask_value is None else FrameMask(mask_value, name="mask")(frames)
    if "class" in heads and not isinstance(ladder.cell.encoders[-1], Softmax):
        raise ValueError(
            "the head 'class' needs Level(Softmax(classes)) as the last level."
        )
    d = ladder(frames, mask=mask)
    if mask is not None:  # copies have none: losses and metrics see it in the frames
        d = {name: ops.copy(x) for name, x in d.items()}
    outputs = {}
    if "class" in heads:
        top = d["top"] if mask is None else Held(name="held")(d["top"], mask)
        outputs["class"] = layers.Identity(dtype="float32", name="class")(top)
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
    losses = {"class": LastClass(), "frame": FrameLoss(), **more_losses}
    model = VideoModel(frames, outputs)
    scores = {"class": [ClassError()], "frame": [FrameMSE()]}
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={name: losses[name] for name in outputs},
        loss_weights={name: weights.get(name, 1.0) for name in outputs},
        # A class without a label is not counted, nor is padding: its weight is 0.
        weighted_metrics={k: v for k, v in scores.items() if k in outputs},
    )
    return model.make_variables(**{"class": ops.zeros((1,))})


@register
class FrameMask(layers.Layer):
    """Which frames are no padding.

    Args:
        mask_value: Value of all pixels of padding.

    Call arguments:
        frames: Shape `(batch, T, height, width, channels)`.

    Returns:
        Booleans of shape `(batch, T)`.
    """

    def __init__(self, mask_value, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        number = isinstance(mask_value, (int, float)) and math.isfinite(mask_value)
        if not number or 0 <= mask_value <= 1:
            raise ValueError(
                "`mask_value` must be a number outside [0, 1], where the pixels are; "
                f"got {mask_value!r}. Choose one such as -1."
            )
        self.mask_value = mask_value

    def call(self, frames):
        return ops.any(ops.not_equal(frames, self.mask_value), axis=(2, 3, 4))

    def compute_output_spec(self, frames):
        return keras.KerasTensor(frames.shape[:2], "bool")

    def get_config(self):
        return {**super().get_config(), "mask_value": self.mask_value}


@register
class Held(layers.Layer):
    """Values of steps; padding has those of the last step before it, as in Keras' RNN.

    Call arguments:
        x: Shape `(batch, T, n)`.
        valid: Booleans of shape `(batch, T)`, `False` at padding.

    Output shape:
        `(batch, T, n)`.
    """

    def call(self, x, valid):
        steps = ops.arange(ops.shape(x)[1], dtype="int32")
        before = ops.logical_and(valid[:, None], steps[:, None] >= steps)
        last = ops.max(ops.where(before, steps, 0), axis=-1)
        return ops.take_along_axis(x, last[..., None], axis=1)

    def compute_output_shape(self, x_shape, valid_shape):
        return x_shape


@register
class VideoModel(ZooModel):
    """A `ZooModel` of frames, some of which may be padding."""

    def frame_mask(self):
        """The layer that knows padding, or `None`."""
        masks = [layer for layer in self.layers if isinstance(layer, FrameMask)]
        return masks[0] if masks else None

    def valid(self, x):
        mask = self.frame_mask()
        return None if mask is None else mask(ops.convert_to_tensor(tree.flatten(x)[0]))

    def check_inputs(self, x):
        super().check_inputs(self.without_padding(x))

    def check_frame_targets(self, x, y):
        y = {name: self.without_padding(target) for name, target in y.items()}
        super().check_frame_targets(self.without_padding(x), y)

    def without_padding(self, x):
        """Arrays of frames with pixels of 0 at padding; other inputs as they are."""
        mask = self.frame_mask()
        if mask is None or not isinstance(x, np.ndarray) or x.ndim != 5:
            return x
        padding = (x == mask.mask_value).all(axis=(2, 3, 4), keepdims=True)
        return np.where(padding, x.dtype.type(0), x)
