"""Keypoints over an image, such as the joints of a body, with the skeleton that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixlog.errors import InputError, InputTypeError
from pixlog.model.classes import ClassLabels, default_labels
from pixlog.model.plain import Plain, plain
from pixlog.model.polygons import check_points
from pixlog.model.shape_checks import check_caption, check_class_id, check_group, check_scores


class Keypoints:
    """One group of keypoint sets; the dict is the boxes' with ``"keypoint_data"`` in place of ``"box_data"``.

    A set is a dict with ``"points"``: (x, y) or (x, y, visibility) each, as a list or an (N, 2) or (N, 3) array,
    fractions of the image's size, or pixels where the set says ``"domain": "pixel"``; visibility is COCO's: 0 absent,
    1 hidden, 2 visible.  ``"class_id"``, ``"scores"`` and ``"keypoint_caption"`` are as in ``BoundingBoxes2D``.

    Beside the sets a group may have ``"skeleton"``, pairs of point numbers from 0, and ``"point_names"``, one string
    for each point; both hold for every set.  Beyond W&B.

    ``val`` is copied and never changed.  Raises ``InputTypeError``, ``InputKeyError`` or ``InputError``.
    """

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        where = f"keypoints[{key!r}]"
        sets, labels = check_group(val, where, "keypoint_data")
        self.key = key
        self._labels = labels
        checked = [
            _check_set(points, f"{where}['keypoint_data'][{index}]", labelled=labels is not None)
            for index, points in enumerate(sets)
        ]
        self._val: dict[str, Plain] = {
            name: checked if name == "keypoint_data" else plain(entry, f"{where}[{name!r}]")
            for name, entry in val.items()
        }
        if labels is not None:
            self._val["class_labels"] = labels
        counts = [len(points["points"]) for points in checked]
        _check_skeleton(self._val.get("skeleton"), min(counts, default=None), where)
        _check_names(self._val.get("point_names"), counts, where)

    @property
    def class_labels(self) -> ClassLabels:
        """The names given, else "class_<id>" for every id that occurs."""
        if self._labels is not None:
            return dict(self._labels)
        return default_labels(points["class_id"] for points in self._val["keypoint_data"])

    def to_item(self) -> dict[str, Plain]:
        """Return what goes over the wire and into the keypoints' JSON file; not to be changed."""
        return self._val


def _check_set(points: object, where: str, *, labelled: bool) -> dict[str, Plain]:
    if not isinstance(points, Mapping):
        raise InputTypeError(f"{where} is of type {type(points).__name__}, expected a dict with 'points'")
    check_scores(points, where)
    check_class_id(points, where, labelled=labelled)
    check_caption(points, "keypoint_caption", where)
    copied: dict[str, Plain] = plain({**points, "points": None}, where)
    copied["points"] = check_points(points.get("points"), f"{where}['points']", widths=(2, 3), at_least=1)
    return copied


def _check_skeleton(skeleton: Plain, count: int | None, where: str) -> None:
    if skeleton is None:
        return
    expected = "a list of pairs of point numbers, from 0"
    if not isinstance(skeleton, list):
        raise InputTypeError(f"{where}['skeleton'] is {skeleton!r}, expected {expected}")
    for bone in skeleton:
        if not (isinstance(bone, list) and len(bone) == 2 and all(type(end) is int for end in bone)):
            raise InputTypeError(f"{where}['skeleton'] has {bone!r}, expected {expected}")
        if min(bone) < 0 or (count is not None and max(bone) >= count):
            raise InputError(f"{where}['skeleton'] joins the points {bone}, but there are {count} points")


def _check_names(names: Plain, counts: list[int], where: str) -> None:
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputTypeError(f"{where}['point_names'] is {names!r}, expected a list of str")
    for count in counts:
        if count != len(names):
            raise InputError(f"{where}['point_names'] has {len(names)} names for {count} points")
