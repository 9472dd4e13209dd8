"""The categories of a COCO export: one for each name that a class was given, in whichever overlay.

A category keeps the id that its class was logged with, unless another name has it already; then it gets the next free
one.  Classes without a name are called ``class_ID``, shapes without a class ``unlabelled``.  Sets of keypoints make the
category of their name one with keypoints; sets of one name that have other points get a category of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_UNLABELLED: Final = "unlabelled"
_Points = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]


class Categories:
    """Gives classes their category ids, and lists the categories in the end."""

    def __init__(self) -> None:
        self._by_id: dict[int, dict[str, Any]] = {}
        self._by_name: dict[str, int] = {}
        self._by_points: dict[tuple[str, _Points], int] = {}
        self._next_free = 1

    def of_class(self, class_id: int | None, name: str | None) -> int:
        """Return the category id of a class."""
        title = name or (_UNLABELLED if class_id is None else f"class_{class_id}")
        if title not in self._by_name:
            self._by_name[title] = self._add(class_id, title)
        return self._by_name[title]

    def of_keypoints(
        self,
        class_id: int | None,
        name: str | None,
        point_names: Sequence[str],
        skeleton: Sequence[Sequence[int]],
    ) -> int:
        """Return the category id of a class whose objects have these points; ``skeleton`` counts them from 0."""
        title = name or (_UNLABELLED if class_id is None else f"class_{class_id}")
        points = (tuple(point_names), tuple((first + 1, second + 1) for first, second in skeleton))
        known = self._by_points.get((title, points))
        if known is not None:
            return known
        number = self._by_name.get(title)
        if number is None or "keypoints" in self._by_id[number]:
            number = self._add(class_id, title)
            self._by_name.setdefault(title, number)
        self._by_id[number] |= {"keypoints": list(points[0]), "skeleton": [list(bone) for bone in points[1]]}
        self._by_points[title, points] = number
        return number

    def to_json(self) -> list[Mapping[str, Any]]:
        """Return the categories by id."""
        return [self._by_id[number] for number in sorted(self._by_id)]

    def _add(self, class_id: int | None, title: str) -> int:
        number = class_id
        if number is None or number < 0 or number in self._by_id:
            while self._next_free in self._by_id:
                self._next_free += 1
            number = self._next_free
        self._by_id[number] = {"id": number, "name": title, "supercategory": ""}
        return number
