"""Brodatz-textured MNIST (Section 4.2, Table 4).

A digit is cut out of one texture and lies on another one. Both have the same mean and
contrast, so that it can be told from the background by texture alone.

What the paper leaves open is decided as follows; numbers of pixels hold for images of
96 x 96 and go in proportion for others.

- Digits are enlarged from 28 x 28 to 84 x 84 with linear interpolation, cut off at
  half of their brightest ink, and thickened by a disc with a radius of 3 pixels. There
  are no greys at the border: each pixel is of one texture.
- The two textures are drawn without replacement, and each is turned by an angle from
  [0, 2 pi), scaled by a factor from [0.5, 1.5] (a crop covers 192 to 64 pixels of a
  scan of 640 x 640), and cropped where the whole crop is in view. Pixels in between
  are interpolated linearly.
- Validation and test images have textures from parts of the scans that training does
  not see, see `zoo.data.digits.textures`.
- Each epoch of training draws new textures for the digits, "to avoid over-fitting".
"""

import os
from typing import NamedTuple

import numpy as np

from zoo.data.digits.patches import SCALES, SIDE, Crops, cut, draw_crops, thick_masks
from zoo.data.digits.sets import DigitDataset, digit_sets
from zoo.data.digits.sources import Digits, load_digits
from zoo.data.digits.textures import SMALLEST, Textures, load_textures
from zoo.data.epochs import check_integer


class Samples(NamedTuple):
    """A batch of images and what they are made of.

    Attributes:
        images: `float32` of shape `(B, size, size)`, values from 0 to 1.
        masks: `bool` of shape `(B, size, size)`, where the digit is.
        foreground: The texture of the digit, also where the digit is not.
        background: The texture around the digit, also where the digit is.
        labels: `int32` of shape `(B,)`.
        crops: `Crops` of shape `(B, 2)`, for foreground and background.
    """

    images: np.ndarray
    masks: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    labels: np.ndarray
    crops: Crops


