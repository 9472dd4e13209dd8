"""Memory to be shared with another process: sealed against shrinking and growing, no access to it ends in SIGBUS."""

from __future__ import annotations

import fcntl
import os


def sealed_memfd(name: str, nbytes: int) -> int:
    """Return a memfd of ``nbytes`` zeros that is closed on exec; ``name`` is seen in ``/proc``.  Raises OSError."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, nbytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd
