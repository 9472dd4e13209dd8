"""Rows of a run as they are written.

Theory of operation.  Rows are numbered in the order in which they are read, so what came since is what has a higher
number.  A writer whose disk is full may take rows back that were numbered already, and write them again when there is
room: they then get their numbers back.  So whoever follows keeps the numbers that it could not read, and looks
whether they have come back before it goes on to new ones.  Nothing is yielded twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pixlog.reading.row_filter import RowFilter, of_steps
from pixlog.reading.row_index import RowIds, RowIndex
from pixlog.reading.rows import Row, Rows
from pixlog.reading.segment_scan import UNREADABLE

if TYPE_CHECKING:
    from pixlog.reading.run import Run

_ROWS_A_READ: Final = 4096


def following(
    run: Run,
    index: RowIndex,
    asked: RowFilter,
    first: int,
    *,
    poll_s: float,
    timeout_s: float | None,
    stop: threading.Event | Callable[[], bool] | None,
) -> Iterator[Row]:
    """Yield the rows from number ``first`` on that ``asked`` lets pass; ``Run.follow`` says when it ends."""
    event = stop if isinstance(stop, threading.Event) else None
    is_stopped = stop.is_set if isinstance(stop, threading.Event) else (stop or (lambda: False))
    last_row_s = time.monotonic()
    next_id = first
    gone: RowIds = np.empty(0, np.int64)
    while True:
        stopping = is_stopped()
        run.refresh()
        row_count = len(index.table)
        is_back = index.table["state"][gone] != UNREADABLE
        ids = np.concatenate([gone[is_back], np.arange(next_id, row_count)])
        gone, next_id = gone[~is_back], row_count
        for first_place in range(0, len(ids), _ROWS_A_READ):
            some = ids[first_place : first_place + _ROWS_A_READ]
            rows = index.table[some]
            passing = some[_passes(index, asked, rows)]
            left = np.concatenate([passing, some[rows["state"] == UNREADABLE]])
            read: list[int] = []
            for row_id, row in Rows(index, run.path, passing).numbered():
                read.append(row_id)
                if asked.where is None or asked.where(row):
                    yield row
            gone = np.union1d(gone, np.setdiff1d(left, read))
        if len(ids):
            last_row_s = time.monotonic()
        if stopping:
            return
        if len(ids):
            continue
        if timeout_s is not None and time.monotonic() - last_row_s >= timeout_s:
            return
        if event is not None:
            event.wait(poll_s)
        else:
            time.sleep(poll_s)


def _passes(index: RowIndex, asked: RowFilter, rows: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return which of ``rows`` pass every filter that the index can answer."""
    accepted = asked.accepts(rows, index.clients.names) & of_steps(rows["step"], asked.step)
    if asked.keys is not None:
        numbers = [index.keys.known(key) for key in asked.keys]
        accepted &= np.isin(rows["key"], [number for number in numbers if number is not None])
    return accepted
