"""One picture of a whole run: thumbnails by key, from its first step to its last.

Every key gets a panel of its own.  When a key has more images than its share of ``max_images``, they are taken
evenly from all of them, the first and the last always among them.  Small images are enlarged by whole factors
without smoothing, so that a digit of 8×8 pixels shows its pixels; large ones are reduced with a filter.  Masks
are laid over the image in the colours of their classes, boxes are drawn with their labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from pixlog.errors import InputError, RunError
from pixlog.reading.decoding import pillow
from pixlog.reading.rows import Row, Rows
from pixlog.reading.run import Run
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.sheet_fonts import font
from pixlog.sheet.sheet_painter import (
    BACKGROUND,
    GAP_PX,
    HEADER_PX,
    LABEL_PX,
    MARGIN_PX,
    TITLE_PX,
    SheetPainter,
)
from pixlog.sheet.thumbnail import thumbnail_of

if TYPE_CHECKING:
    from PIL import Image as pil_image

    from pixlog.sheet.sheet_fonts import Font

_MOST_PIXELS: Final = 1 << 28  # 800 MB in memory
_T = TypeVar("_T")


@dataclass(slots=True)
class _Panel:
    """The thumbnails of one key and their place in the sheet."""

    key: str
    note: str
    images: Sequence[SavedImage]
    thumbnails: list[pil_image.Image | None]
    columns: int = 1
    left: int = 0
    top: int = 0
    width: int = 0
    height: int = 0
    thumb_height: int = 0


def contact_sheet(
    run: Run | str | os.PathLike[str],
    keys: str | Iterable[str] | None = None,
    *,
    step: int | slice | Iterable[int] | None = None,
    max_images: int = 60,
    thumb_px: int = 144,
    columns: int | None = None,
    overlays: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> pil_image.Image:
    """Return an RGB picture of the images of ``run``; needs Pillow.

    ``keys`` and ``step`` choose as in ``Run.images``; ``max_images`` are shared out among the keys.
    ``thumb_px`` is the longest side of a thumbnail, ``columns`` the number of them across the sheet (by default
    what suits their number).  ``progress(images_done, images_in_all)`` is called after each.
    Raises ``InputError`` for an option that cannot be one, and ``RunError`` if there is nothing to show.
    """
    run = run if isinstance(run, Run) else Run(run)
    names = [keys] if isinstance(keys, str) else list(run.keys() if keys is None else keys)
    steps = step if step is None or isinstance(step, int | slice) else list(step)
    return sheet_of_rows(
        run,
        {key: run.rows(key, steps, state="saved") for key in names},
        max_images=max_images,
        thumb_px=thumb_px,
        columns=columns,
        overlays=overlays,
        progress=progress,
    )


def sheet_of_rows(
    run: Run,
    rows_of_key: Mapping[str, Rows],
    *,
    max_images: int,
    thumb_px: int,
    columns: int | None,
    overlays: bool,
    progress: Callable[[int, int], None] | None = None,
    on_image: Callable[[SavedImage, RunError | None], None] | None = None,
    on_overlay: Callable[[SavedImage, RunError], None] | None = None,
    on_row: Callable[[Row, RunError], None] | None = None,
) -> pil_image.Image:
    """Return what ``contact_sheet`` does, of the saved rows of some keys of ``run``.

    ``on_image`` is called with each image that is on the sheet, and with what kept its pixels from being shown,
    ``on_overlay`` with each of their overlays that cannot be read, ``on_row`` with each row that does not say which
    images it has and is passed over.
    """
    image_module = pillow()
    if max_images < 1 or thumb_px < 16 or (columns is not None and columns < 1):
        raise InputError(
            f"max_images and columns are 1 or more, thumb_px is 16 or more; got {max_images}, {columns}, {thumb_px}"
        )
    panels = _choose(rows_of_key, max_images, on_row)
    if not panels:
        of_keys = f" of {', '.join(map(repr, rows_of_key))}" if rows_of_key else ""
        raise RunError(f"{run.path} has no saved images to show{of_keys}")
    total = sum(len(panel.images) for panel in panels)
    tag_font, done = font(11), 0
    for panel in panels:
        for image in panel.images:
            picture, error = _thumbnail(
                image, thumb_px, overlays=overlays, tag_font=tag_font, on_overlay=on_overlay
            )
            panel.thumbnails.append(picture)
            if on_image is not None:
                on_image(image, error)
            done += 1
            if progress is not None:
                progress(done, total)
    if columns is None:
        columns = min(10, max(4, *(len(panel.images) for panel in panels), len(panels)))
    width, height = _lay_out(panels, columns, thumb_px)
    if width * height > _MOST_PIXELS:
        raise InputError(
            f"the sheet would have {width:,}×{height:,} pixels, expected at most {_MOST_PIXELS:,} in all: "
            f"choose fewer columns or images, or smaller thumbnails; got {columns} columns of {thumb_px} pixels"
        )
    sheet: pil_image.Image = image_module.new("RGB", (width, height), BACKGROUND)
    painter = SheetPainter(sheet, thumb_px=thumb_px)
    painter.title(run.path.name, run.summary().counts_text())
    for panel in panels:
        painter.panel(panel.left, panel.top, panel.width, panel.height, panel.key, panel.note)
        for number, (picture, image) in enumerate(zip(panel.thumbnails, panel.images, strict=True)):
            line, column = divmod(number, panel.columns)
            left = panel.left + GAP_PX + column * (thumb_px + GAP_PX)
            top = panel.top + HEADER_PX + line * (panel.thumb_height + LABEL_PX)
            painter.thumbnail(left, top, panel.thumb_height, picture, image)
    return sheet


def _lay_out(panels: list[_Panel], columns: int, thumb_px: int) -> tuple[int, int]:
    """Place the panels side by side as long as they fit, line below line; return the sheet's (width, height)."""
    sheet_width = 2 * MARGIN_PX + GAP_PX + columns * (thumb_px + GAP_PX)
    left, top, line_height = MARGIN_PX, TITLE_PX, 0
    for panel in panels:
        panel.columns = min(columns, len(panel.images))
        panel.thumb_height = max(
            (picture.height for picture in panel.thumbnails if picture is not None), default=thumb_px // 2
        )
        lines = -(-len(panel.images) // panel.columns)
        panel.width = GAP_PX + panel.columns * (thumb_px + GAP_PX)
        panel.height = HEADER_PX + lines * (panel.thumb_height + LABEL_PX) + GAP_PX // 2
        if left + panel.width > sheet_width - MARGIN_PX and left > MARGIN_PX:
            left, top, line_height = MARGIN_PX, top + line_height + GAP_PX, 0
        panel.left, panel.top = left, top
        left += panel.width + GAP_PX
        line_height = max(line_height, panel.height)
    return sheet_width, top + line_height + MARGIN_PX


def _thumbnail(
    image: SavedImage,
    thumb_px: int,
    *,
    overlays: bool,
    tag_font: Font,
    on_overlay: Callable[[SavedImage, RunError], None] | None,
) -> tuple[pil_image.Image | None, RunError | None]:
    told = None if on_overlay is None else partial(on_overlay, image)
    try:
        return thumbnail_of(image, thumb_px, overlays=overlays, font=tag_font, on_overlay=told), None
    except RunError as error:
        return None, error


def _choose(
    rows_of_key: Mapping[str, Rows], max_images: int, on_row: Callable[[Row, RunError], None] | None
) -> list[_Panel]:
    """Return what to show of each key that has images."""
    row_shares = _share_out(max_images, [len(rows) for rows in rows_of_key.values()])
    candidates: list[tuple[str, int, list[SavedImage]]] = []
    for (key, rows), share in zip(rows_of_key.items(), row_shares, strict=True):
        images: list[SavedImage] = []
        for row in _spread(rows, share):
            try:
                images += row.images
            except RunError as error:
                if on_row is not None:
                    on_row(row, error)
        if images:
            candidates.append((key, len(rows), images))
    shares = _share_out(max_images, [len(images) for _, _, images in candidates])
    return [
        _Panel(key, _note(row_count, share), _spread(images, share), [])
        for (key, row_count, images), share in zip(candidates, shares, strict=True)
        if share
    ]


def _note(row_count: int, shown: int) -> str:
    text = f"{row_count:,} row{'' if row_count == 1 else 's'}"
    return text if shown >= row_count else f"{shown} of {text}"


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """Return ``count`` of ``items``, evenly spaced, first and last among them; all if there are no more."""
    if len(items) <= count:
        return list(items)
    if count <= 1:
        return [items[len(items) - 1]] * count
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, count).round()]


def _share_out(total: int, wanted: Sequence[int]) -> list[int]:
    """Share ``total`` out evenly; what one does not want goes to those that want more."""
    shares = [0] * len(wanted)
    left = total
    while left:
        hungry = [place for place, want in enumerate(wanted) if shares[place] < want]
        if not hungry:
            break
        portion = max(1, left // len(hungry))
        for place in hungry[:left]:
            given = min(portion, wanted[place] - shares[place], left)
            shares[place] += given
            left -= given
    return shares
