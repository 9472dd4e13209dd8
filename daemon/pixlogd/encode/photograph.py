"""The pixels of a photograph as a zlib stream, filtered, deflated and summed up by ``photograph.c``.

One call of compiled code takes up to two megabytes of rows, and lets other threads run meanwhile.  So a picture of
512x512 RGB is a single call, what it writes stays in a second-level cache, and a thread keeps less than four megabytes
of memory for it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from pixlogd.encode.filters import MIXED
from pixlogd.encode.raster import Raster

UNKNOWN: Final = (
    6  # beside the kinds of ``filters``: MIXED for what looks like a photograph, and nothing for the rest
)

_CALL_NBYTES: Final = 2 << 20
_KEEP_NBYTES: Final = 4 << 20


class _Room(threading.local):
    """The memory that a thread works in, kept from picture to picture."""

    nbytes = 0
    address = 0
    view = memoryview(b"")

    def ensure(self, nbytes: int) -> None:
        """Have at least ``nbytes``, and not much more than is kept."""
        if self.nbytes < nbytes or self.nbytes > max(nbytes, _KEEP_NBYTES):
            array = np.empty(max(nbytes, 1 << 18), np.uint8)
            self.nbytes, self.address, self.view = array.size, array.ctypes.data, array.data


_room: Final = _Room()


def pieces(library: ctypes.CDLL, raster: Raster, kind: int) -> Sequence[memoryview | bytes]:
    """The stream, with the rows filtered as ``kind``, in order; empty if that is UNKNOWN and this no photograph.

    The pieces are valid until the thread asks again.
    """
    height, row_nbytes = raster.height, raster.row_nbytes
    call_rows = min(height, max(1, _CALL_NBYTES // (1 + row_nbytes)))
    room = _room
    room.ensure(_nbytes(library, call_rows, row_nbytes))
    at, swapped = raster.flat.ctypes.data, raster.swap is not None
    checksum = ctypes.c_uint32(1)  # Adler-32 of nothing
    made: list[memoryview | bytes] = []
    for first in range(0, height, call_rows):
        last = min(first + call_rows, height)
        nbytes = library.pixlog_photograph(
            *(at, height, row_nbytes, raster.pixel_nbytes, swapped, kind, first, last),
            *(checksum, room.address, room.nbytes),
        )
        if not nbytes:
            break
        piece = room.view[:nbytes]
        made.append(piece if call_rows == height else bytes(piece))
        kind = MIXED if kind == UNKNOWN else kind
    return made


def small_piece(library: ctypes.CDLL, raster: Raster) -> tuple[memoryview, bool]:
    """The stream of a picture of a few kilobytes, and True; False with its filtered rows if it is no photograph.

    They are valid until the thread asks again.
    """
    height, row_nbytes = raster.height, raster.row_nbytes
    room = _room
    room.ensure(_nbytes(library, height, row_nbytes))
    nbytes = library.pixlog_small_picture(
        *(raster.flat.ctypes.data, height, row_nbytes, raster.pixel_nbytes, raster.swap is not None),
        *(room.address, room.nbytes),
    )
    return room.view[: nbytes or height * (1 + row_nbytes)], nbytes > 0


@lru_cache(maxsize=256)
def _nbytes(library: ctypes.CDLL, row_count: int, row_nbytes: int) -> int:
    nbytes: int = library.pixlog_photograph_room(row_count, row_nbytes)
    return nbytes
