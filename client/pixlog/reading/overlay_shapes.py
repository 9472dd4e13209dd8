"""Boxes, polygons and keypoints of an image in its pixels, whichever way they were logged.

Positions are fractions of the image's size, or pixels where a shape says ``"domain": "pixel"``; boxes have a middle and
a size, or two corners, and may be turned about their middle.  What comes out is x to the right and y down from the
upper left corner of the image, in pixels.  A shape with a position that is no finite number (JSON has null for it)
comes out as None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pixlog.errors import RunError
from pixlog.reading.class_labels import labels_by_id
from pixlog.reading.saved_image import SavedImage
from pixlog.reading.stored_media import overlay_files

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Shape:
    """What boxes, polygons and sets of keypoints have in common."""

    group: str
    content: Mapping[str, Any]
    """The shape as it was logged."""
    class_id: int | None
    label: str | None
    """Name of the class, where it is known."""
    caption: str | None
    scores: dict[str, float]

    @property
    def score(self) -> float | None:
        """The score that stands for the shape: ``score``, ``confidence``, or the only one; None without."""
        for name in ("score", "confidence"):
            if name in self.scores:
                return self.scores[name]
        return next(iter(self.scores.values())) if len(self.scores) == 1 else None


def shape_groups(
    image: SavedImage,
    role: str,
    told: Callable[[RunError], None],
    names: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return the boxes, polygons or keypoints of ``image`` by group, as logged, of the groups ``names`` or all.

    Those that cannot be read are left out, and ``told`` is called with why.
    """
    found: dict[str, Any] = {}
    for group, file in overlay_files(image.row.files, index=image.index, role=role).items():
        if names is not None and group not in names:
            continue
        try:
            content = file.json()
            if not isinstance(content, dict):
                raise RunError(f"{file.relative_path} is no JSON object, as {role} are")
        except RunError as error:
            told(error)
        else:
            found[group] = content
    return found


def shapes(groups: Mapping[str, Any], entry: str, caption: str) -> Iterator[Shape]:
    """Yield the shapes of every group: ``shapes(image.boxes, "box_data", "box_caption")``."""
    for group, content in groups.items():
        if not isinstance(content, Mapping):
            continue
        labels = labels_by_id(content.get("class_labels"))
        listed = content.get(entry)
        for shape in listed if isinstance(listed, list | tuple) else ():
            if not isinstance(shape, Mapping):
                continue
            class_id = shape.get("class_id")
            number = _whole(class_id)
            scores = {
                str(name): value for name, value in _mapping(shape.get("scores")).items() if _is_number(value)
            }
            label = None if number is None else labels.get(number)
            yield Shape(str(group), shape, number, label, shape.get(caption), scores)


def box_corners(box: Mapping[str, Any], width: int, height: int) -> list[Point] | None:
    """Return the four corners of a box in pixels, clockwise from its upper left before it is turned."""
    position = box.get("position")
    if not isinstance(position, Mapping):
        return None
    x_unit, y_unit = _units(box, width, height)
    try:
        if "middle" in position:
            x, y = position["middle"]
            across, along = position["width"] * x_unit / 2, position["height"] * y_unit / 2
            x, y = x * x_unit, y * y_unit
        else:
            left, right = position["minX"] * x_unit, position["maxX"] * x_unit
            top, bottom = position["minY"] * y_unit, position["maxY"] * y_unit
            x, y, across, along = (
                (left + right) / 2,
                (top + bottom) / 2,
                (right - left) / 2,
                (bottom - top) / 2,
            )
        angle = math.radians(position.get("rotation_deg") or 0)
    except (TypeError, ValueError, KeyError):
        return None
    if not all(map(math.isfinite, (x, y, across, along, angle))):
        return None
    if angle == 0:
        return [
            (x - across, y - along),
            (x + across, y - along),
            (x + across, y + along),
            (x - across, y + along),
        ]
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = [(-across, -along), (across, -along), (across, along), (-across, along)]
    return [(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in corners]


def box_bounds(points: list[Point]) -> list[float]:
    """Return [x, y, width, height] of the upright box about some points, to a thousandth of a pixel."""
    left, top = min(x for x, _ in points), min(y for _, y in points)
    right, bottom = max(x for x, _ in points), max(y for _, y in points)
    return [round(value, 3) for value in (left, top, right - left, bottom - top)]


def ring_points(shape: Mapping[str, Any], ring: Any, width: int, height: int) -> list[Point] | None:
    """Return the (x, y) of a ring or of keypoints in pixels."""
    x_unit, y_unit = _units(shape, width, height)
    try:
        points = [(float(point[0]) * x_unit, float(point[1]) * y_unit) for point in ring]
    except (TypeError, ValueError, IndexError):
        return None
    return points if all(math.isfinite(x) and math.isfinite(y) for x, y in points) else None


def _units(shape: Mapping[str, Any], width: int, height: int) -> tuple[float, float]:
    return (1.0, 1.0) if shape.get("domain") == "pixel" else (float(width), float(height))


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    """Return a class id as JSON may have it, 1 or 1.0; None for what is none."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
