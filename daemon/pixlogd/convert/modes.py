"""Pillow's mode names, and what they say about channels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlogd.rendering.picture import Picture

CHANNEL_COUNTS: Final = {
    "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3,
    "RGBA": 4, "RGBX": 4, "RGBa": 4, "CMYK": 4,
}  # fmt: skip
_MODE_OF_CHANNELS: Final = {2: "LA", 3: "RGB", 4: "RGBA"}


def natural_picture(pixels: npt.NDArray[Any]) -> Picture:
    """Name the mode of 8-bit pixels, or 16-bit ones with channels, by their channel count; raises InputError."""
    if pixels.ndim == 2:
        return Picture(pixels, "L")
    mode = _MODE_OF_CHANNELS.get(pixels.shape[2])
    if mode is None:
        raise InputError(f"got an image of {pixels.shape[2]} channels, expected 1 to 4")
    return Picture(pixels, mode)


def reorder(image: npt.NDArray[Any], color: str | None) -> npt.NDArray[Any]:
    """Bring blue-first channels into red-first order."""
    if color is None or color in ("RGB", "RGBA"):
        return image
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels != len(color):
        raise InputError(f"got color={color!r} for an image of {channels} channels, expected {len(color)}")
    if color == "BGR":
        return image[:, :, ::-1]
    swapped = np.empty(image.shape, dtype=image.dtype)
    for target, source in enumerate((2, 1, 0, 3)):
        swapped[:, :, target] = image[:, :, source]
    return swapped
