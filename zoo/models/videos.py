"""A ladder for videos: it classifies the video and predicts the next frame.

`rladder` builds one from any table of levels, for datasets of `zoo.data.from_arrays`
and `zoo.data.from_folder`. The models of `zoo.occluded_mnist` share its losses, metrics
and read-outs.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops, tree

from rladder_keras import Level, RecurrentLadder, Softmax
from rladder_keras.typing import Config, Feedback, Shape, Tensor, Unroll
from rladder_keras.validation import check_number, is_integer, is_number
from zoo.metrics.frames import ClassError, FrameLoss, FrameMSE, LastClass
from zoo.models.base import ZooModel

HEADS = ("class", "frame")
DARK = -4.0  # initial bias of the read-outs: logit of an average pixel

register = keras.saving.register_keras_serializable("zoo")


def rladder(
    levels: Sequence[Level],
    input_shape: tuple[int, int, int],
    heads: str | Sequence[str] = ("frame",),
    *,
    iterations: int = 10,
    feedback: Feedback = "recurrent",
    frame_weight: float = 1.0,
    learning_rate: float = 1e-3,
    unroll: Unroll = "auto",
    mask_value: float | None = None,
) -> "VideoModel":
    """Build a recurrent ladder for your own videos.

    Args:
        levels: List of `rladder_keras.Level`, bottom row first. For the head `"class"`
            the last level must be `Level(Softmax(classes))`.
        input_shape: Shape of a frame, `(height, width, channels)`.
        heads: Outputs of the model: `"frame"`, the next frame after each frame,
            `"class"`, or both.
        iterations: Number of frames with separate batch statistics, if rows of the
            table have batch normalisation (`Conv`, `G1`, `ConvG1`): at least the length
            of the sequences. Later frames use the statistics of the last of them.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        frame_weight: Weight of the squared error, summed over the pixels of a frame,
            relative to the cross-entropy of the class.
        learning_rate: Learning rate of Adam.
        unroll: How the loop over time runs: `True`, `False` or `"auto"`, see
            `rladder_keras.RecurrentLadder`.
        mask_value: Value of padding, a number outside [0, 1], for videos of different
            lengths. Frames whose pixels all have this value are excluded from losses,
            metrics and batch statistics. During padding `"class"` keeps its last value;
            ignore `"frame"` there. Padding must come last, as
            `keras.utils.pad_sequences` with `padding="post"` puts it. By default no
            frame is padding.

    Returns:
        Compiled `keras.Model` from frames `(batch, T, *input_shape)` in [0, 1] to a
        dictionary of the heads: `"class"`, probabilities after each frame, `(batch, T,
        classes)`, and `"frame"`, with the shape of the input. The target `y["frame"]`
        is the input itself: the losses compare the prediction after frame t with frame
        t + 1. `y["class"]` is one integer for each video. A `sample_weight` has one
        number for each video, `(batch,)`, or for each frame, `(batch, T)`. A transition
        has the smaller weight of its two frames, and the class is scored after the last
        frame with a weight above 0.

    Raises:
        ValueError: If the levels do not fit each other, the frames or the heads. The
            message names the level.

    Examples:
        >>> levels = [Level(ConvLSTMCell(4, 3), ConvG3(3)), Level(Conv(8, 3))]
        >>> zoo.rladder(levels, input_shape=(16, 16, 3)).output["frame"].shape
        (None, None, 16, 16, 3)
    """
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    if not heads or not set(heads) <= set(HEADS):
        raise ValueError(
            f"`heads` must be some of {HEADS}; got {heads!r}. Choose at least one of "
            "these."
        )
    if not isinstance(levels, (list, tuple)):
        raise ValueError(
            f"`levels` must be a list of Level; got {levels!r}. Call the function of a "
            "table, such as `small_table()`."
        )
    sides = input_shape if isinstance(input_shape, (list, tuple)) else ()
    if len(sides) != 3 or not all(is_integer(n, 1) for n in sides):
        raise ValueError(
            "`input_shape` must be (height, width, channels), three integers of at "
            f"least 1; got {input_shape!r}. Give the shape of one frame."
        )
    input_shape = tuple(map(int, input_shape))  # type: ignore[assignment]
    frames = keras.Input((None, *input_shape), name="frames")
    ladder = RecurrentLadder(levels, feedback, iterations, unroll, name="ladder")
    mask = None if mask_value is None else FrameMask(mask_value, name="mask")(frames)
    if "class" in heads and not isinstance(ladder.cell.encoders[-1], Softmax):
        raise ValueError(
            "The last level must be Level(Softmax(classes)) for the head 'class'; got "
            f"{levels[-1]!r}. Add it, or leave the head out."
        )
    d = ladder(frames, mask=mask)
    if mask is not None:
        # A copy has no Keras mask. Losses detect padding by its pixel value.
        d = {name: ops.copy(x) for name, x in d.items()}
    outputs = {}
    if "class" in heads:
        top = d["top"]
        if mask is not None:
            top = Held(dtype="float32", name="held")(top, mask)
        outputs["class"] = layers.Identity(dtype="float32", name="class")(top)
    if "frame" in heads:
        outputs["frame"] = pixels(bottom(d), input_shape, name="frame")
    return compiled(frames, outputs, learning_rate, {"frame": frame_weight})


def bottom(outputs: dict[str, Tensor]) -> Tensor:
    """Return `d_1`, from which frames are read.

    Raises `ValueError` for a table without decoders.
    """
    if "bottom" not in outputs:
        raise ValueError(
            "The table must have a decoder for the predicted frames; got no decoder. "
            "Give a row a decoder, or remove the prediction."
        )
    if len(outputs["bottom"].shape) != 5:
        raise ValueError(
            "The lowest decoder must return a map, from which to read frames; got "
            f"shape {tuple(outputs['bottom'].shape)}. Give a lower row a decoder too."
        )
    return outputs["bottom"]


def pixels(d: Tensor, frame_shape: tuple[int, int, int], name: str) -> Tensor:
    """Read frames from `d_1`, shape `(batch, T, height, width, channels)`.

    The read-out is a 1x1 convolution. If `d_1` has a coarser grid than the frame, each
    grid cell gives all pixels of its block.
    """
    *sides, channels = frame_shape
    grid = d.shape[2:4]
    if any(side % n for side, n in zip(sides, grid, strict=True)):
        raise ValueError(
            "The sides of a frame must be multiples of the grid of the lowest "
            f"decoder, {grid[0]} x {grid[1]}; got {sides[0]} x {sides[1]} pixels. "
            "Choose sides that are divisible by the strides below the lowest decoder."
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
    x = layers.Reshape((-1, *grid, *blocks, channels), dtype="float32")(readout(d))
    x = layers.Permute((1, 2, 4, 3, 5, 6), dtype="float32")(x)
    return layers.Reshape((-1, *frame_shape), dtype="float32", name=name)(x)


def compiled(
    frames: Tensor,
    outputs: dict[str, Tensor],
    learning_rate: float,
    weights: dict[str, float],
    **more_losses: Any,
) -> "VideoModel":
    """Return the model with losses, weights and metrics (Sections 3.1 and D.1)."""
    check_number("`frame_weight`", weights.get("frame", 1.0), 0)
    losses = {"class": LastClass(), "frame": FrameLoss(), **more_losses}
    model = VideoModel(frames, outputs)
    scores = {"class": [ClassError()], "frame": [FrameMSE()]}
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={name: losses[name] for name in outputs},
        loss_weights={name: weights.get(name, 1.0) for name in outputs},
        # Weighted, because samples without a label and padding have a weight of 0.
        weighted_metrics={k: v for k, v in scores.items() if k in outputs},
    )
    return model.make_variables(**{"class": ops.zeros((1,))})


@register
class FrameMask(layers.Layer):
    """Mask of frames: `False` at padding.

    Args:
        mask_value: Value of all pixels of padding.

    Call arguments:
        frames: Shape `(batch, T, height, width, channels)`.

    Returns:
        Booleans of shape `(batch, T)`.
    """

    def __init__(
        self, mask_value: float, dtype: Any = "float32", **kwargs: Any
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if not is_number(mask_value) or 0 <= mask_value <= 1:
            raise ValueError(
                "`mask_value` must be a number outside [0, 1], the range of pixels; "
                f"got {mask_value!r}. Choose a number such as -1."
            )
        self.mask_value = float(mask_value)

    def call(self, frames: Tensor) -> Tensor:
        return ops.any(ops.not_equal(frames, self.mask_value), axis=(2, 3, 4))

    def compute_output_spec(self, frames: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(frames.shape[:2], "bool")

    def get_config(self) -> Config:
        return {**super().get_config(), "mask_value": self.mask_value}


@register
class Held(layers.Layer):
    """Values of time steps, held during padding, as in Keras' RNN.

    Padding gets the values of the last step before it.

    Call arguments:
        x: Shape `(batch, T, n)`.
        valid: Booleans of shape `(batch, T)`, `False` at padding.

    Output shape:
        `(batch, T, n)`.
    """

    def call(self, x: Tensor, valid: Tensor) -> Tensor:
        steps = ops.arange(ops.shape(x)[1], dtype="int32")
        before = ops.logical_and(valid[:, None], steps[:, None] >= steps)
        last = ops.max(ops.where(before, steps, 0), axis=-1)
        return ops.take_along_axis(x, last[..., None], axis=1)

    def compute_output_shape(self, x_shape: Shape, valid_shape: Shape) -> Shape:
        return x_shape


@register
class VideoModel(ZooModel):
    """A `ZooModel` of frames, some of which can be padding."""

    of_encoders = frozenset({"class"})

    def frame_mask(self) -> FrameMask | None:
        """Return the layer that detects padding, or `None`."""
        masks = [layer for layer in self.layers if isinstance(layer, FrameMask)]
        return masks[0] if masks else None

    def valid(self, x: Any) -> Tensor | None:
        """Return which frames are valid, shape `(batch, T)`; `None` without padding."""
        mask = self.frame_mask()
        return None if mask is None else mask(ops.convert_to_tensor(tree.flatten(x)[0]))

    def check_inputs(self, x: Any) -> None:
        """Raise `ValueError` for frames that the model cannot use.

        Padding is allowed.
        """
        super().check_inputs(self.without_padding(x))

    def check_frame_targets(self, x: Any, y: Any) -> None:
        """Raise `ValueError` for target frames that do not match the input frames."""
        y = {name: self.without_padding(target) for name, target in y.items()}
        super().check_frame_targets(self.without_padding(x), y)

    def without_padding(self, x: Any) -> Any:
        """Return frames with padding set to 0; return other objects unchanged."""
        mask = self.frame_mask()
        if mask is None or not isinstance(x, np.ndarray) or x.ndim != 5:
            return x
        # As the layer sees them: float16 pixels may not be equal to the value.
        padding = x.astype(np.float32, copy=False) == np.float32(mask.mask_value)
        padding = padding.all(axis=(2, 3, 4), keepdims=True)
        return np.where(padding, x.dtype.type(0), x)
