"""Homogeneous textures for Brodatz-textured MNIST (Section 4.2), in NumPy.

The paper uses 20 textures of Brodatz' album (1966) and does not say which. This module
uses 20 of the first 60: those whose local mean and contrast vary least, without those
that look like another one. If the album is not on this machine, 20 textures can be
computed. The file is longer than others because of these 20 textures.

Each scan is cut into three regions: the upper 9/16 for training, the lower left part
for validation and the lower right part for testing. Scans are cut before any other
processing, so that no pixel influences two splits. Two limits remain: pixels on both
sides of a cut are similar, and the regular patterns among the computed textures
(gratings, lattices, bricks) are periodic, so that crops of two splits may be equal.

Pillow and SciPy are imported only if a source needs them.
"""

import functools
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.data.digits.sources import DATA_DIR, data_dir
from zoo.data.epochs import check_integer
from zoo.data.pictures import opaque, upright

ALBUM = (
    *("D5", "D6", "D9", "D11", "D14", "D16", "D17", "D18", "D20", "D21"),
    *("D24", "D29", "D33", "D34", "D35", "D49", "D53", "D55", "D56", "D57"),
)
TITLE = re.compile(r"D\d+")
SUFFIXES = (".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
SCAN = 640  # side in pixels of a scan for images of 96 x 96
IMAGE = 96
SMALLEST = 24  # smallest side of an image in pixels
MEAN, DEVIATION = 0.5, 0.2  # of each texture in each region


class Textures(NamedTuple):
    """The same textures from three disjoint regions of their scans.

    Each texture has the mean 0.5 and the standard deviation 0.2 in each region.

    Attributes:
        name: Name of the textures.
        train: Textures for training, `float32` of shape `(n, rows, columns)`, values
            from 0 to 1.
        valid: Textures for validation, with fewer rows and columns.
        test: Textures for testing, with the shape of `valid`.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def load_textures(source: str | os.PathLike = "auto", size: int = 96) -> Textures:
    """Load textures.

    Scans are cropped to squares and resized to 640 pixels a side for images of 96 x 96
    pixels, and in proportion for images of another size.

    Args:
        source: One of

            - `"brodatz"`: 20 textures of the Brodatz album, from
              `$RLADDER_DATA_DIR/brodatz/D5.gif` and so on.
            - titles of two or more scans of the album, such as `"D6,D21,D49"`.
            - `"generated"`: 20 computed textures, always the same: filtered noise,
              gratings, lattices, dots, stones.
            - `"auto"`: the album if its folder exists, otherwise `"generated"`.
            - the path of a folder with two or more images (.gif, .jpeg, .jpg, .png,
              .tif, .tiff), one for each texture. They are converted to grey, and
              transparent parts become black.
        size: Side in pixels of the images that will be cut from the textures, at least
            24.

    Returns:
        `Textures`. The arrays are cached and shared by all callers, and therefore
        read-only.

    Raises:
        FileNotFoundError: If there is no such folder, or the album is incomplete.
        ValueError: If an image is damaged, too small or without contrast, or if there
            are fewer than two images.

    Examples:
        >>> textures = zoo.data.load_textures("generated", size=24)
        >>> len(textures.train)
        20
    """
    check_integer("size", size, SMALLEST)
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "`textures` must be 'brodatz', 'generated', 'auto', titles such as "
            "'D6,D21', the path of a folder of images, or `Textures`; got type "
            f"{type(source).__name__}. Pass one of these."
        )
    if source == "auto":
        source = "generated" if _album_folder() is None else "brodatz"
    if source == "brodatz":
        return _load_album(_album(), size, ALBUM)
    if source == "generated":
        return _load_generated(size)
    titles = tuple(title.strip() for title in os.fspath(source).split(","))
    if len(titles) > 1 and all(TITLE.fullmatch(title) for title in titles):
        if len(set(titles)) < len(titles):
            raise ValueError(
                f"`textures` must be different titles; {source!r} names one twice. "
                "Remove it."
            )
        return _load_album(_album(), size, titles)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            "`textures` must be 'auto', 'brodatz', 'generated', titles such as "
            "'D6,D21', or the path of an existing folder of images; got "
            f"{str(folder)!r}. Check the path."
        )
    return _load_folder(folder.resolve(), size)


def _album_folder() -> Path | None:
    data = data_dir()
    folder = data / "brodatz" if data else None
    return folder.resolve() if folder is not None and folder.is_dir() else None


def _album() -> Path:
    folder = _album_folder()
    if folder is None:
        raise FileNotFoundError(
            f"The Brodatz album must be in ${DATA_DIR}/brodatz; got no such folder. "
            "Put its scans there, or use 'generated' or a folder of your own images."
        )
    return folder


def scan_side(size: int) -> int:
    """Return the side in pixels of resized scans, for images of side `size`."""
    return round(size * SCAN / IMAGE)


def regions(scan: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a square image into the regions for training, validation and testing.

    The largest crops, at the scale 1/2 and rotated by 45 degrees, are 0.42 sides wide
    and high. They fit into each region.
    """
    side = len(scan)
    border = round(side * 9 / 16)
    lower = scan[border:]
    return scan[:border], lower[:, : side // 2], lower[:, side - side // 2 :]


def equalise(texture: np.ndarray) -> np.ndarray:
    """Normalise a texture to mean 0.5 and standard deviation 0.2, within [0, 1].

    Values outside of [0, 1] are clipped, which changes mean and deviation. Therefore
    the normalisation is repeated.
    """
    for _ in range(20):
        texture = (texture - texture.mean()) * (DEVIATION / texture.std()) + MEAN
        texture = np.clip(texture, 0, 1)
    return texture


@functools.lru_cache(maxsize=2)
def _load_album(folder: Path, size: int, titles: tuple[str, ...]) -> Textures:
    paths = [folder / f"{title}.gif" for title in titles]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} must contain the scans of the Brodatz album; it lacks "
            f"{', '.join(missing)}. Put them there, or use 'generated' or a folder of "
            "your own images."
        )
    return _prepare(f"{len(titles)} Brodatz textures", paths, size)


