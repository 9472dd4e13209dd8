"""Media on disk: each file is written under a temporary name, then renamed, so none is ever seen half-written.

The path of a media file is derived from its content, so writing it again after a crash gives the same file
with the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

from pixlog.protocol import Buffer
from pixlogd.directories import fsync_directory, make_directory

TEMPORARY_PREFIX = ".writing-"


class Media(Protocol):
    """A file to be stored."""

    @property
    def path(self) -> str:
        """The path relative to the run directory, with forward slashes."""

    @property
    def data(self) -> Buffer:
        """Every byte of the file."""


class FileStore:
    """One file for each image of a run.  Called from many threads at once.

    ``mark`` is this process's own, so that nobody's leftovers are in the way.
    """

    def __init__(self, run_dir: Path, mark: str, *, fsync: bool) -> None:
        self._run_dir = str(run_dir)
        self._temporary_dir = f"{run_dir}/{TEMPORARY_PREFIX}{mark}"
        self._fsync = fsync
        self._numbers = count()

    def write(self, files: Sequence[Media]) -> int:
        """Write every file; return the bytes written.  Raises OSError, and then none is half-written."""
        nbytes = 0
        for media in files:
            self._write_one(media)
            nbytes += len(media.data)
        return nbytes

    def close(self) -> None:
        """Remove the directory of temporary names; what the file system keeps in it is left to a repair."""
        with contextlib.suppress(OSError):
            os.rmdir(self._temporary_dir)

    def _write_one(self, media: Media) -> None:
        temporary = f"{self._temporary_dir}/{next(self._numbers)}"
        try:
            fd = _create(temporary)
        except FileNotFoundError:
            os.makedirs(self._temporary_dir, exist_ok=True)
            fd = _create(temporary)
        try:
            try:
                _write_all(fd, media.data)
                if self._fsync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            self._put_in_place(temporary, f"{self._run_dir}/{media.path}")
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _put_in_place(self, temporary: str, path: str) -> None:
        try:
            os.rename(temporary, path)
        except FileNotFoundError:
            make_directory(os.path.dirname(path), fsync=self._fsync)
            os.rename(temporary, path)
        if self._fsync:
            fsync_directory(os.path.dirname(path))


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _write_all(fd: int, data: Buffer) -> None:
    written = os.write(fd, data)
    view = memoryview(data)
    while written < len(view):
        more = os.write(fd, view[written:])
        if not more:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += more
