"""When outcomes are packed, and when they are said: while nobody writes rows, and once somebody does again.

What a block of them is, and why, is told in :mod:`pixlog.sending.packed_outcomes`.  A daemon that is there may write no
rows either: its disk is full, or it stands still.  It reads no more then, so what it does not write waits in the link's
queue, and is taken back out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pixlog.receipt import Receipt
from pixlog.sending.ledger import Ledger
from pixlog.sending.packed_outcomes import BLOCK_COUNT, Block
from pixlog.sending.pending import Pending

_PATIENT_COUNT: Final = 4 * BLOCK_COUNT  # frames that a daemon may be behind with


class Packing:
    """Packs the outcomes of one client, a thousand at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._outcome_count = 0

    def count_outcome(self) -> None:
        """Account for a call that was over before it began."""
        self._outcome_count += 1
        if self._outcome_count >= BLOCK_COUNT:
            self._pack()

    def _pack(self) -> None:
        """Where nobody writes rows, make small what only waits for its own; the calls are over for their receipts."""
        ledger = self._ledger
        try:
            ledger.lock.acquire()
            if ledger.ended:
                return
            ledger.enter()
            self._outcome_count = 0
            if not ledger.link.up:
                self._pack_blocks(
                    [(seq, call) for seq, call in sorted(ledger.pending.items()) if call.outcome]
                )
            elif ledger.link.waiting_count > _PATIENT_COUNT:
                self._pack_queued()
            ledger.leave()
        finally:
            if ledger.lock.owned:
                ledger.lock.release()
        ledger.wake_waiters()

    def _pack_blocks(self, over: Sequence[tuple[int, Pending]]) -> None:
        for start in range(0, len(over) - BLOCK_COUNT + 1, BLOCK_COUNT):
            calls = over[start : start + BLOCK_COUNT]
            block = Block.of([(seq, bytes(call.head)) for seq, call in calls])
            for _, call in calls:
                header = call.header()
                call.receipt.settle(header["state"], header["reason"], [])
            self._ledger.pack(block)

    def _pack_queued(self) -> None:
        """Locked: pack what the daemon was not sent; cut short, the connection is begun anew with what is pending."""
        link, pending = self._ledger.link, self._ledger.pending
        queued = link.queued_whole()
        over = [
            (seq, call) for seq, call in sorted(pending.items()) if call.outcome and id(call.head) in queued
        ]
        over = over[: len(over) // BLOCK_COUNT * BLOCK_COUNT]
        link.withdraw({id(call.head) for _, call in over})
        self._pack_blocks(over)

    def unpack(self) -> None:
        """Locked: say a block of calls that are over, when those before it have their rows."""
        ledger = self._ledger
        block = ledger.packed.first()
        if block is None or not ledger.link.up or len(ledger.pending) > BLOCK_COUNT:
            return
        calls: dict[int, Pending] = {}
        for seq, head in block.frames():
            receipt = Receipt(ledger, ledger.client, "", 0)
            receipt.seq = seq
            calls[seq] = Pending(head, receipt, outcome=True, late=ledger.next_late())
        ledger.unpack(block, calls)
        for call in calls.values():
            ledger.link.send(call.buffers())
