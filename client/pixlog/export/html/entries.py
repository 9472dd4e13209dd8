"""One row as the exported page gets it, with the bytes that its images need.

Media go in as they are stored; the page decodes them as the viewer does.  What a browser cannot decode is rendered
as a PNG and its values go along as an array, so the page still tells them exactly.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, Final

from pixlog.errors import RunError
from pixlog.reading.decoding import size_of_image
from pixlog.reading.mask_pixels import as_gray_png
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import MediaFile, parse_json
from pixlog.view.guarded_files import is_shown_by_browsers, read_guarded
from pixlog.view.pictures import (
    packed_values,
    picture_png,
    shown_file,
    stored_file,
    thumbnail_bytes,
    thumbnail_file,
)
from pixlog.view.row_fields import FIELDS, meta_of
from pixlog.view.row_json import overlays_json, plain_json, row_json
from pixlog.view.row_scans import number_of

THUMBNAIL_PX: Final = 256
_FIELDS: Final = ("caption", "width", "height", "format", "count")
"""What filters may ask of a row that its JSON for the page does not have as such."""

Content = tuple[Any, bytes | None]
"""A name that equal files share, and their bytes; None where the name was stored before."""


@dataclass(slots=True)
class ImageParts:
    """What one image of a row needs on the page."""

    stored: Content
    shown: Content | None = None
    thumbnail: Content | None = None
    values: Content | None = None
    shapes: Content | None = None
    masks: list[tuple[str, Content]] = field(default_factory=list)
    lost_overlays: list[RunError] = field(default_factory=list)
    """Why masks, boxes, polygons and keypoints are not among them, of those that cannot be read."""


@dataclass(slots=True)
class Entry:
    """One row for the page."""

    json: dict[str, Any]
    meta: dict[str, float]
    """Its numeric meta entries, which are axes of the slider."""
    parts: dict[int, ImageParts]
    """By the image's place in the row's list."""
    troubles: list[tuple[SavedImage, str]]
    """Images whose files cannot be exported, and why."""
    lost_overlays: list[tuple[SavedImage, RunError]] = field(default_factory=list)
    """Images that are exported without an overlay that cannot be read, and why."""


def entry_of(number: int, row: Row, known: Container[Any]) -> Entry:
    """Read what the page needs of a row; files whose names are ``known`` are not read again."""
    told = row_json(number, row)
    told["fields"] = plain_json({name: FIELDS[name](row) for name in _FIELDS})
    meta = {
        name: value
        for name, given in meta_of(row).items()
        if (value := number_of(given)) == value  # not NaN
    }
    entry = Entry(told, meta, {}, [])
    images = row.images if told["images"] else []
    for place, (image, described) in enumerate(zip(images, told["images"], strict=True)):
        described["absolutePath"] = None  # the reader of the page has other paths, and need not know ours
        if image.file is None:
            continue
        described["thumbnailPx"] = THUMBNAIL_PX
        try:
            entry.parts[place] = parts = _parts_of(image, known)
            entry.lost_overlays += [(image, error) for error in parts.lost_overlays]
        except RunError as error:
            described["trouble"] = str(error)
            entry.troubles.append((image, str(error)))
    return entry


def _parts_of(image: SavedImage, known: Container[Any]) -> ImageParts:
    file = stored_file(image)
    shown = shown_file(image)
    parts = ImageParts(_content(file, known))
    if shown is None:
        parts.shown = _made(("picture", _name(file)), known, lambda: picture_png(image))
    elif shown is not file:
        parts.shown = _content(shown, known)
    if not is_shown_by_browsers(file):
        parts.values = _made(("values", _name(file)), known, lambda: _values(image))
    if shown is not file or _is_large(file, parts.stored[1], known):
        name = ("thumbnail", _name(thumbnail_file(image)))
        parts.thumbnail = _made(name, known, lambda: thumbnail_bytes(image, THUMBNAIL_PX)[0])
    for other in image.row.files:
        if other.index == image.index and other.role == "mask":
            try:
                parts.masks.append((other.group or "", _mask(other, known)))
            except RunError as error:
                parts.lost_overlays.append(error)

    def read(one: MediaFile) -> Any:
        try:
            content = parse_json(read_guarded(one), name=one.relative_path)
            if isinstance(content, dict):
                return content
            raise RunError(f"{one.relative_path} is no JSON object, as {one.role} are")
        except RunError as error:
            parts.lost_overlays.append(error)
            return {}

    shapes = overlays_json(image, read)
    if any(shapes.values()):
        parts.shapes = None, json.dumps(shapes, separators=(",", ":")).encode()
    return parts


def _is_large(file: MediaFile, data: bytes | None, known: Container[Any]) -> bool:
    """Whether an image is larger than a thumbnail; of one that was stored before, whether it has one."""
    if data is None:
        return ("thumbnail", _name(file)) in known
    return max(size_of_image(data, name=file.relative_path)) > THUMBNAIL_PX


def _name(file: MediaFile) -> Any:
    return file.relative_path, file.shard, file.offset


def _content(file: MediaFile, known: Container[Any]) -> Content:
    return _made(_name(file), known, lambda: read_guarded(file))


def _mask(file: MediaFile, known: Container[Any]) -> Content:
    """Return a mask as a PNG whose samples are its ids, since that is what the page reads."""
    return _made(
        ("mask", _name(file)), known, lambda: as_gray_png(read_guarded(file), name=file.relative_path)
    )


def _made(name: Any, known: Container[Any], make: Callable[[], bytes]) -> Content:
    return name, None if name in known else make()


def _values(image: SavedImage) -> bytes:
    return zlib.compress(packed_values(image), 1)
