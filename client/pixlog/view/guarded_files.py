"""Files of a run for the page: only those that a row names, and only inside the run directory.

A row may come from anyone who could write the manifest.  Its paths are therefore followed to where they really
lead, links and all, and whatever lies outside the run directory is not opened.  In a packed run a file is a part of
a shard, of which nothing but that part is read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from pixlog.errors import RunError
from pixlog.reading.stored_media import MediaFile

MAX_NBYTES: Final = 1 << 30
"""Larger files are not read into memory for the page."""

IMAGE_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
"""What browsers decode, by suffix.  Anything else goes out as bytes to save, never to show."""


class FileRefused(RunError):
    """A path that a row names leads out of the run directory, or to something else than a file."""


class FileGone(RunError):
    """A file that a row names is not there any more."""


def content_type(file: MediaFile) -> str:
    """Return the type to serve ``file`` as."""
    return IMAGE_TYPES.get(Path(file.relative_path).suffix.lower(), "application/octet-stream")


def is_shown_by_browsers(file: MediaFile) -> bool:
    """Whether a browser decodes the file, by its suffix."""
    return Path(file.relative_path).suffix.lower() in IMAGE_TYPES


def guarded_path(file: MediaFile) -> Path:
    """Return the path of a row's file; raise ``FileRefused`` if it leads out of the run, ``FileGone`` if nowhere."""
    try:
        named = file.path
    except RunError as error:
        raise FileRefused(str(error)) from error
    run_dir = os.path.realpath(file.run_dir)
    real = os.path.realpath(named)
    if os.path.commonpath([run_dir, real]) != run_dir or real == run_dir:
        raise FileRefused(f"{file.relative_path!r} leads out of the run directory")
    return Path(real)


def read_guarded(file: MediaFile) -> bytes:
    """Return the bytes of a row's file; raises as ``guarded_path`` does."""
    path = guarded_path(file)
    try:
        # The last step is not followed again, so that a link put there meanwhile is refused too.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise FileGone(f"{file.relative_path} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused(f"{file.relative_path!r} is not a file")
        nbytes = status.st_size if file.shard is None else file.size
        if nbytes > MAX_NBYTES:
            raise FileRefused(f"{file.relative_path!r} has {nbytes} bytes, more than {MAX_NBYTES}")
        if file.shard is None:
            return stream.read()
        if file.offset < 0 or file.size < 0 or file.offset + file.size > status.st_size:
            raise FileGone(f"{file.shard} has {status.st_size} bytes, too few for {file.relative_path}")
        return os.pread(descriptor, file.size, file.offset)
