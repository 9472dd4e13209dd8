"""The bytes of a call, wherever they are: a view that costs nothing until it is taken.

Arenas are mapped only when they are sealed against shrinking, so no client can turn a read of the daemon into
SIGBUS.  Spill files are read, never mapped, for the same reason.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixlog.errors import InputError, ProtocolError
from pixlog.protocol import Header
from pixlog.spill_names import claimant, left_name, unclaimed_name

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_KEEP_NBYTES: Final = 8 << 20


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


class ReadMemory(threading.local):
    """Memory of each thread that one payload after another is read into.

    Fresh pages cost more than the reading: the kernel clears 1,500 of them for an image of 1920×1080.
    """

    def __init__(self) -> None:
        self._kept = memoryview(b"")

    def get(self, nbytes: int) -> memoryview:
        """Return ``nbytes`` of memory with whatever is in it, the thread's until it asks again."""
        if nbytes <= len(self._kept):
            return self._kept[:nbytes]
        fresh = memoryview(mmap.mmap(-1, nbytes)) if nbytes else memoryview(bytearray())
        if nbytes <= _KEEP_NBYTES:
            self._kept = fresh
        return fresh


class SpillGone(InputError):
    """The spill file is not there any more: whoever removed it may have saved what was in it."""


@dataclass(frozen=True, slots=True)
class SpilledPayload:
    """A payload in a spill file, read when it is its turn."""

    path: Path
    offset: int
    nbytes: int

    def read(self, memory: ReadMemory | None = None) -> memoryview:
        """Read the bytes, into ``memory`` or some of their own; raises InputError when the file does not have them.

        The file of a client that was closed meanwhile has another name by now.  Raises SpillGone when there is none,
        and OSError while another daemon replays it.
        """
        try:
            try:
                fd = os.open(self.path, _OPEN_FLAGS)
            except FileNotFoundError:
                fd = os.open(self.path.with_name(left_name(self.path.name)), _OPEN_FLAGS)
        except OSError as exc:
            if exc.errno not in {errno.ENOENT, errno.ELOOP}:
                raise
            if self._is_claimed():
                raise BlockingIOError(errno.EAGAIN, f"another daemon has {self.path.name}") from exc
            raise SpillGone(f"spill file {self.path.name} is gone: {exc.strerror}") from exc
        try:
            size = os.fstat(fd).st_size
            filled = 0
            if self.offset + self.nbytes <= size:
                data = memoryview(bytearray(self.nbytes)) if memory is None else memory.get(self.nbytes)
                while count := os.preadv(fd, [data[filled:]], self.offset + filled):
                    filled += count
                if filled == self.nbytes:
                    return data
            raise InputError(f"spill file {self.path.name} has {size} bytes, the image ends after them")
        finally:
            os.close(fd)

    def _is_claimed(self) -> bool:
        names = {self.path.name, left_name(self.path.name)}
        return any(
            claimant(path.name) is not None and unclaimed_name(path.name) in names
            for path in self.path.parent.glob(f"{self.path.name.partition('-')[0]}-*")
        )


Payload = memoryview | SpilledPayload | None


def buffers_of(header: Header, payload: Payload, memory: ReadMemory | None = None) -> Sequence[memoryview]:
    """Return the buffers that a LOG header names, as views of its payload.

    One that has to be read is read into ``memory``, where there is some: it is gone when the thread reads another.
    """
    extents = header.get("buffers")
    if not extents:
        return ()
    view = payload.read(memory) if isinstance(payload, SpilledPayload) else payload
    if view is None:
        return [memoryview(b"") for _ in extents]
    return [view[offset : offset + nbytes] for offset, nbytes in extents]
