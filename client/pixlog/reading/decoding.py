"""Encoded image bytes back to pixels, in the dtype they were stored with.

uint8 for 8-bit files, uint16 for 16-bit ones, float32 for TIFFs of floats, bool for 1-bit ones.  A palette is a
way to store colours, not a value, so palette files come back as RGB, or RGBA where they have transparency.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from pixlog.errors import MissingExtra, RunError
from pixlog.section_lock import SectionLock

if TYPE_CHECKING:
    from PIL import Image as pil_image

_T = TypeVar("_T")

_PLAUSIBLE_PIXELS: Final = 1 << 28  # 16383², the largest WebP, takes few bytes where it is of one colour
_PIXELS_A_BYTE: Final = 10_000
"""More than any other file has: deflate makes 1032 bytes of one (zlib's ``algorithm.txt``), of 8 pixels at most.

A damaged head may say billions of pixels, and whoever makes room for them is killed instead of getting an error."""
_size_limit_lock = SectionLock()


def pillow() -> Any:
    """Return the module ``PIL.Image`` with every format registered; raise ``MissingExtra`` without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("reading pixels", "daemon", "pillow") from None
    Image.init()
    return Image


def decode_image(data: bytes, *, name: str, draft_px: int | None = None) -> pil_image.Image:
    """Decode every pixel of an encoded image; raise ``RunError`` if it does not decode.

    With ``draft_px`` a JPEG is decoded at a smaller size if that has at least so many pixels on each side.
    """

    def load(picture: pil_image.Image) -> pil_image.Image:
        if draft_px is not None:
            picture.draft("RGB", (draft_px, draft_px))
        picture.load()
        return picture

    return _opened(data, name, load)


def size_of_image(data: bytes, *, name: str) -> tuple[int, int]:
    """Return (width, height) of an encoded image, of which no pixel is decoded; raise ``RunError`` for no image."""
    return _opened(data, name, lambda picture: picture.size)


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


def _opened(data: bytes, name: str, read: Callable[[pil_image.Image], _T]) -> _T:
    """Return what ``read`` makes of an encoded image.

    What decoders raise about damaged bytes has no common class: AVIF says RuntimeError, BMP OverflowError, TIFF
    MemoryError, and others whatever the damage leads them into.  All of it becomes ``RunError`` here.
    """
    image = pillow()
    try:
        try:
            return read(image.open(io.BytesIO(data)))
        except (image.DecompressionBombError, image.DecompressionBombWarning):
            # The limit guards against files of strangers; these were written by pixlog for the reader's user.
            try:
                _size_limit_lock.acquire()
                limit, image.MAX_IMAGE_PIXELS = image.MAX_IMAGE_PIXELS, None
                try:
                    picture = image.open(io.BytesIO(data))
                    if picture.width * picture.height > max(_PLAUSIBLE_PIXELS, _PIXELS_A_BYTE * len(data)):
                        size = f"{picture.width}×{picture.height} pixels in {len(data)} bytes"
                        raise ValueError(f"its head is damaged and says {size}")
                    return read(picture)
                finally:
                    image.MAX_IMAGE_PIXELS = limit
            finally:
                if _size_limit_lock.owned:
                    _size_limit_lock.release()
    except Exception as error:
        raise RunError(f"{name} does not decode: {str(error) or type(error).__name__}") from error
