"""When room in the spill is prepared: from the moment at which half of the memory budget is in use.

The link's thread does it, a piece at a time, so that acknowledgements are heard in between.  The room goes again when
three quarters of the budget are free and nobody wanted it.
"""

from __future__ import annotations

import time
from typing import Final

from pixlog.sending.ledger import Ledger
from pixlog.sending.spill_room import SpillRoom

_STEP_NBYTES: Final = 4 << 20
_LEAST_NBYTES: Final = 64 << 10
_RETRY_S: Final = 10.0


class SpillAhead:
    """Prepares the next spill file of one client, on the link's thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._retry_at = 0.0

    def is_wanted(self) -> bool:
        """Locked: whether there is room to prepare; lets go of what nobody needs any more."""
        ledger = self._ledger
        used, budget = ledger.pool.used_nbytes, ledger.pool.budget_nbytes
        if 4 * used < budget:
            ledger.spill.drop_room()
        return (
            ledger.options.on_full == "spill"
            and 2 * used > budget
            and not ledger.spill.room_is_ready
            and ledger.spill.next_nbytes >= _LEAST_NBYTES
            and not ledger.link.stopping
            and time.monotonic() >= self._retry_at
        )

    def prepare(self) -> None:
        """Prepare another piece, without the lock, and come back for the next one."""
        ledger = self._ledger
        try:
            room = ledger.spill.room or self._make()
            if room is not None:
                room.fill(_STEP_NBYTES)
                ledger.link.wake()
        except (OSError, ValueError):  # no such files here, or the client was closed meanwhile
            self._retry_at = time.monotonic() + _RETRY_S

    def _make(self) -> SpillRoom | None:
        ledger = self._ledger
        room = SpillRoom(ledger.spill.directory, ledger.spill.next_nbytes)
        with ledger.lock:
            if ledger.ended:
                room.close()
                return None
            ledger.enter()
            ledger.spill.room = room
            ledger.leave()
        return room
