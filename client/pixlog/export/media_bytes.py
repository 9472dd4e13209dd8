"""The bytes of media files, whole or an error, and copies of them that do not pass through Python.

A copy is made with ``copy_file_range`` where the system has it: file systems that share extents then copy nothing at
all, and the copy outlives the run.  Links are not made: they would not.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pixlog.errors import RunError
from pixlog.reading.stored_media import MediaFile

_NOT_HERE: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
_FROM_NBYTES: Final = 64 << 10
"""Below this, reading and writing takes fewer calls than asking the system to copy."""


def media_bytes(file: MediaFile) -> bytes:
    """Return the bytes of ``file``; raise ``RunError`` if they cannot be read or are not as many as its row says."""
    data = file.read_bytes()
    if len(data) != file.size:
        raise RunError(f"{file.relative_path} has {len(data)} bytes, expected {file.size} as its row says")
    return data


def copy_media(file: MediaFile, path: str | Path) -> None:
    """Copy ``file`` to ``path``, which must not exist; raises as ``media_bytes`` does."""
    descriptor = -1
    if file.size >= _FROM_NBYTES and hasattr(os, "copy_file_range"):
        descriptor = _opened(file)
    if descriptor < 0:
        data = media_bytes(file)
        with open(path, "xb", buffering=0) as out:
            out.write(data)
        return
    try:
        with open(path, "xb", buffering=0) as out:
            if _copied_by_system(descriptor, file, out.fileno()):
                return
            out.seek(0)
            out.truncate()
            out.write(media_bytes(file))
    finally:
        os.close(descriptor)


class Folder:
    """A directory that media files are copied into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: set[str] = set()

    def place(self, wanted: Iterable[tuple[str, MediaFile]]) -> None:
        """Copy files to paths relative to the directory; all of them, or none and what ``copy_media`` raises."""
        done: list[str] = []
        try:
            for name, file in wanted:
                path = os.path.join(self.path, name)
                if (parent := os.path.dirname(path)) not in self._made:
                    os.makedirs(parent, exist_ok=True)
                    self._made.add(parent)
                done.append(path)
                copy_media(file, path)
        except RunError:
            for path in done:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            raise


def _opened(file: MediaFile) -> int:
    try:
        descriptor = os.open(file.place, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RunError(f"cannot read {file.relative_path}: {error.strerror}") from error
    nbytes = os.fstat(descriptor).st_size
    if (nbytes != file.size) if file.shard is None else (nbytes < file.offset + file.size):
        os.close(descriptor)
        raise RunError(f"{file.shard or file.relative_path} has {nbytes} bytes, its row expects others")
    return descriptor


def _copied_by_system(source: int, file: MediaFile, out: int) -> bool:
    done = 0
    while done < file.size:
        try:
            count = os.copy_file_range(source, out, file.size - done, file.offset + done)
        except OSError as error:
            if error.errno in _NOT_HERE:
                return False
            raise
        if count == 0:
            return False
        done += count
    return True
