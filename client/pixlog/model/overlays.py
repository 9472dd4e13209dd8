"""The groups of boxes, masks, polygons and keypoints that lie over one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pixlog.errors import InputError, InputTypeError
from pixlog.model.boxes import BoundingBoxes2D
from pixlog.model.classes import ClassLabels
from pixlog.model.keypoints import Keypoints
from pixlog.model.masks import ImageMask
from pixlog.model.plain import plain_text
from pixlog.model.polygons import Polygons

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class Overlays:
    """Checked groups by name; an empty dict where the user gave none."""

    boxes: dict[str, BoundingBoxes2D] = field(default_factory=dict)
    masks: dict[str, ImageMask] = field(default_factory=dict)
    polygons: dict[str, Polygons] = field(default_factory=dict)
    keypoints: dict[str, Keypoints] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any group."""
        return bool(self.boxes or self.masks or self.polygons or self.keypoints)

    def labels(self) -> Iterable[ClassLabels]:
        """Yield the class labels of all groups, in the order in which W&B merges them: boxes, then masks."""
        yield from (group.class_labels for group in self.boxes.values())
        yield from (group.class_labels for group in self.masks.values())
        yield from (group.class_labels for group in self.polygons.values())
        yield from (group.class_labels for group in self.keypoints.values())

    def check_mask_sizes(self, size: tuple[int, int] | None) -> None:
        """Raise ``InputError`` for a mask that does not cover an image of ``size`` (width, height) exactly."""
        if size is None:
            return
        for name, mask in self.masks.items():
            if mask.size is not None and mask.size != size:
                raise InputError(
                    f"masks[{name!r}] is {_text(mask.size)}, but the image is {_text(size)} (width×height): "
                    "expected a mask of the image's size"
                )


NO_OVERLAYS = Overlays()


def take_overlays(
    *, boxes: object, masks: object, polygons: object, keypoints: object, copy: bool
) -> Overlays:
    """Check what a user gave as groups; None and empty mean "none".

    With ``copy`` masks are copied, else they may share the caller's memory.  Raises ``InputError`` for something else
    than a dict of groups, ``InputTypeError`` for a group that is neither a dict nor the helper class.
    """
    if boxes is None and masks is None and polygons is None and keypoints is None:
        return NO_OVERLAYS
    return Overlays(
        _take_groups(boxes, "boxes", BoundingBoxes2D, BoundingBoxes2D),
        _take_groups(masks, "masks", ImageMask, ImageMask if copy else ImageMask.borrow),
        _take_groups(polygons, "polygons", Polygons, Polygons),
        _take_groups(keypoints, "keypoints", Keypoints, Keypoints),
    )


def _take_groups(value: object, name: str, kind: type[G], make: Callable[[Any, str], G]) -> dict[str, G]:
    if not isinstance(value, Mapping):
        if value is None or (isinstance(value, (list, tuple, str, int)) and not value):
            return {}
        raise InputError(
            f"{name} is of type {type(value).__name__}, expected a dict from group names to "
            f"{kind.__name__} or dicts"
        )
    groups: dict[str, G] = {}
    for group, content in value.items():
        if not isinstance(content, (kind, Mapping)):
            raise InputTypeError(
                f"{name}[{group!r}] is of type {type(content).__name__}, expected {kind.__name__} or a dict"
            )
        key = plain_text(str(group))
        groups[key] = content if isinstance(content, kind) else make(content, key)
    return groups


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
