"""Frames of a film: the images of some keys over the steps, side by side.

Theory of operation.  Every (key, rank, place in the row) has a tile of its own: keys beside each other, ranks and the
images of a list below each other; a single key fills a grid.  Rows are walked over step by step.  A step makes one
frame, and more where a key was logged more than once under it and its rank; no step is left out.  A tile that has
nothing new keeps its picture and says of which step it is: an input that is logged every hundredth step stays beside
a prediction that is logged at each, as the viewer's slider has it.

All tiles have one size, that of the largest picture after scaling; a smaller one, or one of another shape, stands in
the middle of its tile and is never distorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pixlog.errors import InputError, RunError
from pixlog.export.selection import Selection
from pixlog.reading.decoding import pillow
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from pixlog.sheet.sheet_fonts import drawable, font
from pixlog.sheet.sheet_painter import BACKGROUND
from pixlog.sheet.thumbnail import fitted_size, thumbnail_of

if TYPE_CHECKING:
    from PIL import Image as pil_image

LABEL_PX: Final = 18
"""Height of the strip of text under a tile, and of that over the whole frame."""
GAP_PX: Final = 4
"""Room between tiles."""

LEAST_FPS: Final = 0.01
"""A frame of a GIF is shown for 655 seconds at most, and nobody waits longer for one of a video."""

_MOST_TILES: Final = 64
_MOST_FRAME_PX: Final = 8192
_SMALLEST_SIDE_PX: Final = 16
_TEXT: Final = (234, 236, 240)
_QUIET: Final = (152, 158, 170)
_FONT_PX: Final = 12

Tile = tuple[str, int, int]
"""Key, rank, and number of the image in its row."""


@dataclass(frozen=True, slots=True)
class Film:
    """What ``film_of`` plans: the size of every frame, and where each tile is in it."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    places: dict[Tile, tuple[int, int]]
    """Left and top of each tile."""
    side_px: int
    overlays: bool
    labels: bool


def film_of(selection: Selection, *, side_px: int, overlays: bool, labels: bool) -> Film:
    """Plan the frames of the rows chosen; only the manifest is read.

    ``side_px`` is the longest side of a tile's picture: larger ones are reduced, smaller ones enlarged by whole
    factors, pixel by pixel.  Raises ``InputError`` for more tiles than a frame can show, and ``RunError`` where no
    row has an image.
    """
    if side_px < _SMALLEST_SIDE_PX:
        raise InputError(f"side_px is {_SMALLEST_SIDE_PX} or more, got {side_px}")
    pillow()
    tiles: dict[Tile, None] = {}
    width = height = 1
    for row in selection.scan():
        if row.state != "saved":
            continue
        value = row.value or {}
        across, down = value.get("width"), value.get("height")
        if isinstance(across, int) and isinstance(down, int) and across > 0 and down > 0:
            fitted = fitted_size((across, down), side_px)
            width, height = max(width, fitted[0]), max(height, fitted[1])
        tiles |= {(row.key, row.rank, image.index): None for image in row.images if image.file is not None}
    if not tiles:
        raise RunError("none of the rows that fit has an image to show")
    if len(tiles) > _MOST_TILES:
        raise InputError(
            f"a frame shows {_MOST_TILES} images at most, and {len(tiles):,} go side by side here: "
            f"choose fewer by key or rank"
        )
    width, height = (side_px, side_px) if (width, height) == (1, 1) else (width, height)
    return _placed(list(tiles), width, height, side_px=side_px, overlays=overlays, labels=labels)


def frames_of(selection: Selection, film: Film) -> Iterator[pil_image.Image]:
    """Yield each frame, RGB, of the film's size; images that cannot be read are left out of it and counted."""
    painter = _FramePainter(film)
    for step, rows in groupby(selection.rows_by_step(), lambda row: row.step):
        for turn in _turns(list(rows)):
            shown = 0
            for row in turn:
                for image in selection.images_of(row):
                    try:
                        painter.put(image, partial(selection.leave_out_overlay, image))
                    except RunError as error:
                        selection.leave_out(image, "its file cannot be read", str(error))
                    else:
                        shown += 1
            if shown:
                yield painter.frame(step)


def _turns(rows: list[Row]) -> list[list[Row]]:
    """Split the rows of a step so that each key and rank is once in each part."""
    turns: list[list[Row]] = []
    counts: dict[tuple[str, int], int] = {}
    for row in rows:
        number = counts.get((row.key, row.rank), 0)
        if row.state == "saved":
            counts[row.key, row.rank] = number + 1
        if number == len(turns):
            turns.append([])
        turns[number].append(row)
    return turns


