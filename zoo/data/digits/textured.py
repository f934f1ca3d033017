"""Brodatz-textured MNIST (Section 4.2, Table 4).

A digit has one texture and its background another one. Both textures have the same mean
and contrast, so that only their structure tells the digit from the background.

The paper does not specify the following details. Sizes in pixels are for images of
96 x 96 and scale with the size of the images.

- Digits are enlarged from 28 x 28 to 84 x 84 pixels by linear interpolation, turned
  into a mask with a threshold at half of their maximum, and thickened by a disc with a
  radius of 3 pixels. Each pixel of the image has one of the two textures; they are not
  mixed at the edge of the digit.
- The two textures of an image are different. Each is rotated by a random angle from
  [0, 2 pi), scaled by a random factor from [0.5, 1.5] (a crop covers 192 to 64 pixels
  of a scan of 640 x 640), and cropped at a random position inside the scan, with linear
  interpolation.
- Validation and test images have textures from regions of the scans that are not used
  for training, see `zoo.data.digits.textures`.
- Each training epoch has new crops for the digits, "to avoid over-fitting".
"""

import os
from typing import NamedTuple

import numpy as np

from zoo.data.digits.patches import SCALES, SIDE, Crops, cut, draw_crops, thick_masks
from zoo.data.digits.sets import DigitDataset, digit_sets
from zoo.data.digits.sources import Digits, load_digits
from zoo.data.digits.textures import SMALLEST, Textures, load_textures
from zoo.data.epochs import check_boolean, check_integer


