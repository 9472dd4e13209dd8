"""``contact-sheet``: the chosen part of a run in one picture, thumbnails of every key from first to last step."""

from __future__ import annotations

from pathlib import Path

from pixlog.errors import RunError
from pixlog.export.selection import Selection
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.contact_sheet import sheet_of_rows


def write(
    selection: Selection,
    target: Path,
    *,
    max_images: int = 60,
    side_px: int = 144,
    columns: int | None = None,
    overlays: bool = True,
) -> None:
    """Write the picture ``target``, a PNG.

    ``max_images`` are shared out among the keys, ``side_px`` is the longest side of a thumbnail, ``columns`` the number
    of them across.  ``overlays`` draws masks and boxes.
    """
    shown = 0

    def count(image: SavedImage, error: RunError | None) -> None:
        nonlocal shown
        shown += 1
        if image.file is None:
            selection.counts.references += 1
            return
        selection.counts.images += 1
        if error is not None:
            selection.leave_out(image, "its file cannot be read", str(error))

    sheet = sheet_of_rows(
        selection.run,
        selection.saved_rows_of_keys(),
        max_images=max_images,
        thumb_px=side_px,
        columns=columns,
        overlays=overlays,
        on_image=count,
        on_overlay=selection.leave_out_overlay,
    )
    sheet.save(target, "PNG")
    there = sum(len(row.images) for row in selection.rows())
    if there > shown:
        selection.counts.notes[f"not on the sheet, which shows {max_images:,} images: --max shows more"] += (
            there - shown
        )
