"""Polygons over an image, with holes if need be, stored as data and not burnt in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pixlog.errors import InputError, InputTypeError
from pixlog.model.classes import ClassLabels, default_labels
from pixlog.model.plain import Plain, plain
from pixlog.model.shape_checks import check_caption, check_class_id, check_group, check_scores


class Polygons:
    """One group of polygons; the dict is the boxes' with ``"polygon_data"`` in place of ``"box_data"``.

    A polygon is a dict with ``"points"``: at least three (x, y) pairs, as a list or an (N, 2) array, fractions of the
    image's size, or pixels where the polygon says ``"domain": "pixel"``.  ``"holes"`` is a list of such rings.
    ``"class_id"``, ``"scores"`` and ``"polygon_caption"`` are as in ``BoundingBoxes2D``.  Beyond W&B.

    ``val`` is copied and never changed.  Raises ``InputTypeError``, ``InputKeyError`` or ``InputError``.
    """

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        where = f"polygons[{key!r}]"
        polygons, labels = check_group(val, where, "polygon_data")
        self.key = key
        self._labels = labels
        checked = [
            _check_polygon(polygon, f"{where}['polygon_data'][{index}]", labelled=labels is not None)
            for index, polygon in enumerate(polygons)
        ]
        self._val: dict[str, Plain] = {
            name: checked if name == "polygon_data" else plain(entry, f"{where}[{name!r}]")
            for name, entry in val.items()
        }
        if labels is not None:
            self._val["class_labels"] = labels

    @property
    def class_labels(self) -> ClassLabels:
        """The names given, else "class_<id>" for every id that occurs."""
        if self._labels is not None:
            return dict(self._labels)
        return default_labels(polygon["class_id"] for polygon in self._val["polygon_data"])

    def to_item(self) -> dict[str, Plain]:
        """Return what goes over the wire and into the polygons' JSON file; not to be changed."""
        return self._val


def _check_polygon(polygon: object, where: str, *, labelled: bool) -> dict[str, Plain]:
    if not isinstance(polygon, Mapping):
        raise InputTypeError(f"{where} is of type {type(polygon).__name__}, expected a dict with 'points'")
    check_scores(polygon, where)
    check_class_id(polygon, where, labelled=labelled)
    check_caption(polygon, "polygon_caption", where)
    copied: dict[str, Plain] = plain({**polygon, "points": None, "holes": None}, where)
    copied["points"] = check_points(polygon.get("points"), f"{where}['points']", widths=(2,), at_least=3)
    holes = polygon.get("holes")
    if holes is None:
        del copied["holes"]
        return copied
    if not isinstance(holes, (list, tuple)):
        raise InputTypeError(f"{where}['holes'] is of type {type(holes).__name__}, expected a list of rings")
    copied["holes"] = [
        check_points(ring, f"{where}['holes'][{index}]", widths=(2,), at_least=3)
        for index, ring in enumerate(holes)
    ]
    return copied


def check_points(points: object, where: str, *, widths: tuple[int, ...], at_least: int) -> list[list[float]]:
    """Return points as lists of numbers; ``widths`` are the numbers that a point may have."""
    expected = f"at least {at_least} points of {' or '.join(map(str, widths))} numbers"
    listed = plain(points, where) if points is not None else None
    if not isinstance(listed, list):
        raise InputTypeError(f"{where} is of type {type(points).__name__}, expected {expected}")
    try:
        array = np.asarray(listed)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "uif" or array.ndim != 2 or array.shape[1] not in widths:
        raise InputTypeError(f"{where} holds something else than points, expected {expected}")
    if len(array) < at_least:
        raise InputError(f"{where} has {len(array)} points, expected {expected}")
    return listed
