"""The overlays of one image as annotations of COCO, without ids of their own.

Boxes become ``bbox`` and, as ``loadRes`` of the COCO API does it, their outline as ``segmentation``, which for a turned
box is the exact one.  Masks become one annotation for each class, as in COCO's own annotations of stuff: run lengths,
and ``iscrowd`` 0, since 1 would have every evaluation ignore them.  Class 0 of a mask is background and left out,
unless it has a name that says otherwise.  Polygons stay polygons; one with holes, which COCO's polygons cannot have,
becomes run lengths.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.export.coco_categories import Categories
from pixlog.export.coco_rle import class_regions, counts_area, counts_bounds, counts_text, mask_counts
from pixlog.export.selection import Selection
from pixlog.reading.overlay_shapes import Point, Shape, box_bounds, box_corners, ring_points, shapes
from pixlog.reading.saved_image import SavedImage

BACKGROUND_NAMES: Final = frozenset(
    {"", "background", "_background_", "bg", "class_0", "none", "unlabeled", "unlabelled", "void"}
)
"""Names, in lower case, by which class 0 of a mask is no object."""

_VISIBLE: Final = 2


class Annotator:
    """Makes the annotations of one image after the other."""

    def __init__(self, selection: Selection, groups: Collection[str] | None) -> None:
        """``groups`` are the names of the overlays that are taken; None takes all."""
        self.categories = Categories()
        self._selection = selection
        self._groups = groups

    def annotations(self, image: SavedImage, width: int, height: int) -> Iterator[dict[str, Any]]:
        """Yield the annotations of ``image``; overlays that cannot be read are counted and left out."""
        names = {entry["id"]: str(entry["name"]) for entry in image.classes if type(entry.get("id")) is int}
        yield from self._boxes(image, names, width, height)
        yield from self._polygons(image, names, width, height)
        yield from self._keypoints(image, names, width, height)
        yield from self._masks(image, names, width, height)

    def _boxes(
        self, image: SavedImage, names: Mapping[int, str], width: int, height: int
    ) -> Iterator[dict[str, Any]]:
        for box in shapes(self._taken(image, "boxes"), "box_data", "box_caption"):
            corners = box_corners(box.content, width, height)
            if corners is None:
                self._selection.note("box without a finite position left out")
                continue
            yield self._shape_annotation(box, self._category(box, names)) | {
                "bbox": box_bounds(corners),
                "area": round(_ring_area(corners), 3),
                "segmentation": [_flat(corners)],
            }

    def _polygons(
        self, image: SavedImage, names: Mapping[int, str], width: int, height: int
    ) -> Iterator[dict[str, Any]]:
        for polygon in shapes(self._taken(image, "polygons"), "polygon_data", "polygon_caption"):
            outline = ring_points(polygon.content, polygon.content.get("points"), width, height)
            holes = [
                ring_points(polygon.content, hole, width, height)
                for hole in polygon.content.get("holes") or ()
            ]
            if not outline or not all(holes):
                self._selection.note("polygon without finite points left out")
                continue
            annotation = self._shape_annotation(polygon, self._category(polygon, names))
            annotation["bbox"] = box_bounds(outline)
            if not holes:
                area = round(_ring_area(outline), 3)
                yield annotation | {"area": area, "segmentation": [_flat(outline)]}
                continue
            counts = mask_counts(_filled(outline, [hole for hole in holes if hole], width, height))
            yield annotation | {
                "area": counts_area(counts),
                "segmentation": {"size": [height, width], "counts": counts_text(counts)},
            }

    def _keypoints(
        self, image: SavedImage, names: Mapping[int, str], width: int, height: int
    ) -> Iterator[dict[str, Any]]:
        groups = self._taken(image, "keypoints")
        for points in shapes(groups, "keypoint_data", "keypoint_caption"):
            group = groups[points.group]
            given = points.content.get("points")
            listed = given if isinstance(given, list) else []
            found = [ring_points(points.content, [point], width, height) for point in listed]
            if not any(found):
                self._selection.note("keypoints without finite positions left out")
                continue
            if missing := found.count(None):
                self._selection.note("keypoint without a finite position written as absent", missing)
            places = [place[0] if place else (0.0, 0.0) for place in found]
            seen = [_visibility(point) if place else 0 for point, place in zip(listed, found, strict=True)]
            labelled = [place for place, visibility in zip(places, seen, strict=True) if visibility]
            bounds = box_bounds(labelled) if labelled else [0.0, 0.0, 0.0, 0.0]
            point_names = group.get("point_names") or [f"point_{number + 1}" for number in range(len(places))]
            category_id = self.categories.of_keypoints(
                points.class_id, _name_of(points, names), point_names, group.get("skeleton") or ()
            )
            numbers: list[float] = []
            for (x, y), visibility in zip(places, seen, strict=True):
                numbers += [round(x, 3), round(y, 3), visibility] if visibility else [0, 0, 0]
            yield self._shape_annotation(points, category_id) | {
                "keypoints": numbers,
                "num_keypoints": len(labelled),
                "bbox": bounds,
                "area": round(bounds[2] * bounds[3], 3),
                "segmentation": [],
            }

    def _masks(
        self, image: SavedImage, names: Mapping[int, str], width: int, height: int
    ) -> Iterator[dict[str, Any]]:
        labels = image.mask_labels
        for group, file in image.masks.items():
            if self._groups is not None and group not in self._groups:
                continue
            try:
                ids = file.array()
            except RunError as error:
                self._selection.leave_out_overlay(image, error)
                continue
            if ids.shape != (height, width):
                self._selection.note("mask that is not one class id for each pixel of its image left out")
                continue
            group_names = labels.get(group, {})
            for class_id, counts in class_regions(ids):
                name = group_names.get(class_id) or names.get(class_id)
                if class_id == 0 and (name or "").lower() in BACKGROUND_NAMES:
                    continue
                yield {
                    "category_id": self.categories.of_class(class_id, name),
                    "iscrowd": 0,
                    "group": group,
                    "bbox": counts_bounds(counts, height),
                    "area": counts_area(counts),
                    "segmentation": {"size": [height, width], "counts": counts_text(counts)},
                }

    def _category(self, shape: Shape, names: Mapping[int, str]) -> int:
        return self.categories.of_class(shape.class_id, _name_of(shape, names))

    def _shape_annotation(self, shape: Shape, category_id: int) -> dict[str, Any]:
        annotation: dict[str, Any] = {"category_id": category_id, "iscrowd": 0, "group": shape.group}
        if shape.score is not None:
            annotation["score"] = shape.score
        if shape.scores:
            annotation["scores"] = shape.scores
        if shape.caption:
            annotation["caption"] = shape.caption
        return annotation

    def _taken(self, image: SavedImage, role: str) -> dict[str, Any]:
        return self._selection.groups(image, role, self._groups)


def _visibility(point: Sequence[Any]) -> int:
    """Return 0, 1 or 2; a point that does not say it in a number is visible, as the viewer draws it."""
    given = point[2] if len(point) > 2 else _VISIBLE
    return int(given) if isinstance(given, int | float) and math.isfinite(given) else _VISIBLE


def _name_of(shape: Shape, names: Mapping[int, str]) -> str | None:
    return shape.label or (None if shape.class_id is None else names.get(shape.class_id))


def _flat(points: list[Point]) -> list[float]:
    return [round(value, 3) for point in points for value in point]


def _ring_area(points: list[Point]) -> float:
    following = [*points[1:], points[0]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True))) / 2


def _filled(outline: list[Point], holes: list[list[Point]], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, W) whose middle is in the outline and in none of the holes."""
    inside = _inside(outline, width, height)
    for hole in holes:
        inside &= ~_inside(hole, width, height)
    return inside


def _inside(ring: list[Point], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, W) whose middle is inside of a ring, by the parity of edges crossed to their left."""
    across, down = np.arange(width) + 0.5, np.arange(height) + 0.5
    crossings = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        rows = np.flatnonzero((down >= min(y0, y1)) & (down < max(y0, y1)))
        if len(rows):
            at_x = x0 + (down[rows] - y0) * (x1 - x0) / (y1 - y0)
            np.add.at(crossings, (rows, np.searchsorted(across, at_x)), 1)
    parity: npt.NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    return parity
