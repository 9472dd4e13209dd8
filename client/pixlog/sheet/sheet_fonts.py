"""Fonts for text in pictures, and text that they can draw."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import ImageFont as pil_font

    Font = pil_font.ImageFont | pil_font.FreeTypeFont

_FONT_FILES: Final = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")


def font(size: int) -> Font:
    """Return a font of the system that knows most scripts, or else Pillow's own."""
    from PIL import ImageFont

    for name in _FONT_FILES:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def drawable(text: str, face: Font | None) -> str:
    """Return ``text`` as one line that ``face`` can draw: Pillow's own font knows no more than ASCII."""
    line = "".join(char if char.isprintable() else " " for char in text[:200])
    if getattr(face, "path", None):
        return line.encode("utf-8", "replace").decode()
    plain = unicodedata.normalize("NFKD", line)
    return (
        "".join(char for char in plain if not unicodedata.combining(char)).encode("ascii", "replace").decode()
    )
