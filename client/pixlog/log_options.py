"""The options of a log call, as type checkers and editors see them; ``pixlog.Image`` documents each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from pixlog.model.classes import Classes


class LogOptions(TypedDict, total=False):
    """Keyword arguments of ``log_image``; over a list of images, a list gives one entry to each where it may."""

    mode: str | None
    caption: object
    grouping: int | None
    classes: Classes | Sequence[Mapping[str, Any]] | None
    boxes: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    masks: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    polygons: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    keypoints: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    file_type: str | None
    normalize: str | bool | None
    value_range: Sequence[float] | None
    layout: str | None
    color: str | None
    quality: int | None
    lossless: bool | None
    level: str | None
    depth: str | None
    background: Sequence[int] | str | None
    grid: bool | int | None
    dedup: bool | None
    contract: str | None
