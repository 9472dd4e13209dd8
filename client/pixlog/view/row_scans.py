"""What the index does not have of the rows, read once and kept up as rows come: for filters, axes and sorting.

Reading a row means parsing its line, some 10 to 30 µs, so a hundred thousand of them take seconds.  A column is the
value of all rows at one path, such as ``meta.score``.  The first time that any is asked for, those of all numeric
``meta`` entries and the captions are read along, so that the next filter or axis finds its column there.
The columns kept have a limit, in cells; those used longest ago go first.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlog.reading.run import Run
from pixlog.view.expression import parse_expression
from pixlog.view.row_fields import FIELDS, Path, indexed_values, meta_of, value_at

CELLS_KEPT: Final = 4_000_000
_ROWS_A_READ: Final = 4096
_NAMES_SHOWN: Final = 200
_READ_ALONG: Final = 12
_SORTED_CHARACTERS: Final = 64

Values = npt.NDArray[np.float64]


class RowScans:
    """The columns of one run, and what is worked out of them."""

    def __init__(self, run: Run, *, cells_kept: int = CELLS_KEPT) -> None:
        self._run = run
        self._cells_kept = cells_kept
        self._lock = threading.Lock()
        self._columns: OrderedDict[Path, list[Any]] = OrderedDict()
        self._length = 0
        self._revision = run.revision

    @property
    def cell_count(self) -> int:
        """Cells of the columns that are kept."""
        return len(self._columns) * self._length

    def matches(self, text: str, first: int = 0) -> npt.NDArray[np.uint8]:
        """Return 1 for each row from number ``first`` on that passes the filter; raise ``InputError``."""
        expression = parse_expression(text)
        columns = self._read(expression.paths, first)
        if not columns:
            passes = expression.test(())
            return np.full(max(0, self._run.row_count - first), passes, np.uint8)
        test = expression.test
        return np.fromiter((test(values) for values in zip(*columns, strict=True)), np.uint8)

    def meta(self, name: str, first: int = 0) -> Values:
        """Return the number that each row has under ``meta[name]``, NaN where it has none."""
        (column,) = self._read((("meta", name),), first)
        return np.fromiter((number_of(value) for value in column), np.float64)

    def order(self, name: str) -> Values:
        """Return each row's place when rows are sorted by a text field such as ``caption``; rows without it last."""
        if name not in FIELDS:
            raise InputError(f"rows are sorted by one of {', '.join(FIELDS)}; got {name!r}")
        (column,) = self._read(((name,),), 0)
        last = "\U0010ffff"
        texts = [last if value is None else str(value)[:_SORTED_CHARACTERS].casefold() for value in column]
        place_of = {text: place for place, text in enumerate(sorted(set(texts)))}
        return np.fromiter((place_of[text] for text in texts), np.float64)

    def meta_names(self) -> list[str]:
        """Return the names of numeric ``meta`` entries, as a sample of each key's rows has them."""
        found: dict[str, None] = {}
        for key in self._run.summary().keys:
            rows = self._run.rows(key, state="saved")
            places = sorted({0, 1, len(rows) // 3, len(rows) // 2, len(rows) - 2, len(rows) - 1})
            ids = rows.ids[[place for place in places if 0 <= place < len(rows)]]
            for row in self._run.rows_by_number(ids):
                found.update(
                    (name, None) for name, value in meta_of(row).items() if not math.isnan(number_of(value))
                )
            if len(found) >= _NAMES_SHOWN:
                break
        return sorted(found)

    def _read(self, paths: tuple[Path, ...], first: int) -> list[list[Any]]:
        """Return the columns at ``paths`` from row ``first`` on, all of one length."""
        table = self._run.table(first)
        stop = min(first + len(table), self._run.row_count)  # whoever asks may ask from any number on
        indexed = {path: indexed_values(table, path) for path in paths}
        unindexed = [path for path, values in indexed.items() if values is None]
        if unindexed:
            with self._lock:
                self._extend(unindexed, stop)
                for path in unindexed:
                    indexed[path] = self._columns[path][first:stop]
                    self._columns.move_to_end(path)
        return [values for values in indexed.values() if values is not None]

    def _extend(self, paths: list[Path], stop: int) -> None:
        if self._revision != self._run.revision:  # rows were taken back, or have come back
            self._revision, self._length = self._run.revision, 0
            self._columns.clear()
        added = [path for path in paths if path not in self._columns]
        if added:
            added += [path for path in self._read_along() if path not in self._columns and path not in added]
            found = self._scan(added, 0, self._length)
            self._columns.update(zip(added, found, strict=True))
        if stop > self._length:
            kept = list(self._columns)
            for path, values in zip(kept, self._scan(kept, self._length, stop), strict=True):
                self._columns[path] += values
            self._length = stop
        for path in [path for path in self._columns if path not in paths]:
            if self.cell_count <= self._cells_kept:
                break
            del self._columns[path]

    def _read_along(self) -> list[Path]:
        """Return the paths that are likely to be asked for next, if there is room for their columns."""
        if self._columns or self._run.row_count * (_READ_ALONG + 2) > self._cells_kept:
            return []
        return [("caption",), *(("meta", name) for name in self.meta_names()[:_READ_ALONG])]

    def _scan(self, paths: list[Path], first: int, stop: int) -> list[list[Any]]:
        columns: list[list[Any]] = [[None] * (stop - first) for _ in paths]
        for start in range(first, stop, _ROWS_A_READ):
            numbers = np.arange(start, min(start + _ROWS_A_READ, stop))
            for number, row in self._run.rows_by_number(numbers).numbered():
                for column, path in zip(columns, paths, strict=True):
                    column[number - first] = value_at(row, path)
        return columns


def number_of(value: Any) -> float:
    """Return a JSON number as a float; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
