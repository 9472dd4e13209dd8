"""Find the rows of a manifest segment without parsing them.

Theory of operation.  A segment is a file of JSON lines that one daemon appends to.  Its writer always puts the
same seven fields first, in the same order and without blanks, so one regular expression that runs over a block
of a few megabytes finds key, step, rank, client, seq, state and time of every line in it; the rest of the line
stays unread.  The block's newlines, found by numpy, give the place of each line.  When the expression matched
as many lines as there are, each match is one line, in order; otherwise (a foreign writer, a damaged line) the
block is gone through line by line, with ``json`` where the expression fails.

Measured with one core on 1,000,000 rows of 600 bytes: 2.3 µs a row this way, 9 µs with ``json.loads``.

Bytes behind the last newline are a line that is still being written, or one that a killed writer left
unfinished: they are not consumed, and looked at again at the next scan.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import RunError

FORMAT_VERSION: Final = 1
"""The one major version of the row format that this module reads."""

STATES: Final = ("saved", "failed", "dropped")
"""The states a row can have, in the order of their codes in the index."""

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

BLOCK_NBYTES: Final = 8 << 20
EXAMPLES_KEPT: Final = 20

# The digits are limited so that every match fits the columns: steps to 18, ranks to 9, seq to 12 digits.
_ROW: Final = re.compile(
    rb'^\{"v":1,"key":"([^"\\\n]*(?:\\[^\n][^"\\\n]*)*)","step":(-?\d{1,18}),"rank":(-?\d{1,9}),'
    rb'"client":"([^"\\\n]{1,64})","seq":(\d{1,12}),"state":"(saved|failed|dropped)",'
    rb'"time":(-?\d{1,15}(?:\.\d{1,20})?),[^\n]*\}\n',
    re.MULTILINE,
)
_STATE_CODE: Final = {name.encode(): code for code, name in enumerate(STATES)}

_Fields = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes]


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
        """Return the numbers of JSON string bodies (without their quotes)."""
        cache = self._numbers_of_json
        for text in set(texts) - cache.keys():
            cache[text] = self.number(json.loads(b'"' + text + b'"'))
        return [cache[text] for text in texts]


@dataclass(slots=True)
class Segment:
    """One manifest file and how far it has been read."""

    number: int
    path: Path
    read_nbytes: int = 0
    seen_nbytes: int = 0

    @property
    def torn_nbytes(self) -> int:
        """Bytes of an unfinished last line."""
        return self.seen_nbytes - self.read_nbytes


class SegmentScanner:
    """Turns what was appended to segments into arrays of ``ROW_DTYPE``."""

    def __init__(self, keys: NumberedNames, clients: NumberedNames, problems: ReadProblems) -> None:
        self._keys = keys
        self._clients = clients
        self._problems = problems

    def scan(self, segment: Segment) -> Iterator[npt.NDArray[np.void]]:
        """Yield the rows appended to ``segment`` since the last scan, block by block.

        Raises ``RunError`` if the file became shorter than what was read of it, or holds rows of another
        major version.
        """
        nbytes = segment.path.stat().st_size
        if nbytes < segment.seen_nbytes:
            raise RunError(
                f"{segment.path} has {nbytes} bytes but had {segment.seen_nbytes} before: segments are only "
                f"ever appended to, so it was replaced; open the run again"
            )
        if nbytes == segment.seen_nbytes:
            return
        block_nbytes = BLOCK_NBYTES
        with segment.path.open("rb", buffering=0) as file:
            while segment.seen_nbytes < nbytes:
                file.seek(segment.read_nbytes)
                block = file.read(block_nbytes)
                whole_nbytes = block.rfind(b"\n") + 1
                segment.seen_nbytes = segment.read_nbytes + len(block)
                if whole_nbytes:
                    rows = self._scan_block(segment, block, whole_nbytes)
                    segment.read_nbytes += whole_nbytes
                    yield rows
                elif len(block) < block_nbytes:
                    return
                else:
                    block_nbytes *= 2

    def _scan_block(self, segment: Segment, block: bytes, nbytes: int) -> npt.NDArray[np.void]:
        """Return the rows of the first ``nbytes`` of ``block``, whole lines from where reading has got to."""
        ends = np.flatnonzero(np.frombuffer(block, np.uint8, nbytes) == ord("\n")) + 1
        starts = np.empty_like(ends)
        starts[0], starts[1:] = 0, ends[:-1]
        matches: list[_Fields] = _ROW.findall(block, 0, nbytes)
        if len(matches) != len(ends):
            kept: list[int] = []
            matches = []
            for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
                match = self._match_line(segment, block[start:end], segment.read_nbytes + start)
                if match is not None:
                    kept.append(i)
                    matches.append(match)
            starts, ends = starts[kept], ends[kept]
        rows = np.empty(len(matches), ROW_DTYPE)
        if not matches:
            return rows
        key, step, rank, client, seq, state, time = zip(*matches, strict=True)
        rows["segment"] = segment.number
        rows["offset"] = segment.read_nbytes + starts
        rows["nbytes"] = ends - starts
        rows["key"] = self._keys.numbers_of_json(list(key))
        rows["step"] = _numbers(step, np.int64)
        rows["rank"] = _numbers(rank, np.int64)
        rows["client"] = self._clients.numbers_of_json(list(client))
        rows["seq"] = _numbers(seq, np.int64)
        rows["state"] = [_STATE_CODE[name] for name in state]
        rows["time"] = _numbers(time, np.float64)
        return rows

    def _match_line(self, segment: Segment, line: bytes, offset: int) -> _Fields | None:
        """Return the leading fields of one line, or None and count the problem."""
        found = _ROW.findall(line)
        if found:
            return tuple(found[0])  # type: ignore[return-value]
        where = f"{segment.path.name}, byte {offset}"
        try:
            row = json.loads(line)
        except ValueError as error:
            self._problems.not_json += 1
            self._problems.note(f"{where}: not JSON ({error}): {line[:60]!r}")
            return None
        complaint = check_row(row, where)
        if complaint is not None:
            self._problems.not_a_row += 1
            self._problems.note(f"{where}: {complaint}")
            return None
        return (
            json.dumps(row["key"])[1:-1].encode(),
            str(row["step"]).encode(),
            str(row["rank"]).encode(),
            json.dumps(row["client"])[1:-1].encode(),
            str(row["seq"]).encode(),
            row["state"].encode(),
            repr(float(row["time"])).encode(),
        )


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
        "step": lambda v: type(v) is int and abs(v) < 10**18,
        "rank": lambda v: type(v) is int and abs(v) < 10**9,
        "client": lambda v: isinstance(v, str) and 0 < len(v) <= 64,
        "seq": lambda v: type(v) is int and 0 <= v < 10**12,
        "state": lambda v: v in STATES,
        "time": lambda v: type(v) in (int, float) and abs(v) < 1e15,
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


def _numbers(texts: tuple[bytes, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Parse decimal numbers; joining and parsing them at once takes a third of the time of ``map(int, …)``."""
    return np.fromstring(b",".join(texts).decode("ascii"), dtype=dtype, sep=",")
