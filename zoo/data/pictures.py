"""Reading of image files: orientation, transparency, and the order of file names.

Pillow is imported only when a function needs it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def upright(image: Image) -> Image:
    """Rotate an image by its EXIF orientation, which phones write."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def opaque(image: Image, mode: str) -> Image:
    """Composite an image on black and convert it to a mode.

    Without this, the colours that files store for transparent pixels would be visible.

    Args:
        image: `PIL.Image.Image` with 8 bits per channel.
        mode: `"L"` or `"RGB"`.

    Returns:
        `PIL.Image.Image` of that mode.
    """
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert(mode)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Image]:
    """Open an image with 8 bits per channel.

    Raises:
        ValueError: If the file is damaged, or has more than 8 bits per channel.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode[0] in "IF":
                raise ValueError(
                    f"{file} must have 8 bits per channel; it has more than 8 bits. "
                    "Convert it to 8 bits, or pass an array in [0, 1] to "
                    "`zoo.data.from_arrays`."
                )
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"{file} must be an image; it cannot be read ({error}). Replace or remove "
            "it."
        ) from error


def pictures(folder: Path) -> list[Path]:
    """List the images of a folder in the order of their names."""
    return [p for p in listed(folder) if p.suffix.lower() in PICTURES and p.is_file()]


def listed(folder: Path) -> list[Path]:
    """List files and folders that are not hidden, in the order of their names."""
    return sorted(
        (p for p in folder.iterdir() if not p.name.startswith(".")), key=by_number
    )


def by_number(path: Path) -> list[int | str]:
    """Return a sort key that puts `frame9` before `frame10`."""
    parts = re.split(r"(\d+)", path.name)  # text and numbers in turn
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
