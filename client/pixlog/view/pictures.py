"""Pixels of a run for the page: what browsers cannot decode, and the stored values themselves.

A browser shows 8-bit files on its own.  TIFFs are shown as their preview or as a PNG made here.  Pixel values,
histograms and differences are taken from the stored array, never from what a canvas gives back: a canvas knows
8 bits, premultiplied by alpha.
"""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.decoding import array_of_pil, as_eight_bits, decode_image, size_of_image
from pixlog.reading.mask_pixels import mask_ids
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import ImageFile
from pixlog.view.guarded_files import FileGone, is_shown_by_browsers, read_guarded
from pixlog.view.packing import pack

if TYPE_CHECKING:
    from PIL import Image as pil_image

_MAX_VALUES_NBYTES: Final = 512 << 20
_decoders: Final = threading.BoundedSemaphore(max(2, min(4, os.cpu_count() or 1)))
"""So many images are decoded at once; more would only take memory."""


def stored_file(image: SavedImage) -> ImageFile:
    """Return the file of an image; raise ``FileGone`` for one that was logged as a reference."""
    if image.file is None:
        raise FileGone(f"nothing is stored: logged as a reference to {image.url}")
    return image.file


def shown_file(image: SavedImage) -> ImageFile | None:
    """Return the file that a browser can show as it is; None if there is none."""
    for file in (image.preview, stored_file(image)):
        if file is not None and is_shown_by_browsers(file):
            return file
    return None


def picture_png(image: SavedImage) -> bytes:
    """Return what browsers cannot decode as an 8-bit PNG."""
    with _decoders:
        picture = as_eight_bits(open_pil(stored_file(image)))
        buffer = io.BytesIO()
        picture.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def size_of(image: SavedImage) -> tuple[int, int] | None:
    """Return width and height of the stored image in pixels, from its head; None where that cannot be told."""
    try:
        file = stored_file(image)
        return size_of_image(read_guarded(file), name=file.relative_path)
    except RunError:
        return None


def thumbnail_file(image: SavedImage) -> ImageFile:
    """Return the file that the thumbnail is made from and named by; a preview where equal stored files may have two."""
    return shown_file(image) or stored_file(image)


def thumbnail_bytes(image: SavedImage, side_px: int) -> tuple[bytes, str]:
    """Return a small picture whose longer side is at most ``side_px``, and its content type.

    Smaller images stay as they are: the page enlarges them pixel by pixel.
    """
    from PIL import Image

    with _decoders:
        picture = open_pil(thumbnail_file(image), draft_px=side_px)
        longest = max(picture.size)
        picture = as_eight_bits(picture)
        if longest > side_px:
            size = (max(1, picture.width * side_px // longest), max(1, picture.height * side_px // longest))
            picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
        buffer = io.BytesIO()
        if longest <= 128:
            picture.save(buffer, "png", compress_level=1)
            return buffer.getvalue(), "image/png"
        picture.save(buffer, "webp", quality=85, method=1)
        return buffer.getvalue(), "image/webp"


def packed_values(image: SavedImage) -> bytes:
    """Return the stored pixels for the page: width, height, channels, their dtype, and the values as one it has."""
    with _decoders:
        stored = array_of_pil(open_pil(stored_file(image)))
        values = _for_javascript(stored)
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    header = {"width": width, "height": height, "channels": channels, "dtype": stored.dtype.name}
    return pack(header, {"values": values.ravel()})


def mask_of(file: ImageFile) -> npt.NDArray[Any]:
    """Return the class ids of a mask, (H, W); raise ``RunError`` for one of colours."""
    with _decoders:
        return _for_javascript(mask_ids(read_guarded(file), name=file.relative_path))


def open_pil(file: ImageFile, *, draft_px: int | None = None) -> pil_image.Image:
    """Decode a row's file, a JPEG at no more than the size that is needed for ``draft_px``."""
    return decode_image(read_guarded(file), name=file.relative_path, draft_px=draft_px)


def _for_javascript(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.nbytes > _MAX_VALUES_NBYTES:
        raise RunError(f"{array.nbytes} bytes of pixel values are more than the page can hold")
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind in "ui" and array.dtype.itemsize == 8:
        return array.astype(np.float64)
    return array