@functools.lru_cache(maxsize=2)
def _load_folder(folder: Path, size: int) -> Textures:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise ValueError(
            f"{folder} must contain at least two images ({', '.join(SUFFIXES)}), for "
            f"digit and background; got {len(paths)} image(s). Add images, or choose "
            "another folder."
        )
    return _prepare(f"{len(paths)} textures of {folder}", paths, size)


@functools.lru_cache(maxsize=2)
def _load_generated(size: int) -> Textures:
    scans = generate()
    titles = [f"generated texture {i}" for i in range(len(scans))]
    return _stack(f"{len(scans)} generated textures", titles, scans, size)


def _prepare(name: str, paths: list[Path], size: int) -> Textures:
    return _stack(name, paths, [read_grey(path) for path in paths], size)


def _stack(name: str, titles: list, scans: list[np.ndarray], size: int) -> Textures:
    scans = [_square(*pair, size) for pair in zip(titles, scans, strict=True)]
    side = scan_side(size)
    shapes = [part.shape for part in regions(np.empty((side, side)))]
    stacks = []
    for i, shape in enumerate(shapes):
        parts = [_resize(regions(scan)[i], shape) for scan in scans]
        for title, part in zip(titles, parts, strict=True):
            # Not 0, because resizing a part without contrast leaves rounding errors.
            if part.std() < 1e-3:
                raise ValueError(
                    f"{title} must be a homogeneous texture; one part of it has a "
                    "single grey value. Remove it."
                )
        stack = np.stack([equalise(part) for part in parts]).astype(np.float32)
        stack.flags.writeable = False
        stacks.append(stack)
    return Textures(name, *stacks)


