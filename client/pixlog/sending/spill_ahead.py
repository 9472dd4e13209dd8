"""When room in the spill is prepared.

Theory of operation
    From the moment at which half of the memory budget is in use, a patient thread makes the next spill file
    (:mod:`~pixlog.sending.spill_room`), and another one whenever a call has taken it.  The room goes again when three
    quarters of the budget are free and nobody wanted it.
"""

from __future__ import annotations

import time
from typing import Final

from pixlog.sending.ledger import Ledger
from pixlog.sending.patient_thread import PatientThread
from pixlog.sending.spill_room import SpillRoom

_LEAST_NBYTES: Final = 64 << 10
_STEP_NBYTES: Final = 16 << 20  # the GIL is taken once for each
_RETRY_S: Final = 10.0
_CALL_S: Final = 0.01


class SpillAhead:
    """Prepares the next spill file of one client."""

    def __init__(self, ledger: Ledger, thread: PatientThread) -> None:
        self._ledger = ledger
        self._thread = thread
        self._retry_at = 0.0
        self._room: SpillRoom | None = None

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
        if self._thread.start():
            self._thread.put(self._prepare)
        else:
            self._retry_at = time.monotonic() + _RETRY_S

    def ask(self) -> None:
        """From a call that is over: see whether there is room to prepare."""
        if self._ledger.spill.room is not None:
            return
        if self._thread.started:
            self._thread.put(self._prepare)
        else:
            self._ledger.link.wake()

    def abandon(self) -> None:
        """Close what is being prepared, in a forked child: the thread is not there."""
        if self._room is not None:
            self._room.close()

    def _prepare(self) -> None:
        """On the patient thread: prepare room unless there is some by now, when the call that asked is over."""
        if self._is_missing():
            time.sleep(_CALL_S)
            try:
                self._make()
            except (OSError, ValueError):  # no such files here
                self._retry_at = time.monotonic() + _RETRY_S

    def _make(self) -> None:
        spill, thread = self._ledger.spill, self._thread
        self._room = SpillRoom(spill.directory, spill.next_nbytes)
        try:
            while not self._room.ready and not thread.stopping:
                self._room.fill(_STEP_NBYTES)
        except BaseException:
            self._room.close()
            raise
        room, self._room = self._room, None
        spill.keep_room(room)
        if thread.stopping:
            spill.drop_room()
