"""Crops of textures, and masks of thick digits (Section 4.2)."""

from typing import NamedTuple

import numpy as np

from zoo.data.digits.sources import resample

SCALES = (0.5, 1.5)  # smallest and largest scale of a crop
SIDE = 28  # side of the digits of MNIST in pixels


class Crops(NamedTuple):
    """Positions of crops in their textures, as arrays of one shape.

    Attributes:
        texture: Index of the texture.
        angle: Rotation in radians.
        scale: Pixels of the crop per pixel of the texture.
        row: Vertical position, from 0 (top) to 1 (bottom), among all positions where
            the crop is completely inside the texture.
        column: Horizontal position, from 0 (left) to 1 (right), in the same way.
    """

    texture: np.ndarray
    angle: np.ndarray
    scale: np.ndarray
    row: np.ndarray
    column: np.ndarray


def draw_crops(n: int, textures: int, rng: np.random.Generator) -> Crops:
    """Draw crops for foreground and background of `n` images.

    The two crops of an image are of different textures.

    Args:
        n: Number of images.
        textures: Number of textures.
        rng: Source of randomness.

    Returns:
        `Crops` of shape `(n, 2)`.
    """
    foreground = rng.integers(textures, size=n)
    background = (foreground + rng.integers(1, textures, size=n)) % textures
    return Crops(
        np.stack([foreground, background], axis=1),
        rng.uniform(0, 2 * np.pi, (n, 2)),
        rng.uniform(*SCALES, (n, 2)),
        rng.random((n, 2)),
        rng.random((n, 2)),
    )


def cut(textures: np.ndarray, crops: Crops, size: int) -> np.ndarray:
    """Cut rotated and scaled crops out of textures, with linear interpolation.

    Args:
        textures: Textures, `float32` of shape `(k, rows, columns)`, large enough for
            each crop.
        crops: Positions, arrays of any shape `(...)`.
        size: Side of the crops in pixels.

    Returns:
        Crops, `float32` of shape `(..., size, size)`.
    """
    _, rows, columns = textures.shape
    angle, scale = crops.angle[..., None], crops.scale[..., None]
    # Distances from the centre along one side of the crop, in pixels of the texture.
    side = (np.arange(size) - (size - 1) / 2) / scale
    along, across = side * np.cos(angle), side * np.sin(angle)
    reach = abs(along[..., 0]) + abs(across[..., 0])
    # A margin of 0.01 pixels at both ends allows for rounding errors of `float32`.
    y = reach + 0.01 + crops.row * (rows - 1.02 - 2 * reach)
    x = reach + 0.01 + crops.column * (columns - 1.02 - 2 * reach)
    y = _sum(y[..., None] + along, -across)
    x = _sum(x[..., None] + across, along)
    top, left = y.astype(np.intp), x.astype(np.intp)
    y -= top
    x -= left
    place = top
    place += crops.texture[..., None, None] * rows
    place *= columns
    place += left
    values = textures.reshape(-1)

    def between(first, second, share):
        second -= first
        second *= share
        second += first
        return second

    upper = between(values[place], values[place + 1], x)
    place += columns
    lower = between(values[place], values[place + 1], x)
    return between(upper, lower, y)


def _sum(first, second):
    """Add all pairs of `(..., n)` and `(..., n)`; return shape `(..., n, n)`."""
    first, second = first.astype(np.float32), second.astype(np.float32)
    return first[..., :, None] + second[..., None, :]


def thick_masks(digits: np.ndarray, size: int, radius: int) -> np.ndarray:
    """Turn digits into masks: enlarge them, apply a threshold, and thicken them.

    Args:
        digits: Digits of shape `(B, side, side)`, from 0 (background) to 1 (ink).
        size: Side of the masks in pixels. The digit fills the central 7/8.
        radius: Radius in pixels of the disc that thickens the digits.

    Returns:
        `bool` of shape `(B, size, size)`, `True` inside the digit.
    """
    inner = round(size * 7 / 8)
    margin = (size - inner) // 2
    large = resample(digits, inner)
    # Relative to the maximum, because thin strokes lose ink when digits are reduced.
    ink = large > 0.5 * large.max(axis=(1, 2), keepdims=True)
    padded = np.zeros((len(digits), size + 2 * radius, size + 2 * radius), bool)
    first = radius + margin
    padded[:, first : first + inner, first : first + inner] = ink
    masks = np.zeros((len(digits), size, size), bool)
    reach = np.arange(-radius, radius + 1)
    for dy in reach:
        for dx in reach[dy**2 + reach**2 <= radius**2]:
            y, x = radius + dy, radius + dx
            masks |= padded[:, y : y + size, x : x + size]
    return masks
