"""Where pixels wait until they are saved: recycled memory that the daemon can read.

Theory of operation
    Fresh pages are what a copy into shared memory costs, so pixels are copied into *arenas*: sealed memfds
    that are made once, populated by a background thread and recycled for the life of the client.  A pool
    grows by whole arenas until its byte budget is spent.  Space is handed out first-fit from the lowest
    address, which keeps the touched, cache-warm part small while the daemon keeps up, and comes back when an
    image is acknowledged, in any order.

    Where memfds are missing or may not be passed, the same pool hands out private memory and the bytes travel
    inline; nothing else changes.

    A forked child has pages of its own in the place of arenas when it comes back to a call that its parent began.

Sealed against shrinking and growing, an arena can never turn an access of the daemon into SIGBUS.
"""

from __future__ import annotations

import mmap
import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pixlog.sealed_memory import sealed_memfd
from pixlog.sending.own_pages import replace_shared

Memory: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
"""Bytes as an array, (n,) uint8."""

ALIGN_NBYTES = 64
_FIRST_ARENA_NBYTES = 8 * 1024 * 1024
_LARGEST_ARENA_NBYTES = 256 * 1024 * 1024
_MADV_POPULATE_WRITE = 23
_POPULATE_CHUNK_NBYTES = 2 * 1024 * 1024

SHARED_SUPPORTED = sys.platform == "linux" and hasattr(os, "memfd_create")


def aligned(nbytes: int) -> int:
    """``nbytes`` rounded up to the alignment of regions and of the buffers within one."""
    return (nbytes + ALIGN_NBYTES - 1) & -ALIGN_NBYTES


class Extents:
    """The free space of one arena: disjoint extents, sorted, never touching one another."""

    __slots__ = ("_sizes", "_starts", "free_nbytes")

    def __init__(self, nbytes: int) -> None:
        self._starts = [0]
        self._sizes = [nbytes]
        self.free_nbytes = nbytes

    def allocate(self, nbytes: int) -> int:
        """Take ``nbytes`` from the lowest extent that holds them; return the offset, or -1."""
        sizes = self._sizes
        for index, size in enumerate(sizes):
            if size < nbytes:
                continue
            offset = self._starts[index]
            if size == nbytes:
                del sizes[index], self._starts[index]
            else:
                sizes[index] = size - nbytes
                self._starts[index] = offset + nbytes
            self.free_nbytes -= nbytes
            return offset
        return -1

    def free(self, offset: int, nbytes: int) -> None:
        """Give an allocated extent back, joined with its free neighbours."""
        starts, sizes = self._starts, self._sizes
        index = bisect_left(starts, offset)
        joins_left = index > 0 and starts[index - 1] + sizes[index - 1] == offset
        joins_right = index < len(starts) and offset + nbytes == starts[index]
        if joins_left and joins_right:
            sizes[index - 1] += nbytes + sizes[index]
            del starts[index], sizes[index]
        elif joins_left:
            sizes[index - 1] += nbytes
        elif joins_right:
            starts[index] = offset
            sizes[index] += nbytes
        else:
            starts.insert(index, offset)
            sizes.insert(index, nbytes)
        self.free_nbytes += nbytes

    @classmethod
    def around(cls, nbytes: int, used: Iterable[tuple[int, int]]) -> Extents:
        """The free space left in ``nbytes`` by the ``(offset, nbytes)`` extents that are in use."""
        extents = cls(nbytes)
        extents._starts, extents._sizes, extents.free_nbytes = [], [], 0
        end = 0
        for offset, size in [*sorted(used), (nbytes, 0)]:
            if offset > end:
                extents.free(end, offset - end)
            end = offset + size
        return extents


