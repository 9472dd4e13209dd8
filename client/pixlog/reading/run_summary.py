"""Counts of a run by key, from the index alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pixlog.reading.row_index import RowIndex
from pixlog.reading.row_prefix import STATES
from pixlog.reading.segment_scan import UNREADABLE


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows are in which state; ``rows`` = saved + failed + dropped."""

    rows: int
    saved: int
    failed: int
    dropped: int

    def counts_text(self) -> str:
        """Return the counts as people say them: "12 rows, 10 saved, 2 failed"."""
        parts = [f"{getattr(self, state)} {state}" for state in STATES if getattr(self, state)]
        return ", ".join([f"{self.rows} row{'' if self.rows == 1 else 's'}", *parts])


@dataclass(frozen=True, slots=True)
class KeySummary(RowCounts):
    """What was logged under one key."""

    key: str
    step_count: int
    first_step: int
    last_step: int
    ranks: tuple[int, ...]
    first_time: float
    last_time: float


@dataclass(frozen=True, slots=True)
class RunSummary(RowCounts):
    """What was logged in one run."""

    run_dir: Path
    keys: dict[str, KeySummary]
    ranks: tuple[int, ...]
    client_count: int
    segment_count: int
    first_time: float | None
    last_time: float | None


def summarize(run_dir: Path, index: RowIndex) -> RunSummary:
    """Count the rows that ``index`` holds."""
    keys: dict[str, KeySummary] = {}
    for key in sorted(index.keys.names):
        rows = index.table[index.key_rows(key)]
        rows = rows[rows["state"] != UNREADABLE]
        if not len(rows):
            continue
        steps = rows["step"]
        keys[key] = KeySummary(
            *_counts(rows),
            key=key,
            step_count=1 + int(np.count_nonzero(np.diff(steps))),
            first_step=int(steps[0]),
            last_step=int(steps[-1]),
            ranks=tuple(np.unique(rows["rank"]).tolist()),
            first_time=float(rows["time"].min()),
            last_time=float(rows["time"].max()),
        )
    of_keys = list(keys.values())
    return RunSummary(
        rows=sum(key.rows for key in of_keys),
        saved=sum(key.saved for key in of_keys),
        failed=sum(key.failed for key in of_keys),
        dropped=sum(key.dropped for key in of_keys),
        run_dir=run_dir,
        keys=keys,
        ranks=tuple(sorted({rank for key in of_keys for rank in key.ranks})),
        client_count=len(index.clients),
        segment_count=len(index.segments),
        first_time=min((key.first_time for key in of_keys), default=None),
        last_time=max((key.last_time for key in of_keys), default=None),
    )


def _counts(rows: npt.NDArray[np.void]) -> tuple[int, int, int, int]:
    saved, failed, dropped = np.bincount(rows["state"], minlength=len(STATES))[: len(STATES)].tolist()
    return len(rows), saved, failed, dropped
