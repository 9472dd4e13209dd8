"""Regions for the pixels of calls: from the arenas that there are, or from another one.

Theory of operation
    A call with a small array takes its region, copies and commits in one critical section.  Any other reserves its
    region in one, copies without the lock, and commits in a second; in between the region belongs to its receipt, so
    that a call that is cut short can be undone.  The pool grows ahead of need, on the link's thread, and at the call
    only where that was too late.

    The daemon may refuse an arena.  It stays in use, and what lies in it travels inline.
"""

from __future__ import annotations

from typing import Final

from pixlog.protocol import Header, Kind, encode_head
from pixlog.receipt import Receipt
from pixlog.sending.arena import Arena, Region
from pixlog.sending.ledger import Ledger
from pixlog.sending.link import Message
from pixlog.signal_exceptions import pass_on

MAX_ARENAS: Final = 32


class Reservations:
    """Hands out the memory of one client, within its budget, and tells the daemon of each arena."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def agree(self, limits: Header) -> None:
        """Locked: keep to what the daemon takes of this client."""
        pool = self._ledger.pool
        pool.max_arenas = min(MAX_ARENAS, int(limits.get("arenas", MAX_ARENAS)))
        pool.budget_nbytes = min(pool.budget_nbytes, int(limits.get("arena_bytes", pool.budget_nbytes)))

    def offer_first_arena(self, timeout_s: float) -> bool:
        """Locked, before the link's thread runs: pass the first arena; return whether the daemon took it."""
        link, pool = self._ledger.link, self._ledger.pool
        try:
            arena = pool.grow()
            if arena is None or arena.fd is None:
                return False
            answer = link.offer(((_arena_head(arena),), arena.fd), timeout_s)
        except OSError as exc:
            pass_on(exc)
            return False
        return answer.kind is Kind.ARENA and bool(answer.header.get("ok"))

    def reserve(self, nbytes: int, receipt: Receipt) -> Region | None:
        """Take a region of ``nbytes`` for a call; None when the budget has no room for them."""
        ledger = self._ledger
        try:
            ledger.lock.acquire()
            ledger.enter()
            region = self.take(nbytes)
            if region is not None:
                ledger.reserved[receipt] = region
            ledger.leave()
        finally:
            if ledger.lock.owned:
                ledger.lock.release()
        return region

    def take(self, nbytes: int) -> Region | None:
        """Locked: take a region of ``nbytes``, for a call that commits before the lock is released, or None."""
        ledger = self._ledger
        pool = ledger.pool
        region = None
        if ledger.has_room(nbytes):
            region = pool.reserve(nbytes)
            if region is None and self._grow(nbytes):
                region = pool.reserve(nbytes)
        if region is not None:
            half_nbytes = pool.budget_nbytes // 2
            if pool.used_nbytes - region.nbytes <= half_nbytes < pool.used_nbytes:
                ledger.link.wake()  # it prepares for what comes when there is no room
        if 2 * pool.used_nbytes > pool.nbytes and pool.wants_growth():
            ledger.link.wake()
        return region

    def _grow(self, nbytes: int = 0) -> bool:
        """Locked: add an arena that holds ``nbytes`` and pass it on; False when there can be none."""
        try:
            arena = self._ledger.pool.grow(nbytes)
        except OSError as exc:
            pass_on(exc)
            self._ledger.notices.note("arena", "", f"no more shared memory for images: {exc.strerror}")
            return False
        if arena is None:
            return False
        if arena.fd is not None:
            self._ledger.link.send((_arena_head(arena),), arena.fd)
        return True

    def grow_ahead(self) -> list[Arena]:
        """Locked: make the next arena if it will be needed; return those whose pages are still to be faulted in."""
        pool = self._ledger.pool
        if pool.arenas and pool.wants_growth():
            self._grow()
        return [arena for arena in pool.arenas if not arena.populated]

    def messages(self) -> list[Message]:
        """Locked: return what a fresh connection has to be told first, every arena."""
        arenas = self._ledger.pool.arenas
        return [((_arena_head(arena),), arena.fd) for arena in arenas if arena.visible]

    def hide(self, arena_id: object) -> None:
        """Stop using an arena as shared; what lies in it is said again, inline."""
        ledger = self._ledger
        try:
            ledger.lock.acquire()
            ledger.enter()
            for arena in ledger.pool.arenas:
                if arena.id == arena_id:
                    arena.visible = False
            for pending in ledger.pending.values():
                if pending.region is not None and not pending.region.arena.visible and not pending.inline:
                    header = pending.make_inline()
                    if header is not None and (refusal := ledger.refusal_of(pending)) is not None:
                        pending.give_up(header, refusal)
            ledger.link.break_off()
            ledger.leave()
        finally:
            if ledger.lock.owned:
                ledger.lock.release()


def _arena_head(arena: Arena) -> bytes:
    return encode_head(Kind.ARENA, {"arena": arena.id, "nbytes": arena.nbytes})
