"""Picture files, and pictures as people see them: upright and opaque."""

import contextlib
import re

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def upright(image):
    """Turn a picture as its EXIF orientation says, which phones write."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def opaque(image, mode):
    """Composite the transparent parts of a picture on black.

    Args:
        image: `PIL.Image.Image` with 8 bits in a channel.
        mode: `"L"` or `"RGB"`.

    Returns:
        `PIL.Image.Image` of that mode. Without the compositing, the colours that
        files keep under transparent pixels would come to light.
    """
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert(mode)


@contextlib.contextmanager
def opened(file):
    """An open picture of 8 bits in a channel; one that is damaged is named."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode[0] in "IF":
                raise ValueError(
                    f"{file} has more than 8 bits in a channel: convert it to 8, "
                    "or give an array in [0, 1] to `zoo.data.from_arrays`."
                )
            yield image
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as a picture: mend it or take it away."
        ) from error


def pictures(folder):
    """The pictures of a folder, in the order of their names."""
    return [p for p in listed(folder) if p.suffix.lower() in PICTURES and p.is_file()]


def listed(folder):
    """What is in a folder and not hidden, in the order of names."""
    return sorted(
        (p for p in folder.iterdir() if not p.name.startswith(".")), key=by_number
    )


def by_number(path):
    """Key that sorts `frame9` before `frame10`."""
    parts = re.split(r"(\d+)", path.name)  # every second one a number
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
