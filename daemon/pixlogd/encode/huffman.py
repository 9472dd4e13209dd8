"""The compiled deflate of ``huffman.c``: literals and runs, without a search for matches."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pixlogd.encode import compiled
from pixlogd.encode.filters import scratch

try:
    from isal.isal_zlib import adler32 as _adler32
except ImportError:
    from zlib import adler32 as _adler32

_HEADER: Final = b"\x78\x01"  # deflate, a window of 32 KB, the fastest level, no dictionary (RFC 1950)


def deflate_blocks(data: Any, *, is_final: bool) -> bytes:
    """``data``, any contiguous bytes-like, as whole deflate blocks; the stream's last ones if ``is_final``.

    Raises ValueError for data that is not contiguous, RuntimeError where there is no library or where another thread
    wrote to ``data`` meanwhile.
    """
    library = compiled.library
    if library is None:
        raise RuntimeError(f"there is no {compiled.FILE_NAME} to use: pixlogd --version says why")
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
