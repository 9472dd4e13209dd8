"""What only the whole of every row can say, worked out once and kept up as rows come.

A scan is one number for each row of a run: whether it passes a filter, or its value of one ``meta`` entry.  The
index does not have these, so every line is read, a few thousand at a time; rows that came since are read when
the scan is asked for again.  Only the last few scans are kept: 8 bytes a row each.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlog.rows import Row
from pixlog.run import Run
from pixlog.view.expression import FIELDS, meta_of, parse_expression

_SCANS_KEPT: Final = 12
_ROWS_A_READ: Final = 4096
_NAMES_SHOWN: Final = 200
_SORTED_CHARACTERS: Final = 64

Values = npt.NDArray[np.float64]


class RowScans:
    """The scans of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._scans: OrderedDict[str, _Scan] = OrderedDict()

    def matches(self, text: str, first: int = 0) -> npt.NDArray[np.uint8]:
        """Return 1 for each row from number ``first`` on that passes the filter; raise ``InputError``."""
        test = parse_expression(text)
        return np.nan_to_num(self._values(f"where {text}", test, first)).astype(np.uint8)

    def meta(self, name: str, first: int = 0) -> Values:
        """Return the number that each row has under ``meta[name]``, NaN where it has none."""
        return self._values(f"meta {name}", lambda row: number_of(meta_of(row).get(name)), first)

    def order(self, name: str) -> Values:
        """Return each row's place when rows are sorted by a text field such as ``caption``; rows without it last."""
        read = FIELDS.get(name)
        if read is None:
            raise InputError(f"rows are sorted by one of {', '.join(FIELDS)}; got {name!r}")
        texts = np.full(self._run.row_count, "\U0010ffff", object)
        for first in range(0, len(texts), _ROWS_A_READ):
            numbers = np.arange(first, min(first + _ROWS_A_READ, len(texts)))
            for number, row in self._run.rows_by_number(numbers).numbered():
                if (value := read(row)) is not None:
                    texts[number] = str(value)[:_SORTED_CHARACTERS].casefold()
        order: Values = np.unique(texts, return_inverse=True)[1].astype(np.float64)
        return order

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

    def _values(self, name: str, value_of: Callable[[Row], float], first: int) -> Values:
        with self._lock:
            scan = self._scans.pop(name, None) or _Scan()
            self._scans[name] = scan
            while len(self._scans) > _SCANS_KEPT:
                self._scans.popitem(last=False)
        with scan.lock:
            scan.extend(self._run, value_of)
            return scan.values[first:].copy()


class _Scan:
    """The values of the rows read so far."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: Values = np.empty(0, np.float64)

    def extend(self, run: Run, value_of: Callable[[Row], float]) -> None:
        stop = run.row_count
        blocks = [self.values]
        for first in range(len(self.values), stop, _ROWS_A_READ):
            numbers = np.arange(first, min(first + _ROWS_A_READ, stop))
            block = np.full(len(numbers), np.nan)
            for number, row in run.rows_by_number(numbers).numbered():
                block[number - first] = value_of(row)
            blocks.append(block)
        self.values = np.concatenate(blocks)


def number_of(value: Any) -> float:
    """Return a JSON number as a float; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
