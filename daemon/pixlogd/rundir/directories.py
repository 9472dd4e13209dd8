"""Directories that are on the disk itself when somebody relies on them, and whether a file still lies in its own."""

from __future__ import annotations

import contextlib
import os
import threading


class DurableDirectories:
    """Directories that are made where they are missing and, with ``fsync``, whose names are on the disk then.

    Who made one says nothing of that: a client may have, or an attempt that failed at its flush.  So the names of a
    directory and of all above it in its file system are flushed once, and anew when one of them was missing.  Called
    from many threads at once.
    """

    def __init__(self, *, fsync: bool) -> None:
        self._fsync = fsync
        self._lock = threading.Lock()
        self._flushed: set[str] = set()

    def make(self, path: str) -> None:
        """Make a directory and those above it that are missing; raises OSError."""
        with self._lock:
            self._flushed.clear()
            os.makedirs(path, exist_ok=True)
        self.flush_names(path)

    def flush_names(self, path: str) -> None:
        """Bring the names of a directory and of those above it onto the disk; raises OSError."""
        if not self._fsync or path in self._flushed:
            return
        with self._lock:
            names: list[str] = []
            above = os.path.realpath(path)
            while above not in self._flushed and not os.path.ismount(above):
                names.append(above)
                above = os.path.dirname(above)
            for name in reversed(names):
                with contextlib.suppress(PermissionError):  # what may not be read cannot be opened for it
                    fsync_directory(os.path.dirname(name))
                self._flushed.add(name)
            self._flushed.add(path)


def is_in_place(fd: int, path: str | os.PathLike[str]) -> bool:
    """Whether an open file is still the one of that name: neither it nor a directory above was moved or removed."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Bring the names in a directory onto the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
