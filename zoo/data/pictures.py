"""Picture files as people see them: upright, and opaque."""


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
