"""Homogeneous textures for Brodatz-textured MNIST (Section 4.2), in NumPy.

The paper takes 20 textures of Brodatz' album (1966) and does not say which. Here these
are 20 of its first 60 whose local mean and contrast vary least from place to place,
less those that look like another one. Where there is no album, 20 textures are
computed.

Every scan is cut into three regions: the upper 9/16 are for training, the lower left
part is for validation and the lower right part for testing. They are cut before
anything else is done, so that no pixel has a part in two of them. Lines at a cut are
neighbours, as similar as neighbours are. Regular patterns among the computed textures
(gratings, lattices, bricks) repeat themselves, so that their crops from two splits may
be equal. Pillow and SciPy are imported only where a source needs them.
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
SCAN = 640  # pixels of a side of a scan, for images of 96 x 96
IMAGE = 96
SMALLEST = 24
MEAN, DEVIATION = 0.5, 0.2


class Textures(NamedTuple):
    """The same textures in three disjoint regions of their scans.

    Each texture has the mean 0.5 and the standard deviation 0.2 in each region.

    Attributes:
        name: Which textures these are.
        train: `float32` of shape `(n, rows, columns)`, values from 0 to 1.
        valid: The same for validation, smaller.
        test: The same for testing, as large as `valid`.
    """

    name: str
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def load_textures(source: str | os.PathLike = "auto", size: int = 96) -> Textures:
    """Loads textures; a second call with the same source gives the same arrays.

    Scans are cropped to squares and resized so that they have 640 pixels a side for
    images of 96 x 96 pixels, and in proportion for images of another size.

    Args:
        source: One of

            - `"brodatz"`: 20 textures of the Brodatz album, from
              `$RLADDER_DATA_DIR/brodatz/D5.gif` and so on.
            - titles of two or more scans of the album, such as `"D6,D21,D49"`.
            - `"generated"`: 20 computed textures, always the same: filtered noise,
              gratings, lattices, dots, stones.
            - `"auto"`: the album if its folder is there, else `"generated"`.
            - the path of a folder with two or more images (.gif, .jpeg, .jpg, .png,
              .tif, .tiff), each of one texture; colours become greys, and
              transparent parts black.
        size: Side of the images that the textures are for, in pixels, at least 24.

    Returns:
        `Textures`. The arrays are read-only, because every caller gets the same ones.

    Raises:
        FileNotFoundError: If there is no such folder, or the album is incomplete.
        ValueError: If an image is damaged, too small or without any contrast, or if
            there are fewer than two.

    Examples:
        >>> textures = zoo.data.load_textures("generated", size=24)
        >>> len(textures.train)
        20
    """
    check_integer("size", size, SMALLEST)
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "textures must be 'brodatz', 'generated', 'auto', the path of a folder of "
            f"images or `Textures`, and not of type {type(source).__name__}."
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
            raise ValueError(f"textures {source!r} names one twice.")
        return _load_album(_album(), size, titles)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(folder)!r}: give the path of a folder of images, "
            "one of 'auto', 'brodatz' and 'generated', or titles such as 'D6,D21'."
        )
    return _load_folder(folder.resolve(), size)


def _album_folder() -> Path | None:
    folder = data_dir() / "brodatz" if data_dir() else None
    return folder.resolve() if folder is not None and folder.is_dir() else None


def _album() -> Path:
    folder = _album_folder()
    if folder is None:
        raise FileNotFoundError(
            "The Brodatz album is not on this machine: put its scans into the folder "
            f"'brodatz' of the folder that ${DATA_DIR} names, or take 'generated' or a "
            "folder of your own images."
        )
    return folder


def scan_side(size: int) -> int:
    """Side in pixels that scans are resized to, for images of `size` pixels a side."""
    return round(size * SCAN / IMAGE)


def regions(scan: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts a square image into the parts for training, validation and testing.

    Crops at the scale 1/2, rotated by 45 degrees, have a diagonal of 0.42 sides and
    just fit into each of them.
    """
    side = len(scan)
    border = round(side * 9 / 16)
    lower = scan[border:]
    return scan[:border], lower[:, : side // 2], lower[:, side - side // 2 :]


def equalise(texture: np.ndarray) -> np.ndarray:
    """Gives a texture the mean 0.5 and the standard deviation 0.2, within [0, 1].

    Sparks that are far brighter than the rest are cut off at 1, which moves the mean
    and the deviation; so it is done several times.
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
            f"{folder} lacks {', '.join(missing)}: put the scans of the Brodatz album "
            "there, or take 'generated' or a folder of your own images."
        )
    return _prepare(f"{len(titles)} Brodatz textures", paths, size)


@functools.lru_cache(maxsize=2)
def _load_folder(folder: Path, size: int) -> Textures:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise ValueError(
            f"{folder} has {len(paths)} image(s) ({', '.join(SUFFIXES)}), and figure "
            "and ground need two textures at least: add images or give another folder."
        )
    return _prepare(f"{len(paths)} textures of {folder}", paths, size)


@functools.lru_cache(maxsize=2)
def _load_generated(size: int) -> Textures:
    scans = generate()
    titles = [f"generated texture {i}" for i in range(len(scans))]
    return _stack(f"{len(scans)} generated textures", titles, scans, size)


def _prepare(name: str, paths: list[Path], size: int) -> Textures:
    return _stack(name, paths, [read_grey(path) for path in paths], size)


def _stack(name, titles, scans, size) -> Textures:
    scans = [_square(*pair, size) for pair in zip(titles, scans, strict=True)]
    side = scan_side(size)
    shapes = [part.shape for part in regions(np.empty((side, side)))]
    stacks = []
    for i, shape in enumerate(shapes):
        parts = [_resize(regions(scan)[i], shape) for scan in scans]
        for title, part in zip(titles, parts, strict=True):
            # The resizing of a flat part leaves rounding errors.
            if part.std() < 1e-3:
                raise ValueError(
                    f"{title} is all of one grey in a part: leave it out, it is no "
                    "homogeneous texture."
                )
        stack = np.stack([equalise(part) for part in parts]).astype(np.float32)
        stack.flags.writeable = False
        stacks.append(stack)
    return Textures(name, *stacks)


def _square(title, scan: np.ndarray, size: int) -> np.ndarray:
    """The middle of a scan, if it is large enough to be enlarged twice at most."""
    height, width = scan.shape
    least = -(-scan_side(size) // 2)
    side = min(height, width)
    if side < least:
        raise ValueError(
            f"{title} is too small, {height} x {width} pixels, and images of {size} x "
            f"{size} need textures of {least} x {least}: leave it out, or choose a "
            "smaller `size`."
        )
    top, left = (height - side) // 2, (width - side) // 2
    return scan[top : top + side, left : left + side]


def _resize(part: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(part.astype(np.float32))
    image = image.resize(shape[::-1], Image.Resampling.LANCZOS)
    return np.asarray(image, np.float64)


def read_grey(path: Path) -> np.ndarray:
    """The greys of an image file, `float32` of shape `(height, width)`.

    The image is turned as its EXIF orientation says. Transparent parts are black.

    Raises:
        ValueError: If the file is no image that Pillow can read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            # Pillow would cut the greys of 16 and 32 bits off at 255.
            deep = image.mode.startswith(("I", "F"))
            image = upright(image)
            grey = np.asarray(image if deep else opaque(image, "L"), np.float32)
    # Damaged images make Pillow raise almost anything.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as an image ({error}): it is damaged or something "
            "else; replace it or take it out of the folder."
        ) from error
    if not np.isfinite(grey).all():
        raise ValueError(f"{path} has pixels that are no numbers: leave it out.")
    return grey