def _placed(
    tiles: list[Tile], width: int, height: int, *, side_px: int, overlays: bool, labels: bool
) -> Film:
    """Give each tile its place: a column for each key, or a grid where there is one key."""
    keys = list(dict.fromkeys(key for key, _, _ in tiles))  # in the order asked for
    lines = sorted({(rank, index) for _, rank, index in tiles})
    if len(keys) > 1:
        cells = {tile: (keys.index(tile[0]), lines.index(tile[1:])) for tile in tiles}
    else:
        across = math.ceil(math.sqrt(len(tiles)))
        cells = {tile: (number % across, number // across) for number, tile in enumerate(sorted(tiles))}
    columns, rows = (1 + max(cell[axis] for cell in cells.values()) for axis in (0, 1))
    head = LABEL_PX if labels else 0
    foot = LABEL_PX if labels and len(tiles) > 1 else 0
    film = Film(
        width=columns * width + (columns - 1) * GAP_PX,
        height=head + rows * (height + foot) + (rows - 1) * GAP_PX,
        tile_width=width,
        tile_height=height,
        places={
            tile: (column * (width + GAP_PX), head + line * (height + foot + GAP_PX))
            for tile, (column, line) in cells.items()
        },
        side_px=side_px,
        overlays=overlays,
        labels=labels,
    )
    if max(film.width, film.height) > _MOST_FRAME_PX:
        raise InputError(
            f"{len(tiles):,} images of {width}×{height} pixels make a frame of {film.width}×{film.height}, expected "
            f"at most {_MOST_FRAME_PX} on a side: choose fewer by key or rank, or a smaller side"
        )
    return film


class _FramePainter:
    """One canvas on which tiles are replaced as their images come."""

    def __init__(self, film: Film) -> None:
        from PIL import Image, ImageDraw

        self._film = film
        self._canvas = Image.new("RGB", (film.width, film.height), BACKGROUND)
        self._draw = ImageDraw.Draw(self._canvas)
        self._font = font(_FONT_PX)
        self._said: dict[Tile, tuple[int, str]] = {}

    def put(self, image: SavedImage, on_overlay: Callable[[RunError], None]) -> None:
        """Replace the picture of the image's tile; raise ``RunError`` if it cannot be read."""
        film = self._film
        picture = thumbnail_of(
            image, film.side_px, overlays=film.overlays, font=self._font, on_overlay=on_overlay
        )
        if picture.width > film.tile_width or picture.height > film.tile_height:
            picture.thumbnail((film.tile_width, film.tile_height))
        tile = (image.row.key, image.row.rank, image.index)
        left, top = film.places[tile]
        self._clear(left, top, film.tile_width, film.tile_height)
        across, down = (film.tile_width - picture.width) // 2, (film.tile_height - picture.height) // 2
        self._canvas.paste(picture, (left + across, top + down))
        self._said[tile] = (image.row.step, "" if image.caption is None else str(image.caption))

    def frame(self, step: int) -> pil_image.Image:
        """Return a copy of the canvas, labelled for ``step``."""
        film = self._film
        if film.labels:
            several = len(film.places) > 1
            alone = "" if several else next(iter(self._said.values()))[1]
            self._clear(0, 0, film.width, LABEL_PX)
            self._write(4, 0, f"step {step}  {alone}", film.width - 8, _TEXT)
            for tile, (of_step, caption) in self._said.items() if several else ():
                left, top = film.places[tile]
                top += film.tile_height
                self._clear(left, top, film.tile_width, LABEL_PX)
                text = f"{self._name(tile)}  {'' if of_step == step else f'@{of_step}  '}{caption}"
                self._write(left + 2, top, text, film.tile_width - 4, _QUIET)
        return self._canvas.copy()

    def _name(self, tile: Tile) -> str:
        """Return what tells a tile from the others."""
        tiles = list(self._film.places)
        parts = [tile[0]] if len({key for key, _, _ in tiles}) > 1 else []
        parts += [f"rank {tile[1]}"] if len({rank for _, rank, _ in tiles}) > 1 else []
        parts += [f"[{tile[2]}]"] if len({index for _, _, index in tiles}) > 1 else []
        return " ".join(parts)

    def _clear(self, left: int, top: int, width: int, height: int) -> None:
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=BACKGROUND)

    def _write(self, left: int, top: int, text: str, width_px: int, color: tuple[int, int, int]) -> None:
        text = drawable(text, self._font)
        if self._draw.textlength(text, font=self._font) > width_px:
            while text and self._draw.textlength(text + "...", font=self._font) > width_px:
                text = text[:-1]
            text += "..."
        self._draw.text((left, top + 1), text, fill=color, font=self._font)
