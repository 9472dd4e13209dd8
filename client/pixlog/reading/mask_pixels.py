"""Class ids of mask files, as they stand in the file.

Masks that were logged as arrays are gray PNGs of 8 or 16 bits.  One that was logged as a file is stored as it came, and
data sets have others: a palette, whose indices are the ids and whose colours are there for people (PASCAL VOC), or gray
of 1, 2 or 4 bits, which Pillow spreads over the range of 8.  A file of colours says no id.

Source of the scaling: ``PngImagePlugin.py`` and ``Unpack.c`` of Pillow, raw modes ``L;2`` and ``L;4``.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.decoding import array_of_pil, decode_image, pillow
from pixlog.reading.plain_png import plain_gray

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH, _COLOUR_TYPE = 24, 25  # where a PNG says them
_SCALE: Final = {2: 85, 4: 17}
_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "I"})


def mask_ids(data: bytes, *, name: str) -> npt.NDArray[Any]:
    """Return the class ids of a mask file, (H, W) of whole numbers; raise ``RunError`` if it has none."""
    plain = plain_gray(data)
    if plain is not None:
        return plain
    picture = decode_image(data, name=name)
    if picture.mode not in _MODES and not picture.mode.startswith("I;16"):
        raise RunError(f"{name} is no mask: its pixels are {picture.mode}, expected one class id for each")
    pixels = np.array(picture) if picture.mode in ("P", "PA") else array_of_pil(picture)
    ids = pixels[..., 0] if pixels.ndim == 3 else pixels
    if ids.dtype == np.bool_:
        return ids.astype(np.uint8)
    scale = _scale(data)
    return ids if scale == 1 else ids // np.uint8(scale)


def as_gray_png(data: bytes, *, name: str) -> bytes:
    """Return a mask file as a gray PNG of 8 or 16 bits, which has the same ids for everyone; itself if it is one."""
    if data.startswith(_PNG) and data[_COLOUR_TYPE] == 0 and data[_BIT_DEPTH] in (8, 16):
        return data
    ids = mask_ids(data, name=name)
    buffer = io.BytesIO()
    picture = pillow().fromarray(ids.astype(np.uint8 if ids.max(initial=0) < 256 else np.uint16))
    picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _scale(data: bytes) -> int:
    is_gray = data.startswith(_PNG) and data[_COLOUR_TYPE] == 0
    return _SCALE.get(data[_BIT_DEPTH], 1) if is_gray else 1
