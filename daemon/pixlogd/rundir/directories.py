"""Directories that are on the disk itself when somebody relies on them."""

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


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Bring the names in a directory onto the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
