"""When room in the spill is prepared, and the thread that does it.

Theory of operation
    From the moment at which half of the memory budget is in use, a thread makes the next spill file
    (:mod:`~pixlog.sending.spill_room`), and another one whenever a call has taken it.  The room goes again when three
    quarters of the budget are free and nobody wanted it.

    The thread gives way to all others.  One as important as the thread that logs would have its turn, some
    milliseconds, in the middle of a call, where both are on one processor.  For the same reason it lets the call end
    that asked for another file, takes no lock, and takes the GIL once for many pages: while it waits for a processor,
    nobody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import Final

from pixlog.sending.ledger import Ledger
from pixlog.sending.spill_room import SpillRoom

_LEAST_NBYTES: Final = 64 << 10
_STEP_NBYTES: Final = 16 << 20
_RETRY_S: Final = 10.0
_CALL_S: Final = 0.01
_JOIN_S: Final = 1.0
_LESS_IMPORTANT: Final = 10


class SpillAhead:
    """Prepares the next spill file of one client."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._retry_at = 0.0
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()  # put() may interrupt put()
        self._thread: threading.Thread | None = None
        self._room: SpillRoom | None = None
        self._stopping = False

    def is_wanted(self) -> bool:
        """Locked: whether there is room to prepare; lets go of what nobody needs any more."""
        ledger = self._ledger
        if 4 * ledger.pool.used_nbytes < ledger.pool.budget_nbytes:
            ledger.spill.drop_room()
        return self._is_missing()

    def _is_missing(self) -> bool:
        ledger = self._ledger
        return (
            ledger.options.on_full == "spill"
            and 2 * ledger.pool.used_nbytes > ledger.pool.budget_nbytes
            and ledger.spill.room is None
            and ledger.spill.next_nbytes >= _LEAST_NBYTES
            and not ledger.link.stopping
            and time.monotonic() >= self._retry_at
        )

    def prepare(self) -> None:
        """On the link's thread: have room prepared soon."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pixlog-spill", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                self._retry_at = time.monotonic() + _RETRY_S
                return
            self._thread = thread
        self._asked.put(None)

    def ask(self) -> None:
        """From a call that is over: see whether there is room to prepare."""
        if self._ledger.spill.room is not None:
            return
        if self._thread is None:
            self._ledger.link.wake()
        else:
            self._asked.put(None)

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join(_JOIN_S)

    def abandon(self) -> None:
        """Close what is being prepared, in a forked child: the thread is not there."""
        if self._room is not None:
            self._room.close()

    # The thread

    def _run(self) -> None:
        _give_way()
        while not self._stopping:
            self._asked.get()
            time.sleep(_CALL_S)
            while not self._asked.empty():
                self._asked.get()
            if not self._stopping and self._is_missing():
                try:
                    self._make()
                except (OSError, ValueError):  # no such files here
                    self._retry_at = time.monotonic() + _RETRY_S

    def _make(self) -> None:
        spill = self._ledger.spill
        self._room = SpillRoom(spill.directory, spill.next_nbytes)
        try:
            while not self._room.ready and not self._stopping:
                self._room.fill(_STEP_NBYTES)
        except BaseException:
            self._room.close()
            raise
        spill.room, self._room = self._room, None
        if self._stopping:
            spill.drop_room()


def _give_way() -> None:
    """Make this thread less important than the others; elsewhere than on Linux, only processes have a priority."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, nice + _LESS_IMPORTANT)
