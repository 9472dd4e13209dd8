"""Which clients of a run a daemon of this host has: what is on its way to it lies in nobody else's hands.

Two daemons of one host may write one run: a service, and the one that a process started which does not know of it.
What a client spilled may be named by calls that the first has not read from its socket yet, so the second must leave
the files alone, however dead the client is.  So a daemon has a lock for each of its clients: one byte, at an offset
that the client's id gives, of the run's ``spill/`` itself.  It ends with the daemon, needs no file, and, being on a
directory, asks no other host on a file system that is shared.

The locks are those of open file descriptions, of Linux.  Elsewhere there are none.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` where offsets have 64 bits: type, whence, start, length, pid."""


class ServedClients:
    """The clients of one run that this process has; ``spill_dir`` is opened while there are any."""

    def __init__(self, spill_dir: Path) -> None:
        self._spill_dir = spill_dir
        self._clients: set[str] = set()
        self._fd: int | None = None

    def add(self, client: str) -> None:
        """Have a client, by its id of 16 hexadecimal digits; where that cannot be locked it goes without."""
        self._clients.add(client)
        if self._fd is None:
            self._fd = _open(self._spill_dir)
        if self._fd is not None:
            _lock(self._fd, client, held=True)

    def discard(self, client: str) -> None:
        """Let go of a client."""
        self._clients.discard(client)
        if self._fd is None:
            return
        if self._clients:
            _lock(self._fd, client, held=False)
        else:
            self.close()

    def close(self) -> None:
        """Let go of all clients."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def is_elsewhere(self, client: str) -> bool:
        """Whether another process of this host has a client."""
        return _is_locked(self._fd, client) if self._fd is not None else is_served(self._spill_dir, client)


def is_served(spill_dir: Path, client: str) -> bool:
    """Whether a daemon of this host has a client of the run."""
    fd = _open(spill_dir)
    if fd is None:
        return False
    try:
        return _is_locked(fd, client)
    finally:
        os.close(fd)


def _open(spill_dir: Path) -> int | None:
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None
    try:
        return os.open(spill_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None


def _lock(fd: int, client: str, *, held: bool) -> None:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _extent(client, fcntl.F_RDLCK if held else fcntl.F_UNLCK))
    except OSError:  # a file system without locks
        return


def _is_locked(fd: int, client: str) -> bool:
    """Whether somebody else's lock would be in the way of writing: a directory cannot be locked for that."""
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _extent(client, fcntl.F_WRLCK))
    except OSError:
        return False
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _extent(client: str, kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, int(client, 16) >> 1, 1, 0)
