"""What boxes, polygons and keypoints have in common, checked by W&B's rules for boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixlog.errors import InputKeyError, InputTypeError
from pixlog.model.classes import ClassLabels, check_class_labels
from pixlog.model.plain import as_number


def check_group(val: object, where: str, data_name: str) -> tuple[list[Any], ClassLabels | None]:
    """Check a group's outer dict; return the user's list of shapes and a copy of the class labels, if given."""
    if not isinstance(val, Mapping):
        raise InputTypeError(f"{where} is of type {type(val).__name__}, expected a dict with {data_name!r}")
    labels = None
    if "class_labels" in val:
        labels = check_class_labels(val["class_labels"], f"{where}['class_labels']")
    if data_name not in val:
        raise InputKeyError(f"{where} has no {data_name!r}; got {sorted(map(str, val))}")
    shapes = val[data_name]
    if not isinstance(shapes, list):
        raise InputTypeError(
            f"{where}[{data_name!r}] is of type {type(shapes).__name__}, expected a list of dicts"
        )
    return shapes, labels


def check_scores(shape: Mapping[str, Any], where: str) -> None:
    """Check the optional scores of a box, polygon or set of keypoints."""
    if "scores" not in shape:
        return
    scores = shape["scores"]
    if not isinstance(scores, dict):
        raise InputTypeError(f"{where}['scores'] is of type {type(scores).__name__}, expected a dict")
    for name, score in scores.items():
        if not isinstance(name, str) or as_number(score) is None:
            raise InputTypeError(f"{where}['scores'] has {name!r}: {score!r}, expected a str and a number")


def check_class_id(shape: Mapping[str, Any], where: str, *, labelled: bool) -> None:
    """Check the class id of a box, polygon or set of keypoints; without labels there must be one."""
    if "class_id" not in shape:
        if not labelled:
            raise InputKeyError(f"{where} has no 'class_id', and its group no 'class_labels'")
    elif not isinstance(as_number(shape["class_id"]), int):
        raise InputTypeError(f"{where} has the class_id {shape['class_id']!r}, expected a whole number")


def check_caption(shape: Mapping[str, Any], name: str, where: str) -> None:
    """Check an optional caption, which must be a string where present."""
    if name in shape and not isinstance(shape[name], str):
        raise InputTypeError(f"{where} has the {name} {shape[name]!r}, expected a str")
