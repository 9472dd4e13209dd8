"""The runs that a viewer shows: kept open, brought up to date for all pages at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from pixlog.cli.find_daemon import daemon_of
from pixlog.errors import ConnectError
from pixlog.reading.rows import Row
from pixlog.reading.run import Run
from pixlog.view.row_scans import RowScans

_REFRESH_S: Final = 0.25
_DAEMON_S: Final = 1.5
_DAEMON_TIMEOUT_S: Final = 1.0
_LINKED_SPAN: Final = 256
_SAMPLE: Final = 16
_KEYS_KEPT: Final = 64
_COUNTERS: Final = ("accepted", "saved", "failed", "dropped", "queued", "images_per_s", "mb_per_s")


@dataclass(slots=True)
class OpenRun:
    """One run, its name on the page, and what was worked out of it."""

    run: Run
    name: str
    scans: RowScans
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _refreshed_s: float = -_REFRESH_S
    _asked_daemon_s: float = -_DAEMON_S
    _daemon: dict[str, Any] | None = None
    _lengths: dict[str, dict[int, int]] = field(default_factory=dict)
    _lengths_lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> int:
        """Read what was logged since, unless that was done just now; return the number of rows."""
        with self._lock:
            now = time.monotonic()
            if now - self._refreshed_s >= _REFRESH_S:
                self.run.refresh()
                self._refreshed_s = time.monotonic()
        return self.run.row_count

    def daemon(self) -> dict[str, Any] | None:
        """Return the counters of the daemon that serves the run; None if none does."""
        with self._lock:
            now = time.monotonic()
            if now - self._asked_daemon_s >= _DAEMON_S:
                self._daemon = _counters(self.run.path)
                self._asked_daemon_s = time.monotonic()
            return self._daemon

    def row(self, number: int) -> Row:
        """Return a row by its number; raise ``InputError`` or ``RunError`` if there is none."""
        return self.run.rows_by_number([number])[0]

    def linked(self, number: int) -> list[tuple[int, Row]]:
        """Return the rows of the same ``client.log`` call, by number; a row of its own call alone."""
        row = self.row(number)
        if row.call is None:
            return [(number, row)]
        table = self.run.table()
        # The rows of a call are a client's neighbours by seq; other threads of it may log between them.
        near = np.abs(table.seq - row.seq) <= _LINKED_SPAN
        near &= table.client == table.client[number]
        numbers = np.flatnonzero(near)
        rows = self.run.rows_by_number(numbers[np.argsort(table.seq[numbers])]).numbered()
        return [(found, other) for found, other in rows if other.call == row.call]

    def list_lengths(self, key: str) -> dict[int, int]:
        """Return how many images the rows of ``key`` have, by row number, of those that have several.

        All rows are read for it, once, but only if one of a sample of them has several: what is logged under a key is
        usually all of a kind.
        """
        ids = self.run.rows(key, state="saved").ids
        sample = ids[np.linspace(0, len(ids) - 1, min(_SAMPLE, len(ids)), dtype=np.int64)]
        if not any(_image_count(row) > 1 for row in self.run.rows_by_number(sample)):
            return {}
        with self._lengths_lock:
            known = self._lengths.pop(key, {})
            new = [number for number in ids.tolist() if number not in known]
            for number, row in self.run.rows_by_number(new).numbered():
                known[number] = _image_count(row)
            self._lengths[key] = known
            while len(self._lengths) > _KEYS_KEPT:
                del self._lengths[next(iter(self._lengths))]
            return {number: length for number, length in known.items() if length > 1}


def open_runs(paths: Sequence[str | os.PathLike[str]]) -> list[OpenRun]:
    """Open every run; raise ``RunError`` for a path that is none.  A path given twice is opened once."""
    runs = [Run(path) for path in dict.fromkeys(Path(os.path.abspath(path)) for path in paths)]
    return [
        OpenRun(run, name, RowScans(run))
        for run, name in zip(runs, short_names([run.path for run in runs]), strict=True)
    ]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of ``paths`` that tell them apart."""
    for depth in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _image_count(row: Row) -> int:
    names = (row.value or {}).get("filenames")
    return len(names) if isinstance(names, list) else 1


def _counters(run_dir: Path) -> dict[str, Any] | None:
    try:
        daemon = daemon_of(run_dir, _DAEMON_TIMEOUT_S)
    except (ConnectError, OSError):
        return None
    if daemon is None:
        return None
    real = os.path.realpath(run_dir)
    for run in daemon.status["runs"]:
        if os.path.realpath(run["run_dir"]) == real:
            counters = {name: run.get(name, 0) for name in _COUNTERS}
            connected = [client for client in run["clients"] if client.get("connected", True)]
            return counters | {"clients": len(connected), "trouble": run.get("trouble")}
    return None
