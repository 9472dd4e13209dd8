"""Where images wait on disk when the memory budget is full: the same frames, in a file of the run directory.

A spill file is a recorded stream: the client's HELLO, then LOG frames with inline payloads.  Whoever finds one
without its client can therefore replay it like a connection.  It is written with ``pwrite``, never mapped, so a
full disk is an error at the call and not a signal in training.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from pixlog.protocol import Buffer
from pixlog.spill_names import LEFT, SUFFIX, left_name

_ROTATE_NBYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class SpillFile:
    """One file and how many of its images are not acknowledged."""

    path: Path
    io: FileIO
    nbytes: int
    waiting_count: int = 0


@dataclass(frozen=True, slots=True)
class Spilled:
    """Where the payload of one spilled frame lies, and where the frame ends."""

    file: SpillFile
    offset: int
    end: int


class Spill:
    """The spill files of one client under one byte budget.  Not thread-safe: its owner holds a lock.

    ``preamble`` returns the frame that each file begins with.
    """

    def __init__(
        self, directory: Path, client: str, budget_nbytes: int, preamble: Callable[[], bytes]
    ) -> None:
        self.budget_nbytes = budget_nbytes
        self.nbytes = 0
        self._directory = directory
        self._client = client
        self._preamble = preamble
        self._current: SpillFile | None = None
        self._separator = "-"
        self._count = 0

    def write(self, head: bytes, payload: Sequence[Buffer]) -> Spilled | None:
        """Append one frame; None when the budget is spent.  Raises OSError when the disk will not have it."""
        nbytes = len(head) + sum(len(piece) for piece in payload)
        if self.nbytes + nbytes > self.budget_nbytes:
            return None
        file = self._current
        if file is None or file.nbytes + nbytes > _ROTATE_NBYTES or not os.fstat(file.io.fileno()).st_nlink:
            file = self._open()
        start = file.nbytes
        try:
            _pwrite_all(file.io.fileno(), [head, *payload], start)
        except OSError as exc:
            if exc.errno != errno.EFBIG or not file.waiting_count:
                raise
            file = self._open()  # a file may not grow that far here
            start = file.nbytes
            _pwrite_all(file.io.fileno(), [head, *payload], start)
        file.nbytes += nbytes
        file.waiting_count += 1
        self.nbytes += nbytes
        return Spilled(file, start + len(head), start + nbytes)

    def leave(self, spilled: Iterable[Spilled]) -> None:
        """Say of the files of what waits, and of those written from now on, that the client does not come back."""
        self.close()
        self._separator = LEFT
        for file in {place.file for place in spilled}:
            path = file.path.with_name(left_name(file.path.name))
            with contextlib.suppress(OSError):  # then the daemon waits for the end of this process
                file.path.rename(path)
                file.path = path

    def release(self, spilled: Spilled) -> None:
        """Account for an acknowledged frame; a file with none left is removed."""
        file = spilled.file
        file.waiting_count -= 1
        if not file.waiting_count:
            self._remove(file)

    def rebuild(self, spilled: Iterable[Spilled]) -> None:
        """Derive everything anew after a write was cut short: exactly ``spilled`` are in the files and wait."""
        kept: dict[SpillFile, list[Spilled]] = {}
        for place in spilled:
            kept.setdefault(place.file, []).append(place)
        current = self._current
        if current is not None and current not in kept:
            self._remove(current)
        for file, places in kept.items():
            file.waiting_count = len(places)
            file.nbytes = max(place.end for place in places)
        if current is not None and current in kept:
            # A frame behind the last one that was accepted must not be taken for accepted by a later reader.
            os.ftruncate(current.io.fileno(), current.nbytes)
        self.nbytes = sum(file.nbytes for file in kept)

    def close(self) -> None:
        """Close what is open; files with images that are not acknowledged stay for the daemon."""
        if self._current is not None:
            self._current.io.close()
            self._current = None

    def _open(self) -> SpillFile:
        self.close()
        path = self._directory / f"{self._client}{self._separator}{self._count:04d}{SUFFIX}"
        self._count += 1  # before anything can go wrong: a name is used once
        preamble = self._preamble()
        try:
            created = _create(path)
        except FileNotFoundError:  # somebody removed the run directory
            self._directory.mkdir(parents=True, exist_ok=True)
            created = _create(path)
        file = SpillFile(path, created, len(preamble))
        try:
            _pwrite_all(created.fileno(), [preamble], 0)
        except BaseException:
            created.close()
            path.unlink(missing_ok=True)
            raise
        self.nbytes += file.nbytes
        self._current = file
        return file

    def _remove(self, file: SpillFile) -> None:
        if file is self._current:
            self.close()
        self.nbytes -= file.nbytes
        file.path.unlink(missing_ok=True)


def _create(path: Path) -> FileIO:
    """Create a file that is closed with its object, also when Ctrl-C strikes before anybody has that."""
    return FileIO(path, "x", opener=partial(os.open, mode=0o600))


def _pwrite_all(fd: int, pieces: Sequence[Buffer], offset: int) -> None:
    """Write every byte at ``offset``; a disk that takes only a part leaves the file as long as it was."""
    start = offset
    for piece in pieces:
        view = memoryview(piece)
        while view:
            try:
                count = os.pwrite(fd, view, offset)
            except OSError:
                os.ftruncate(fd, start)
                raise
            if not count:
                os.ftruncate(fd, start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset += count
            view = view[count:]
