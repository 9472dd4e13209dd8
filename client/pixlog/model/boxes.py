"""2-D bounding boxes, upright or rotated, stored as data beside their image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixlog.errors import InputTypeError
from pixlog.model.classes import ClassLabels, default_labels
from pixlog.model.plain import Plain, as_number, is_finite_number, plain
from pixlog.model.shape_checks import check_caption, check_class_id, check_group, check_scores

POSITION = (
    "a 'position' with 'middle' (two values), 'width' and 'height', or with 'minX', 'maxX', 'minY' and 'maxY'"
)


class BoundingBoxes2D:
    """One group of boxes, such as predictions; checked as ``wandb`` 0.18.0's ``BoundingBoxes2D`` checks them.

    ``val`` is ``{"box_data": [box, ...], "class_labels": {id: name}}``, the labels optional, further entries kept.
    A box is a dict:

    * ``"position"``: ``{"middle": [x, y], "width": w, "height": h}`` or ``{"minX", "maxX", "minY", "maxY"}``, as
      fractions of the image's size, or in pixels where the box says ``"domain": "pixel"``.  Beyond W&B, the first
      form may have ``"rotation_deg"``: degrees about the middle, clockwise on the screen.
    * ``"class_id"``: a whole number; may be missing where ``class_labels`` are given.
    * ``"scores"``: ``{name: number}``; ``"box_caption"``: a string; both optional.

    NumPy numbers count as numbers.  Ranges are not checked: a box may leave its image.  ``val`` is copied and never
    changed.  ``key`` is the group's name.  Raises ``InputTypeError`` (a ``TypeError``) for a wrong type or position,
    ``InputKeyError`` (a ``KeyError``) for missing ``box_data``, or for a missing ``class_id`` without labels.
    """

    def __init__(self, val: Mapping[str, Any], key: str) -> None:
        where = f"boxes[{key!r}]"
        boxes, labels = check_group(val, where, "box_data")
        for index, box in enumerate(boxes):
            _check_box(box, f"{where}['box_data'][{index}]", labelled=labels is not None)
        self.key = key
        self._val: dict[str, Plain] = plain(val, where)
        if labels is not None:
            self._val["class_labels"] = labels
        self._labels = labels

    @property
    def labels_given(self) -> bool:
        """Whether the user named the classes."""
        return self._labels is not None

    @property
    def class_labels(self) -> ClassLabels:
        """The names given, else "class_<id>" for every id that occurs."""
        if self._labels is not None:
            return dict(self._labels)
        return default_labels(box["class_id"] for box in self._val["box_data"])

    @property
    def box_data(self) -> list[dict[str, Plain]]:
        """The boxes, in plain types."""
        return [dict(box) for box in self._val["box_data"]]

    def to_item(self) -> dict[str, Plain]:
        """Return what goes over the wire and into the boxes' JSON file; not to be changed."""
        return self._val


def _check_box(box: object, where: str, *, labelled: bool) -> None:
    if not isinstance(box, Mapping):
        raise InputTypeError(f"{where} is of type {type(box).__name__}, expected a dict with {POSITION}")
    _check_position(box.get("position"), where)
    check_scores(box, where)
    check_class_id(box, where, labelled=labelled)
    check_caption(box, "box_caption", where)


def _check_position(position: object, where: str) -> None:
    if not isinstance(position, Mapping):
        raise InputTypeError(f"{where} has the position {position!r}, expected {POSITION}")
    middle = _has_pair(position.get("middle")) and _has_numbers(position, "width", "height")
    if not middle and not _has_numbers(position, "minX", "maxX", "minY", "maxY"):
        raise InputTypeError(f"{where} has the position {dict(position)!r}, expected {POSITION}")
    if "rotation_deg" in position and not (middle and is_finite_number(position["rotation_deg"])):
        raise InputTypeError(
            f"{where} has rotation_deg {position['rotation_deg']!r}, expected a finite number of degrees, "
            "in a position with 'middle', 'width' and 'height'"
        )


def _has_pair(middle: Any) -> bool:
    try:
        return not isinstance(middle, (str, bytes)) and len(middle) == 2
    except TypeError:
        return False


def _has_numbers(position: Mapping[str, Any], *names: str) -> bool:
    return all(as_number(position.get(name)) is not None for name in names)
