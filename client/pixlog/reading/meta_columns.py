"""Which entries of ``meta`` become columns of a table, and of which type.

An entry is a column ``meta.NAME`` if all its values in the chosen rows are of one type: true or false, whole numbers of
64 bits, numbers, or text.  None counts as absent.  Everything else, such as lists, dicts and entries of several types,
stays in the JSON of the column ``meta``, which always has all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

ColumnType: TypeAlias = Literal["bool", "int64", "float64", "string"]

MAX_COLUMNS: Final = 256
"""Entries beyond so many, those that fewest images have, get no column: names that are data make no table."""

_TYPES: Final[dict[type, ColumnType]] = {bool: "bool", int: "int64", float: "float64", str: "string"}


class MetaColumns:
    """Collects the types of the entries of many ``meta`` dicts."""

    def __init__(self) -> None:
        self._types: dict[str, ColumnType | None] = {}
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
                self._types[name] = "float64" if {known, found} == {"int64", "float64"} else None

    def types(self) -> dict[str, ColumnType]:
        """Return the type of every entry that becomes a column, by name, sorted."""
        fitting = [name for name, _ in self._counts.most_common() if self._types[name] is not None]
        return {
            name: kind for name in sorted(fitting[:MAX_COLUMNS]) if (kind := self._types[name]) is not None
        }


def meta_columns(metas: Iterable[Mapping[str, Any]]) -> dict[str, ColumnType]:
    """Return the columns that entries of all these ``meta`` dicts make."""
    columns = MetaColumns()
    for meta in metas:
        columns.add(meta)
    return columns.types()


def column_value(meta: Mapping[str, Any], name: str, kind: ColumnType) -> Any:
    """Return the value of one entry in the type of its column; None where it is absent."""
    value = meta.get(name)
    return float(value) if kind == "float64" and value is not None else value


def _type_of(value: Any) -> ColumnType | None:
    kind = _TYPES.get(type(value))
    return None if kind == "int64" and not -(2**63) <= value < 2**63 else kind
