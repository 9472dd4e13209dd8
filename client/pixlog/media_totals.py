"""How many images and bytes each key has: the one count that needs the whole of every row.

The writer puts ``files`` after everything a user can give, so the last ``"files":[`` of a saved row's line
begins them (a quote inside a string is escaped), and one expression over the rest finds sizes and roles without
parsing the row.  A file that several rows share counts once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixlog.row_index import RowIndex
from pixlog.row_lines import read_lines

_FILE = re.compile(rb'"path":"((?:[^"\\]|\\.)*)","sha256":"[^"]*","size":(\d+),"role":"(\w+)"')
_ROWS_A_REPORT = 10_000


@dataclass(slots=True)
class MediaTotal:
    """Images and bytes of one key."""

    images: int = 0
    nbytes: int = 0


class MediaTotals:
    """Totals by key that are brought up to date as rows come."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._totals: dict[str, MediaTotal] = {}
        self._counted_rows = 0
        self._known_files: set[int] = set()

    def update(self, progress: Callable[[int, int], None] | None = None) -> dict[str, MediaTotal]:
        """Count the rows that came since and return a copy of the totals by key."""
        index = self._index
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
        for path, size, role in _files(line):
            total.images += role == b"image"
            file = hash(path)
            if file not in self._known_files:
                self._known_files.add(file)
                total.nbytes += size


def _files(line: bytes) -> list[tuple[bytes, int, bytes]]:
    tail = line[line.rfind(b'"files":[') :]
    found = _FILE.findall(tail)
    if (
        tail.startswith(b'"files"')
        and len(found) == tail.count(b'"role":')
        and b'"state":"saved"' in line[:1024]
    ):
        return [(path, int(size), role) for path, size, role in found]
    try:
        files = json.loads(line).get("files") or []
        return [(file["path"].encode(), int(file["size"]), file["role"].encode()) for file in files]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
