"""Pictures as Pillow images and back, for what only Pillow knows: converting between modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlogd.rendering.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


def to_pil(picture: Picture) -> Image:
    """Return the picture as a Pillow image (a copy of its pixels)."""
    from PIL import Image

    pixels = picture.pixels
    if picture.mode == "1":
        raw = np.packbits(pixels, axis=1).tobytes()
    elif picture.mode == "I;16":
        raw = pixels.astype("<u2", copy=False).tobytes()
    else:
        raw = pixels.tobytes()
    image = Image.frombytes(picture.mode, (picture.width, picture.height), raw)
    if picture.palette is not None and picture.mode in ("P", "PA"):
        image.putpalette(picture.palette, picture.palette_mode)
    return image


def from_pil(image: Image) -> Picture:
    """Return a Pillow image's pixels; mode "I" is clipped to 16 bits, as Pillow's own PNG writer does."""
    if image.mode == "I":
        levels: npt.NDArray[Any] = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return Picture(levels, "I;16")
    if image.mode.startswith("I;16"):
        return Picture(np.ascontiguousarray(np.asarray(image), dtype=np.uint16), "I;16")
    pixels = np.ascontiguousarray(np.asarray(image))
    if image.mode in ("P", "PA") and image.palette is not None:
        palette_mode = "RGBA" if image.palette.mode == "RGBA" else "RGB"
        palette = bytes(image.getpalette(palette_mode) or [])
        return Picture(pixels, image.mode, palette=palette, palette_mode=palette_mode)
    return Picture(pixels, image.mode)


def convert_mode(picture: Picture, mode: str) -> Picture:
    """Convert to another Pillow mode with Pillow's own rules (ITU-R 601 luma, dithering to "1", and so on).

    Raises InputError for an unknown mode and for a conversion that Pillow does not have.
    """
    if picture.mode == mode:
        return picture
    try:
        converted = to_pil(picture).convert(mode)
    except (ValueError, KeyError, OSError) as exc:
        raise InputError(
            f"got mode={mode!r}, expected a mode that {picture.mode} converts to: {exc}"
        ) from exc
    result = from_pil(converted)
    return Picture(result.pixels, result.mode, result.palette, result.palette_mode, picture.icc)
