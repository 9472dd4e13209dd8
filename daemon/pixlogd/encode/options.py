"""What a caller may ask of an encoder, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pixlog.errors import InputError

FILE_TYPES: Final = ("png", "jpg", "jpeg", "bmp", "webp", "gif", "tiff", "avif")
LEVELS: Final = ("fast", "small", "pillow")
WITH_QUALITY: Final = ("jpg", "jpeg", "webp", "avif")
# Not avif: Pillow's encoder goes through YCbCr even at quality 100.
CAN_BE_LOSSLESS: Final = ("webp", "png", "bmp", "tiff")


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How one picture is to be saved.

    ``level`` trades time for bytes in every format: "fast" is what a training run wants, "small" spends as much
    time as it takes, "pillow" is what Pillow does when nothing is asked.  ``quality`` (1 to 100) has an effect on
    jpg, webp and avif, ``lossless`` on webp (png, bmp and tiff always are).  ``background`` is the RGB colour
    under transparent pixels in formats without alpha.  Raises :class:`~pixlog.errors.InputError` for a value that
    no encoder understands.
    """

    file_type: str = "png"
    level: str = "fast"
    quality: int | None = None
    lossless: bool | None = None
    background: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self) -> None:
        if self.file_type not in FILE_TYPES:
            raise InputError(f"file_type is {self.file_type!r}, expected one of {', '.join(FILE_TYPES)}")
        if self.level not in LEVELS:
            raise InputError(f"level is {self.level!r}, expected one of {', '.join(LEVELS)}")
        if self.quality is not None and not (_is_int(self.quality) and 1 <= self.quality <= 100):
            raise InputError(f"quality is {self.quality!r}, expected a whole number from 1 to 100")
        if self.lossless and self.file_type not in CAN_BE_LOSSLESS:
            raise InputError(
                f"lossless=True with file_type {self.file_type!r}, expected one of {', '.join(CAN_BE_LOSSLESS)}"
            )
        background = tuple(self.background)
        if len(background) != 3 or not all(_is_int(c) and 0 <= c <= 255 for c in background):
            raise InputError(
                f"background is {self.background!r}, expected three whole numbers from 0 to 255 (R, G, B)"
            )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A whole file: its bytes, and what a reader should know about how the pixels got there."""

    data: bytes
    notes: list[str] = field(default_factory=list)