def _square(title: str | Path, scan: np.ndarray, size: int) -> np.ndarray:
    """Return the central square of a scan.

    Raises:
        ValueError: If the scan would have to be enlarged more than twice.
    """
    height, width = scan.shape
    least = -(-scan_side(size) // 2)
    side = min(height, width)
    if side < least:
        raise ValueError(
            f"{title} must have at least {least} x {least} pixels for images of {size} "
            f"x {size}; it is too small, {height} x {width} pixels. Remove it, or "
            "choose a smaller `size`."
        )
    top, left = (height - side) // 2, (width - side) // 2
    return scan[top : top + side, left : left + side]


def _resize(part: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(part.astype(np.float32))
    image = image.resize(shape[::-1], Image.Resampling.LANCZOS)
    return np.asarray(image, np.float64)


def read_grey(path: Path) -> np.ndarray:
    """Read an image file in grey, `float32` of shape `(height, width)`.

    The image is rotated by its EXIF orientation. Transparent parts become black.

    Raises:
        ValueError: If Pillow cannot read the file as an image.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            # Pillow would clip greys of 16 and 32 bits at 255.
            deep = file.mode.startswith(("I", "F"))
            image = upright(file)
            grey = np.asarray(image if deep else opaque(image, "L"), np.float32)
    # Pillow raises many types of errors for damaged images.
    except Exception as error:
        raise ValueError(
            f"{path} must be an image; it cannot be read as an image ({error}). "
            "Replace it, or remove it from the folder."
        ) from error
    if not np.isfinite(grey).all():
        raise ValueError(
            f"{path} must have finite pixels; got NaN or infinity. Remove it."
        )
    return grey


def generate(side: int = SCAN) -> list[np.ndarray]:
    """Compute 20 homogeneous textures that are easy to distinguish.

    Random textures are computed with periodic boundaries and would continue at the
    opposite side, which is in another split. Therefore they are cut out of larger ones.

    Args:
        side: Side of the textures in pixels.

    Returns:
        List of arrays of shape `(side, side)`, always the same.
    """
    from scipy import ndimage

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side].astype(np.float64)

    def blur(draw, *sigma):
        """Blur an image that `draw` returns for a shape, by `sigma` pixels (y, x)."""
        image = draw([side + int(4 * s) for s in sigma])
        return ndimage.gaussian_filter(image, sigma, mode="wrap")[:side, :side]

    def noise(*sigma):
        """Return blurred white noise with standard deviation 1."""
        image = blur(rng.standard_normal, *sigma)
        return image / image.std()

    def band(period):
        """Return isotropic noise of about one wavelength, standard deviation 1."""
        shape = 2 * [side + 5 * period]
        frequencies = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape)))
        gain = np.exp(-((frequencies * period - 1) ** 2) / 0.05)
        spectrum = np.fft.fft2(rng.standard_normal(shape)) * gain
        image = np.fft.ifft2(spectrum).real[:side, :side]
        return image / image.std()

    def wave(place, period):
        return np.sin(2 * np.pi * place / period)

    def sparse(share):
        """Return a function of a shape that draws 1 at random places, otherwise 0."""
        return lambda shape: (rng.random(shape) < share).astype(np.float64)

    def bricks(height, width):
        row = y // height
        joint = (y % height < 4) | ((x + row * width / 2) % width < 4)
        return ndimage.gaussian_filter(joint.astype(np.float64), 1)

    def zigzag(period, fold):
        return wave(y + abs(x % (2 * fold) - fold), period)

    def basket(width):
        across = (x // width + y // width) % 2 == 0
        return np.where(across, wave(x, width / 2), wave(y, width / 2))

    def stones(share):
        """Return the distance to the nearest random point, and a grey of each point."""
        places = sparse(share)((side, side)) == 0
        distance, (i, j) = ndimage.distance_transform_edt(places, return_indices=True)
        return distance, rng.random((side, side))[i, j]

    needles = [blur(sparse(0.002), 12, 0.8), blur(sparse(0.002), 0.8, 12)]
    return [
        noise(1.2, 1.2),
        band(9),
        band(30),
        noise(10, 1.2),
        noise(24, 3),
        np.sign(band(24)),
        -abs(band(30)),
        wave(x, 10),
        np.sign(noise(200, 2.5)),
        wave(x + 5 * noise(12, 12), 16),
        wave(x, 14) + wave(y, 14),
        np.sign(wave(x, 28) * wave(y, 28)),
        sum(wave(x * np.cos(a) + y * np.sin(a), 22) for a in np.pi / 3 * np.arange(3)),
        bricks(16, 40),
        zigzag(14, 24),
        basket(24),
        blur(sparse(0.006), 2.5, 2.5),
        sum(needles),
        stones(0.006)[0],
        stones(0.006)[1],
    ]