def generate(side: int = SCAN) -> list[np.ndarray]:
    """Computes 20 homogeneous textures that are easy to tell from each other.

    Random ones are cut out of larger ones: opposite sides would otherwise go on in each
    other, and lie in different splits.

    Args:
        side: Of the textures, in pixels.

    Returns:
        List of arrays of shape `(side, side)`, always the same ones.
    """
    from scipy import ndimage

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side].astype(np.float64)

    def blur(draw, *sigma):
        """What `draw` gives for a shape, blurred by that many pixels along y and x."""
        image = draw([side + int(4 * s) for s in sigma])
        return ndimage.gaussian_filter(image, sigma, mode="wrap")[:side, :side]

    def noise(*sigma):
        """White noise, blurred; deviation 1."""
        image = blur(rng.standard_normal, *sigma)
        return image / image.std()

    def band(period):
        """Noise of about one wavelength, without a direction; deviation 1."""
        shape = 2 * [side + 5 * period]
        frequencies = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape)))
        gain = np.exp(-((frequencies * period - 1) ** 2) / 0.05)
        spectrum = np.fft.fft2(rng.standard_normal(shape)) * gain
        image = np.fft.ifft2(spectrum).real[:side, :side]
        return image / image.std()

    def wave(place, period):
        return np.sin(2 * np.pi * place / period)

    def sparse(share):
        """Draw for a shape: 1 at random places, else 0."""
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
        """Distance to the nearest of some points, and a random grey for each point."""
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