class TexturedMNIST(DigitDataset):
    """Batches of Brodatz-textured MNIST (Section 4.2).

    A batch is `(x, y)`. `x` are the images, `float32` of shape `(B, size, size, 1)`
    with values from 0 to 1, and `y` is a dict of

    - `"class"`: the labels, `int32` of shape `(B,)`;
    - `"groups"`: `int32` of shape `(B, size, size)`, 1 in the digit and 0 in the
      background. Elsewhere -1 means "neither"; no pixel of these data is.

    With `labelled` a batch is `(x, y, weight)`: `weight["class"]`, `float32` of shape
    `(B,)`, is 1 where the label may be used and 0 where it may not. Each second image
    has a labelled digit, and the labelled digits are used again and again; the others
    have the remaining digits. So half a batch is labelled, or nothing if `labelled` is
    empty.

    What is drawn depends on `seed`, `epoch` and the place in the epoch alone. It does
    not depend on which batches were asked for before, or on the size of the batches.
    With `fresh=True` each epoch has an order and textures of its own, and a last batch
    that is not full is left out. With `fresh=False` every epoch is the same, in the
    order of the digits, and the last batch is kept.

    For `epoch` and resuming see `zoo.data.epochs.EpochDataset`.

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Integers of shape `(n,)`.
        textures: Two or more, of shape `(k, rows, columns)`, from 0 to 1. They are for
            images of this size, see `zoo.data.load_textures`.
        batch_size: Number of images in a batch, `B`.
        size: Side of the images in pixels, at least 24.
        upright: Whether textures are neither turned nor scaled.
        thickness: Radius in pixels of the disc that thickens the digits, by default
            in proportion to `size`.
        seed: Integer, at least 0.
        fresh: Whether each epoch draws anew.
        sequences: Number of images in an epoch, by default one for each digit. With
            fewer, an epoch has a random part of the digits (`fresh=True`) or evenly
            spaced ones (`fresh=False`); with more, digits come several times.
        labelled: Indices of the digits whose labels may be used, or `None` for all.
            Only with `fresh=True`.
        digits_name: Which digits these are.
        textures_name: Which textures these are.

    Attributes:
        epoch: Number of epochs that are over; may be set.
        num_sequences: Number of images in an epoch, in all batches together.
        digits_name: Which digits these are.
        textures_name: Which textures these are.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    ```python
    digits, textures = zoo.data.load_digits(), zoo.data.load_textures(size=32)
    train = TexturedMNIST(*digits.train, textures.train, size=32, fresh=True)
    x, y = train[0]
    ```
    """

    kind = "images"

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        textures: np.ndarray,
        batch_size: int = 16,
        *,
        size: int = 96,
        upright: bool = False,
        thickness: int | None = None,
        seed: int = 0,
        fresh: bool = False,
        sequences: int | None = None,
        labelled: np.ndarray | None = None,
        digits_name: str = "digits",
        textures_name: str = "textures",
    ):
        check_integer("size", size, SMALLEST)
        textures = check_textures(textures, size)
        super().__init__(
            images,
            labels,
            batch_size,
            seed=seed,
            fresh=fresh,
            sequences=sequences,
            labelled=labelled,
            digits_name=digits_name,
        )
        if thickness is None:
            thickness = max(1, round(size / 32))
        check_integer("thickness", thickness, 0)
        self.textures = textures
        self.size = size
        self.upright = upright
        self.thickness = thickness
        self.textures_name = textures_name

    def batch(self, index: int):
        samples = self.samples(index)
        x = samples.images[..., None]
        y = {"class": samples.labels, "groups": samples.masks.astype(np.int32)}
        return self.weighted(x, y)

    def samples(self, index: int) -> Samples:
        """All there is to know about a batch of this epoch.

        Args:
            index: Number of the batch, from 0; negative numbers count from the end.

        Returns:
            `Samples`, with the masks, both textures of each image, and what was drawn.

        Raises:
            IndexError: If there is no such batch.
        """
        order, *crops = self.drawn(index)
        crops = Crops(*crops)
        masks = thick_masks(self.images[order], self.size, self.thickness)
        pair = cut(self.textures, crops, self.size)
        foreground, background = pair[:, 0], pair[:, 1]
        images = np.where(masks, foreground, background)
        labels = self.labels[order]
        return Samples(images, masks, foreground, background, labels, crops)

    def draw(self, epoch):
        """Digits and crops of all images of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        order = self.draw_digits(rng)
        crops = draw_crops(len(order), len(self.textures), rng)
        if self.upright:
            crops = crops._replace(angle=0 * crops.angle, scale=crops.scale**0)
        return (order, *crops)


def textured_mnist(
    source: str | os.PathLike | Digits = "auto",
    batch_size: int = 16,
    *,
    size: int = 96,
    textures: str | os.PathLike | Textures = "auto",
    texture_size: int | None = None,
    upright: bool = False,
    thickness: int | None = None,
    seed: int = 0,
    sequences: int | None = None,
    evaluation_sequences: int | None = None,
    labelled: int | None = None,
    merge_validation: bool = False,
    verbose: bool = True,
) -> tuple[TexturedMNIST, TexturedMNIST, TexturedMNIST]:
    """Brodatz-textured MNIST (Section 4.2): the data of Table 4.

    Args:
        source: What `load_digits` takes (by default MNIST if it is on this machine,
            else the digits of scikit-learn), or what it returns.
        batch_size: Number of images in a batch.
        size: Side of the images in pixels, at least 24.
        textures: What `load_textures` takes (by default the Brodatz album if it is on
            this machine, else generated textures), or what it returns.
        texture_size: Side of the images that the textures are scaled for. With more
            than `size` they are coarser than their share of the image; by default
            `size`.
        upright: Whether textures are neither turned nor scaled.
        thickness: Radius in pixels of the disc that thickens the digits, by default 3
            for images of 96 x 96 and in proportion.
        seed: Seed of the training images and of which digits are labelled. The
            validation and the test images are always the same ones.
        sequences: Number of training images in an epoch, by default one for each
            digit. Each epoch draws digits and textures anew.
        evaluation_sequences: Number of images in the validation set and in the test
            set, by default one for each digit. Fewer are evenly spaced digits.
        labelled: Number of labelled training digits, as many of each class; the second
            column of Table 4 has 1,000. Then half of each training batch is labelled
            and a weight says which, see `TexturedMNIST`. By default all are labelled;
            with 0 none is.
        merge_validation: Whether the digits of the validation set are in the training
            set too. The labelled ones are the same with and without them.
        verbose: Whether to print which digits and textures are used, and how many.

    Returns:
        Training, validation and test set, each a `TexturedMNIST`.

    Raises:
        ValueError: If an argument is not as above; see also `load_digits` and
            `load_textures`.

    Examples:
        >>> train, valid, test = zoo.data.textured_mnist(
        ...     "sklearn", 4, size=24, textures="generated", verbose=False
        ... )
        >>> images, targets = train[0]
        >>> images.shape, targets["groups"].shape, targets["class"].shape
        ((4, 24, 24, 1), (4, 24, 24), (4,))
    """
    digits = load_digits(source, SIDE)
    if not isinstance(textures, Textures):
        for_side = size if texture_size is None else texture_size
        textures = load_textures(textures, for_side)
    return digit_sets(
        TexturedMNIST,
        f"Textured MNIST of {size} x {size} from {digits.name} and {textures.name}",
        digits,
        others=((textures.train,), (textures.valid,), (textures.test,)),
        seed=seed,
        sequences=sequences,
        evaluation_sequences=evaluation_sequences,
        labelled=labelled,
        merge_validation=merge_validation,
        verbose=verbose,
        batch_size=batch_size,
        size=size,
        upright=upright,
        thickness=thickness,
        textures_name=textures.name,
    )


def check_textures(textures: np.ndarray, size: int) -> np.ndarray:
    """The textures as contiguous `float32`, or a `ValueError`."""
    textures = np.asarray(textures)
    if textures.ndim != 3 or len(textures) < 2:
        raise ValueError(
            "Two or more textures of shape (k, rows, columns) are needed, and these "
            f"have shape {textures.shape}."
        )
    least = int((size - 1) / SCALES[0] * np.sqrt(2)) + 3
    if min(textures.shape[1:]) < least:
        raise ValueError(
            f"Crops for images of {size} x {size} need textures of {least} x {least} "
            f"pixels, and these have {textures.shape[1]} x {textures.shape[2]}: load "
            "them with the `size` of the images."
        )
    if not (textures.min() >= 0 and textures.max() <= 1):
        raise ValueError(
            "Textures with values from 0 to 1 are needed, and these go from "
            f"{textures.min()} to {textures.max()}."
        )
    return np.ascontiguousarray(textures, np.float32)
