"""MSE, PSNR and SSIM against scikit-image, which we did not write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import metrics

from pixlog.compare.metrics import (
    absolute_difference,
    default_data_range,
    mean_squared_error,
    psnr_db,
    structural_similarity,
)
from pixlog.errors import InputError

oracle_mse: Callable[..., float] = metrics.mean_squared_error
oracle_psnr: Callable[..., float] = metrics.peak_signal_noise_ratio
oracle_ssim: Callable[..., float] = metrics.structural_similarity

RANGES = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


def noisy_pair(
    shape: tuple[int, ...], dtype: str, noise: float, seed: int = 0
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return a smooth picture and the same with noise, both in ``dtype``."""
    random = np.random.default_rng(seed)
    ramp = np.add.outer(np.linspace(0, 3, shape[0]), np.linspace(0, 5, shape[1]))
    picture = 0.5 + 0.45 * np.sin(ramp.reshape(ramp.shape + (1,) * (len(shape) - 2)) + np.zeros(shape))
    other = np.clip(picture + noise * random.standard_normal(shape), 0, 1)
    if dtype == "bool":
        return picture > 0.5, other > 0.5
    scale = RANGES[dtype]
    return (picture * scale).astype(dtype), (other * scale).astype(dtype)


@pytest.mark.parametrize("dtype", RANGES)
@pytest.mark.parametrize(
    "shape", [(11, 11), (11, 40), (75, 12), (64, 48), (90, 151, 3), (33, 20, 4), (16, 16, 1)]
)
def test_metrics_agree_with_scikit_image(shape: tuple[int, ...], dtype: str) -> None:
    """MSE, PSNR and SSIM are scikit-image's to many digits, for each dtype, odd sizes and any channels."""
    a, b = noisy_pair(shape, dtype, 0.08)
    data_range = default_data_range(a, b)
    assert data_range == RANGES[dtype]
    mse = mean_squared_error(absolute_difference(a, b))
    first, second = a.astype(np.float64), b.astype(np.float64)
    assert mse == pytest.approx(oracle_mse(first, second), rel=1e-12)
    assert psnr_db(mse, data_range) == pytest.approx(
        oracle_psnr(first, second, data_range=data_range), rel=1e-12
    )
    expected = oracle_ssim(
        first,
        second,
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1 if a.ndim == 3 else None,
    )
    assert 0 < expected < 1
    assert structural_similarity(a, b, data_range=data_range) == pytest.approx(expected, abs=1e-10)


@given(
    height=st.integers(11, 150),
    width=st.integers(11, 40),
    noise=st.floats(0.001, 2),
    seed=st.integers(0, 99),
)
def test_ssim_agrees_with_scikit_image_for_any_size(height: int, width: int, noise: float, seed: int) -> None:
    """However the bands of rows fall, SSIM is that of the whole image."""
    a, b = noisy_pair((height, width), "float32", noise, seed)
    first, second = a.astype(np.float64), b.astype(np.float64)
    expected = oracle_ssim(first, second, data_range=1, gaussian_weights=True, use_sample_covariance=False)
    assert structural_similarity(a, b, data_range=1) == pytest.approx(expected, abs=1e-9)


def test_equal_images_have_infinite_psnr_and_ssim_one() -> None:
    """Of an image and itself MSE is 0, PSNR infinite and SSIM 1."""
    a, _ = noisy_pair((40, 30, 3), "uint16", 0.1)
    difference = absolute_difference(a, a.copy())
    assert mean_squared_error(difference) == 0
    assert psnr_db(0.0, 65535) == math.inf
    assert structural_similarity(a, a.copy(), data_range=65535) == pytest.approx(1, abs=1e-12)


def test_difference_of_unsigned_integers_does_not_wrap() -> None:
    """0 and 255 differ by 255, 0 and 65535 by 65535, in either order."""
    for dtype, most in (("uint8", 255), ("uint16", 65535)):
        low, high = np.zeros((2, 2), dtype), np.full((2, 2), most, dtype)
        assert absolute_difference(low, high).max() == most
        assert absolute_difference(high, low).min() == most


def test_range_of_floats_is_theirs_unless_they_are_fractions() -> None:
    """Floats from 0 to 1 have the range 1; depth in metres that of both images; NaN and infinities do not count."""
    unit = np.array([[0.2, 0.3]], np.float32)
    assert default_data_range(unit, unit) == 1
    metres = np.array([[2.0, np.nan], [np.inf, 6.0]], np.float32)
    assert default_data_range(metres, metres + 4) == 8
    empty = np.full((1, 2), np.nan, np.float32)
    assert default_data_range(empty, empty) == 1


def test_same_nan_and_infinity_differ_by_nothing() -> None:
    """NaN at one place in both images is no difference, in one of them it is one."""
    a = np.array([[np.nan, np.inf, 1.0]])
    assert absolute_difference(a, a.copy()).tolist() == [[0, 0, 0]]
    b = np.array([[0.0, np.inf, 1.0]])
    assert np.isnan(mean_squared_error(absolute_difference(a, b)))


def test_ssim_of_small_images_says_what_it_needs() -> None:
    """An image smaller than the window is an error that names both sizes."""
    small = np.zeros((10, 40), np.uint8)
    with pytest.raises(InputError, match="windows of 11×11 pixels, got 40×10"):
        structural_similarity(small, small, data_range=255)


def test_unequal_shapes_are_refused() -> None:
    """Images of unequal shapes are never broadcast."""
    with pytest.raises(InputError, match=r"\(3, 4\) and \(3, 1\)"):
        absolute_difference(np.zeros((3, 4)), np.zeros((3, 1)))
