"""Where images wait on disk when the memory budget is full: the same frames, in a file of the run directory.

A spill file is a recorded stream: the client's HELLO, then LOG frames with inline payloads.  Whoever finds one
without its client can therefore replay it like a connection.  It is written with ``pwrite``, never mapped, so a
full disk is an error at the call and not a signal in training.

A file whose room was *prepared*, see :mod:`pixlog.sending.spill_room`, is longer than what is in it: its HELLO says so,
and zeros follow the last frame until another file is begun.  The first byte of a frame is written last, so that who is
killed in the middle leaves none that looks whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from pixlog.protocol import Buffer, Header, Kind, encode_head
from pixlog.sending.spill_room import SpillRoom
from pixlog.signal_exceptions import pass_on
from pixlog.spill_names import LEFT, SUFFIX, claimed_name, left_name
from pixlog.writer_mark import mark_of

_ROTATE_NBYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class SpillFile:
    """One file, the bytes of its frames, and how many of its images are not acknowledged."""

    path: Path
    io: FileIO
    nbytes: int
    prepared: bool = False
    waiting_count: int = 0


@dataclass(frozen=True, slots=True)
class Spilled:
    """Where the payload of one spilled frame lies, and where the frame ends."""

    file: SpillFile
    offset: int
    end: int


class Spill:
    """The spill files of one client under one byte budget.  Not thread-safe, but for room: its owner holds a lock.

    ``hello`` returns the header of the HELLO that each file begins with.
    """

    def __init__(self, directory: Path, client: str, budget_nbytes: int, hello: Callable[[], Header]) -> None:
        self.directory = directory
        self.budget_nbytes = budget_nbytes
        self.nbytes = 0
        self._rooms: deque[SpillRoom] = deque()  # one at most; whoever takes it out has it
        self._client = client
        self._hello = hello
        self._current: SpillFile | None = None
        self._separator = "-"
        self._count = 0
        self._unneeded: set[SpillFile] = set()
        self._abandoned = False

    def write(self, head: bytes, payload: Sequence[Buffer]) -> Spilled | None:
        """Append one frame; None when the budget is spent.  Raises OSError when the disk will not have it."""
        nbytes = len(head) + sum(len(piece) for piece in payload)
        if self.nbytes + nbytes > self.budget_nbytes:
            self._unlink_unneeded()
            if self.nbytes + nbytes > self.budget_nbytes:
                return None
        file = self._current
        if file is None or self._is_over(file, nbytes):
            file = self._open()
        start = file.nbytes
        try:
            _append(file, head, payload)
        except OSError as exc:
            if exc.errno != errno.EFBIG or not file.waiting_count:
                raise
            file = self._open()  # a file may not grow that far here
            start = file.nbytes
            _append(file, head, payload)
        file.nbytes += nbytes
        file.waiting_count += 1
        self.nbytes += nbytes
        return Spilled(file, start + len(head), start + nbytes)

    def _is_over(self, file: SpillFile, nbytes: int) -> bool:
        """Whether the next ``nbytes`` belong into another file: this one is full, gone, or slower than that."""
        return (
            file.nbytes + nbytes > _ROTATE_NBYTES
            or not os.fstat(file.io.fileno()).st_nlink
            or (self.room_is_ready and not file.prepared)
        )

    @property
    def room(self) -> SpillRoom | None:
        """What the next file will be written into, once it is ready."""
        rooms = list(self._rooms)
        return rooms[0] if rooms else None

    @property
    def room_is_ready(self) -> bool:
        """Whether the next file can be written at the price of a copy."""
        room = self.room
        return room is not None and room.ready

    @property
    def next_nbytes(self) -> int:
        """How long the next file may get."""
        return min(_ROTATE_NBYTES, self.budget_nbytes - self.nbytes)

    def keep_room(self, room: SpillRoom) -> None:
        """From any thread, without the lock: have the next file written into ``room``, while there is no other."""
        self._rooms.append(room)

    def drop_room(self) -> None:
        """Let go of room that nobody needs; from any thread, without the lock."""
        room = self._take_room()
        if room is not None:
            room.close()

    def _take_room(self) -> SpillRoom | None:
        try:
            return self._rooms.popleft()
        except IndexError:
            return None

    def leave(self, spilled: Iterable[Spilled]) -> None:
        """Say of the files of what waits, and of those written from now on, that the client does not come back."""
        with contextlib.suppress(OSError):  # a file system may say at the end that it did not write
            self._finish()
        self.drop_room()
        self._unlink_unneeded()
        self._separator = LEFT
        for file in {place.file for place in spilled}:
            path = file.path.with_name(left_name(file.path.name))
            with contextlib.suppress(OSError):  # then the daemon waits for the end of this process
                file.path.rename(path)
                file.path = path

    def release(self, spilled: Spilled) -> str | None:
        """Account for an acknowledged frame; a file with none left is removed.  Return why it cannot be, if so.

        Such a file counts against the budget until it is gone: that is tried again before another file is begun.
        """
        file = spilled.file
        file.waiting_count -= 1
        return None if file.waiting_count else self._remove(file)

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
            self._cut(current)
        self.nbytes = sum(file.nbytes for file in kept) + sum(file.nbytes for file in self._unneeded)

    def _cut(self, file: SpillFile) -> None:
        """A frame behind the last one that was accepted must not be taken for accepted by a later reader."""
        fd = file.io.fileno()
        try:
            os.ftruncate(fd, file.nbytes)
        except OSError as exc:
            pass_on(exc)
            with contextlib.suppress(OSError):
                os.pwrite(fd, b"\0", file.nbytes)  # no frame begins like that
                self._finish()

    def close(self) -> None:
        """Close what is open, and change nothing; files with images that are not acknowledged stay for the daemon."""
        if self._current is not None:
            self._current.io.close()
            self._current = None
        self.drop_room()

    def abandon(self) -> None:
        """In a forked child: as :meth:`close`; a write that the parent began makes and removes no file from here on."""
        self._abandoned = True
        self.close()

    def _finish(self) -> None:
        """Write no more into the current file, and cut off what was prepared and not used."""
        file, self._current = self._current, None
        if file is None:
            return
        if file.prepared:
            with contextlib.suppress(OSError):  # a longer one is read as well
                os.ftruncate(file.io.fileno(), file.nbytes)
        file.io.close()

    def _open(self) -> SpillFile:
        self._finish()
        self._unlink_unneeded()
        if self._abandoned:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        path = self.directory / f"{self._client}{self._separator}{self._count:04d}{SUFFIX}"
        self._count += 1  # before anything can go wrong: a name is used once
        file = (self._name_room(path) if self.room_is_ready else None) or self._create(path)
        self.nbytes += file.nbytes
        self._current = file
        return file

    def _create(self, path: Path) -> SpillFile:
        hello = self._hello()
        preamble = encode_head(Kind.HELLO, hello)
        # As long as nobody can read in it whose it is, its name says so.
        begun = path.with_name(
            claimed_name(path.name, mark_of(hello["host"], hello["pid"], hello["started"]))
        )
        try:
            created = _create(begun)
        except FileNotFoundError:  # somebody removed the run directory
            self.directory.mkdir(parents=True, exist_ok=True)
            created = _create(begun)
        try:
            _pwrite_all(created.fileno(), [preamble], 0)
            if self._abandoned:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            begun.rename(path)
        except BaseException:
            created.close()
            if not self._abandoned:
                begun.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            raise
        return SpillFile(path, created, len(preamble))

    def _name_room(self, path: Path) -> SpillFile | None:
        """Begin a file in the room that is ready; None when that cannot be, and then it is gone."""
        room = self._take_room()
        if room is None:  # another thread let go of it
            return None
        preamble = encode_head(Kind.HELLO, {**self._hello(), "prepared": True})
        try:
            _pwrite_all(room.io.fileno(), [preamble], 0)
            return SpillFile(path, room.give_name(path), len(preamble), prepared=True)
        except BaseException as exc:
            room.close()
            if not self._abandoned:
                path.unlink(missing_ok=True)
            if not isinstance(exc, OSError):
                raise
            pass_on(exc)
            return None

    def _remove(self, file: SpillFile) -> str | None:
        """Remove a file; return why it cannot be removed, if so."""
        self._unneeded.add(file)
        if file is self._current:
            self._current = None
            with contextlib.suppress(OSError):
                file.io.close()
        return self._unlink(file)

    def _unlink(self, file: SpillFile) -> str | None:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as exc:
            pass_on(exc)
            return exc.strerror or str(exc)
        self._unneeded.discard(file)
        self.nbytes -= file.nbytes
        return None

    def _unlink_unneeded(self) -> None:
        """Try once more to remove what could not be removed."""
        for file in list(self._unneeded):
            self._unlink(file)


def _create(path: Path) -> FileIO:
    """Create a file that is closed with its object, also when Ctrl-C strikes before anybody has that."""
    return FileIO(path, "x", opener=partial(os.open, mode=0o600))


def _append(file: SpillFile, head: bytes, payload: Sequence[Buffer]) -> None:
    """Write one frame behind the others."""
    fd, start = file.io.fileno(), file.nbytes
    if not file.prepared:
        _pwrite_all(fd, [head, *payload], start)
        return
    _pwrite_all(fd, [memoryview(head)[1:], *payload], start + 1, file_nbytes=start)
    _pwrite_all(fd, [head[:1]], start)


def _pwrite_all(fd: int, pieces: Sequence[Buffer], offset: int, file_nbytes: int | None = None) -> None:
    """Write every byte at ``offset``; a disk that takes only a part leaves ``file_nbytes``, or what is before them."""
    start = offset if file_nbytes is None else file_nbytes
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
