"""Crops of textures, and masks of thick digits (Section 4.2)."""

from typing import NamedTuple

import numpy as np

from zoo.data.digits.sources import resample

SCALES = (0.5, 1.5)


SIDE = 28  # of the digits of MNIST


class Crops(NamedTuple):
    """Where crops lie in their textures; arrays of one shape.

    Attributes:
        texture: Number of the texture.
        angle: Rotation in radians.
        scale: Pixels of the crop for each pixel of the texture.
        row: Place from 0 to 1 among those where the crop fits, from top to bottom.
        column: The same from left to right.
    """

    texture: np.ndarray
    angle: np.ndarray
    scale: np.ndarray
    row: np.ndarray
    column: np.ndarray


def draw_crops(n: int, textures: int, rng: np.random.Generator) -> Crops:
    """Draws foreground and background of `n` images, from two different textures."""
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
    """Rotated and scaled crops, with linear interpolation.

    Args:
        textures: `float32` of shape `(k, rows, columns)`, large enough for each crop.
        crops: Of any shape.
        size: Side of the crops in pixels.

    Returns:
        `float32` of the shape of the crops and `(size, size)`.
    """
    _, rows, columns = textures.shape
    angle, scale = crops.angle[..., None], crops.scale[..., None]
    # Positions along one side of the crop from its middle, in pixels of the texture.
    side = (np.arange(size) - (size - 1) / 2) / scale
    along, across = side * np.cos(angle), side * np.sin(angle)
    reach = abs(along[..., 0]) + abs(across[..., 0])
    # A hundredth of a pixel at both ends is for the rounding of `float32`.
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
    """Sums of all pairs of (..., n) and (..., n), shape (..., n, n)."""
    first, second = first.astype(np.float32), second.astype(np.float32)
    return first[..., :, None] + second[..., None, :]


def thick_masks(digits: np.ndarray, size: int, radius: int) -> np.ndarray:
    """Enlarges, cuts off and thickens digits.

    Args:
        digits: Array of shape `(B, side, side)`, from 0 (background) to 1 (ink).
        size: Side of the masks in pixels. The digit fills the middle 7/8.
        radius: Of the disc that thickens, in pixels.

    Returns:
        `bool` of shape `(B, size, size)`, `True` where the digit is.
    """
    inner = round(size * 7 / 8)
    margin = (size - inner) // 2
    large = resample(digits, inner)
    # Thin strokes of digits that were made smaller are nowhere as bright as 1.
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
