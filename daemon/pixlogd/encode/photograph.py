"""The pixels of a photograph as a zlib stream, filtered, deflated and summed up by ``photograph.c``.

One call of compiled code takes up to two megabytes of rows, and lets other threads run meanwhile.  So a picture of
512x512 RGB is a single call, what it writes stays in a second-level cache, and a thread keeps less than five
megabytes of scratch memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Final

from pixlogd.encode.filters import address, scratch
from pixlogd.encode.raster import Raster

_CALL_NBYTES: Final = 2 << 20


def streams(library: ctypes.CDLL, raster: Raster, kind: int) -> Iterator[memoryview | bytes]:
    """The pieces of the stream, with the rows filtered as ``kind``: one of the kinds in ``filters``.

    A piece is valid until the thread encodes something else.
    """
    height, row_nbytes = raster.height, raster.row_nbytes
    call_rows = min(height, max(1, _CALL_NBYTES // (1 + row_nbytes)))
    spare = scratch.get("spare", library.pixlog_photograph_scratch(row_nbytes))
    out = scratch.get("deflated", library.pixlog_photograph_bound(call_rows, row_nbytes))
    rows = (address(raster.flat), height, row_nbytes, raster.pixel_nbytes, raster.swap is not None, kind)
    checksum = ctypes.c_uint32(1)  # Adler-32 of nothing
    room = (ctypes.byref(checksum), address(out), out.size, address(spare), spare.size)
    for first in range(0, height, call_rows):
        last = min(first + call_rows, height)
        nbytes = library.pixlog_photograph(*rows, first, last, *room)
        if not nbytes:
            raise RuntimeError(f"rows {first} to {last} of {height} did not fit {out.size} bytes")
        yield out.data[:nbytes] if call_rows == height else out[:nbytes].tobytes()
