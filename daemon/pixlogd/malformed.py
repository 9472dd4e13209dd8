"""Whose fault was it?  What is wrong with the items of a call, looked at only after their conversion went wrong.

Calls of our own client are sound, so nothing is spent on checking them.  When a conversion meets what it did not
expect, this tells a peer that sent nonsense, which is a failed image like others, from a mistake of ours, which is an
internal error with its traceback in the log.  The fields are those of docs/protocol.md.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pixlog.pixels.layout import LAYOUTS

Check: TypeAlias = Callable[[Any], bool]

_MOST_AXES = 64


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _flag(value: Any) -> bool:
    return type(value) is bool


def _name(value: Any) -> bool:
    """Whether a key of a map can be a group's or a class's name."""
    return type(value) in (str, int, float, bool)


def _anything(value: Any) -> bool:
    del value
    return True


def _json(value: Any) -> bool:
    """Whether JSON can say it."""
    if isinstance(value, dict):
        return all(_name(key) and _json(value[key]) for key in value)
    if isinstance(value, list):
        return all(map(_json, value))
    return value is None or type(value) in (str, int, float, bool)


def _wholes(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_AXES and all(map(_whole, value))


def _size(value: Any) -> bool:
    return _wholes(value) and len(value) == 2


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _one_of(*names: str) -> Check:
    return lambda value: value in names


def _map_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(_name(key) and check(value[key]) for key in value)


def _class(value: Any) -> bool:
    return isinstance(value, dict) and _whole_or_negative(value.get("id")) and _text(value.get("name"))


def _whole_or_negative(value: Any) -> bool:
    return type(value) is int


_DATA: Final[Mapping[str, Mapping[str, Check]]] = {
    "array": {"buffer": _whole, "dtype": _text, "shape": _wholes, "layout": _text},
    "pil": {"buffer": _whole, "mode": _text, "size": _size},
    "encoded": {"buffer": _whole, "suffix": _text},
    "reference": {"url": _text},
    "ref": {"client": _text, "seq": _whole},
}
_DATA_OPTIONS: Final[Mapping[str, Check]] = {
    "axes": _wholes,
    "origin": _text,
    "masked": _flag,
    "index": _whole,
    "icc": _whole,
    "palette": _map_of(_anything),
    "transparency": lambda value: _whole(value) or (isinstance(value, list) and all(map(_whole, value))),
}
_OPTIONS: Final[Mapping[str, Check]] = {
    "caption": _text,
    "grouping": _number,
    "mode": _text,
    "file_type": _text,
    "quality": _whole,
    "lossless": _flag,
    "level": _one_of("fast", "small", "pillow"),
    "normalize": lambda value: _text(value) or _flag(value),
    "value_range": lambda value: _numbers(value) and len(value) == 2,
    "color": _one_of("RGB", "RGBA", "BGR", "BGRA"),
    "depth": _one_of("keep"),
    "background": lambda value: _wholes(value) and len(value) == 3,
    "grid": lambda value: _flag(value) or _whole(value),
    "dedup": _flag,
    "contract": _one_of("pixlog", "wandb"),
    "boxes": _map_of(_json),
    "polygons": _map_of(_json),
    "keypoints": _map_of(_json),
    "masks": _map_of(lambda value: isinstance(value, dict)),
    "classes": lambda value: isinstance(value, list) and all(map(_class, value)),
}


def malformation_of(header: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the items of a LOG header whose structure was checked, None for sound ones."""
    count = len(header.get("buffers") or ())
    for index, item in enumerate(header["items"]):
        fault = _fault_of_item(item, count)
        if fault is not None:
            return f"image {index}: {fault}"
    if header.get("contract") not in (None, "pixlog", "wandb"):
        return f"contract is {_shown(header['contract'])}"
    return None


def _fault_of_item(item: Mapping[str, Any], count: int) -> str | None:
    for name, value in item.items():
        check = _OPTIONS.get(name) if isinstance(name, str) else None
        if value is not None and check is not None and not check(value):
            return f"{name} is {_shown(value)}"
    for group, mask in (item.get("masks") or {}).items():
        labels = mask.get("class_labels")
        if not isinstance(mask.get("data"), dict):
            return f"mask {_shown(group)} has no data"
        if labels is not None and not _map_of(_anything)(labels):
            return f"mask {_shown(group)}: class_labels is {_shown(labels)}"
        if (fault := _fault_of_data(mask["data"], count)) is not None:
            return f"mask {_shown(group)}: {fault}"
    return _fault_of_data(item["data"], count)


def _fault_of_data(data: Mapping[str, Any], count: int) -> str | None:
    kind = data.get("kind")
    required = _DATA.get(kind) if isinstance(kind, str) else None
    if required is None:
        return f"data of kind {_shown(kind)}"
    for name, check in required.items():
        if not check(data.get(name)):
            return f"{name} is {_shown(data.get(name))}"
    for name, check in _DATA_OPTIONS.items():
        if data.get(name) is not None and not check(data[name]):
            return f"{name} is {_shown(data[name])}"
    if kind == "array" and (data["layout"] not in LAYOUTS or len(data["layout"]) > len(data["shape"])):
        return f"layout {_shown(data['layout'])} of shape {_shown(data['shape'])}"
    palette = data.get("palette")
    if "palette" in data and (
        not palette or not _text(palette.get("mode")) or not _whole(palette.get("buffer"))
    ):
        return f"palette is {_shown(palette)}"
    if data.get("axes") is not None and sorted(data["axes"]) != list(range(len(data.get("shape", ())))):
        return f"axes {_shown(data['axes'])} of shape {_shown(data.get('shape'))}"
    for number in (data.get("buffer"), data.get("icc"), (palette or {}).get("buffer")):
        if number is not None and number >= count:
            return f"buffer {number} of {count}"
    return None


def _shown(value: object) -> str:
    return reprlib.repr(value)
