"""The run's source of truth: one JSON line for each call, in a segment that this daemon alone appends to.

Every daemon start opens a segment of its own, so any number of daemons on any number of hosts share a run
directory without locks.  A batch of rows is one write.  When the disk takes only a part of it, the segment is
cut back to its last whole line, and the batch is tried again by whoever holds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from pixlog.errors import InputError
from pixlogd.rundir.directories import DurableDirectories, fsync_directory, is_in_place

FORMAT_VERSION = 1

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_make_parts = getattr(json.encoder, "c_make_encoder", None)
# What JSONEncoder.encode makes anew for each row, at half of the row's time.
_parts_of: Callable[[Any, int], Sequence[str]] = (
    (lambda row, _: (_encoder.encode(row),))
    if _make_parts is None
    else _make_parts(
        None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
)
_ascii_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode_row(row: dict[str, Any]) -> bytes:
    """Return the line of one row: UTF-8 JSON with no NaN in it, ended by a newline.

    Raises InputError for what JSON has no word for, such as bytes.
    """
    try:
        try:
            return ("".join(_parts_of(row, 0)) + "\n").encode()
        except ValueError:  # a NaN, or half a surrogate pair that UTF-8 cannot say (UnicodeEncodeError)
            return (_ascii_encoder.encode(_finite(row)) + "\n").encode()
    except (TypeError, RecursionError) as exc:
        raise InputError(f"the row cannot be written as JSON: {exc}") from exc


def _finite(value: Any) -> Any:
    """Replace every NaN and infinity, which JSON cannot say, by its name."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


class ManifestWriter:
    """The segment of one daemon in one run."""

    def __init__(self, run_dir: Path, writer: str, *, fsync: bool) -> None:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._directory = run_dir / "manifest"
        self._stem = f"{moment}-{writer}"
        self._fsync = fsync
        self._directories = DurableDirectories(fsync=fsync)
        self._file: AsyncFileIO | None = None
        self._path = self._directory
        self._nbytes = 0

    async def append(self, lines: Sequence[bytes]) -> None:
        """Append whole lines in one write; raises OSError, and then none of them is in the manifest."""
        if self._file is not None and not is_in_place(self._file.fileno(), self._path):
            await self.close()  # somebody removed or moved the run directory: begin again in a new one
        if self._file is None:
            self._file = await self._open()
        data = b"".join(lines)
        try:
            written = 0
            while written < len(data):
                count = await self._file.write(data[written:] if written else data)
                if not count:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += count
            if self._fsync:
                await asyncio.to_thread(os.fsync, self._file.fileno())
        except OSError as exc:
            await self._cut_back()
            if exc.errno == errno.EFBIG and self._nbytes:
                await self.close()  # files may not grow that far here: begin another
            raise
        self._nbytes += len(data)

    async def close(self) -> None:
        """Close the segment."""
        if self._file is not None:
            await self._file.close()
            self._file = None

    async def _open(self) -> AsyncFileIO:
        """Create the segment; its name is new even when two daemons start in one second."""
        await asyncio.to_thread(self._directories.make, str(self._directory))
        for number in range(1000):
            suffix = f"-{number}" if number else ""
            with contextlib.suppress(FileExistsError):
                self._path = self._directory / f"{self._stem}{suffix}.jsonl"
                self._nbytes = 0
                file = await aiofiles.open(self._path, "xb", buffering=0)
                try:
                    if self._fsync:
                        await asyncio.to_thread(fsync_directory, self._directory)
                except OSError:
                    self._path.unlink(missing_ok=True)
                    await file.close()
                    raise
                return file
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._directory / self._stem))

    async def _cut_back(self) -> None:
        """Remove what a failed append left; a segment that cannot be cut is left alone for a new one."""
        assert self._file is not None
        try:
            await self._file.truncate(self._nbytes)
            await self._file.seek(self._nbytes)
        except OSError:
            with contextlib.suppress(OSError):
                await self._file.close()
            self._file = None
