"""An index of every row of a run, small enough for millions of rows, that grows as the run does.

Theory of operation.  The scanner's 53 bytes a row go into one growing table.  Every key has its rows in
reading order: a sorted part, found by binary search on the step, and a small unsorted part of rows that came
since, which is searched through and merged into the answer; it is sorted in when it has grown to a share of the
whole.  So a look-up costs microseconds, and following a long live run never sorts a million rows for ten new
ones.

Reading order within a key: by step, then rank, then client (the one whose first row is oldest first), then
seq.  Clocks can be set back, so the order of one client's rows is by its own count, never by time.

A segment whose writer took lines back is read anew: its rows are withdrawn, and those that are found again get
their numbers back, so that whoever follows the run does not meet them twice.  ``revision`` grows whenever rows that
had a number are withdrawn or come back: what somebody keeps of the table is then to be read anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.row_filter import StepSelector, of_steps, of_steps_ascending
from pixlog.reading.segment_scan import (
    EXAMPLES_KEPT,
    ROW_DTYPE,
    UNREADABLE,
    LinesTakenBackError,
    NumberedNames,
    ReadProblems,
    Segment,
    SegmentScanner,
    list_segments,
)
from pixlog.section_lock import SectionLock

RowIds = npt.NDArray[np.int64]

_UNSORTED_MIN: Final = 4096
_UNSORTED_SHARE: Final = 8
_SEQ_BITS: Final = 40


class RowIndex:
    """The rows of all segments under ``manifest_dir``; ``refresh`` reads what was appended since."""

    def __init__(self, manifest_dir: Path) -> None:
        self.keys = NumberedNames()
        self.clients = NumberedNames()
        self.segments: list[Segment] = []
        self.revision = 0
        self._manifest_dir = manifest_dir
        self._segment_of_name: dict[str, Segment] = {}
        self._scanner = SegmentScanner(self.keys, self.clients)
        self._table: npt.NDArray[np.void] = np.empty(0, ROW_DTYPE)
        self._row_count = 0
        self._identities: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._client_start_s: npt.NDArray[np.float64] = np.empty(0)
        self._orders: list[_KeyOrder] = []
        self._withdrawn: dict[int, int] = {}
        self._lock = SectionLock()

    @property
    def table(self) -> npt.NDArray[np.void]:
        """All rows in the order in which they were read, as ``ROW_DTYPE``."""
        return self._table[: self._row_count]

    @property
    def problems(self) -> ReadProblems:
        """Lines that were skipped so far, of all segments."""
        problems = ReadProblems()
        for segment in self.segments:
            problems.add(segment.problems)
        return problems

    @property
    def nbytes(self) -> int:
        """Memory that the index holds in arrays."""
        orders = sum(order.nbytes for order in self._orders)
        return self._table.nbytes + self._identities.nbytes + self._client_start_s.nbytes + orders

    def refresh(self) -> range:
        """Read what was appended to the segments, and new segments; return the ids of the rows that came.

        A segment that cannot be read keeps no other back: its error is raised when the rest has been read.
        """
        try:
            self._lock.acquire()
            for name in list_segments(self._manifest_dir):
                if name not in self._segment_of_name:
                    segment = Segment(len(self.segments), self._manifest_dir / name)
                    self._segment_of_name[name] = segment
                    self.segments.append(segment)
            first = self._row_count
            blocks: list[npt.NDArray[np.void]] = []
            first_error: OSError | RunError | None = None
            for segment in self.segments:
                try:
                    blocks.extend(self._scan(segment))  # what came before an error is kept
                except (OSError, RunError) as error:
                    first_error = first_error or error
            if blocks:
                self._add(np.concatenate(blocks))
            if first_error is not None:
                raise first_error
            return range(first, self._row_count)
        finally:
            if self._lock.owned:
                self._lock.release()

    def key_rows(self, key: str, step: StepSelector = None) -> RowIds:
        """Return the ids of the rows of ``key``, of the steps asked for, in reading order."""
        number = self.keys.known(key)
        if number is None or number >= len(self._orders):
            return np.empty(0, np.int64)
        try:
            self._lock.acquire()
            return self._orders[number].select(self.table, self._client_start_s, step)
        finally:
            if self._lock.owned:
                self._lock.release()

    def key_steps(self, key: str) -> npt.NDArray[np.int64]:
        """Return the distinct steps of ``key``, ascending."""
        rows = self.table[self.key_rows(key)]
        rows = rows[rows["state"] != UNREADABLE]
        return np.unique(rows["step"])

    def look_again(self, row_id: int) -> None:
        """Read on, and look whether the writer took the lines of the row's segment back; raise ``OSError``."""
        try:
            self._lock.acquire()
            self.segments[self._table["segment"][row_id]].is_suspect = True
            self.refresh()
        finally:
            if self._lock.owned:
                self._lock.release()

    def mark_unreadable(self, row_id: int, complaint: str) -> None:
        """Take a row out whose line turned out to be damaged, and say why."""
        try:
            self._lock.acquire()
            if self._table["state"][row_id] == UNREADABLE:
                return
            self._table["state"][row_id] = UNREADABLE
            segment = self.segments[self._table["segment"][row_id]]
            segment.problems.not_json += 1
            segment.problems.note(f"{segment.path.name}, byte {self._table['offset'][row_id]}: {complaint}")
        finally:
            if self._lock.owned:
                self._lock.release()

    def _scan(self, segment: Segment) -> Iterator[npt.NDArray[np.void]]:
        try:
            yield from self._scanner.scan(segment)
        except LinesTakenBackError:
            ids = np.flatnonzero(self.table["segment"] == segment.number)
            self._withdrawn |= zip(_identities(self.table[ids]).tolist(), ids.tolist(), strict=True)
            self._table["state"][ids] = UNREADABLE
            self.revision += len(ids) > 0
            segment.forget()
            yield from self._scanner.scan(segment)

    def _restore(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Put rows that were withdrawn back in their places; return the others."""
        identities = _identities(rows).tolist()
        is_other = np.ones(len(rows), bool)
        for place, identity in enumerate(identities):
            row_id = self._withdrawn.get(identity)
            if row_id is None:
                continue
            same = all(
                self._table[name][row_id] == rows[name][place] for name in ("key", "step", "rank", "client")
            )
            if same:
                self._table[row_id] = rows[place]
                del self._withdrawn[identity]
                is_other[place] = False
        self.revision += not is_other.all()
        return rows[is_other]

    def _add(self, rows: npt.NDArray[np.void]) -> None:
        if self._withdrawn:
            rows = self._restore(rows)
        rows = self._without_duplicates(rows)
        stale = self._note_client_starts(rows)
        first, count = self._row_count, len(rows)
        if first + count > len(self._table):
            room = np.empty(max(first + count, 3 * len(self._table) // 2, 64), ROW_DTYPE)
            room[:first] = self._table[:first]
            self._table = room
        self._table[first : first + count] = rows
        self._row_count += count
        while len(self._orders) < len(self.keys):
            self._orders.append(_KeyOrder())
        by_key = np.argsort(rows["key"], kind="stable")
        numbers, starts = np.unique(rows["key"][by_key], return_index=True)
        for number, ids in zip(numbers.tolist(), np.split(by_key + first, starts[1:]), strict=False):
            self._orders[number].add(ids)
        for order in self._orders if stale else [self._orders[number] for number in numbers]:
            order.maybe_sort(self.table, self._client_start_s)

    def _without_duplicates(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Drop rows whose (client, seq) was seen before, keeping the first, and count them."""
        identities = _identities(rows)
        distinct, firsts = np.unique(identities, return_index=True)
        places = np.searchsorted(self._identities, distinct)
        if len(self._identities):
            is_new = self._identities[np.minimum(places, len(self._identities) - 1)] != distinct
            distinct, firsts, places = distinct[is_new], firsts[is_new], places[is_new]
        self._identities = np.insert(self._identities, places, distinct)
        if len(distinct) == len(rows):
            return rows
        kept = np.sort(firsts)
        dropped = rows[np.setdiff1d(np.arange(len(rows)), kept)]
        for row in dropped[:EXAMPLES_KEPT]:
            client = self.clients.names[row["client"]]
            self.segments[row["segment"]].problems.note(
                f"seq {row['seq']} of client {client} occurs twice; the first row counts"
            )
        for number, count in zip(*np.unique(dropped["segment"], return_counts=True), strict=True):
            self.segments[number].problems.duplicates += int(count)
        return rows[kept]

    def _note_client_starts(self, rows: npt.NDArray[np.void]) -> bool:
        """Keep the oldest time of each client; return whether that undid the order of rows sorted before."""
        old = self._client_start_s
        starts = np.full(len(self.clients), np.inf)
        starts[: len(old)] = old
        np.minimum.at(starts, rows["client"], rows["time"])
        stale = bool(np.any(starts[: len(old)] != old))
        if stale:
            for order in self._orders:
                order.unsort()
        self._client_start_s = starts
        return stale


def _identities(rows: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return one number for each (client, seq)."""
    identities: npt.NDArray[np.int64] = (rows["client"].astype(np.int64) << _SEQ_BITS) | rows["seq"]
    return identities


class _KeyOrder:
    """The ids of one key's rows: a sorted part and what came since."""

    __slots__ = ("_sorted", "_sorted_steps", "_unsorted", "_unsorted_count")

    def __init__(self) -> None:
        self._sorted: RowIds = np.empty(0, np.int64)
        self._sorted_steps: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._unsorted: list[RowIds] = []
        self._unsorted_count = 0

    @property
    def nbytes(self) -> int:
        return self._sorted.nbytes + self._sorted_steps.nbytes + sum(ids.nbytes for ids in self._unsorted)

    def add(self, ids: RowIds) -> None:
        self._unsorted.append(ids)
        self._unsorted_count += len(ids)

    def unsort(self) -> None:
        """Forget the order, because what it rests on has changed."""
        if len(self._sorted):
            self._unsorted.insert(0, self._sorted)
            self._unsorted_count += len(self._sorted)
            self._sorted = self._sorted_steps = np.empty(0, np.int64)

    def maybe_sort(self, table: npt.NDArray[np.void], client_start_s: npt.NDArray[np.float64]) -> None:
        """Sort in what came since, once it is more than a look-up should search through."""
        if self._unsorted_count > max(_UNSORTED_MIN, len(self._sorted) // _UNSORTED_SHARE):
            ids = np.concatenate([self._sorted, *self._unsorted])
            self._sorted = _in_reading_order(ids, table, client_start_s)
            self._sorted_steps = table["step"][self._sorted]
            self._unsorted, self._unsorted_count = [], 0

    def select(
        self, table: npt.NDArray[np.void], client_start_s: npt.NDArray[np.float64], step: StepSelector
    ) -> RowIds:
        chosen = self._sorted[of_steps_ascending(self._sorted_steps, step)]
        if not self._unsorted_count:
            return chosen
        if len(self._unsorted) > 1:
            self._unsorted = [np.concatenate(self._unsorted)]
        recent = self._unsorted[0]
        recent = recent[of_steps(table["step"][recent], step)]
        if not len(recent):
            return chosen
        return _in_reading_order(np.concatenate([chosen, recent]), table, client_start_s)


def _in_reading_order(
    ids: RowIds, table: npt.NDArray[np.void], client_start_s: npt.NDArray[np.float64]
) -> RowIds:
    rows = table[ids]
    start_s = client_start_s[rows["client"]]
    return ids[np.lexsort((rows["seq"], rows["client"], start_s, rows["rank"], rows["step"]))]
