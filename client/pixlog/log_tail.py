"""The last entries of a LOG header, as nearly every call has them: five, all numbers, at fixed places.

Most calls log one array of a kind that the same client has logged before under the same key.  Their headers differ in
``step``, ``time``, ``buffers`` (one extent from 0), ``seq`` and ``at`` (a place in an arena), so these come last, with
every number in its widest form.  A sender packs them with one struct; a receiver finds them from the end of the header,
knows what stands before them by its bytes, and unpacks neither again.  It is msgpack all the same: who does not look
for this form reads the same header.
"""

from __future__ import annotations

import struct
from typing import Any, Final

_TAIL: Final = struct.Struct(">6sq6sd12sQ5sQ11sIsQsQ")
_STEP: Final = b"\xa4step\xd3"
_TIME: Final = b"\xa4time\xcb"
_BUFFERS: Final = b"\xa7buffers\x91\x92\x00\xcf"
_SEQ: Final = b"\xa3seq\xcf"
_AT: Final = b"\xa2at\x94\xa5arena\xce"
_UINT64: Final = b"\xcf"
_MARKS: Final = (_STEP, _TIME, _BUFFERS, _SEQ, _AT, _UINT64, _UINT64)

TAIL_NBYTES: Final = _TAIL.size
TAIL_COUNT: Final = 5
"""How many entries of the header's map they are."""


def pack_tail(step: int, time_s: float, seq: int, arena: int, offset: int, nbytes: int) -> bytes:
    """Pack the entries of a call whose one buffer is ``nbytes`` at ``offset`` of ``arena``."""
    return _TAIL.pack(
        _STEP, step, _TIME, time_s, _BUFFERS, nbytes, _SEQ, seq, _AT, arena, _UINT64, offset, _UINT64, nbytes
    )


def unpack_tail(head: memoryview) -> dict[str, Any] | None:
    """Return the entries that end ``head``; None when it does not end like that.

    ``head`` has at least :data:`TAIL_NBYTES`.
    """
    found = _TAIL.unpack_from(head, len(head) - TAIL_NBYTES)
    if found[::2] != _MARKS:
        return None
    _, step, _, time_s, _, buffer_nbytes, _, seq, _, arena, _, offset, _, nbytes = found
    return {
        "step": step,
        "time": time_s,
        "buffers": [[0, buffer_nbytes]],
        "seq": seq,
        "at": ["arena", arena, offset, nbytes],
    }
