"""The compiled copy of ``stream_copy.c``, where there is one: past the caches, into memory that is not in them.

The library is made when the package is built, with the C compiler that is found there, and lies beside this file.  A
package built without one, and every processor but x86-64, copies with NumPy.

An arena hands out its lowest free place, so the first mebibytes of one are used again and again and stay in the
processor's cache; there an ordinary copy is quicker, and so is the daemon's reading.  What lies beyond was written some
time ago.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from pixlog.sending.arena import Memory

FILE_NAME: Final = "libstreamcopy.so"  # written by the build, see hatch_build.py
WARM_NBYTES: Final = 2 * 1024 * 1024
"""How much of the beginning of an arena is taken to be in the cache."""
FEWEST_NBYTES: Final = 256 * 1024
"""Below this the copy saves little more than what ctypes takes for the call."""


Copy: TypeAlias = Callable[[int, int, int], None]
"""Copies so many bytes, the last argument, from the second address to the first."""


def load(path: Path) -> list[Copy]:
    """The copies of the library at ``path`` that this processor can do, the best last; none without a library."""
    try:
        library = ctypes.CDLL(str(path))
        copies = [library.pixlog_stream_copy_sse2]
        if library.pixlog_has_avx512():
            copies.append(library.pixlog_stream_copy_avx512)
    except (OSError, AttributeError):
        return []
    for copy in copies:
        copy.argtypes, copy.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t], None
    return list(copies)


copies: list[Copy] = load(Path(__file__).with_name(FILE_NAME))


def stream_into(memory: Memory, start: int, array: np.ndarray[Any, np.dtype[Any]]) -> bool:
    """Copy ``array`` to ``memory[start:]`` if that is the quicker way; return whether it was copied.

    ``array`` has any shape and dtype without Python objects; one that is not C-contiguous is left to the caller.
    Lets other threads run meanwhile.  What is written before the next frame is seen by who reads the frame.
    Raises ValueError where there is no room for it.
    """
    nbytes = array.nbytes
    end = start + nbytes
    if nbytes < FEWEST_NBYTES or end <= WARM_NBYTES or not copies or not array.flags.c_contiguous:
        return False
    if start < 0 or end > memory.nbytes or array.dtype.hasobject:
        raise ValueError(
            f"{nbytes} bytes of {array.dtype} from {start} on, in a memory of {memory.nbytes} bytes"
        )
    copies[-1](memory.ctypes.data + start, array.ctypes.data, nbytes)
    return True
