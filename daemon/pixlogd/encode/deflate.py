"""Deflate and CRC: our own Huffman coder for photographs, ISA-L for the rest, zlib where one of them is missing.

**Photographs need no search for matches.**  Nine tenths of ISA-L's time goes into looking for matches that grain
does not contain.  ``huffman.c`` codes literals and runs alone: about half the time, for 0.94 to 1.01 of the bytes.
Where the package was built without a C compiler, ISA-L with a small window takes its place.

**A small window makes photographs smaller.**  ISA-L's fast levels take every match they find.  In filtered
photographs almost all matches are three or four bytes of noise that a Huffman code spells more cheaply than a
far distance does.  A window of 512 bytes leaves only near, cheap matches: 1 to 5 % fewer bytes in the same time.
Flat graphics want the opposite, since the row above lies thousands of bytes back; so the window is part of the
plan that is measured per picture, and any inflate reads either, because the zlib header names the window.

zlib's counterpart of the small window is its ``Z_RLE`` strategy, which is used where ISA-L is missing too.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, Protocol

from pixlogd.encode import compiled, huffman

_isal: Any
try:
    from isal import isal_zlib as _isal
except ImportError:
    _isal = None

# log2 of the window in bytes
RUNS: Final = 0  # nothing but runs of a byte
NEAR: Final = 9
FAR: Final = 15

HAVE_ISAL: Final = _isal is not None


class Deflater(Protocol):
    """A zlib stream under construction."""

    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


def encoder_names() -> str:
    """What makes PNGs here, for a person who wonders why another machine is quicker."""
    names = ["own Huffman coder"] if compiled.library is not None else ["NumPy"]
    return ", ".join([*names, "zlib" if _isal is None else "ISA-L"])


def crc32(data: Any, start: int = 0) -> int:
    """The CRC-32 of PNG and zip of any bytes-like, continued from ``start``."""
    if _isal is not None:
        return int(_isal.crc32(data, start))
    return zlib.crc32(data, start)


def fast_deflater(window_bits: int, nbytes: int) -> Deflater:
    """A stream for speed, of about ``nbytes``."""
    if window_bits == RUNS:  # see ``photograph`` for where there is compiled code
        window_bits = NEAR
    if _isal is not None:
        # memLevel rules how often ISA-L ends a block and adapts its codes.  Against its default, 8, this is
        # 4 % fewer bytes for 256x256 RGB photographs, up to 0.5 % for large ones, in the same time.
        stream: Deflater = _isal.compressobj(1, zlib.DEFLATED, window_bits, 3 if nbytes < 1 << 20 else 5)
        return stream
    strategy = zlib.Z_RLE if window_bits == NEAR else zlib.Z_DEFAULT_STRATEGY
    return zlib.compressobj(1, zlib.DEFLATED, FAR, 9, strategy)


def fast_deflate(data: Any, window_bits: int) -> bytes:
    """``data`` as one whole zlib stream, for speed; meant for a few kilobytes."""
    if window_bits == RUNS:
        if compiled.library is not None:
            return huffman.deflate_at_once(data)
        window_bits = NEAR
    if _isal is not None:
        whole: bytes = _isal.compress(data, 1, window_bits)
        return whole
    stream = fast_deflater(window_bits, len(data))
    return stream.compress(data) + stream.flush()


def small_deflater(window_bits: int) -> Deflater:
    """A stream for few bytes.  On photographs level 9 costs five times level 6 and gains 1 %."""
    if window_bits == FAR:
        return zlib.compressobj(9, zlib.DEFLATED, FAR, 9, zlib.Z_DEFAULT_STRATEGY)
    return zlib.compressobj(6, zlib.DEFLATED, FAR, 9, zlib.Z_FILTERED)
