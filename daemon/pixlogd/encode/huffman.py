"""The compiled deflate of ``huffman.c``, where there is one: literals and runs, without a search for matches.

The library is made when the package is built, with the C compiler that is found there, and lies beside this file; a
package built without one does without (see ``deflate``).  It is called through ctypes, which lets other threads run
meanwhile and ties it to no version of Python.

A stream is the two bytes of zlib's header, one call of the library for each band, and Adler-32 of all bands.  Each
call ends at a whole byte, by an empty stored block of five bytes, so that nothing is carried from one to the next.
"""

from __future__ import annotations

import ctypes
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from pixlogd.encode.filters import scratch

try:
    from isal.isal_zlib import adler32 as _adler32
except ImportError:
    from zlib import adler32 as _adler32

FILE_NAME: Final = "libhuffman.so"  # written by the build, see hatch_build.py

_HEADER: Final = b"\x78\x01"  # deflate, a window of 32 KB, the fastest level, no dictionary (RFC 1950)
_END: Final = b"\x03\x00"  # a last block with the fixed code and nothing in it


def _load(path: Path) -> ctypes.CDLL | None:
    """The library at ``path``; None if there is none, or it is another platform's."""
    try:
        library = ctypes.CDLL(str(path))
        function, bound = library.pixlog_deflate, library.pixlog_deflate_bound
    except (OSError, AttributeError):
        return None
    bound.argtypes, bound.restype = [ctypes.c_size_t], ctypes.c_size_t
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    function.restype = ctypes.c_size_t
    return library


library: ctypes.CDLL | None = _load(Path(__file__).with_name(FILE_NAME))
"""None where the package was built without a compiler; callers look before they ask for a stream."""


def deflate_blocks(data: Any, *, is_final: bool) -> bytes:
    """``data``, any contiguous bytes-like, as whole deflate blocks; the stream's last ones if ``is_final``.

    Raises ValueError for data that is not contiguous, RuntimeError where there is no library or where another thread
    wrote to ``data`` meanwhile.
    """
    if library is None:
        raise RuntimeError(f"{FILE_NAME} is not there: the package was built without a C compiler")
    source = np.frombuffer(data, np.uint8)
    capacity = int(library.pixlog_deflate_bound(source.size))
    out = scratch.get("deflated", capacity)
    nbytes = library.pixlog_deflate(source.ctypes.data, source.size, out.ctypes.data, capacity, is_final)
    if not nbytes:
        raise RuntimeError(f"{source.size} bytes were written to while they were deflated")
    return out[:nbytes].tobytes()


def deflate_at_once(data: Any) -> bytes:
    """``data``, any contiguous bytes-like, as one whole zlib stream."""
    return _HEADER + deflate_blocks(data, is_final=True) + _adler32(data).to_bytes(4, "big")


class HuffmanDeflater:
    """A zlib stream under construction; ``compress`` takes any contiguous bytes-like."""

    def __init__(self) -> None:
        self._head = _HEADER
        self._sum = zlib.adler32(b"")

    def compress(self, data: Any, /) -> bytes:
        """The next bytes of the stream, all of ``data`` in them."""
        head, self._head = self._head, b""
        self._sum = _adler32(data, self._sum)
        return head + deflate_blocks(data, is_final=False)

    def flush(self) -> bytes:
        """The end of the stream."""
        head, self._head = self._head, b""
        return head + _END + self._sum.to_bytes(4, "big")
