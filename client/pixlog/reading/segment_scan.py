"""Find the rows of a manifest segment without parsing them.

Theory of operation.  A segment is a file of JSON lines that one daemon appends to.  It is read in blocks of a
few megabytes; numpy finds the newlines and the fields that every row begins with, and the rest of the line stays
unread.  Lines of another form than pixlog's own are looked at one by one, with ``json``; what is not a row is
counted.

Bytes behind the last newline are a line that is still being written, or one that a killed writer left
unfinished: they are not consumed, and looked at again at the next scan.

A writer that runs out of space in the middle of a batch takes back what it has written of it, and readers may have
seen lines of that.  So before reading on, a scan looks whether the last line that it read is still where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError
from pixlog.reading.row_prefix import SEQ_DIGITS, STATES, read_prefixes
from pixlog.step_bounds import MAX_STEP, MIN_STEP

FORMAT_VERSION: Final = 1
"""The one major version of the row format that this module reads."""

UNREADABLE: Final = len(STATES)
"""Code of a row whose beginning looked right and whose rest turned out not to be JSON."""

ROW_DTYPE: Final = np.dtype(
    [
        ("segment", "<i4"),
        ("offset", "<i8"),
        ("nbytes", "<i4"),
        ("key", "<i4"),
        ("step", "<i8"),
        ("rank", "<i4"),
        ("client", "<i4"),
        ("seq", "<i8"),
        ("state", "u1"),
        ("time", "<f8"),
    ]
)
"""What is kept of each row in memory: 53 bytes."""

BLOCK_NBYTES: Final = 4 << 20
EXAMPLES_KEPT: Final = 20
_LINE_START_NBYTES: Final = 256
_UNREAD: Final = -1


@dataclass(slots=True)
class ReadProblems:
    """What a reader skipped, and why.  All zero for a sound run."""

    not_json: int = 0
    """Complete lines that are not JSON."""
    not_a_row: int = 0
    """Lines that are JSON, but lack a field every row has or hold a value that cannot be one."""
    duplicates: int = 0
    """Rows whose (client, seq) an earlier row had already; the first is kept."""
    examples: list[str] = field(default_factory=list)
    """One line of text for each of the first few problems."""

    @property
    def total(self) -> int:
        """How many lines were skipped in all."""
        return self.not_json + self.not_a_row + self.duplicates

    def add(self, other: ReadProblems) -> None:
        """Count what ``other`` has too."""
        self.not_json += other.not_json
        self.not_a_row += other.not_a_row
        self.duplicates += other.duplicates
        self.examples += other.examples[: EXAMPLES_KEPT - len(self.examples)]

    def note(self, text: str) -> None:
        """Keep ``text`` as an example unless there are enough already."""
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(text)


class NumberedNames:
    """Distinct strings, each with a small number: keys and clients are stored once."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._numbers_of_json: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """Return the number of ``name``, giving it the next one if it is new."""
        found = self._numbers.get(name)
        if found is None:
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
        return found

    def known(self, name: str) -> int | None:
        """Return the number of ``name``, or None if it was never seen."""
        return self._numbers.get(name)

    def numbers_of_json(self, texts: list[bytes]) -> list[int]:
        """Return the numbers of JSON strings that are given without their quotes; -1 for what is none."""
        cache = self._numbers_of_json
        for text in set(texts) - cache.keys():
            try:
                cache[text] = self.number(json.loads(b'"' + text + b'"'))
            except ValueError:
                cache[text] = -1
        return [cache[text] for text in texts]


@dataclass(slots=True)
class Segment:
    """One manifest file and how far it has been read."""

    number: int
    path: Path
    read_nbytes: int = 0
    seen_nbytes: int = 0
    last_line_start: bytes = b""
    last_line_at: int = 0
    is_suspect: bool = False
    """Whether a line was not where it had been, so that the next scan has to look even if nothing was appended."""
    problems: ReadProblems = field(default_factory=ReadProblems)

    def forget(self) -> None:
        """Be as if nothing had been read of it."""
        self.problems = ReadProblems()
        self.read_nbytes = self.seen_nbytes = self.last_line_at = 0
        self.last_line_start = b""

    @property
    def torn_nbytes(self) -> int:
        """Bytes of an unfinished last line."""
        return self.seen_nbytes - self.read_nbytes


class LinesTakenBackError(Exception):
    """Lines that were read of a segment are no longer in it."""


class SegmentScanner:
    """Turns what was appended to segments into arrays of ``ROW_DTYPE``."""

    def __init__(self, keys: NumberedNames, clients: NumberedNames) -> None:
        self._keys = keys
        self._clients = clients

    def scan(self, segment: Segment) -> Iterator[npt.NDArray[np.void]]:
        """Yield the rows appended to ``segment`` since the last scan, block by block.

        Raises ``LinesTakenBackError`` if what was read of it is not there any more, and ``RunError`` if it holds
        rows of another major version.
        """
        nbytes = segment.path.stat().st_size
        if nbytes < segment.read_nbytes:
            raise LinesTakenBackError
        if nbytes == segment.read_nbytes and not segment.is_suspect:
            segment.seen_nbytes = nbytes
            return
        segment.is_suspect = False
        block_nbytes = BLOCK_NBYTES
        with segment.path.open("rb", buffering=0) as file:
            file.seek(segment.last_line_at)
            if file.read(len(segment.last_line_start)) != segment.last_line_start:
                raise LinesTakenBackError
            segment.seen_nbytes = segment.read_nbytes  # an unfinished line is read again, it may be another
            while segment.seen_nbytes < nbytes:
                file.seek(segment.read_nbytes)
                block = file.read(block_nbytes)
                whole_nbytes = block.rfind(b"\n") + 1
                segment.seen_nbytes = segment.read_nbytes + len(block)
                if whole_nbytes:
                    rows = self._scan_block(segment, block, whole_nbytes)
                    line_at = block.rfind(b"\n", 0, whole_nbytes - 1) + 1
                    segment.last_line_start = block[line_at : min(line_at + _LINE_START_NBYTES, whole_nbytes)]
                    segment.last_line_at = segment.read_nbytes + line_at
                    segment.read_nbytes += whole_nbytes
                    yield rows
                elif len(block) < block_nbytes:
                    return
                else:
                    block_nbytes *= 2

    def _scan_block(self, segment: Segment, block: bytes, nbytes: int) -> npt.NDArray[np.void]:
        """Return the rows of the first ``nbytes`` of ``block``, whole lines from where reading has got to."""
        text = np.frombuffer(block, np.uint8, nbytes)
        ends = np.flatnonzero(text == ord("\n")) + 1
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1]
        rows = np.empty(len(ends), ROW_DTYPE)
        rows["segment"] = segment.number
        rows["offset"] = segment.read_nbytes + starts
        rows["nbytes"] = ends - starts
        rows["key"] = _UNREAD
        for found in read_prefixes(text, starts, ends):
            rows["step"][found.lines] = found.step
            rows["rank"][found.lines] = found.rank
            rows["client"][found.lines] = self._clients.numbers_of_json(found.client)
            rows["seq"][found.lines] = found.seq
            rows["state"][found.lines] = found.state
            rows["time"][found.lines] = found.time
            rows["key"][found.lines] = self._keys.numbers_of_json(found.key)
            rows["key"][found.lines[rows["client"][found.lines] < 0]] = _UNREAD
        unread = np.flatnonzero(rows["key"] == _UNREAD)
        for line in unread:
            self._scan_line(segment, block[starts[line] : ends[line]], rows[line : line + 1])
        return rows[rows["key"] != _UNREAD] if len(unread) else rows

    def _scan_line(self, segment: Segment, line: bytes, row: npt.NDArray[np.void]) -> None:
        """Fill in one row from its line, or leave it unread and count the problem."""
        where = f"{segment.path.name}, byte {row['offset'][0]}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            segment.problems.not_json += 1
            segment.problems.note(f"{where}: not JSON ({error}): {line[:60]!r}")
            return
        complaint = check_row(fields, where)
        if complaint is not None:
            segment.problems.not_a_row += 1
            segment.problems.note(f"{where}: {complaint}")
            return
        for name in ("step", "rank", "seq"):
            row[name] = fields[name]
        row["time"] = fields["time"] if type(fields["time"]) in (int, float) else 0.0
        row["state"] = STATES.index(fields["state"])
        row["client"] = self._clients.number(fields["client"])
        row["key"] = self._keys.number(fields["key"])


def check_row(row: Any, where: str) -> str | None:
    """Return what keeps a parsed line from being a row, or None; raise ``RunError`` for another version."""
    if not isinstance(row, dict):
        return f"a row is a JSON object, got {type(row).__name__}"
    version = row.get("v")
    if type(version) is int and version != FORMAT_VERSION:
        raise RunError(
            f"{where}: a row of format version {version}, and this pixlog reads version {FORMAT_VERSION}: "
            f"read this run with a newer pixlog (pip install -U pixlog)"
        )
    checks: dict[str, Callable[[Any], bool]] = {
        "v": lambda v: type(v) is int,
        "key": lambda v: isinstance(v, str),
        "step": lambda v: type(v) is int and MIN_STEP <= v <= MAX_STEP,
        "rank": lambda v: type(v) is int and 0 <= v < 2**31,
        "client": lambda v: isinstance(v, str) and 0 < len(v) <= 64,
        "seq": lambda v: type(v) is int and 0 <= v < 10**SEQ_DIGITS,
        "state": lambda v: v in STATES,
        "time": lambda v: True,  # a failed call may have come without one
    }
    for name, is_sound in checks.items():
        if name not in row:
            return f"a row needs the field {name!r}"
        if not is_sound(row[name]):
            return f"the field {name!r} cannot be {row[name]!r}"
    return None


def list_segments(manifest_dir: Path) -> list[str]:
    """Return the file names of the segments in ``manifest_dir``, oldest first (names begin with the time)."""
    try:
        with os.scandir(manifest_dir) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return []
