"""Class labels: the names, and if wanted the colours, that ids of boxes and masks stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pixlog.css_colors import color_levels
from pixlog.errors import InputError, InputKeyError, InputTypeError
from pixlog.model.plain import Plain, as_number, plain, plain_key, plain_text

ClassLabels = dict[Any, str]
_COLORS: Final = "a CSS colour (such as 'red', '#f80', 'hsl(32, 100%, 50%)') or three numbers from 0 to 255"


class Classes:
    """A set of classes, as ``wandb.Classes`` 0.18.0 has it.

    ``class_set`` is a sequence of dicts, each with ``"id"`` (a number or a string) and ``"name"``; ``"color"`` may be
    a CSS colour (``"#ff8800"``, ``"red"``, ``"rgb(255 136 0)"``, ``"hsl(32, 100%, 50%)"``) or three numbers from 0 to
    255, or from 0 to 1 if none is larger.  Text that is no such colour is kept; a call that logs it warns, and the
    class is shown as one without.  Further entries are kept.  The dicts are copied.  Raises ``InputTypeError`` for
    another type, ``InputKeyError`` for a missing entry and ``InputError`` for a colour that is neither text nor three
    numbers.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, class_set: Sequence[Mapping[str, Any]]) -> None:
        self._class_set = check_class_set(class_set, "class_set")

    @property
    def class_set(self) -> list[dict[str, Plain]]:
        """A copy of the classes, in the order given."""
        return [dict(entry) for entry in self._class_set]

    def to_json(self) -> dict[str, Plain]:
        """Return the shape that W&B's readers know: ``{"_type": "classes", "class_set": [...]}``."""
        return {"_type": "classes", "class_set": self.class_set}

    def __eq__(self, other: object) -> bool:
        """Compare class sets; their order matters."""
        return isinstance(other, Classes) and self._class_set == other._class_set

    def __repr__(self) -> str:
        """Show the classes."""
        return f"Classes({self._class_set!r})"


def check_class_set(value: object, where: str) -> list[dict[str, Plain]]:
    """Return private copies of dicts that each have an id and a name."""
    if isinstance(value, Classes):
        return value.class_set
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InputTypeError(
            f"{where} is of type {type(value).__name__}, expected a list of dicts with 'id' and 'name'"
        )
    return [_check_class(entry, f"{where}[{index}]") for index, entry in enumerate(value)]


def _check_class(value: object, where: str) -> dict[str, Plain]:
    if not isinstance(value, Mapping):
        raise InputTypeError(
            f"{where} is of type {type(value).__name__}, expected a dict with 'id' and 'name'"
        )
    for name in ("id", "name"):
        if name not in value:
            raise InputKeyError(
                f"{where} has no {name!r}, expected 'id' and 'name'; got {sorted(map(str, value))}"
            )
    entry: dict[str, Plain] = plain(value, where)
    if isinstance(entry["id"], float) and entry["id"].is_integer():
        entry["id"] = int(entry["id"])
    if entry.get("color") is not None:
        _check_color(entry["color"], where)
    return entry


def _check_color(color: Plain, where: str) -> None:
    if color_levels(color) is None and (not isinstance(color, str) or not color):
        raise InputError(f"{where}['color'] is {color!r:.80}, expected {_COLORS}")


def warn_of_colors(class_set: Sequence[Mapping[str, Plain]]) -> list[str]:
    """Return a warning for each colour that nobody can read: an image is not lost for it."""
    return [
        f"classes[{index}]['color'] is {entry['color']!r:.80}, expected {_COLORS}; the class is shown without it"
        for index, entry in enumerate(class_set)
        if entry.get("color") is not None and color_levels(entry["color"]) is None
    ]


def check_class_labels(value: object, where: str) -> ClassLabels:
    """Return a private copy of a dict from class ids to names; the rule of wandb's boxes and masks.

    Ids are those of boxes and pixels, so ``1.0`` is ``1``; raises ``InputError`` for a number that is not whole.
    """
    if not isinstance(value, Mapping):
        raise InputTypeError(
            f"{where} is of type {type(value).__name__}, expected a dict from class ids to names"
        )
    labels: ClassLabels = {}
    for key, name in value.items():
        if as_number(key) is None or not isinstance(name, str):
            raise InputTypeError(f"{where} has {key!r}: {name!r}, expected a number and a str")
        labels[_class_id(plain_key(key, where), where)] = plain_text(name)
    return labels


def _class_id(key: Plain, where: str) -> int:
    if isinstance(key, float) and not key.is_integer():
        raise InputError(f"{where} has the class id {key!r}, expected whole numbers")
    return int(key)


def default_labels(class_ids: Iterable[int]) -> ClassLabels:
    """Return the generated names "class_<id>" of the ids that occur, in ascending order."""
    return {class_id: f"class_{class_id}" for class_id in sorted({int(class_id) for class_id in class_ids})}


def merge_classes(
    labels: Iterable[ClassLabels], class_set: Sequence[Mapping[str, Plain]]
) -> list[dict[str, Plain]]:
    """Merge the labels of overlays with explicit classes, as ``wandb.Image`` 0.18.0 does.

    A later name wins; the position is that of the first occurrence.
    """
    merged: dict[Any, dict[str, Plain]] = {}
    for group in labels:
        for class_id, name in group.items():
            merged[class_id] = {"id": class_id, "name": name}
    for entry in class_set:
        merged[entry["id"]] = dict(entry)
    return list(merged.values())
