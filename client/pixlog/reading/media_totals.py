"""How many images and bytes each key has: the one count that needs the whole of every row.

Of a line that has ``"files":[`` once (a quote inside a string is escaped, so only another field of that name
could make it twice) only that list is parsed, else all of it.  A file that several rows share counts once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pixlog.reading.row_index import RowIndex
from pixlog.reading.row_lines import read_lines

_FILES: Final = b'"files":['
_ROWS_A_REPORT: Final = 10_000
_decoder: Final = json.JSONDecoder()


@dataclass(slots=True)
class MediaTotal:
    """Images and bytes of one key."""

    images: int = 0
    nbytes: int = 0


class MediaTotals:
    """Totals by key that are brought up to date as rows come."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._revision = index.revision
        self._totals: dict[str, MediaTotal] = {}
        self._counted_rows = 0
        self._known_files: set[int] = set()

    def update(self, progress: Callable[[int, int], None] | None = None) -> dict[str, MediaTotal]:
        """Count the rows that came since and return a copy of the totals by key."""
        index = self._index
        if (
            self._revision != index.revision
        ):  # rows that were counted are gone, or rows that were left out are back
            self._revision, self._counted_rows = index.revision, 0
            self._totals.clear()
            self._known_files.clear()
        stop = len(index.table)
        while self._counted_rows < stop:
            first = self._counted_rows
            ids = np.arange(first, min(first + _ROWS_A_REPORT, stop))
            numbers = index.table["key"][ids]
            for row_id, line in read_lines(index, ids):
                self._add(index.keys.names[numbers[row_id - first]], line)
            self._counted_rows = first + len(ids)
            if progress is not None:
                progress(self._counted_rows, stop)
        return {key: MediaTotal(total.images, total.nbytes) for key, total in self._totals.items()}

    def _add(self, key: str, line: bytes) -> None:
        total = self._totals.setdefault(key, MediaTotal())
        for entry in _files(line):
            total.images += entry.get("role") == "image"
            file = hash(entry.get("path"))
            size = entry.get("size")
            if file not in self._known_files and isinstance(size, int):
                self._known_files.add(file)
                total.nbytes += size


def _files(line: bytes) -> list[dict[str, Any]]:
    """Return the entries of a row's ``files``; none if the line is damaged."""
    try:
        if line.count(_FILES) == 1:
            text = line[line.index(_FILES) + len(_FILES) - 1 :].decode()
            entries, _ = _decoder.raw_decode(text)
        else:
            entries = json.loads(line).get("files")
        return [entry for entry in entries or () if isinstance(entry, dict)]
    except (ValueError, AttributeError, TypeError):
        return []
