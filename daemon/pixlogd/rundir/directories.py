"""Directories that are on the disk itself when somebody relies on them, and whether a file still lies in its own."""

from __future__ import annotations

import os


def make_directory(path: str | os.PathLike[str], *, fsync: bool) -> None:
    """Make a directory and those above it that are missing; with ``fsync``, their names are on the disk then."""
    missing: list[str] = []
    if fsync:
        above = os.path.abspath(path)
        while not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
    os.makedirs(path, exist_ok=True)
    for made in reversed(missing):
        fsync_directory(os.path.dirname(made))


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
