"""Calls that were made in the middle of another call of the same thread, by a signal handler or a destructor.

Such a call cannot wait for the critical section that it interrupted.  It is copied and left to the link's thread, which
accepts what was deferred in the order in which it came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pixlog.protocol import Header, PackedMap
from pixlog.receipt import Receipt, State
from pixlog.sending.gather import Pixels, lay_out, private_copy
from pixlog.sending.ledger import Ledger

_Call: TypeAlias = tuple[PackedMap, Header, Sequence[Pixels], Receipt, Sequence[int]]


class DeferredCalls:
    """The deferred calls of one client."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._calls: deque[_Call] = deque()

    def __len__(self) -> int:
        """How many calls are deferred."""
        return len(self._calls)

    def put(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        receipt: Receipt,
        behind: Sequence[int] = (),
    ) -> None:
        """Leave a call to the link's thread, because this one is in the middle of another."""
        self._calls.append((header, last, [private_copy(piece) for piece in pixels], receipt, behind))
        self._ledger.link.wake()

    def take_all(
        self,
        submit: Callable[[PackedMap, Header, Sequence[Pixels], Receipt, Sequence[int]], None],
        end: Callable[[PackedMap, Header, State, str, Receipt], None],
    ) -> None:
        """Have what was deferred accepted, in order, as far as there is room without waiting."""
        ledger = self._ledger
        while self._calls:
            header, last, pixels, receipt, behind = self._calls[0]
            waits = ledger.options.on_full == "block" and self._has_to_wait(pixels)
            if waits and not ledger.link.stopping:
                return  # the room that it has to wait for is made by this very thread
            try:
                if waits:
                    end(header, last, "dropped", "buffer full: closed before there was room", receipt)
                    continue
                submit(header, last, pixels, receipt, behind)
            except Exception as exc:
                end(header, last, "failed", f"{type(exc).__name__}: {exc}", receipt)
            finally:
                self._calls.popleft()

    def _has_to_wait(self, pixels: Sequence[Pixels]) -> bool:
        ledger, nbytes = self._ledger, lay_out(pixels)[1]
        try:
            ledger.lock.acquire()
            return ledger.pool.could_hold(nbytes) and not ledger.has_room(nbytes)
        finally:
            if ledger.lock.owned:
                ledger.lock.release()