class Arena:
    """One piece of recycled memory; ``fd`` is None when it is private to this process.

    ``visible`` says whether the daemon can read it; what lies in an invisible one travels inline.  ``populated``
    says whether its pages are there, or somebody is at it.
    """

    __slots__ = ("_map", "extents", "fd", "id", "memory", "nbytes", "populated", "visible")

    def __init__(self, arena_id: int, nbytes: int, *, shared: bool) -> None:
        self.fd: int | None = None
        self.id = arena_id
        self.nbytes = nbytes
        self.extents = Extents(nbytes)
        self.populated = False
        self.visible = shared
        self._map: mmap.mmap | None = None
        self.memory: Memory
        if shared:
            self.fd = sealed_memfd("pixlog-arena", nbytes)
            self._map = mmap.mmap(self.fd, nbytes)
            self.memory = np.frombuffer(self._map, np.uint8)
        else:
            self.memory = np.empty(nbytes, np.uint8)

    @property
    def shared(self) -> bool:
        """Whether its pages stay one memory across a fork."""
        return self._map is not None

    def put(self, offset: int, array: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Copy a small array to ``offset``, in C order; no other thread runs meanwhile, where that is quicker."""
        if self._map is not None and array.flags.c_contiguous:
            data: Any = array  # whose type says from Python 3.12 on that it has a buffer
            self._map[offset : offset + array.nbytes] = data  # half of what making an array over it takes
        else:
            np.ndarray(array.shape, array.dtype, self.memory.data, offset)[...] = array

    def populate(self, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Fault every page in, from a background thread: training then copies into warm memory.

        Called through ctypes because ``mmap.madvise`` holds the GIL.  On a kernel that does not know the
        advice, the copies pay for the page faults that it would have saved.
        """
        if self._map is None:
            return
        import ctypes

        madvise = ctypes.CDLL(None, use_errno=True).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        address = self.memory.ctypes.data
        for start in range(0, self.nbytes, _POPULATE_CHUNK_NBYTES):
            nbytes = min(_POPULATE_CHUNK_NBYTES, self.nbytes - start)
            if is_cancelled() or madvise(address + start, nbytes, _MADV_POPULATE_WRITE):
                return

    def part(self) -> None:
        """In a forked child: have memory of its own in the place of what is shared, for a copy that is still to end."""
        if self._map is not None:
            replace_shared(self.memory.ctypes.data, self.nbytes)

    def close(self) -> None:
        """Close the descriptor; the memory goes when the last array over it does."""
        if self.fd is not None:
            fd, self.fd = self.fd, None
            os.close(fd)

    def __del__(self) -> None:
        """Close the descriptor of an arena whose making was cut short."""
        if getattr(self, "fd", None) is not None:
            self.close()


@dataclass(slots=True)
class Region:
    """A part of an arena that holds the pixels of one call until it is acknowledged."""

    arena: Arena
    offset: int
    nbytes: int

    @property
    def memory(self) -> Memory:
        """The bytes, (nbytes,) uint8, writable."""
        return self.arena.memory[self.offset : self.offset + self.nbytes]


class ArenaPool:
    """Arenas under one byte budget.  Not thread-safe: its owner holds a lock around every call but populate.

    ``nbytes`` counts all arenas, ``used_nbytes`` what is reserved in them.
    """

    def __init__(self, budget_nbytes: int, *, shared: bool, max_arenas: int) -> None:
        self.budget_nbytes = budget_nbytes
        self.shared = shared
        self.max_arenas = max_arenas
        self.arenas: list[Arena] = []
        self.nbytes = 0
        self.used_nbytes = 0
        self._next_id = 0
        self._parted = False

    def reserve(self, nbytes: int) -> Region | None:
        """Take ``nbytes`` from an existing arena; None when no arena has them in one piece."""
        size = aligned(nbytes) or ALIGN_NBYTES
        for arena in self.arenas:
            offset = arena.extents.allocate(size)
            if offset >= 0:
                self.used_nbytes += size
                return Region(arena, offset, size)
        return None

    def release(self, region: Region) -> None:
        """Give a region back."""
        region.arena.extents.free(region.offset, region.nbytes)
        self.used_nbytes -= region.nbytes

    def rebuild(self, regions: Iterable[Region]) -> None:
        """Derive the free space anew: exactly ``regions`` are in use."""
        used: dict[int, list[tuple[int, int]]] = {}
        for region in regions:
            used.setdefault(region.arena.id, []).append((region.offset, region.nbytes))
        for arena in self.arenas:
            arena.extents = Extents.around(arena.nbytes, used.get(arena.id, ()))
        self.nbytes = sum(arena.nbytes for arena in self.arenas)
        self.used_nbytes = self.nbytes - sum(arena.extents.free_nbytes for arena in self.arenas)

    def could_hold(self, nbytes: int) -> bool:
        """Whether ``nbytes`` fit in one piece once everything is released."""
        room = self._room() if len(self.arenas) < self.max_arenas else 0
        return max((arena.nbytes for arena in self.arenas), default=0) >= nbytes or room >= aligned(nbytes)

    def wants_growth(self) -> bool:
        """Whether more than half of what there is, is in use and the budget has room for another arena."""
        return 2 * self.used_nbytes > self.nbytes and self._room() > 0

    def grow(self, nbytes: int = 0) -> Arena | None:
        """Add an arena that holds at least ``nbytes`` in one piece; None when the budget forbids it.

        Each arena is as large as all before it, so a pool of any size is a handful of descriptors.
        """
        wanted = aligned(max(nbytes, min(max(_FIRST_ARENA_NBYTES, self.nbytes), _LARGEST_ARENA_NBYTES)))
        size = min(wanted, self._room() & -ALIGN_NBYTES)
        if size < max(nbytes, ALIGN_NBYTES) or len(self.arenas) >= self.max_arenas:
            return None
        arena = Arena(self._next_id, size, shared=self.shared)
        self._next_id += 1
        self.arenas.append(arena)
        self.nbytes += size
        if self._parted:
            arena.part()  # made by the parent, with a fork in the middle of it
        return arena

    def part(self) -> None:
        """In a forked child: see that what is still copied reaches no memory of the parent."""
        self._parted = True
        for arena in self.arenas:
            arena.part()

    def make_private(self) -> None:
        """Give up sharing, for good; only before the first reservation."""
        assert self.used_nbytes == 0
        self.close()
        self.shared = False

    def close(self) -> None:
        """Close every descriptor and forget the arenas."""
        for arena in self.arenas:
            arena.close()
        self.arenas.clear()
        self.nbytes = self.used_nbytes = 0

    def _room(self) -> int:
        return self.budget_nbytes - self.nbytes
