"""The bytes of a call, wherever they are: a view that costs nothing until it is taken.

Arenas are mapped only when they are sealed against shrinking, so no client can turn a read of the daemon into
SIGBUS.  Spill files are read, never mapped, for the same reason.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixlog.errors import InputError, ProtocolError
from pixlog.protocol import Header
from pixlog.spill_names import left_name

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class MappedArena:
    """A client's arena, mapped read-only; unmapped when the last call that lies in it is done."""

    __slots__ = ("_map", "_view", "nbytes")

    def __init__(self, fd: int, nbytes: int) -> None:
        """Map the memfd ``fd``, which is closed whatever happens; raises ProtocolError for anything else."""
        try:
            try:
                seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            except OSError as exc:
                raise ProtocolError(f"the descriptor of an arena is not a memfd: {exc.strerror}") from exc
            if not seals & fcntl.F_SEAL_SHRINK:
                raise ProtocolError("an arena must be sealed against shrinking")
            size = os.fstat(fd).st_size
            if not 0 < nbytes <= size:
                raise ProtocolError(f"an arena of {size} bytes was announced as one of {nbytes}")
            self._map = mmap.mmap(fd, nbytes, prot=mmap.PROT_READ)
        except OSError as exc:
            raise ProtocolError(f"an arena of {nbytes} bytes cannot be mapped: {exc.strerror}") from exc
        finally:
            os.close(fd)
        self.nbytes = nbytes
        self._view = memoryview(self._map)

    def slice(self, offset: int, nbytes: int) -> memoryview:
        """Return ``nbytes`` from ``offset``; raises ProtocolError when they are not all inside."""
        if offset + nbytes > self.nbytes:
            raise ProtocolError(f"bytes {offset} to {offset + nbytes} of an arena of {self.nbytes}")
        return self._view[offset : offset + nbytes]


@dataclass(frozen=True, slots=True)
class SpilledPayload:
    """A payload in a spill file, read when it is its turn."""

    path: Path
    offset: int
    nbytes: int

    def read(self) -> memoryview:
        """Read the bytes; raises InputError when the file does not have them.

        The file of a client that was closed meanwhile has another name by now.
        """
        try:
            try:
                fd = os.open(self.path, _OPEN_FLAGS)
            except FileNotFoundError:
                fd = os.open(self.path.with_name(left_name(self.path.name)), _OPEN_FLAGS)
        except OSError as exc:
            if exc.errno in {errno.ENOENT, errno.ELOOP}:
                raise InputError(f"spill file {self.path.name} is gone: {exc.strerror}") from exc
            raise
        try:
            size = os.fstat(fd).st_size
            filled = 0
            if self.offset + self.nbytes <= size:
                data = memoryview(bytearray(self.nbytes))
                while count := os.preadv(fd, [data[filled:]], self.offset + filled):
                    filled += count
                if filled == self.nbytes:
                    return data
            raise InputError(f"spill file {self.path.name} has {size} bytes, the image ends after them")
        finally:
            os.close(fd)


Payload = memoryview | SpilledPayload | None


def buffers_of(header: Header, payload: Payload) -> Sequence[memoryview]:
    """Return the buffers that a LOG header names, as views of its payload."""
    extents = header.get("buffers")
    if not extents:
        return ()
    view = payload.read() if isinstance(payload, SpilledPayload) else payload
    if view is None:
        return [memoryview(b"") for _ in extents]
    return [view[offset : offset + nbytes] for offset, nbytes in extents]
