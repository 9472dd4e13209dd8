"""What is in a spill file, frame by frame, for the daemon that replays it and for whoever counts what is left.

A spill file is a recorded stream, see :mod:`pixlog.sending.spill`.  Payloads are passed over, so that a file of many
megabytes is read in as many small steps as it has frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pixlog.errors import ProtocolError
from pixlog.protocol import LIMITS, MAGIC, MAJOR, PRELUDE, Header, Kind, unpack

_KINDS: Final = frozenset(map(int, Kind))
_CALL_MARK: Final = MAGIC + bytes((MAJOR, Kind.LOG))
_SEARCHED_NBYTES: Final = 1 << 20
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class SpillFrame:
    """One frame of a file: its payload is ``nbytes`` from ``offset`` on, as far as the file is ``whole``."""

    kind: Kind
    header: Header
    offset: int
    nbytes: int
    whole: bool

    @property
    def is_prepared(self) -> bool:
        """Whether it says that the file may be longer than its frames."""
        return self.kind is Kind.HELLO and self.header.get("prepared") is True


def spill_frames(path: Path) -> Iterator[SpillFrame]:
    """Yield each frame whose head is whole.  Raises OSError, and ProtocolError where no frame is.

    In the middle of a file that is raised at the end: what stands behind the damage is looked for, and yielded, before.
    A file that was prepared is longer than its frames: of the next one, the first byte would have been written last.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        prepared = False
        damaged_at: list[int] = []
        while offset + PRELUDE.size <= size:
            file.seek(offset)
            if prepared and file.read(1) == b"\0":
                break
            try:
                frame = _frame_at(file, offset, size)
                damaged = False
            except ProtocolError:
                if not offset:
                    raise
                frame, damaged = None, True
            if frame is not None:
                yield frame
                offset = frame.offset + frame.nbytes
                prepared = prepared or frame.is_prepared
                continue
            following = _find_call(file, offset + 1, size) if offset else None
            if damaged or following is not None:  # else the head ends with the file: it was never whole
                damaged_at.append(offset)
            if following is None:
                break
            offset = following
        if damaged_at:
            places = ", ".join(map(str, damaged_at[:_MOST_NAMED])) + ", …" * (len(damaged_at) > _MOST_NAMED)
            raise ProtocolError(f"no frame at byte {places} of {size}")


def _frame_at(file: BinaryIO, offset: int, size: int) -> SpillFrame | None:
    """Return the frame at ``offset``, None when the file ends in its head; raises ProtocolError where no frame is.

    How long its payload is stands in the head too: a wrong length is not followed.
    """
    file.seek(offset)
    magic, _, kind, head_nbytes, payload_nbytes = PRELUDE.unpack(_read(file, PRELUDE.size, offset, size))
    if (
        magic != MAGIC
        or kind not in _KINDS
        or head_nbytes > LIMITS.head_nbytes
        or payload_nbytes > LIMITS.payload_nbytes
    ):
        raise ProtocolError(f"no frame at byte {offset} of {size}")
    start = offset + PRELUDE.size + head_nbytes
    if start > size:
        return None
    head = _read(file, head_nbytes, offset, size)
    # The head is the body without the payload's bytes: one entry, or two of which the second is a bin 32.
    opening, ending = (
        (b"\x92", b"\xc6" + payload_nbytes.to_bytes(4, "big")) if payload_nbytes else (b"\x91", b"")
    )
    if not (head.startswith(opening) and head.endswith(ending)):
        raise ProtocolError(f"no header at byte {offset} of {size}")
    header = unpack(head[1 : len(head) - len(ending)])
    if not isinstance(header, dict):
        raise ProtocolError(f"no header at byte {offset} of {size}")
    return SpillFrame(Kind(kind), header, start, payload_nbytes, start + payload_nbytes <= size)


def _read(file: BinaryIO, nbytes: int, offset: int, size: int) -> bytes:
    data = file.read(nbytes)
    if len(data) < nbytes:
        raise ProtocolError(f"the file was cut at byte {offset} of {size}")
    return data


def _find_call(file: BinaryIO, start: int, size: int) -> int | None:
    """Return where the next sound frame of a call begins, from ``start`` on."""
    while start < size:
        file.seek(start)
        piece = file.read(_SEARCHED_NBYTES)
        found = piece.find(_CALL_MARK)
        while found >= 0:
            try:
                if start + found + PRELUDE.size <= size and _frame_at(file, start + found, size) is not None:
                    return start + found
            except ProtocolError:
                pass
            found = piece.find(_CALL_MARK, found + 1)
        if len(piece) < len(_CALL_MARK):
            return None
        start += len(piece) - len(_CALL_MARK) + 1
    return None


def content_nbytes(path: Path) -> int:
    """Return how many bytes of a file are frames; raises OSError, and ProtocolError where no frame is.

    That is its size, also when the last frame is not whole, unless its room was prepared.
    """
    size = path.stat().st_size
    frames = spill_frames(path)
    last = next(frames, None)
    if last is None or not last.is_prepared:
        return size
    for frame in frames:
        last = frame
    return min(last.offset + last.nbytes, size)
