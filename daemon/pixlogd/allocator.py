"""What the C library does with memory that is given back: kept, so that the next picture finds it.

An encoded photograph of 1920×1080 pixels is some megabytes in pieces that live for milliseconds.  glibc as it comes
returns them to the system each time, and the kernel clears 1,700 fresh pages for the next picture: a fifth of the
daemon's processor time.  Blocks up to 4 MiB now come from heaps that keep up to 8 MiB of what was freed; larger ones
still go back at once.  Elsewhere than under glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_NBYTES: Final = 8 << 20
_LARGEST_KEPT_NBYTES: Final = 4 << 20


def keep_freed_memory() -> None:
    """Keep what is freed for the next picture; called once, before the workers start."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_NBYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_NBYTES)
