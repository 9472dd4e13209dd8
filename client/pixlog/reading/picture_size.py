"""Width and height of a stored image: from its row where the row says them, else from the head of the file.

A row says them of its first image.  The head of a PNG has them at a fixed place; other formats are opened by Pillow,
which decodes no pixel for it.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from pixlog.errors import RunError
from pixlog.reading.decoding import size_of_image
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import ImageFile

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD_NBYTES: Final = 24


def picture_size(image: SavedImage) -> tuple[int, int] | None:
    """Return (width, height) in pixels; None for a reference, whose pixels are elsewhere.

    Raises ``RunError`` if they have to be read from the file and cannot be.
    """
    if image.file is None:
        return None
    value = image.row.value
    if image.index == 0 and isinstance(value, dict):
        width, height = value.get("width"), value.get("height")
        if type(width) is int and type(height) is int:
            return width, height
    return file_size(image.file)


def file_size(file: ImageFile) -> tuple[int, int]:
    """Return (width, height) of an image file; raises ``RunError`` if it cannot be read."""
    head = _head(file)
    if head.startswith(_PNG) and len(head) == _PNG_HEAD_NBYTES:
        width, height = struct.unpack(">II", head[16:])
        return int(width), int(height)
    return size_of_image(file.read_bytes(), name=file.relative_path)


def _head(file: ImageFile) -> bytes:
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RunError(f"cannot read {file.relative_path}: {error.strerror}") from error
    try:
        return os.pread(descriptor, min(_PNG_HEAD_NBYTES, file.size), file.offset)
    except (OSError, OverflowError) as error:  # a size or an offset that no file has
        raise RunError(f"cannot read {file.relative_path}: {error}") from error
    finally:
        os.close(descriptor)