class Samples(NamedTuple):
    """Batch of images and everything that they are made from.

    Attributes:
        images: Images, `float32` of shape `(B, size, size)`, values from 0 to 1.
        masks: `bool` of shape `(B, size, size)`, `True` inside the digit.
        foreground: Texture of the digit for all pixels, same shape as `images`.
        background: Texture of the background for all pixels, same shape as `images`.
        labels: Classes, `int32` of shape `(B,)`.
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

    A batch is `(x, y)`. `x` are the images, `float32` of shape `(B, size, size, 1)`,
    values from 0 to 1. `y` is a dictionary of

    - `"class"`: the classes, `int32` of shape `(B,)`;
    - `"groups"`: the segmentation, `int32` of shape `(B, size, size)`: 1 in the digit
      and 0 in the background. The label -1 of other datasets, for pixels that are not
      scored, does not appear.

    With `labelled`, a batch is `(x, y, weight)`. `weight["class"]`, `float32` of shape
    `(B,)`, is 1 for labelled images and 0 for others. Every second image is labelled,
    so that labelled digits appear more often than others. If `labelled` is empty, no
    image is labelled.

    An image depends only on `seed`, `epoch` and its place in the epoch. It does not
    depend on the batch size or on the batches that were read before. With `fresh=True`,
    each epoch has a new order and new textures, and a last batch that is not full is
    dropped. With `fresh=False`, all epochs are the same, in the order of the digits,
    and the last batch is kept.

    `zoo.data.epochs.EpochDataset` documents `epoch` and how to resume.

    Args:
        images: Digits of shape `(n, side, side)`, from 0 (background) to 1 (ink).
        labels: Classes of the digits, integers of shape `(n,)`.
        textures: Two or more textures, shape `(k, rows, columns)`, values from 0 to 1.
            They must be large enough for crops of this `size`, see
            `zoo.data.load_textures`.
        batch_size: Number of images in a batch, `B`.
        size: Side of the images in pixels, at least 24.
        upright: Whether textures are neither rotated nor scaled.
        thickness: Radius in pixels of the disc that thickens the digits. By default, it
            is in proportion to `size`: 3 for images of 96 x 96.
        seed: Seed of the images, an integer of at least 0.
        fresh: Whether images are drawn again for each epoch.
        sequences: Number of images in an epoch. By default, one for each digit. With
            fewer, an epoch has random digits (`fresh=True`) or evenly spaced digits
            (`fresh=False`). With more, digits appear several times.
        labelled: Indices of the digits whose labels are used, or `None` for all. Only
            with `fresh=True`.
        digits_name: Name of the digits.
        textures_name: Name of the textures.

    Attributes:
        epoch: Number of finished epochs. It may be set.
        num_sequences: Number of images in an epoch, in all batches together.
        digits_name: Name of the digits.
        textures_name: Name of the textures.

    Raises:
        ValueError: If an argument is invalid.

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
        check_boolean("upright", upright)
        self.upright = upright
        self.thickness = thickness
        self.textures_name = textures_name

    def batch(self, index: int) -> tuple:
        samples = self.samples(index)
        x = samples.images[..., None]
        y = {"class": samples.labels, "groups": samples.masks.astype(np.int32)}
        return self.weighted(x, y)

    def samples(self, index: int) -> Samples:
        """Return a batch of the current epoch with all that was drawn.

        Args:
            index: Number of the batch, from 0. Negative numbers count from the end.

        Returns:
            `Samples`, which include the masks and both textures of each image.

        Raises:
            IndexError: If there is no such batch.
        """
        order, *drawn = self.drawn(index)
        crops = Crops(*drawn)
        masks = thick_masks(self.images[order], self.size, self.thickness)
        pair = cut(self.textures, crops, self.size)
        foreground, background = pair[:, 0], pair[:, 1]
        images = np.where(masks, foreground, background)
        labels = self.labels[order]
        return Samples(images, masks, foreground, background, labels, crops)

    def draw(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Draw digits and crops of all images of an epoch."""
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
    """Return datasets of Brodatz-textured MNIST (Section 4.2), for Table 4.

    Args:
        source: Source of the digits, an argument of `load_digits` or its result. By
            default, MNIST if it is on this machine, otherwise the digits of
            scikit-learn.
        batch_size: Number of images in a batch.
        size: Side of the images in pixels, at least 24.
        textures: Source of the textures, an argument of `load_textures` or its result.
            By default, the Brodatz album if it is on this machine, otherwise generated
            textures.
        texture_size: Side in pixels of the images that the textures are scaled for. By
            default, `size`. With a larger value, the textures are coarser.
        upright: Whether textures are neither rotated nor scaled.
        thickness: Radius in pixels of the disc that thickens the digits. By default, it
            is in proportion to `size`: 3 for images of 96 x 96.
        seed: Seed of the training images and of the choice of labelled digits.
            Validation and test images are always the same.
        sequences: Number of training images in an epoch. By default, one for each
            digit. Each epoch has a new order and new textures.
        evaluation_sequences: Number of images in the validation set and in the test
            set. By default, one for each digit. A smaller set has evenly spaced digits.
        labelled: Number of labelled training digits, a multiple of 10; the second
            column of Table 4 has 1,000. Half of each training batch is then labelled,
            and batches contain sample weights, see `TexturedMNIST`. By default, all
            digits are labelled. With 0, none is.
        merge_validation: Whether the training set also contains the digits of the
            validation set. The labelled digits do not depend on it.
        verbose: Whether to print which digits and textures are used and how many
            samples there are.

    Returns:
        Training, validation and test set, each a `TexturedMNIST`.

    Raises:
        ValueError: If an argument is invalid, or if `load_digits` or `load_textures`
            raises it.

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
    """Check textures, and convert them to contiguous `float32`.

    Args:
        textures: Textures of shape `(k, rows, columns)`, values from 0 to 1.
        size: Side of the images in pixels.

    Raises:
        ValueError: If the textures are invalid or too small for crops of this size.
    """
    textures = np.asarray(textures)
    if textures.ndim != 3 or len(textures) < 2:
        raise ValueError(
            "`textures` must be two or more textures of shape (k, rows, columns); got "
            f"shape {textures.shape}. Use `zoo.data.load_textures`."
        )
    least = int((size - 1) / SCALES[0] * np.sqrt(2)) + 3
    if min(textures.shape[1:]) < least:
        raise ValueError(
            f"`textures` must have at least {least} x {least} pixels for images of "
            f"{size} x {size}; got {textures.shape[1]} x {textures.shape[2]}. Load "
            "them with the `size` of the images."
        )
    if not (textures.min() >= 0 and textures.max() <= 1):
        raise ValueError(
            f"`textures` must have values from 0 to 1; got {textures.min()} to "
            f"{textures.max()}. Divide 8-bit images by 255."
        )
    return np.ascontiguousarray(textures, np.float32)
