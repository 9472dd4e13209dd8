"""Every accepted image ends saved, failed or dropped, and is counted: the client's side of delivery.

Theory of operation
    The region with the pixels of a call stays until the daemon acknowledges the row, so that after any crash of the
    daemon everything pending can be said again; the daemon drops what it knows by (client, seq).

    What happens to a call is told where it happens, in this order:

    :mod:`~pixlog.sending.submission`     from its pixels to its number
    :mod:`~pixlog.sending.reservations`   a region for its pixels
    :mod:`~pixlog.sending.full_memory`    what it does without one
    :mod:`~pixlog.sending.spill_ahead`    what is prepared so that it does not wait for that
    :mod:`~pixlog.sending.acceptance`     its frame
    :mod:`~pixlog.sending.ledger`         its number, its end, and what survives Ctrl-C between any two bytecodes
    :mod:`~pixlog.sending.held_calls`     why it may be sent later than it is accepted
    :mod:`~pixlog.sending.deferred_calls` why it may be accepted later than it is made
    :mod:`~pixlog.sending.packing`        how it waits for its row when it is over and nobody writes rows
    :mod:`~pixlog.sending.left_at_close`  where it goes when the client ends first
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pixlog.errors import PixlogError
from pixlog.notices import Notices
from pixlog.options import ClientOptions
from pixlog.protocol import (
    Frame,
    Header,
    Kind,
)
from pixlog.section_lock import SectionLock
from pixlog.sending import held_calls
from pixlog.sending.arena import SHARED_SUPPORTED, Arena, ArenaPool
from pixlog.sending.arrivals import Arrival, Arrivals
from pixlog.sending.deferred_calls import DeferredCalls
from pixlog.sending.full_memory import FullMemory
from pixlog.sending.ledger import Ledger
from pixlog.sending.left_at_close import leave_unsent
from pixlog.sending.link import Dial, Link, Message
from pixlog.sending.packing import Packing
from pixlog.sending.patient_thread import PatientThread
from pixlog.sending.reservations import MAX_ARENAS, Reservations
from pixlog.sending.spill_ahead import SpillAhead
from pixlog.sending.submission import Submission, is_under_way
from pixlog.signal_exceptions import pass_on
from pixlog.stats import Stats

log = logging.getLogger("pixlog")

_SENT_POLL_S = 0.002
_COPIED_LOCKED_NBYTES = 256 * 1024


class Delivery:
    """The calls of one client on their way to the daemon."""

    def __init__(
        self, identity: Header, run_dir: Path, options: ClientOptions, dial: Dial, notices: Notices
    ) -> None:
        self._options = options
        self._notices = notices
        self._lock = SectionLock()
        self._opened = False
        self._pool = ArenaPool(options.buffer_bytes, shared=SHARED_SUPPORTED, max_arenas=MAX_ARENAS)
        self._link = Link(self, dial, self._lock)
        self._arrivals = Arrivals(self.on_arrived, notices)
        self._ledger = Ledger(
            identity, run_dir, options, self._lock, self._pool, self._link, self._arrivals, notices
        )
        self._owns_lock = self._ledger.owns_lock
        self._reservations = Reservations(self._ledger)
        self._patient_thread = PatientThread("pixlog-ahead")
        self._spill_ahead = SpillAhead(self._ledger, self._patient_thread)
        self._deferred = DeferredCalls(self._ledger)
        self._packing = Packing(self._ledger)
        self.submission: Final = Submission(
            self._ledger,
            self._reservations,
            FullMemory(self._ledger, self._reservations, self._spill_ahead),
            self._deferred,
            self._packing,
        )

    # Beginning and ending

    def open(self, timeout_s: float) -> None:
        """Connect, pass the first arena and start the link's thread; raises ConnectError."""
        try:
            self._lock.acquire()
            self._open(timeout_s)
        finally:
            if self._lock.owned:
                self._lock.release()
        if SHARED_SUPPORTED and not self._pool.shared:
            log.info("pixlog: shared memory cannot be passed to this daemon; images travel inline")

    def open_soon(self, timeout_s: float) -> None:
        """As :meth:`open`, in a forked child: a daemon that cannot be reached in time is left to the link's thread.

        Other threads that log meanwhile wait; a signal handler of this thread finds the lock its own, and defers.

        A child may end by ``os._exit`` in the next moment, so under ``on_full="spill"`` its images go to the disk at
        once as long as no daemon can be reached.
        """
        try:
            self._lock.acquire()
            if self._opened:
                return
            self._opened = self.submission.in_child = True
            try:
                self._open(timeout_s)
            except (PixlogError, OSError) as exc:
                where = "on disk" if self._options.on_full == "spill" else "here"
                self._notices.note("late", "", f"not connected yet, images wait {where}: {exc}")
                pass_on(exc)
            finally:
                self._link.ensure_started()
        finally:
            if self._lock.owned:
                self._lock.release()
        self._notices.say()

    def _open(self, timeout_s: float) -> None:
        """Locked: see :meth:`open`."""
        self._opened = True
        deadline = time.monotonic() + timeout_s
        self._link.connect(timeout_s)
        self._reservations.agree(self._link.limits)
        left_s = max(0.1, deadline - time.monotonic())
        if self._pool.shared and not self._reservations.offer_first_arena(left_s):
            self._pool.make_private()
        self._link.start()
        self._link.wake()

    def is_own_thread(self) -> bool:
        """Whether the caller is a thread of this client, on which a destructor may run."""
        return any(one.is_own_thread() for one in (self._link, self._arrivals, self._patient_thread))

    def put_off(self, work: Callable[[], object]) -> bool:
        """In the middle of a call of this thread, see that ``work`` is done when that is over; return whether it is."""
        if not self._owns_lock():
            return False
        self._ledger.put_off(work)
        return True

    def close(self, stop_s: float, leave_s: float) -> None:
        """Stop the link within ``stop_s``, and write to the spill, within ``leave_s``, what the daemon was not sent."""
        try:
            self._close(stop_s, leave_s)
        finally:
            self._ledger.ended = True
            self._ledger.wake_waiters()
        self._notices.say()

    def _close(self, stop_s: float, leave_s: float) -> None:
        ledger = self._ledger
        self._arrivals.stop(stop_s)
        finished = self._link.stop(stop_s)
        self._patient_thread.stop()
        if finished:
            self._take_deferred()
        try:
            self._lock.acquire()
            if ledger.ended:
                return
            ledger.enter()
            leave_unsent(ledger, time.monotonic() + leave_s, held_calls.give_up_held(ledger))
            if finished:
                self._link.abandon()
            ledger.leave()
            ledger.ended = True
            ledger.spill.close()
            self._pool.close()
        finally:
            if self._lock.owned:
                self._lock.release()

    def abandon(self) -> None:
        """Let go of everything inherited, in a forked child: close descriptors, say nothing, wait for nobody.

        Where a signal handler forked in the middle of a call, the child comes back to that call too.  Its copy must not
        reach the parent's memory, where another image may be by then.
        """
        if self._owns_lock() or self._ledger.reserved:
            self._pool.part()
        self._ledger.abandon()
        self._let_go()

    def give_up(self) -> None:
        """Close the descriptors of what could not be opened."""
        self._ledger.abandoned = True
        self._let_go()

    def _let_go(self) -> None:
        self._arrivals.abandon()
        self._link.abandon()
        self._spill_ahead.abandon()
        self._ledger.spill.abandon()
        self._pool.close()

    @property
    def abandoned(self) -> bool:
        """Whether this is what a forked child inherited: the calls in it are its parent's."""
        return self._ledger.abandoned

    def pointed_at(self, items: Sequence[Header]) -> Sequence[int]:
        """Return the calls of this client that ``items`` point at, when any call may be held."""
        return held_calls.pointed_at(self._ledger, items)

    def on_arrived(self, arrived: Sequence[tuple[int, Arrival]]) -> None:
        """Send calls whose pixels have arrived, or failed rows in their place."""
        held_calls.send_arrived(self._ledger, arrived)

    def _take_deferred(self) -> None:
        self._deferred.take_all(self.submission.submit, self.submission.submit_outcome)

    # What the link calls, on its thread

    def hello(self) -> Header:
        """Return the header of HELLO: who this is, and the lowest number that is not acknowledged."""
        return self._ledger.hello()

    def on_connected(self, link: Link) -> None:
        """Say every arena and everything pending again, in order."""
        ledger = self._ledger
        self._notices.note(
            "reconnected",
            "",
            f"the daemon was gone, connected to another; what was not saved is sent again. Why it went may be in "
            f"{ledger.identity['run_dir']}/daemon.log",
        )
        try:
            self._lock.acquire()
            ledger.enter()
            messages: list[Message] = self._reservations.messages()
            for _, pending in sorted(ledger.pending.items()):
                if pending.inline and (refusal := ledger.refusal_of(pending)) is not None:
                    pending.give_up(pending.header(), refusal)  # this daemon takes less than the last
                if not pending.held:
                    pending.late = None
                    messages.append((pending.buffers(), None))
            link.bring_up(messages)
            ledger.flush_anew()
            ledger.leave()
        finally:
            if self._lock.owned:
                self._lock.release()

    def on_writable(self) -> None:
        """Send what waits, after repairing what may have been cut short in the middle of a frame."""
        try:
            self._lock.acquire()
            self._ledger.enter()
            self._link.send_queue()
            self._ledger.leave()
        finally:
            if self._lock.owned:
                self._lock.release()

    def on_frame(self, frame: Frame) -> None:
        """Settle what the daemon acknowledges."""
        if frame.kind is Kind.ACK:
            self._ledger.settle(frame.header["rows"])
        elif frame.kind is Kind.ERROR:
            self._notices.note("daemon", "", f"the daemon reports: {frame.header.get('message')}")
        elif frame.kind is Kind.ARENA and not frame.header.get("ok"):
            reason = frame.header.get("reason")
            self._notices.note("arena", "", f"the daemon refuses shared memory, images go inline: {reason}")
            self._reservations.hide(frame.header.get("arena"))

    def on_idle(self) -> None:
        """Take in what signal handlers left, prepare memory ahead of need, and say what is to be said."""
        self._take_deferred()
        try:
            self._lock.acquire()
            self._ledger.enter()
            fresh = self._reservations.grow_ahead()
            self._packing.unpack()
            self._ledger.flush()
            wants_spill = self._spill_ahead.is_wanted()
            self._ledger.leave()
        finally:
            if self._lock.owned:
                self._lock.release()
        for arena in fresh:
            self._populate_soon(arena)
        if wants_spill:
            self._spill_ahead.prepare()
        self._notices.say()

    def is_patient(self) -> bool:
        """Return whether acknowledgements may come late."""
        return self._ledger.is_patient()

    def _populate_soon(self, arena: Arena) -> None:
        arena.populated = True
        thread = self._patient_thread
        if thread.start():
            thread.put(lambda: arena.populate(lambda: thread.stopping))

    # Waiting

    def wait_until_sent(self, patience_s: float) -> bool:
        """Wait until all frames are the daemon's or in the spill; return whether they are.

        Gives up when for ``patience_s`` none was sent.
        """
        left, deadline = self._unsent_count, time.monotonic() + patience_s
        while left and time.monotonic() < deadline:
            self._link.wake()
            time.sleep(_SENT_POLL_S)
            if self._unsent_count < left:
                deadline = time.monotonic() + patience_s
            left = self._unsent_count
        return not left

    @property
    def _unsent_count(self) -> int:
        if self._link.up:
            unsent = self._link.waiting_count
        else:
            unsent = sum(pending.spilled is None for pending in self._ledger.pending.copy().values())
        return unsent + len(self._deferred) + len(self._arrivals) + self._ledger.packed.count

    def wait(self, predicate: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until ``predicate`` holds; return whether it does: see :meth:`Ledger.wait`.

        In the middle of a call of this thread it does not wait for deferred ones: their room may be that call's.
        """
        if len(self._deferred) and is_under_way():
            return predicate()
        return self._ledger.wait(predicate, timeout_s)

    def wait_for_end(self, timeout_s: float) -> None:
        """Wait until another thread is through with :meth:`close`."""
        self._ledger.wait(lambda: self._ledger.ended, timeout_s)

    def is_settled(self) -> bool:
        """Whether nothing is pending; without the lock, so it looks first where calls come from.

        The counts say it of calls that are packed or unpacked meanwhile, and the ledger when the memory is free again.
        """
        if len(self._deferred):
            return False
        counts = self._ledger.counts
        return counts.settled == counts.accepted and not self._ledger.pending

    @property
    def pending_count(self) -> int:
        """Calls that are accepted and not settled; without the lock, so what is counted first is read last."""
        deferred_count, counts = len(self._deferred), self._ledger.counts
        settled_count = counts.settled
        return deferred_count + counts.accepted - settled_count

    @property
    def left_count(self) -> int:
        """Calls that were left in the spill for the next daemon when the client was closed."""
        return self._ledger.left_count

    def stats(self) -> Stats:
        """Return the counts as they are; takes no lock, so it reads last what is counted first."""
        counts = self._ledger.counts
        failed_reasons, dropped_reasons = dict(counts.failed_reasons), dict(counts.dropped_reasons)
        failed, dropped = sum(failed_reasons.values()), sum(dropped_reasons.values())
        saved = counts.saved
        accepted = counts.accepted
        return Stats(
            accepted=accepted,
            saved=saved,
            failed=failed,
            dropped=dropped,
            pending=accepted - saved - failed - dropped,
            nbytes=counts.nbytes,
            buffer_nbytes=self._pool.used_nbytes,
            spilled=counts.spilled,
            reconnects=self._link.reconnect_count,
            failed_reasons=failed_reasons,
            dropped_reasons=dropped_reasons,
        )
