"""Encoded image bytes back to pixels, in the dtype they were stored with.

uint8 for 8-bit files, uint16 for 16-bit ones, float32 for TIFFs of floats, bool for 1-bit ones.  A palette is a
way to store colours, not a value, so palette files come back as RGB, or RGBA where they have transparency.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import MissingExtra, RunError

if TYPE_CHECKING:
    from PIL import Image as pil_image

_size_limit_lock = threading.Lock()


def pillow() -> Any:
    """Return the module ``PIL.Image`` with every format registered; raise ``MissingExtra`` without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("reading pixels", "daemon", "pillow") from None
    Image.init()
    return Image


def decode_image(data: bytes, *, name: str) -> pil_image.Image:
    """Decode every pixel of an encoded image; raise ``RunError`` if it does not decode."""
    image = pillow()
    try:
        return _decoded(image, data)
    except (image.DecompressionBombError, image.DecompressionBombWarning):
        # The limit guards against files of strangers; these were written by pixlog for the reader's user.
        with _size_limit_lock:
            limit, image.MAX_IMAGE_PIXELS = image.MAX_IMAGE_PIXELS, None
            try:
                return _decoded(image, data)
            finally:
                image.MAX_IMAGE_PIXELS = limit
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise RunError(f"{name} does not decode: {error}") from error


def array_of_pil(picture: pil_image.Image) -> npt.NDArray[Any]:
    """Return pixels as (H, W) or (H, W, C), native byte order, writable."""
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    pixels = np.array(picture)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def as_eight_bits(picture: pil_image.Image) -> pil_image.Image:
    """Return ``picture`` as RGB or RGBA: 16 bits scaled down, 32 bits and floats stretched from least to most."""
    image = pillow()
    if picture.mode.startswith(("I", "F")):
        pixels = np.nan_to_num(array_of_pil(picture).astype(np.float64))
        low, high = (0.0, 65535.0) if picture.mode.startswith("I;16") else (pixels.min(), pixels.max())
        scaled = (pixels - low) * (255.0 / max(high - low, 1e-12))
        eight: pil_image.Image = image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
        return eight.convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _decoded(image: Any, data: bytes) -> pil_image.Image:
    picture: pil_image.Image = image.open(io.BytesIO(data))
    picture.load()
    return picture
