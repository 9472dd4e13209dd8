"""What one client has accepted and not settled, and the section in which that is changed.

Theory of operation
    A call is in the ledger from the moment at which it has its number until the daemon acknowledges its row.
    ``accepted = saved + failed + dropped + pending`` at every moment.  What memory, spill and link hold is derived
    from the calls that are pending, so that it can be derived again.

Interruption
    Ctrl-C may strike between any two bytecodes, and so may a signal handler or a destructor that logs an image
    itself.  Two things keep that harmless here.

    A critical section, from :meth:`Ledger.enter` to :meth:`Ledger.leave`, marks the state as dirty while it changes
    it; whoever enters next and finds the mark rebuilds what can be derived (free space, the next number) from what is
    pending, and has the link say everything again.  A call that ends by an exception between its two sections leaves
    its receipt in ``given_up``, and whoever enters next takes its region back.

    What other threads need the lock for, as they do for the end of the client, cannot be done in the middle of a
    section: it is put off until that one is left.

    Locks are taken as :mod:`pixlog.section_lock` says, so that none stays taken for ever.  Of a condition, the lock is
    taken: in ``Condition.__enter__`` and ``__exit__``, which are written in Python, Ctrl-C may strike.

    Nothing is said to ``logging`` under the lock: a handler may itself log images.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pixlog.errors import ClientClosed
from pixlog.notices import Notices, kind_of
from pixlog.options import ClientOptions
from pixlog.protocol import LIMITS, Header
from pixlog.receipt import Receipt
from pixlog.section_lock import SectionLock
from pixlog.sending.arena import ArenaPool, Region
from pixlog.sending.arrivals import Arrivals
from pixlog.sending.link import Link
from pixlog.sending.packed_outcomes import Block, PackedOutcomes
from pixlog.sending.pending import Counts, Pending
from pixlog.sending.spill import Spill

_PATIENT_COUNT: Final = 64  # calls that may be pending while the link's thread rests
_KEPT_NBYTES: Final = (
    1024  # what a pending call occupies beside its pixels, generously, unless its head is long
)
LONG_HEAD_NBYTES: Final = 512  # of a head that is accounted for in full


class Ledger:
    """The calls of one client and the counts of them.

    ``lock`` is never entered twice, but :attr:`owns_lock` tells whether this thread has it.  What is *locked* is called
    with it held, between :meth:`enter` and :meth:`leave`.
    """

    def __init__(
        self,
        identity: Header,
        run_dir: Path,
        options: ClientOptions,
        lock: SectionLock,
        pool: ArenaPool,
        link: Link,
        arrivals: Arrivals,
        notices: Notices,
    ) -> None:
        self.client: Final[str] = identity["client"]
        self.identity: Final = identity
        self.options: Final = options
        self.notices: Final = notices
        self.lock: Final = lock
        self.owns_lock: Callable[[], bool] = lock._is_owned  # type: ignore[attr-defined]
        self.pool: Final = pool
        self.link: Final = link
        self.arrivals: Final = arrivals
        self.spill: Final = Spill(run_dir / "spill", self.client, options.spill_bytes, self.hello)
        self.counts: Final = Counts()
        self.pending: dict[int, Pending] = {}
        self.packed: Final = PackedOutcomes()
        self.extra_nbytes = 0
        """What long heads and packed outcomes take."""
        self._long: dict[int, int] = {}
        self.followers: set[int] = set()
        """The numbers of all calls that are held behind others, and maybe of some that are not."""
        self.next_seq = 0
        self.reserved: dict[Receipt, Region] = {}
        self.given_up: deque[Receipt] = deque()
        self.left_count = 0
        self.ended = False
        self.abandoned = False
        self._dirty = False
        self._put_off: tuple[int, Callable[[], object]] | None = None
        self._late_count = 0
        self._settled_lock = SectionLock()
        self._settled = threading.Condition(self._settled_lock)
        self._waiter_count = 0
        self._flushed_seq = -1

    # The critical section

    def enter(self) -> None:
        """With the lock held: begin to change the state; raises ClientClosed when there is none any more."""
        if self.ended:
            raise ClientClosed("the client was closed meanwhile")
        if self._dirty:
            self._repair()
        self._dirty = True
        while self.given_up:
            region = self.reserved.pop(self.given_up[0], None)
            if region is not None:
                self.pool.release(region)
            self.given_up.popleft()

    def leave(self) -> None:
        """With the lock held: the state is consistent again.  A section that was cut short never comes here."""
        self._dirty = False
        if self._put_off is not None:
            self._catch_up()

    def put_off(self, work: Callable[[], object]) -> None:
        """In the middle of a section of this thread: do ``work`` when that is over, with the lock released."""
        self._put_off = (threading.get_ident(), work)

    def _catch_up(self) -> None:
        """With the lock held, as the last thing in a section: do what this thread put off."""
        assert self._put_off is not None
        thread, work = self._put_off
        if thread == threading.get_ident():
            self._put_off = None
            self.lock.release()
            try:
                work()
            finally:
                self.lock.acquire()

    def _repair(self) -> None:
        """Locked: derive everything again from what is pending, after a section was cut short."""
        used = {id(entry.region): entry.region for entry in self.pending.values() if entry.region is not None}
        self.reserved = {
            receipt: region for receipt, region in self.reserved.items() if id(region) not in used
        }
        self.pool.rebuild([*used.values(), *self.reserved.values()])
        self.spill.rebuild(entry.spilled for entry in self.pending.values() if entry.spilled is not None)
        for block in self.packed:
            for seq in block.seqs:
                self.pending.pop(seq, None)
        heads = ((seq, len(pending.head)) for seq, pending in self.pending.items())
        self._long = {seq: nbytes for seq, nbytes in heads if nbytes > LONG_HEAD_NBYTES}
        self.extra_nbytes = sum(self._long.values()) + self.packed.nbytes
        self.next_seq = max(self.next_seq, max(self.pending, default=-1) + 1)
        self.counts.accepted = self.next_seq
        for pending in self.pending.values():
            self._watch(pending)
        self.link.break_off()

    # Accepting

    def admit(self, pending: Pending, nbytes: int) -> None:
        """Locked: the call is accepted from here on, whatever happens."""
        pending.receipt.seq = self.next_seq
        self.pending[self.next_seq] = pending
        if len(pending.head) > LONG_HEAD_NBYTES:
            self._keep_long(self.next_seq, len(pending.head))
        self.next_seq += 1
        self.counts.accepted = self.next_seq
        self.counts.nbytes += nbytes
        if pending.arrival is None and not pending.behind:
            self.link.send(pending.buffers())
        else:
            self._watch(pending)
        if self.link.resting and len(self.pending) > _PATIENT_COUNT:
            self.link.wake()

    def _keep_long(self, seq: int, head_nbytes: int) -> None:
        self._long[seq] = head_nbytes
        self.extra_nbytes += head_nbytes

    def forget(self, seq: int) -> None:
        """Locked: keep nothing more of a call."""
        if self._long:
            self.extra_nbytes -= self._long.pop(seq, 0)
        del self.pending[seq]  # last: who sees it gone, without the lock, may look at all the rest

    def pack(self, block: Block) -> None:
        """Locked: keep some calls as a block."""
        self.packed.add(block)
        self.extra_nbytes += block.nbytes
        for seq in block.seqs:
            self.forget(seq)

    def unpack(self, block: Block, calls: Mapping[int, Pending]) -> None:
        """Locked: keep the calls of a block one by one."""
        self.pending |= calls
        for seq, pending in calls.items():
            if len(pending.head) > LONG_HEAD_NBYTES:
                self._keep_long(seq, len(pending.head))
        self.packed.remove(block)
        self.extra_nbytes -= block.nbytes

    def refusal_of(self, pending: Pending) -> str | None:
        """Return why no daemon would take the frame of a call: sent all the same, it would end every connection."""
        if len(pending.head) > LIMITS.head_nbytes:
            return f"described by {len(pending.head)} bytes, at most {LIMITS.head_nbytes} are taken"
        limits = self.link.limits
        most = min(LIMITS.payload_nbytes, int(limits.get("payload_bytes", LIMITS.payload_nbytes)))
        if pending.inline and pending.payload_nbytes > most:
            return f"{pending.payload_nbytes} bytes of pixels, the daemon takes at most {most} through its socket"
        return None

    def _watch(self, pending: Pending) -> None:
        """Locked: have the pixels of a held call copied; a second time, do nothing."""
        if pending.arrival is not None:
            self.arrivals.watch(pending.receipt.seq, pending.arrival)

    def next_late(self) -> tuple[int, int]:
        """Locked: return the place, among all that were sent, of a call that is sent late, now: behind the last one."""
        self._late_count += 1
        return self.next_seq - 1, self._late_count

    @property
    def kept_nbytes(self) -> int:
        """What the calls that wait take of the budget beside their pixels."""
        return len(self.pending) * _KEPT_NBYTES + self.extra_nbytes

    def has_room(self, nbytes: int) -> bool:
        """Locked: whether ``nbytes`` more, and what is kept of each pending call, are within the budget."""
        kept_nbytes = len(self.pending) * _KEPT_NBYTES + self.extra_nbytes
        return self.pool.used_nbytes + nbytes + kept_nbytes <= self.options.buffer_bytes

    def has_room_to_say(self, head_nbytes: int) -> bool:
        """Locked: whether a call without pixels may say so much: a tenth of the budget is for that if need be."""
        kept_nbytes = self.kept_nbytes + head_nbytes
        budget_nbytes = self.options.buffer_bytes
        return self.pool.used_nbytes + kept_nbytes <= budget_nbytes or 10 * kept_nbytes <= budget_nbytes

    # Settling

    def settle(self, rows: Sequence[Sequence[Any]]) -> None:
        """Settle the calls that the daemon acknowledges, and wake who waits for them."""
        try:
            self.lock.acquire()
            self.enter()
            for seq, state, reason, paths, notes in rows:
                pending = self.pending.get(seq)
                if pending is None:
                    continue
                if pending.arrival is not None:  # nobody was told of it, and a device writes into its region
                    continue
                told = [(kind_of(note), note) for note in notes]
                self.counts.settle(
                    state, reason
                )  # whatever makes no sense raised before anything was changed
                if pending.region is not None:
                    self.pool.release(pending.region)
                if pending.spilled is not None and (stuck := self.spill.release(pending.spilled)) is not None:
                    self.notices.note(
                        "stuck", "", f"a spill file that nobody needs cannot be removed: {stuck}"
                    )
                pending.receipt.settle(state, reason, paths)
                if state == "failed" and not pending.outcome:
                    self.notices.note("failed", pending.receipt.key, f"failed: {reason}")
                for kind, note in told:
                    self.notices.note(kind, pending.receipt.key, note)
                self.forget(seq)
            self.leave()
        finally:
            if self.lock.owned:
                self.lock.release()
        self.wake_waiters()

    def wake_waiters(self) -> None:
        """Without the lock: have whoever waits look again, for calls were settled, or never will be."""
        if self._waiter_count:
            try:
                self._settled_lock.acquire()
                self._settled.notify_all()
            finally:
                if self._settled_lock.owned:
                    self._settled_lock.release()

    def flush(self) -> None:
        """Locked: where somebody waits, have the daemon acknowledge at once what was accepted so far."""
        seq = self.next_seq - 1
        if self._waiter_count and seq > self._flushed_seq:
            self._flushed_seq = seq
            self.link.flush(seq)

    def flush_anew(self) -> None:
        """Locked: the daemon is another, to which nothing of that was said."""
        self._flushed_seq = -1

    def is_patient(self) -> bool:
        """Whether nobody waits for acknowledgements, nor is short of the memory that they set free."""
        return (
            not self._waiter_count
            and len(self.pending) <= _PATIENT_COUNT // 2
            and 4 * self.pool.used_nbytes <= self.pool.nbytes
        )

    def wait(self, predicate: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until ``predicate`` holds; return whether it does.  None waits without limit.

        It does not wait where nothing would be settled meanwhile: after the end; in a forked child, for what the parent
        logged; in the middle of a section of this thread, whose lock that takes; on the very thread that settles.
        """
        if self.abandoned or self.owns_lock() or self.link.is_own_thread():
            return predicate()
        try:
            self._settled_lock.acquire()
            self._waiter_count += 1
            try:
                self.link.wake()
                self._settled.wait_for(lambda: predicate() or self.ended, timeout_s)
                return predicate()
            finally:
                self._waiter_count -= 1
        finally:
            if self._settled_lock.owned:
                self._settled_lock.release()

    # Fork

    def abandon(self) -> None:
        """In a forked child: end, so that a call of the parent which a signal handler left for the fork ends as well.

        That call goes on in the parent; here its next section raises ClientClosed, and nothing waits.
        """
        self.abandoned = self.ended = True
        for lock in (self.lock, self._settled_lock):
            if not lock.owned:
                _free(lock)
        self.wake_waiters()

    # Who this is

    def hello(self) -> Header:
        """Return the header of HELLO: who this is, and the lowest number that is not acknowledged.

        Without the lock, so the order counts.  A call that another thread accepts meanwhile has no number below the
        next one, which is read first, and one that is packed meanwhile is in its block before it leaves the others.
        """
        next_seq = self.next_seq
        resume = min(self.pending.copy(), default=next_seq)
        if (packed := self.packed.lowest_seq) is not None:
            resume = min(resume, packed)
        return {**self.identity, "resume": min(resume, next_seq), "again": next_seq > 0}


def _free(lock: Any) -> None:
    """In a forked child: free a lock that a thread may have which is gone.

    Up to Python 3.13 a call that waits for it never sees that the lock was made anew; so it is released, where anybody
    may do that.
    """
    try:
        lock._release_save()
    except RuntimeError:  # nobody has it, or another thread is about to
        lock._at_fork_reinit()
