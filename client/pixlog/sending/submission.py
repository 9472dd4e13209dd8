"""A call on its way from its pixels to its number.

Theory of operation
    A call reserves a region of the arena pool, copies the pixels into it without holding the lock, then commits:
    under the lock it gets the next sequence number, becomes *pending* and its frame goes to the socket.  With a
    small array it does all of that under the lock at once: to take it again costs more than to copy.

    A call that a signal handler or a destructor makes in the middle of another one of its thread is deferred where it
    would have to wait for that one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

import numpy as np

from pixlog.capture.source import Array
from pixlog.protocol import Header, PackedMap
from pixlog.receipt import Receipt, State
from pixlog.sending.acceptance import accept, accept_plain
from pixlog.sending.arena import Region
from pixlog.sending.deferred_calls import DeferredCalls
from pixlog.sending.full_memory import FullMemory, Refused
from pixlog.sending.gather import Move, Pixels, copy_into, lay_out
from pixlog.sending.ledger import Ledger
from pixlog.sending.packing import Packing
from pixlog.sending.reservations import Reservations

_COPIED_LOCKED_NBYTES: Final = 256 * 1024


class Submission:
    """How one client accepts calls.  With ``in_child`` it is a forked child's, which may end at any moment."""

    def __init__(
        self,
        ledger: Ledger,
        reservations: Reservations,
        full_memory: FullMemory,
        deferred: DeferredCalls,
        packing: Packing,
    ) -> None:
        self.in_child = False
        self._ledger = ledger
        self._lock = ledger.lock
        self._owns_lock = ledger.owns_lock
        self._blocks = ledger.options.on_full == "block"
        self._spills = ledger.options.on_full == "spill"
        self._reservations = reservations
        self._full_memory = full_memory
        self._deferred = deferred
        self._packing = packing

    def submit(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        receipt: Receipt,
        behind: Sequence[int] = (),
    ) -> None:
        """Accept one call: copy ``pixels`` and send ``header`` with ``last``, completed by what is known here.

        ``behind`` are the numbers of calls that the daemon must have before this one.
        Takes about one memory copy; waits only under ``on_full="block"``.  Raises nothing but ClientClosed,
        MemoryError and what a signal handler raises; then the call was accepted whole or not at all.
        """
        if self._owns_lock():
            self._deferred.put(header, last, pixels, receipt, behind)
            return
        buffers, nbytes = lay_out(pixels)
        last["buffers"] = buffers
        if not nbytes:
            if self._blocks and not _calls_under_way() > 1:
                self._full_memory.wait_to_describe(header, last)
            self._commit(header, last, receipt, behind=behind)
            return
        hasty = self.in_child and not self._ledger.link.up and self._spills
        if hasty and self._full_memory.spill(header, last, pixels, nbytes, receipt, behind) is None:
            return
        array = pixels[0] if len(pixels) == 1 else None
        if nbytes <= _COPIED_LOCKED_NBYTES and type(array) is np.ndarray:
            try:
                self._lock.acquire()
                self._ledger.enter()
                region = self._reservations.take(nbytes)
                if region is not None:
                    region.arena.put(region.offset, array)
                    accept(self._ledger, header, last, receipt, region, nbytes, (), behind)
                self._ledger.leave()
            finally:
                if self._lock.owned:
                    self._lock.release()
            if region is not None:
                return
        give_up = self._ledger.given_up.append
        try:
            region = self._reservations.reserve(nbytes, receipt)
            if region is None:
                self._submit_when_full(header, last, pixels, nbytes, receipt, behind)
                return
            moves = copy_into(region.arena.memory, region.offset, pixels, buffers)
            self._commit(header, last, receipt, region, nbytes, moves, behind)
        except BaseException:
            give_up(receipt)  # the first thing that happens: nothing can come between
            raise

    def submit_plain(self, header: PackedMap, step: int, array: Array, receipt: Receipt) -> None:
        """As :meth:`submit`, for a C-contiguous array whose call says nothing but its step."""
        nbytes = array.nbytes
        if 0 < nbytes <= _COPIED_LOCKED_NBYTES and not self.in_child and not self._owns_lock():
            ledger = self._ledger
            try:
                self._lock.acquire()
                ledger.enter()
                region = self._reservations.take(nbytes)
                if region is not None:
                    region.arena.put(region.offset, array)
                    accept_plain(ledger, header, step, receipt, region, nbytes)
                ledger.leave()
            finally:
                if self._lock.owned:
                    self._lock.release()
            if region is not None:
                return
        self.submit(header, {"step": step, "time": time.time()}, (array,), receipt)

    def _submit_when_full(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        nbytes: int,
        receipt: Receipt,
        behind: Sequence[int],
    ) -> None:
        if self._blocks and _calls_under_way() > 1:
            self._deferred.put(header, last, pixels, receipt, behind)  # the room may be that other call's
            return
        place = self._full_memory.take(header, last, pixels, nbytes, receipt, behind)
        if isinstance(place, Region):
            moves = copy_into(place.arena.memory, place.offset, pixels, last["buffers"])
            self._commit(header, last, receipt, place, nbytes, moves, behind)
        elif isinstance(place, Refused):
            self.submit_outcome(header, last, "dropped", place.reason, receipt)

    def submit_outcome(
        self, header: PackedMap, last: Header, state: State, reason: str, receipt: Receipt
    ) -> None:
        """Accept a call that is over before it began: only its row is left to be written."""
        last["state"], last["reason"] = state, reason
        last.pop("buffers", None)
        if self._owns_lock():
            self._deferred.put(header, last, (), receipt)
            return
        self._commit(header, last, receipt)
        self._packing.count_outcome()

    def _commit(
        self,
        header: PackedMap,
        last: Header,
        receipt: Receipt,
        region: Region | None = None,
        nbytes: int = 0,
        moves: Sequence[Move] = (),
        behind: Sequence[int] = (),
    ) -> None:
        ledger = self._ledger
        try:
            self._lock.acquire()
            ledger.enter()
            accept(ledger, header, last, receipt, region, nbytes, moves, behind)
            if region is not None:
                del ledger.reserved[receipt]
            ledger.leave()
        finally:
            if self._lock.owned:
                self._lock.release()


def is_under_way() -> bool:
    """Whether the caller runs in the middle of a call of its thread, between two of that one's sections."""
    return _calls_under_way() > 0


def _calls_under_way() -> int:
    """Return how many calls of this thread are being submitted, that of the caller among them."""
    frame: FrameType | None = sys._getframe()
    count = 0
    while frame is not None:
        count += frame.f_code is Submission.submit.__code__
        frame = frame.f_back
    return count
