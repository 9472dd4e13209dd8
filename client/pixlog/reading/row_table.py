"""The indexed fields of many rows at once, as arrays: what a table or a slider over a whole run needs.

Nothing of it is read from disk; the index has it in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.reading.row_index import RowIndex
from pixlog.reading.row_prefix import STATES
from pixlog.reading.segment_scan import UNREADABLE


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows ``first``, ``first + 1``, … in the order in which they were read, one array a field."""

    first: int
    """Number of the first row; a row keeps its number as long as the run is open."""
    key_names: tuple[str, ...]
    """Every key of the run; ``key`` counts in it.  It only grows at its end."""
    client_names: tuple[str, ...]
    """Every client of the run; ``client`` counts in it."""
    key: npt.NDArray[np.int32]
    step: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int32]
    client: npt.NDArray[np.int32]
    seq: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]
    """Index into ``saved``, ``failed``, ``dropped``; 3 for a row whose line turned out to be damaged."""
    time: npt.NDArray[np.float64]
    """Seconds since 1970."""

    STATE_NAMES = (*STATES, "damaged")
    DAMAGED = UNREADABLE

    def __len__(self) -> int:
        return len(self.key)


def table_of(index: RowIndex, first: int) -> RowTable:
    """Copy the fields of row ``first`` and all behind it out of the index."""
    rows = index.table[first:]

    def column(name: str) -> npt.NDArray[Any]:
        return np.ascontiguousarray(rows[name])

    return RowTable(
        first=first,
        key_names=tuple(index.keys.names),
        client_names=tuple(index.clients.names),
        key=column("key"),
        step=column("step"),
        rank=column("rank"),
        client=column("client"),
        seq=column("seq"),
        state=column("state"),
        time=column("time"),
    )
