"""The fields of a row by the names that filters, axes and sorting use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pixlog.reading.meta_numbers import as_json_has_it
from pixlog.reading.row_table import RowTable
from pixlog.reading.rows import Row

Path = tuple[str, ...]
"""A field and the way into its JSON: ``("meta", "score")``."""


def _of_first_image(name: str) -> Callable[[Row], Any]:
    def get(row: Row) -> Any:
        value = row.value or {}
        found = value.get(name)
        if found is None and isinstance(several := value.get(f"{name}s"), list):
            return " | ".join(str(one) for one in several if one is not None)
        return found

    return get


def _input(row: Row) -> Any:
    return row.input[0] if isinstance(row.input, list) and row.input else row.input


def meta_of(row: Row) -> dict[str, Any]:
    """Return the meta of the call, and for a single image or the first of a list its own too.

    NaN and infinities are their names, as the page shows them and an exported page has them.
    """
    given = _input(row)
    own = given.get("meta") if isinstance(given, dict) else None
    meta = {**row.meta, **own} if isinstance(own, dict) else row.meta
    return {name: as_json_has_it(value) for name, value in meta.items()}


FIELDS: Final[dict[str, Callable[[Row], Any]]] = {
    "key": lambda row: row.key,
    "step": lambda row: row.step,
    "rank": lambda row: row.rank,
    "seq": lambda row: row.seq,
    "time": lambda row: row.time,
    "state": lambda row: row.state,
    "client": lambda row: row.client,
    "reason": lambda row: row.reason,
    "host": lambda row: row.host,
    "pid": lambda row: row.pid,
    "caption": _of_first_image("caption"),
    "width": _of_first_image("width"),
    "height": _of_first_image("height"),
    "format": _of_first_image("format"),
    "count": lambda row: (row.value or {}).get("count", 1),
    "notes": lambda row: "; ".join(row.notes),
    "meta": meta_of,
    "input": _input,
}

_IN_INDEX: Final[dict[str, Callable[[RowTable], list[Any]]]] = {
    "key": lambda table: [table.key_names[number] for number in table.key.tolist()],
    "step": lambda table: table.step.tolist(),
    "rank": lambda table: table.rank.tolist(),
    "seq": lambda table: table.seq.tolist(),
    "time": lambda table: table.time.tolist(),
    "state": lambda table: [table.STATE_NAMES[code] for code in table.state.tolist()],
    "client": lambda table: [table.client_names[number] for number in table.client.tolist()],
}


def value_at(row: Row, path: Path) -> Any:
    """Return what a row has at a path; None if it has nothing there."""
    return _inside(FIELDS[path[0]](row), path[1:])


def indexed_values(table: RowTable, path: Path) -> list[Any] | None:
    """Return the values of many rows from the index; None if only the rows themselves have them."""
    read = _IN_INDEX.get(path[0])
    if read is None:
        return None
    return read(table) if len(path) == 1 else [None] * len(table)


def _inside(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
