"""Descriptors are what many clients use up first: as many as the system allows, and the last few for files.

Connections and arenas take descriptors, and so does writing what they bring.  Descriptors are numbered from below,
so the number of a new one says how many there are.
"""

from __future__ import annotations

import contextlib
import resource

_KEPT_FOR_FILES = 64
_MOST_AT_REST = 1024


def raise_limit() -> None:
    """Let this process have as many descriptors as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def is_to_spare(fd: int) -> bool:
    """Whether a new descriptor may be kept for a client, as opposed to one of the last few, which files need."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return True
    return fd < most - min(_KEPT_FOR_FILES, most // 4)


def most_files_at_rest() -> int:
    """Return how many files may stay open that nobody writes to now."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_AT_REST if most == resource.RLIM_INFINITY else min(_MOST_AT_REST, most // 8)
