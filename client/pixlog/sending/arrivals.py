"""Pixels that are still on their way from a device when their call returns, and the thread that waits for them.

Theory of operation
    A call with pixels on a device is accepted like any other, with a number and a region of the arena; only its frame
    is held back.  A background thread, started with the first such call, starts the copies, asks the oldest one
    again and again, and hands back every call whose copies are over; the owner then sends the frame, or a
    failed row in its place.  Calls whose pixels lie in host memory do not wait for those that are held.

    The thread starts the copies itself, after the call was accepted: a call that is cut short leaves none behind
    that would write into memory of another.  It also page-locks an arena before the first copy into it, and
    unlocks it when the last copy is over.

    Memory that a copy may still write to is never given back: what is in flight when the client closes stays until
    the process ends.  In a forked child nothing of it is touched, not even to free it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pixlog.device.copies import DeviceBlock, DeviceCopy, Part, Unlock
from pixlog.notices import Notices
from pixlog.section_lock import SectionLock
from pixlog.sending.arena import Arena, Region
from pixlog.sending.gather import Move

log = logging.getLogger("pixlog")

_LOOK_FIRST_S: Final = 0.0003
_LOOK_MOST_S: Final = 0.002
_JOIN_S: Final = 0.1
_FORK_PATIENCE_S: Final = 1.0

_never_freed: list[object] = []
"""What a device may still write to, or what a forked child must not destroy."""


class Arrival:
    """The pixels of one call on their way into its region.

    ``error`` says why they will not come, once :meth:`over` said that they are no longer on their way.
    """

    __slots__ = ("_copies", "_moves", "_region", "error", "started")

    def __init__(self, region: Region, moves: Sequence[Move]) -> None:
        self.error: str | None = None
        self._region = region
        self._moves = moves
        self._copies: list[DeviceCopy] = []
        self.started = False

    def start(self, lock: Callable[[Arena, DeviceBlock], bool], notices: Notices) -> None:
        """Start the copies of every block; one that cannot be started is read at once, here, and that is noted."""
        self.started = True
        for block, parts in self._parts_by_block():
            try:
                block.prepare_thread()
                self._copies.append(block.start(parts, locked=lock(self._region.arena, block)))
            except Exception as exc:
                notices.note(
                    "start", "", f"copies from a device cannot be started, it is read instead: {_text(exc)}"
                )
                self._read(block, parts)

    def over(self) -> bool:
        """Whether every copy has come to its end."""
        if not self.started or not all(copy.ready() for copy in self._copies):
            return False
        for copy in self._copies:
            self.error = self.error or copy.error
        return True

    def _parts_by_block(self) -> list[tuple[DeviceBlock, list[Part]]]:
        grouped: dict[int, tuple[DeviceBlock, list[Part]]] = {}
        for move in self._moves:
            _, parts = grouped.setdefault(id(move.block), (move.block, []))
            parts.append(Part(move.offset, move.memory))
        return list(grouped.values())

    def _read(self, block: DeviceBlock, parts: Iterable[Part]) -> None:
        try:
            host = block.read()
            for offset, memory in parts:
                memory[...] = host[offset : offset + len(memory)]
        except Exception as exc:
            self.error = _text(exc)


class Arrivals:
    """The calls of one client that are held back.  Thread-safe.

    ``on_arrived`` gets the numbers of calls and what became of their pixels, on the background thread, with no lock
    held; when it raises, it gets them again.
    """

    def __init__(self, on_arrived: Callable[[Sequence[tuple[int, Arrival]]], None], notices: Notices) -> None:
        self._on_arrived = on_arrived
        self._notices = notices
        self._lock = SectionLock()  # taken instead of the condition: see the ledger's
        self._changed = threading.Condition(self._lock)
        self._fresh: dict[int, Arrival] = {}
        self._in_flight: dict[int, Arrival] = {}
        self._unlocks: dict[int, tuple[Arena, Unlock | None]] = {}
        self._thread: threading.Thread | None = None
        self._end_at: float | None = None

    def __len__(self) -> int:
        """How many calls are held back."""
        return len(self._fresh) + len(self._in_flight)

    def is_own_thread(self) -> bool:
        """Whether the caller is the thread that waits for pixels."""
        return self._thread is threading.current_thread()

    def watch(self, seq: int, arrival: Arrival) -> None:
        """Start the copies of a call soon, and tell when they are over; a second time, do nothing."""
        try:
            self._lock.acquire()
            if seq in self._in_flight or self._end_at is not None:
                return
            self._fresh[seq] = arrival
            if self._thread is None or self._thread.ident is None:  # its start may have been cut short
                self._thread = threading.Thread(target=self._run, name="pixlog-device", daemon=True)
                self._thread.start()
            self._changed.notify()
        finally:
            if self._lock.owned:
                self._lock.release()

    def stop(self, timeout_s: float) -> None:
        """End the thread when everything has arrived, at the latest after ``timeout_s``.

        What has not arrived by then is not waited for, and keeps its memory for ever.
        """
        try:
            self._lock.acquire()
            self._end_at = time.monotonic() + timeout_s
            self._changed.notify()
        finally:
            if self._lock.owned:
                self._lock.release()
        if self._thread is not None:
            self._thread.join(timeout_s + _JOIN_S)
        if len(self):
            _never_freed.append(self)

    def abandon(self) -> None:
        """In a forked child: keep everything as it is, so that nobody touches the device."""
        self._end_at = time.monotonic()
        if self._thread is not None:
            self._changed = threading.Condition()  # a thread that is gone may have had the other
            _never_freed.append(self)

    # The thread

    def _run(self) -> None:
        _hold_back_forks()
        pause_s = _LOOK_FIRST_S
        while self._take_fresh(pause_s):
            pause_s = _LOOK_FIRST_S if self._look() else min(2 * pause_s, _LOOK_MOST_S)
        if not len(self):
            try:
                _device_lock.acquire()
                for _, unlock in self._unlocks.values():
                    if unlock is not None:
                        _quietly(unlock)
                self._unlocks.clear()
            finally:
                if _device_lock.owned:
                    _device_lock.release()

    def _take_fresh(self, pause_s: float) -> bool:
        """Wait for a fresh call, but not long while others are in flight; return whether to go on."""
        try:
            self._lock.acquire()
            if self._in_flight and not self._fresh:
                self._changed.wait(pause_s)
            while not (len(self) or self._end_at):
                self._changed.wait()
            if self._end_at is not None and (not len(self) or time.monotonic() > self._end_at):
                return False
            self._in_flight |= self._fresh
            self._fresh.clear()
            return True
        finally:
            if self._lock.owned:
                self._lock.release()

    def _look(self) -> bool:
        """Start what was not started, and hand back what has arrived; return whether anything had."""
        try:
            _device_lock.acquire()
            arrived = []
            for seq, arrival in self._in_flight.items():
                if not arrival.started:
                    arrival.start(self._lock_pages, self._notices)
                if arrival.over():
                    arrived.append((seq, arrival))
        finally:
            if _device_lock.owned:
                _device_lock.release()
        if arrived:
            try:
                self._on_arrived(arrived)
            except Exception as exc:
                log.error("pixlog: images from a device could not be sent, trying again", exc_info=exc)
                return False
            try:
                self._lock.acquire()
                for seq, _ in arrived:
                    del self._in_flight[seq]
            finally:
                if self._lock.owned:
                    self._lock.release()
        return bool(arrived)

    def _lock_pages(self, arena: Arena, block: DeviceBlock) -> bool:
        """Page-lock an arena before its first copy; return whether it is locked."""
        if not arena.shared:  # a fork might part a private page from the one that the device writes to
            return False
        entry = self._unlocks.get(arena.id)
        if entry is None:
            began = time.monotonic()
            try:
                unlock = block.lock_pages(arena.memory)
            except Exception as exc:
                slow = f"shared memory cannot be page-locked, copies from a device are slower: {_text(exc)}"
                self._notices.note("page-lock", "", slow)
                unlock = None
            entry = self._unlocks[arena.id] = (arena, unlock)
            took_ms = 1000 * (time.monotonic() - began)
            log.debug("pixlog: page-locked %d bytes: %s, %.1f ms", arena.nbytes, unlock is not None, took_ms)
        return entry[1] is not None


def _quietly(unlock: Unlock) -> None:
    try:
        unlock()
    except Exception as exc:
        log.debug("pixlog: an arena could not be unlocked: %s", _text(exc))


def _text(exc: Exception) -> str:
    """Say an error; a record that kept it would keep, by its traceback, the client's memory."""
    return f"{type(exc).__name__}: {exc}"


# A fork while this thread is inside a framework would leave that framework's locks taken in the child for ever.

_device_lock = SectionLock()
_holds_back = False


def _hold_back_forks() -> None:
    global _holds_back
    if not _holds_back:
        _holds_back = True
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )


def _before_fork() -> None:
    _device_lock.acquire(timeout=_FORK_PATIENCE_S)


def _after_in_parent() -> None:
    if _device_lock.owned:
        _device_lock.release()


def _after_in_child() -> None:
    global _device_lock
    _device_lock = SectionLock()
