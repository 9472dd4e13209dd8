"""What becomes of a call for whose pixels the memory budget has no room: it waits, is spilled or is dropped.

Theory of operation
    ``on_full`` decides.  Under "block" the call waits while memory is held by calls that are not acknowledged, or that
    other threads are still copying; under "spill" its whole frame is written
    to a file of the run, and only the place in it is said to the daemon.  Under "drop_newest", and where the others
    end, there is a reason and no pixels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pixlog.protocol import LIMITS, Header, Kind, PackedMap, encode_head_of
from pixlog.receipt import Receipt
from pixlog.sending import held_calls
from pixlog.sending.arena import Region
from pixlog.sending.gather import Pixels, copy_now, lying_in_place
from pixlog.sending.ledger import Ledger
from pixlog.sending.pending import Pending
from pixlog.sending.reservations import Reservations
from pixlog.sending.spill_ahead import SpillAhead
from pixlog.signal_exceptions import pass_on

_LARGEST_INLINE_NBYTES: Final = 1 << 31
_LOOK_S: Final = 0.1  # a call that is cut short gives its memory back and tells nobody


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a call must be dropped."""

    reason: str


class FullMemory:
    """The policy of one client."""

    def __init__(self, ledger: Ledger, reservations: Reservations, spill_ahead: SpillAhead) -> None:
        self._ledger = ledger
        self._reservations = reservations
        self._spill_ahead = spill_ahead

    def take(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        nbytes: int,
        receipt: Receipt,
        behind: Sequence[int],
    ) -> Region | Refused | None:
        """Find another place for a call: a region after all, or why it has none; None when it is in the spill.

        What is in the spill is accepted.
        """
        ledger = self._ledger
        policy, budget = ledger.options.on_full, ledger.options.buffer_bytes
        full = f"images come faster than they are saved, the buffer of {budget} bytes is full: on_full={policy!r}"
        ledger.notices.note("full", "", full)
        reason = f"buffer full: {nbytes} bytes did not fit into buffer_bytes={budget}"
        if policy != "spill" or ledger.link.resting:
            ledger.link.wake()
        if policy == "block":
            region = self._wait_for_room(nbytes, receipt)
            if region is not None:
                return region
            if ledger.pool.could_hold(nbytes):
                reason += f" within {ledger.options.timeout_s:g} s"
        elif policy == "spill":
            refusal = self.spill(header, last, pixels, nbytes, receipt, behind)
            self._spill_ahead.ask()
            if refusal is None:
                return None
            ledger.notices.note("spill", "", refusal)
            reason = refusal
        return Refused(reason)

    def _wait_for_room(self, nbytes: int, receipt: Receipt) -> Region | None:
        """Wait for acknowledgements until ``nbytes`` fit; None when they never will, or not in time."""
        ledger = self._ledger
        deadline = time.monotonic() + ledger.options.timeout_s
        while True:
            settled = ledger.counts.settled
            try:
                ledger.lock.acquire()
                ledger.enter()
                region = self._reservations.take(nbytes)
                if region is not None:
                    ledger.reserved[receipt] = region
                others = bool(ledger.pending or ledger.reserved)
                hopeful = others and ledger.pool.could_hold(nbytes)
                ledger.leave()
            finally:
                if ledger.lock.owned:
                    ledger.lock.release()
            left_s = deadline - time.monotonic()
            if region is not None or not hopeful or left_s <= 0 or ledger.link.is_own_thread():
                return region
            self._wait_for_another(settled, min(left_s, _LOOK_S))

    def wait_to_describe(self, header: PackedMap, last: Header) -> None:
        """Wait for acknowledgements until there is room for what a call without pixels says, though not for ever."""
        ledger = self._ledger
        nbytes = len(encode_head_of(Kind.LOG, header, last))
        if ledger.has_room_to_say(nbytes) or ledger.link.is_own_thread():
            return
        ledger.wait(lambda: ledger.has_room_to_say(nbytes) or not ledger.pending, ledger.options.timeout_s)

    def _wait_for_another(self, settled: int, timeout_s: float) -> None:
        """Wait until more calls are settled than ``settled``."""
        self._ledger.wait(lambda: self._ledger.counts.settled != settled, timeout_s)

    def spill(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        nbytes: int,
        receipt: Receipt,
        behind: Sequence[int],
    ) -> str | None:
        """Write the call to the spill; return why it cannot be, or None when it was."""
        if nbytes >= _LARGEST_INLINE_NBYTES:
            return f"buffer full, and {nbytes} bytes are too many for one spilled frame"
        payload = lying_in_place(pixels)
        if payload is None:
            gathered = np.zeros(nbytes, np.uint8)
            copy_now(gathered, 0, pixels, last["buffers"])
            payload = gathered.data
        ledger, options = self._ledger, self._ledger.options
        refusal: str | None = None
        try:
            ledger.lock.acquire()
            ledger.enter()
            last["seq"] = ledger.next_seq
            head = encode_head_of(Kind.LOG, header, last, nbytes)
            spilled = None
            try:
                if len(head) > LIMITS.head_nbytes:
                    refusal = f"described by {len(head)} bytes, at most {LIMITS.head_nbytes} are taken"
                elif ledger.kept_nbytes > options.buffer_bytes:
                    refusal = (
                        f"no space: buffer_bytes={options.buffer_bytes} cannot keep account of more than the "
                        f"{len(ledger.pending)} calls that wait"
                    )
                else:
                    spilled = ledger.spill.write(head, (payload,))
                if spilled is None and refusal is None:
                    refusal = f"no space: buffer and spill_bytes={options.spill_bytes} full"
            except OSError as exc:
                pass_on(exc)
                refusal = f"no space: buffer full, spill: {exc.strerror}"
            if spilled is not None:
                last["at"] = ("spill", spilled.file.path.name, spilled.offset, nbytes)
                head = encode_head_of(Kind.LOG, header, last)
                pending = Pending(head, receipt, spilled=spilled)
                if behind:
                    held_calls.hold(ledger, pending, (), behind)
                ledger.admit(pending, nbytes)
                ledger.counts.spilled += 1
            ledger.leave()
        finally:
            if ledger.lock.owned:
                ledger.lock.release()
        return refusal
