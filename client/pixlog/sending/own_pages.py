"""Pages of this process alone in the place of shared ones, at the same address.

Theory of operation
    Shared memory stays one memory across a fork.  A child that comes back to a copy which its parent began has the
    address of the destination in a local variable, where nobody can change it; what lies at that address can be.

    The C library's functions are looked up when this module is imported: a forked child must not wait for a lock of
    the loader that a thread of its parent had.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Final

_MAP_FIXED: Final = 0x10  # on Linux, but for Alpha and PA-RISC; Python's mmap does not have it
_PROT_NONE: Final = 0
_MAP_FAILED: Final = ctypes.c_void_p(-1).value

if sys.platform == "linux":
    _library = ctypes.CDLL(None)
    _map = _library.mmap
    _map.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    _map.restype = ctypes.c_void_p
    _protect = _library.mprotect
    _protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    _protect.restype = ctypes.c_int


def replace_shared(address: int, nbytes: int) -> None:
    """In a forked child on Linux: put fresh zeros in the place of the shared mapping at ``address``.

    Takes some microseconds, as the pages come when they are written.  Where the kernel promises no more memory, as
    under ``vm.overcommit_memory=2``, what lies there can no longer be accessed: a child that does is ended by SIGSEGV,
    and its parent's memory stays as it is.
    """
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    if _map(address, nbytes, protection, flags, -1, 0) == _MAP_FAILED:
        _protect(address, nbytes, _PROT_NONE)
