"""What is in a spill file, frame by frame, for the daemon that replays it and for whoever counts what is left.

A spill file is a recorded stream, see :mod:`pixlog.sending.spill`.  Payloads are passed over, so that a file of many
megabytes is read in as many small steps as it has frames.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixlog.errors import ProtocolError
from pixlog.protocol import LIMITS, MAGIC, PRELUDE, Header, Kind, unpack

_KINDS = frozenset(map(int, Kind))


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

    A file that was prepared is longer than its frames: of the next one, the first byte would have been written last.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        prepared = False
        while offset + PRELUDE.size <= size:
            prelude = file.read(PRELUDE.size)
            if prepared and prelude.startswith(b"\0"):
                return
            try:
                magic, _, kind, head_nbytes, payload_nbytes = PRELUDE.unpack(prelude)
            except struct.error:
                return
            if magic != MAGIC or head_nbytes > LIMITS.head_nbytes or kind not in _KINDS:
                raise ProtocolError(f"no frame at byte {offset} of {size}")
            start = offset + PRELUDE.size + head_nbytes
            if start > size:
                return
            head = file.read(head_nbytes)
            # The head is the body without the payload's bytes: one entry, or two of which the second is a bin 32.
            header = unpack(head[1:-5] if payload_nbytes else head[1:])
            if not isinstance(header, dict):
                raise ProtocolError(f"no header at byte {offset} of {size}")
            offset = start + payload_nbytes
            frame = SpillFrame(Kind(kind), header, start, payload_nbytes, offset <= size)
            prepared = prepared or frame.is_prepared
            yield frame
            file.seek(offset)


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
