"""Quality of predicted frames, as the literature on Moving MNIST reports it."""

from types import ModuleType

import numpy as np

HIGHEST = 100.0  # decibels, for frames that are equal


def picture_quality(frames: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return errors and similarities of predicted frames, means over all frames.

    Args:
        frames: True frames in [0, 1], shape `(n, T, height, width, 1)`.
        predicted: Predicted frames, same shape.

    Returns:
        `"MSE"` and `"MAE"`, squared and absolute error, summed over the pixels of a
        frame; `"SSIM"`, structural similarity; `"PSNR"`, peak signal-to-noise ratio in
        decibels, 100 for equal frames. The last two are those of scikit-image.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    metrics = similarity_metrics()
    frames, predicted = (
        np.asarray(x, np.float64).reshape(-1, *x.shape[2:4])
        for x in (frames, predicted)
    )
    errors = predicted - frames
    similarities, ratios = [], []
    for pair in zip(frames, predicted, strict=True):
        similarities.append(metrics.structural_similarity(*pair, data_range=1))
        with np.errstate(divide="ignore"):
            ratios.append(metrics.peak_signal_noise_ratio(*pair, data_range=1))
    return {
        "MSE": float((errors**2).sum(axis=(1, 2)).mean()),
        "MAE": float(np.abs(errors).sum(axis=(1, 2)).mean()),
        "SSIM": float(np.mean(similarities)),
        "PSNR": float(np.minimum(ratios, HIGHEST).mean()),
    }


def similarity_metrics() -> ModuleType:
    """Return `skimage.metrics`, or raise an `ImportError` that says how to get it."""
    try:
        from skimage import metrics
    except ImportError as error:
        raise ImportError(
            "The package scikit-image must be installed to compute SSIM and PSNR; got "
            "no such package. Run pip install scikit-image."
        ) from error
    return metrics
