"""Rows as the page gets them: what to show of each image, and where its files lie."""

from __future__ import annotations

import math
from typing import Any

from pixlog.css_colors import color_levels
from pixlog.errors import RunError
from pixlog.reading.class_labels import labels_by_id
from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage
from pixlog.view.guarded_files import is_shown_by_browsers
from pixlog.view.pictures import size_of

_SHAPES = ("boxes", "polygons", "keypoints")


def row_json(number: int, row: Row) -> dict[str, Any]:
    """Return one row and its images; overlays by name only, they are fetched when they are drawn."""
    try:
        images = [_image_json(image) for image in row.images]
        trouble = None
    except RunError as error:  # files that are no files: the row is shown, its images are not
        images, trouble = [], str(error)
    return {
        "id": number,
        "key": row.key,
        "step": row.step,
        "rank": row.rank,
        "time": row.time,
        "state": row.state,
        "reason": row.reason or trouble,
        "call": row.call,
        "client": row.client,
        "seq": row.seq,
        "host": row.host,
        "pid": row.pid,
        "localRank": row.local_rank,
        "worldSize": row.world_size,
        "notes": row.notes,
        "meta": plain_json(row.meta),
        "images": images,
    }


def _image_json(image: SavedImage) -> dict[str, Any]:
    file = image.file
    overlays: dict[str, list[str]] = {name: [] for name in ("mask", *_SHAPES)}
    for other in image.row.files:
        if other.index == image.index and other.role in overlays:
            overlays[other.role].append(other.group or "")
    width, height = _logged_size(image)
    return {
        "index": image.index,
        "caption": plain_json(image.caption),
        "width": width,
        "height": height,
        "url": image.url,
        "path": file.relative_path if file else None,
        "absolutePath": f"{file.run_dir}/{file.relative_path}" if file else None,
        "sha256": file.sha256 if file else None,
        "nbytes": file.size if file else None,
        "isDeep": image.preview is not None or (file is not None and not is_shown_by_browsers(file)),
        "overlays": overlays,
        "classes": [_class_json(entry) for entry in image.classes],
        "maskLabels": plain_json(image.mask_labels),
        "input": plain_json(image.input),
        "meta": plain_json(image.meta),
    }


def _class_json(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a class with its colour as ``#rrggbb``, and without what is no colour."""
    told: dict[str, Any] = plain_json({name: value for name, value in entry.items() if name != "color"})
    if (levels := color_levels(entry.get("color"))) is not None:
        told["color"] = "#{:02x}{:02x}{:02x}".format(*levels)
    return told


def _group_json(content: Any) -> Any:
    """Return a group of shapes with its class names by id, however that is written."""
    if isinstance(content, dict) and "class_labels" in content:
        content = content | {"class_labels": labels_by_id(content["class_labels"])}
    return plain_json(content)


def _logged_size(image: SavedImage) -> tuple[Any, Any]:
    """Return width and height as the row has them, which of a list are those of its first image alone."""
    value = image.row.value or {}
    of_all = image.index == 0 or "filenames" not in value
    return (value.get("width"), value.get("height")) if of_all else (None, None)


def overlays_json(image: SavedImage, read: Any) -> dict[str, Any]:
    """Return the boxes, polygons and keypoints of an image by kind and group; ``read`` reads one file.

    ``size`` is the image's ``[width, height]``, in whose pixels they may be given, where its row does not tell it.
    """
    found: dict[str, Any] = {name: {} for name in _SHAPES}
    for file in image.row.files:
        if file.index == image.index and file.role in _SHAPES:
            found[file.role][file.group or ""] = _group_json(read(file))
    if any(found.values()) and None in _logged_size(image):
        found["size"] = size_of(image)
    return found


def plain_json(value: Any) -> Any:
    """Return ``value`` with numbers that JSON cannot say as their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(name): plain_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry) for entry in value]
    return value
