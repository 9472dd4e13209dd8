"""The files that lie over an image: masks as PNG, boxes, polygons and keypoints as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pixlog.errors import InputError
from pixlogd.convert.encoded import probe_encoded
from pixlogd.convert.masks import convert_mask, distinct_ids
from pixlogd.encode import EncodeOptions, encode
from pixlogd.rendering.media_file import MediaFile, Naming

_SHAPES: Final = (
    ("boxes", "boxes2D", ".boxes2D.json"),
    ("polygons", "polygons", ".polygons.json"),
    ("keypoints", "keypoints", ".keypoints.json"),
)
_MAX_DEFAULT_LABEL_COUNT: Final = 256


@dataclass(slots=True)
class Overlays:
    """The overlay files of one image, their part of the row's value by field, and what was learned."""

    files: list[MediaFile] = field(default_factory=list)
    value: dict[str, dict[str, Any]] = field(default_factory=dict)
    masks_record: dict[str, Any] = field(default_factory=dict)


def render_overlays(
    item: Mapping[str, Any],
    buffers: Sequence[memoryview],
    naming: Naming,
    index: int,
    size: tuple[int, int] | None,
    level: str,
) -> Overlays:
    """Encode everything that ``item`` lays over its image of ``size`` (width, height; None if unknown).

    Raises InputError for a mask that is none, or whose size is not the image's (default contract only).
    """
    overlays = Overlays()
    for role, type_name, suffix in _SHAPES[:1]:
        _add_shapes(overlays, item, role, type_name, suffix, naming, index)
    for group, mask in (item.get("masks") or {}).items():
        _add_mask(overlays, mask, buffers, naming, index, str(group), size, level)
    for role, type_name, suffix in _SHAPES[1:]:
        _add_shapes(overlays, item, role, type_name, suffix, naming, index)
    return overlays


def _add_shapes(
    overlays: Overlays,
    item: Mapping[str, Any],
    role: str,
    type_name: str,
    suffix: str,
    naming: Naming,
    index: int,
) -> None:
    for group, content in (item.get(role) or {}).items():
        media = naming.file(to_json(content, naming.contract), suffix, role, index, str(group))
        _add(overlays, media, role, type_name)


def _add_mask(
    overlays: Overlays,
    mask: Mapping[str, Any],
    buffers: Sequence[memoryview],
    naming: Naming,
    index: int,
    group: str,
    size: tuple[int, int] | None,
    level: str,
) -> None:
    data = mask["data"]
    labels = mask.get("class_labels")
    if data["kind"] == "encoded":
        probed = probe_encoded(data, buffers, what=f"mask {group!r}")
        mask_size = (probed.width, probed.height)
        record: dict[str, Any] = {"kind": "encoded", "mode": probed.mode}
        media = naming.file(probed.data, probed.suffix, "mask", index, group)
    else:
        picture, record = convert_mask(data, buffers, group=group, contract=naming.contract)
        mask_size = (picture.width, picture.height)
        encoded = encode(picture, EncodeOptions(file_type="png", level=level))
        media = naming.file(encoded.data, ".mask.png", "mask", index, group)
        if labels is None:
            ids = distinct_ids(picture)
            if len(ids) <= _MAX_DEFAULT_LABEL_COUNT:
                labels = {i: f"class_{i}" for i in ids}
    if size is not None and mask_size != size and naming.contract != "wandb":
        raise InputError(
            f"mask {group!r} is {mask_size[0]}×{mask_size[1]} pixels, expected the image's {size[0]}×{size[1]}"
            " (width × height)"
        )
    if labels:
        record["class_labels"] = {str(key): name for key, name in labels.items()}
    overlays.masks_record[group] = record
    _add(overlays, media, "masks", "mask")


def _add(overlays: Overlays, media: MediaFile, field_name: str, type_name: str) -> None:
    overlays.files.append(media)
    overlays.value.setdefault(field_name, {})[media.group or ""] = {
        "_type": type_name,
        "sha256": media.sha256,
        "size": media.size,
        "path": media.path,
    }


def to_json(content: Any, contract: str) -> bytes:
    """Serialise an overlay: compact UTF-8, or under the contract "wandb" the very bytes that 0.18.0 writes.

    JSON knows no NaN and no infinity: null under the default contract, Python's literals under the other.
    """
    if contract == "wandb":
        return json.dumps(content).encode()
    try:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def _without_nan(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_nan(value) for value in content]
    return content
