"""How far two images are apart: MSE, PSNR, SSIM and the largest difference of a sample, in plain NumPy.

Theory of operation.  Everything is computed in float64, over every sample of every channel; an alpha channel is a
channel like the others.  PSNR and SSIM need to know the range of values that an image could have: that of its
dtype for integers (255, 65535), which makes them comparable between steps whatever the images show.

SSIM is that of Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image quality assessment: from error
visibility to structural similarity", IEEE Transactions on Image Processing 13 (4), 2004: local means, variances
and covariance under a Gaussian window of 11 × 11 samples with a standard deviation of 1.5, K1 = 0.01, K2 = 0.03,
averaged over all places where the window lies within the image, and over the channels.  The window is separable:
it passes over rows, then columns; bands of rows are done one after the other, so that the working arrays of a
large image stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError

WINDOW_PX: Final = 11
_SIGMA_PX: Final = 1.5
_K1: Final = 0.01
_K2: Final = 0.03
_BAND_ROWS: Final = 64

Pixels = npt.NDArray[Any]


def default_data_range(a: Pixels, b: Pixels) -> float:
    """Return the range of values of two images of one dtype.

    That of the dtype for bool (1), uint8 (255), uint16 (65535) and other integers.  Floats have none of their own:
    1 if all lie within 0 and 1, else the distance from the smallest to the largest finite value of both.
    """
    if a.dtype == np.bool_:
        return 1.0
    if np.issubdtype(a.dtype, np.integer):
        limits = np.iinfo(a.dtype)
        return float(limits.max) - float(limits.min)
    finite = np.concatenate([image[np.isfinite(image)].ravel() for image in (a, b)])
    if not len(finite):
        return 1.0
    low, high = float(finite.min()), float(finite.max())
    return 1.0 if low == high or (low >= 0 and high <= 1) else high - low


def absolute_difference(a: Pixels, b: Pixels) -> npt.NDArray[np.float64]:
    """Return |a − b| in float64, 0 where both hold the same, infinities and NaN included."""
    _check_same_shape(a, b)
    first, second = a.astype(np.float64), b.astype(np.float64)
    is_same = (first == second) | (np.isnan(first) & np.isnan(second))
    with np.errstate(invalid="ignore"):
        return np.where(is_same, 0.0, np.abs(first - second))


def mean_squared_error(difference: npt.NDArray[np.float64]) -> float:
    """Return the mean of the squares of ``absolute_difference``; NaN or infinite if any of it is."""
    with np.errstate(over="ignore"):
        return float(np.mean(np.square(difference)))


def psnr_db(mse: float, data_range: float) -> float:
    """Return the peak signal-to-noise ratio, 10 · log10(data_range² / mse), in dB; infinite where ``mse`` is 0."""
    if mse == 0:
        return math.inf
    return 20 * math.log10(data_range) - 10 * math.log10(mse) if math.isfinite(mse) else -math.inf


def structural_similarity(a: Pixels, b: Pixels, *, data_range: float) -> float:
    """Return the mean SSIM of two images, (H, W) or (H, W, C), H and W at least ``WINDOW_PX``: 1 for equal ones.

    It is what scikit-image's ``structural_similarity`` computes with ``gaussian_weights=True`` and
    ``use_sample_covariance=False``.  Raises ``InputError`` for unequal shapes and for images that are too small.
    """
    _check_same_shape(a, b)
    if min(a.shape[:2]) < WINDOW_PX:
        raise InputError(
            f"SSIM looks at windows of {WINDOW_PX}×{WINDOW_PX} pixels, got {a.shape[1]}×{a.shape[0]}"
        )
    channels = 1 if a.ndim == 2 else a.shape[2]
    first, second = a.reshape(*a.shape[:2], channels), b.reshape(*b.shape[:2], channels)
    total = sum(
        _ssim_sum(first_band, second_band, data_range)
        for channel in range(channels)
        for first_band, second_band in _bands(first[..., channel], second[..., channel])
    )
    places = (a.shape[0] - WINDOW_PX + 1) * (a.shape[1] - WINDOW_PX + 1)
    return float(total / (places * channels))


def _bands(a: Pixels, b: Pixels) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Yield bands of rows that overlap by what the window needs, so that every place of it is in one band."""
    overlap = WINDOW_PX - 1
    for top in range(0, a.shape[0] - overlap, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS + overlap)
        yield a[rows].astype(np.float64), b[rows].astype(np.float64)


def _ssim_sum(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], data_range: float) -> float:
    """Return the sum of SSIM over every place of the window in two planes."""
    mean_a, mean_b = _windowed(a), _windowed(b)
    squares, product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    variances = _windowed(a * a + b * b) - squares
    covariance = _windowed(a * b) - product
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    numerator = (2 * product + c1) * (2 * covariance + c2)
    return float(np.sum(numerator / ((squares + c1) * (variances + c2))))


def _windowed(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Gaussian-weighted mean at every place where the window lies within ``plane``."""
    return _along_columns(_along_columns(plane.T).T)


def _along_columns(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    last = len(_WEIGHTS) - 1
    height = plane.shape[0] - last
    mean: npt.NDArray[np.float64] = _WEIGHTS[last // 2] * plane[last // 2 : last // 2 + height]
    room = np.empty_like(mean)
    for place in range(last // 2):
        np.add(plane[place : place + height], plane[last - place : last - place + height], out=room)
        room *= _WEIGHTS[place]
        mean += room
    return mean


def _gaussian_weights() -> npt.NDArray[np.float64]:
    places = np.arange(WINDOW_PX) - WINDOW_PX // 2
    weights = np.exp(-(places**2) / (2 * _SIGMA_PX**2))
    normalized: npt.NDArray[np.float64] = weights / weights.sum()
    return normalized


_WEIGHTS: Final = _gaussian_weights()


def _check_same_shape(a: Pixels, b: Pixels) -> None:
    if a.shape != b.shape:
        raise InputError(f"images of one shape can be compared, got {a.shape} and {b.shape}")
