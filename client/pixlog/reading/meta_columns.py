"""Which entries of ``meta`` become columns of a table, and of which type.

An entry is a column ``meta.NAME`` if all its values in the chosen rows are of one type: true or false, whole numbers of
64 bits, numbers, or text.  None counts as absent.  NaN and infinities, which rows name by a text, are numbers beside
numbers and that text beside texts.  Everything else, such as lists, dicts and entries of several types,
stays in the JSON of the column ``meta``, which always has all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from pixlog.reading.meta_numbers import is_not_finite

ColumnType: TypeAlias = Literal["bool", "int64", "float64", "string"]

MAX_COLUMNS: Final = 256
"""Entries beyond so many, those that fewest images have, get no column: names that are data make no table."""

_NOT_FINITE: Final = "not finite"
_JOINED: Final[dict[frozenset[str], ColumnType]] = {
    frozenset({"int64", "float64"}): "float64",
    frozenset({"int64", _NOT_FINITE}): "float64",
    frozenset({"float64", _NOT_FINITE}): "float64",
    frozenset({"string", _NOT_FINITE}): "string",
}
_TYPES: Final[dict[type, ColumnType]] = {bool: "bool", int: "int64", float: "float64", str: "string"}
_COLUMN_TYPES: Final[dict[str, ColumnType]] = {kind: kind for kind in _TYPES.values()} | {
    _NOT_FINITE: "float64"
}


class MetaColumns:
    """Collects the types of the entries of many ``meta`` dicts."""

    def __init__(self) -> None:
        self._types: dict[str, str | None] = {}
        self._counts: Counter[str] = Counter()

    def add(self, meta: Mapping[str, Any]) -> None:
        """Take note of the entries of one image."""
        for name, value in meta.items():
            if value is None:
                continue
            self._counts[name] += 1
            found = _type_of(value)
            known = self._types.setdefault(name, found)
            if found != known:
                self._types[name] = _JOINED.get(frozenset({known, found})) if known and found else None

    def types(self) -> dict[str, ColumnType]:
        """Return the type of every entry that becomes a column, by name, sorted."""
        types = {name: _COLUMN_TYPES[kind] for name, kind in self._types.items() if kind is not None}
        fitting = [name for name, _ in self._counts.most_common() if name in types]
        return {name: types[name] for name in sorted(fitting[:MAX_COLUMNS])}


def meta_columns(metas: Iterable[Mapping[str, Any]]) -> dict[str, ColumnType]:
    """Return the columns that entries of all these ``meta`` dicts make."""
    columns = MetaColumns()
    for meta in metas:
        columns.add(meta)
    return columns.types()


def column_value(meta: Mapping[str, Any], name: str, kind: ColumnType) -> Any:
    """Return the value of one entry in the type of its column; None where it is absent."""
    value = meta.get(name)
    if value is None:
        return None
    if kind == "float64":
        return float(value)
    return str(value) if kind == "string" else value


def _type_of(value: Any) -> str | None:
    if is_not_finite(value):
        return _NOT_FINITE
    kind = _TYPES.get(type(value))
    return None if kind == "int64" and not -(2**63) <= value < 2**63 else kind
