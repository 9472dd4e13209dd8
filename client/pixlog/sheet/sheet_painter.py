"""How a contact sheet looks: its title, the panel of each key, the places of thumbnails and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.sheet_fonts import drawable, font
from pixlog.sheet.thumbnail import GROUND

if TYPE_CHECKING:
    from PIL import Image as pil_image

    from pixlog.sheet.sheet_fonts import Font

MARGIN_PX: Final = 20
GAP_PX: Final = 10
LABEL_PX: Final = 38
HEADER_PX: Final = 38
TITLE_PX: Final = 58
BACKGROUND: Final = (20, 22, 27)

_PANEL: Final = (33, 36, 43)
_TEXT: Final = (234, 236, 240)
_QUIET: Final = (152, 158, 170)
_FAILED: Final = (255, 120, 110)


class SheetPainter:
    """Draws into one sheet."""

    def __init__(self, sheet: pil_image.Image, *, thumb_px: int) -> None:
        from PIL import ImageDraw

        self._sheet = sheet
        self._draw = ImageDraw.Draw(sheet)
        self._thumb_px = thumb_px
        self._title_font, self._key_font, self._label_font = font(22), font(15), font(12)

    def title(self, name: str, note: str) -> None:
        """Write the run's name and its counts at the top."""
        self._write(MARGIN_PX, 16, name, self._title_font, _TEXT, self._sheet.width // 2)
        left = MARGIN_PX + int(self._length(name, self._title_font)) + 16
        self._write(left, 24, note, self._label_font, _QUIET, self._sheet.width - left - MARGIN_PX)

    def panel(self, left: int, top: int, width: int, height: int, key: str, note: str) -> None:
        """Draw the ground of one key's thumbnails and its header; the note only where there is room for it."""
        self._draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), 8, fill=_PANEL)
        inner = width - 2 * GAP_PX
        note_px = int(self._length(note, self._label_font)) + 1
        key_px = int(self._length(key, self._key_font)) + 1
        if key_px + GAP_PX + note_px <= inner:
            at = left + width - GAP_PX - note_px
            self._write(at, top + 13, note, self._label_font, _QUIET, note_px)
        self._write(left + GAP_PX, top + 10, key, self._key_font, _TEXT, inner)

    def thumbnail(
        self, left: int, top: int, height: int, picture: pil_image.Image | None, image: SavedImage
    ) -> None:
        """Draw one thumbnail, standing on the lower edge of a place of ``height``, and its labels under it."""
        if picture is None:
            box = (left, top, left + self._thumb_px - 1, top + height - 1)
            self._draw.rounded_rectangle(box, 4, fill=GROUND)
            text = "not stored here" if image.url else "unreadable"
            self._write(left + 8, top + height // 2 - 8, text, self._label_font, _FAILED, self._thumb_px - 16)
        else:
            across = left + (self._thumb_px - picture.width) // 2
            self._sheet.paste(picture, (across, top + height - picture.height))
        row = image.row
        number = f"[{image.index}]" if len(row.images) > 1 else ""
        rank = f"  rank {row.rank}" if row.rank else ""
        label_top = top + height + 4
        self._write(left, label_top, f"@{row.step}{number}{rank}", self._label_font, _TEXT, self._thumb_px)
        caption = image.url or ("" if image.caption is None else str(image.caption))
        self._write(left, label_top + 15, caption, self._label_font, _QUIET, self._thumb_px)

    def _length(self, text: str, face: Font) -> float:
        return self._draw.textlength(drawable(text, face), face)

    def _write(
        self, left: int, top: int, text: str, face: Font, color: tuple[int, int, int], width_px: int
    ) -> None:
        """Write ``text``, cut to ``width_px``."""
        text = drawable(text, face)
        if self._draw.textlength(text, face) > width_px:
            while text and self._draw.textlength(text + "...", face) > width_px:
                text = text[:-1]
            text += "..."
        self._draw.text((left, top), text, fill=color, font=face)
