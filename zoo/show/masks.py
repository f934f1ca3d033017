"""Pictures of groups: Figs. 6 and 7."""

import os
from pathlib import Path

import numpy as np

from zoo.data.epochs import check_integer
from zoo.show.drawing import (
    COLOURS,
    Row,
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
    """Draw the groups of still images in each iteration, like Fig. 6.

    For each image there is a row with the image in the colours of its groups, and one
    row for each group with the reconstruction of the image by this group.

    Args:
        images: Images of shape `(batch, H, W, 1)`, from 0 (black) to 1 (white).
        outputs: Predictions of a model of `zoo.textured_mnist` for these images.
        path: File to write: `.png`, `.pdf` or `.svg`. An existing file is replaced.
        n: Number of images to draw, at least 1.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, `n` is below 1, or the ending of the path
            is not supported.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.groups(np.zeros((1, 8, 8, 1)), outputs, "groups.png").name
        'groups.png'
    """
    check_integer("n", n, 1)
    images = _images("images", images)
    pi, mu = _explanations(outputs, len(images), images.shape[1:])
    rows: list[Row] = []
    for image, p, m in zip(images[:n], pi, mu, strict=False):
        still = [_grey(image), *[None] * (len(p) - 1)]
        rows.append(("Image", still))
        rows.append(("Groups", [_coloured(image, each, floor=0.3) for each in p]))
        for k in range(p.shape[1]):
            rows.append((f"Group {k + 1}", list(_grey(m[:, k]))))
    return _write_figure(path, _table(rows, group=2 + pi.shape[2]))


def video(
    film: np.ndarray, outputs: dict, path: str | os.PathLike, title: str | None = None
) -> Path:
    """Draw the groups of one sequence of frames, like Fig. 7.

    The upper row has the observed frames, the lower row the predicted frames in the
    colours of their groups. The prediction at time t is drawn below frame t + 1.

    Args:
        film: Frames of shape `(T, H, W, 1)`, from 0 (background) to 1.
        outputs: Predictions of a model of `zoo.moving_mnist` for a batch of this
            sequence only. They may have more time steps than the sequence.
        path: File to write. `.png`, `.pdf` and `.svg` give a figure, `.gif` gives an
            animation. An existing file is replaced.
        title: Text at the top.

    Returns:
        The path.

    Raises:
        ValueError: If a shape does not fit, or the ending of the path is not supported.

    Examples:
        >>> pi, mu = np.full((1, 3, 2, 8, 8), 0.5), np.zeros((1, 3, 2, 8, 8, 1))
        >>> outputs = {"groups": pi, "reconstructions": mu}
        >>> zoo.show.video(np.zeros((3, 8, 8, 1)), outputs, "film.gif").name
        'film.gif'
    """
    film = _images("film", film)
    pi, mu = (x[0] for x in _explanations(outputs, 1, film.shape[1:]))
    coloured = [_coloured((p * m).sum(0), p) for p, m in zip(pi, mu, strict=True)]
    time = max(len(film), len(coloured))
    observed = [*_grey(film), *[None] * (time - len(film))]
    predicted = [None, *coloured][:time]
    predicted += [None] * (time - len(predicted))
    rows = [("Observed", observed), ("Predicted\nin groups", predicted)]
    if Path(path).suffix.lower() == ".gif":
        figures = [_snapshot(rows, t, None, title) for t in range(time)]
        return _write_animation(path, figures)
    return _write_figure(path, _table(rows, None, title))


def _explanations(
    outputs: dict[str, np.ndarray], batch: int, grid: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return groups and reconstructions of a grouping model after checking them.

    Both have shape `(batch, T, K, H, W)`.
    """
    missing = [k for k in ("groups", "reconstructions") if k not in outputs]
    if missing:
        raise ValueError(
            f"`outputs` must have 'groups' and 'reconstructions'; {missing} missing. "
            "Pass the predictions of a grouping model."
        )
    pi = np.asarray(outputs["groups"], np.float32)
    mu = np.asarray(outputs["reconstructions"], np.float32)[..., 0]
    if pi.ndim != 5 or pi.shape[0] != batch or pi.shape[-2:] != grid:
        wanted = f"({batch}, T, K, {', '.join(map(str, grid))})"
        raise ValueError(
            f"`outputs['groups']` must have shape {wanted}; got {pi.shape}. Pass the "
            "predictions of the model for these images."
        )
    if mu.shape != pi.shape:
        raise ValueError(
            f"`outputs['reconstructions']` must have shape {(*pi.shape, 1)}, like the "
            f"groups; got {(*mu.shape, 1)}. Pass the predictions of one call."
        )
    if not (np.isfinite(pi).all() and np.isfinite(mu).all()):
        raise ValueError(
            "`outputs` must be finite; got NaN or infinite values. Check the weights "
            "of the model."
        )
    if pi.min() < -1e-3 or pi.max() > 1 + 1e-3:
        raise ValueError(
            "`outputs['groups']` must be probabilities from 0 to 1; got values from "
            f"{pi.min():g} to {pi.max():g}. Pass the predictions of a grouping model."
        )
    return pi, mu


def _coloured(image: np.ndarray, groups: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Return an image in the colours of its groups.

    Args:
        image: Image of shape `(H, W)`, from 0 to 1.
        groups: Probability of each group, shape `(K, H, W)`.
        floor: Brightness of black pixels, which would otherwise hide their group.
    """
    colours = COLOURS[np.arange(len(groups)) % len(COLOURS)]
    light = floor + (1 - floor) * np.clip(image, 0, 1)
    return np.tensordot(groups, colours, (0, 0)) * light[..., None]
