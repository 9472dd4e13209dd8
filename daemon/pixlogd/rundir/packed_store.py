"""Media in few files: append-only tar shards, with shard and offset of each file in its row.

Clusters limit how many files a user may have.  A packed run has a handful: each daemon appends to a shard of its
own, under a lock, so that a shard never has a hole; ``tar`` and WebDataset read it, and a row's offset and size
reach any image with one read.  A shard that a crash cut short is torn at its end only, behind everything that has
a row; the next daemon begins another.
"""

from __future__ import annotations

import errno
import os
import tarfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pixlog.protocol import Buffer
from pixlogd.rundir.directories import DurableDirectories, fsync_directory, is_in_place
from pixlogd.rundir.store import Media, Placement

SHARDS = "media/shards"
_BLOCK_NBYTES = tarfile.BLOCKSIZE
_END_OF_ARCHIVE = bytes(2 * _BLOCK_NBYTES)
_MOST_BUFFERS = 512


class PackedStore:
    """The shards of one daemon in one run.  Called from many threads at once."""

    def __init__(self, run_dir: Path, writer: str, *, fsync: bool, shard_nbytes: int) -> None:
        self._run_dir = run_dir
        self._writer = writer
        self._fsync = fsync
        self._directories = DurableDirectories(fsync=fsync)
        self._shard_nbytes = shard_nbytes
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._shard = ""
        self._path = run_dir
        self._end = 0
        self._count = 0

    def write(self, files: Sequence[Media]) -> list[Placement]:
        """Append every file in one write; raises OSError, and then the shard is as it was."""
        if not files:
            return []
        members = [(_header(media), media) for media in files]
        with self._lock:
            fd = self._shard_for(sum(len(header) + _padded(len(media.data)) for header, media in members))
            buffers: list[Buffer] = []
            placements: list[Placement] = []
            end = self._end
            for header, media in members:
                nbytes = len(media.data)
                placements.append({"shard": self._shard, "offset": end + len(header)})
                buffers += (header, media.data, bytes(_padded(nbytes) - nbytes))
                end += len(header) + _padded(nbytes)
            try:
                _pwrite_all(fd, buffers, self._end)
                if self._fsync:
                    os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, self._end)
                raise
            self._end = end
        return placements

    def close(self) -> None:
        """End the shard as an archive ends."""
        with self._lock:
            self._close_shard()

    def _shard_for(self, nbytes: int) -> int:
        """Locked: return the shard that ``nbytes`` go into, a new one when the current is full or gone."""
        fd = self._fd
        if fd is not None and self._end + nbytes <= self._shard_nbytes and is_in_place(fd, self._path):
            return fd
        self._close_shard()
        directory = self._run_dir / SHARDS
        self._directories.make(str(directory))
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._shard = f"{SHARDS}/{moment}-{self._writer}-{self._count:04d}.tar"
        self._count += 1
        self._path = self._run_dir / self._shard
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if self._fsync:
                fsync_directory(directory)
        except OSError:
            self._path.unlink(missing_ok=True)
            os.close(fd)
            raise
        self._fd = fd
        self._end = 0
        return fd

    def _close_shard(self) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            _pwrite_all(fd, [_END_OF_ARCHIVE], self._end)
        except OSError:
            os.ftruncate(fd, self._end)  # a full disk: readers do without the mark
        finally:
            os.close(fd)


def _header(media: Media) -> bytes:
    """Return the tar header of a member; names that ustar cannot hold get a pax header before it."""
    member = tarfile.TarInfo(media.path)
    member.size = len(media.data)
    member.mtime = int(time.time())
    return member.tobuf(tarfile.PAX_FORMAT)


def _padded(nbytes: int) -> int:
    return (nbytes + _BLOCK_NBYTES - 1) & -_BLOCK_NBYTES


def _pwrite_all(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    while views:
        count = os.pwritev(fd, views[:_MOST_BUFFERS], offset)
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += count
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if count:
            views[0] = views[0][count:]
