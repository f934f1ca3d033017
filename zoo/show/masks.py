"""Pictures of groups: Figs. 6 and 7."""

import os
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.show.drawing import (
    COLOURS,
    _grey,
    _images,
    _snapshot,
    _table,
    _write_animation,
    _write_figure,
)


def groups(
    images: np.ndarray, outputs: dict, path: str | os.PathLike, n: int = 2
) -> Path:
    """Shows how still images fall into groups, iteration by iteration, like Fig. 6.

    For each image: the image coloured by its groups, then what each group takes the
    whole image for.

    Args:
        images: Shape `(batch, H, W, 1)`, from 0 (black) to 1 (white).
        outputs: What a model of `zoo.textured_mnist` predicts for them.
        path: Where to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        n: Number of images to show, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, `n` is not as above, or the suffix of the
            path is another one.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.groups(np.zeros((1, 8, 8, 1)), outputs, "groups.png").name
        'groups.png'
    """
    check_integer("n", n, 1)
    images = _images("images", images)
    pi, mu = _explanations(outputs, len(images), images.shape[1:])
    rows = []
    for image, p, m in zip(images[:n], pi, mu, strict=False):
        still = [_grey(image), *[None] * (len(p) - 1)]
        rows.append(("Image", still))
        rows.append(("Groups", [_coloured(image, each, floor=0.3) for each in p]))
        for k in range(p.shape[1]):
            rows.append((f"Group {k + 1}", _grey(m[:, k])))
    return _write_figure(path, _table(rows, group=2 + pi.shape[2]))


def video(
    film: np.ndarray, outputs: dict, path: str | os.PathLike, title: str | None = None
) -> Path:
    """Shows the groups of one film, like Fig. 7: observed, and predicted in colours.

    Args:
        film: Frames of shape `(T, H, W, 1)`, from 0 (background) to 1.
        outputs: What a model of `zoo.moving_mnist` predicts for it, of a batch of one.
            What it says at frame t stands under frame t + 1. It may go on where the
            film ends.
        path: Where to write. `.png`, `.pdf` and `.svg` give a figure, `.gif` gives an
            animation. An existing file is replaced.
        title: Text above all.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, or the suffix of the path is another one.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.video(np.zeros((3, 8, 8, 1)), outputs, "film.gif").name
        'film.gif'
    """
    film = _images("film", film)
    pi, mu = (x[0] for x in _explanations(outputs, 1, film.shape[1:]))
    predicted = [_coloured((p * m).sum(0), p) for p, m in zip(pi, mu, strict=True)]
    time = max(len(film), len(predicted))
    observed = [*_grey(film), *[None] * (time - len(film))]
    predicted = [None, *predicted][:time]
    predicted += [None] * (time - len(predicted))
    rows = [("Observed", observed), ("Predicted\nin groups", predicted)]
    if Path(path).suffix.lower() == ".gif":
        figures = [_snapshot(rows, t, None, title) for t in range(time)]
        return _write_animation(path, figures)
    return _write_figure(path, _table(rows, None, title))


def _explanations(outputs, batch, grid):
    """Groups and reconstructions of a grouping model, without the axis of colours."""
    pi = np.asarray(outputs["groups"], np.float32)
    mu = np.asarray(outputs["reconstructions"], np.float32)[..., 0]
    if pi.ndim != 5 or pi.shape[0] != batch or pi.shape[-2:] != grid:
        wanted = f"({batch}, T, K, {', '.join(map(str, grid))})"
        raise ValueError(
            f"the groups have shape {pi.shape}, and must have {wanted}, as the model "
            "predicts them for these images."
        )
    if not (np.isfinite(pi).all() and np.isfinite(mu).all()):
        raise ValueError("the groups have NaN or infinite numbers.")
    return pi, mu


def _coloured(image, groups, floor=0.0):
    """An image in the colours of its groups, which no pixel is too dark for."""
    colours = COLOURS[np.arange(len(groups)) % len(COLOURS)]
    light = floor + (1 - floor) * np.clip(image, 0, 1)
    return np.tensordot(groups, colours, (0, 0)) * light[..., None]
