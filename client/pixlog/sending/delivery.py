"""Every accepted image ends saved, failed or dropped, and is counted: the client's side of delivery.

Theory of operation
    A call reserves a region of the arena pool, copies the pixels into it without holding the lock, then commits:
    under the lock it gets the next sequence number, becomes *pending* and its frame goes to the socket.  The
    region stays until the daemon acknowledges the row, so that after any crash of the daemon everything pending
    can be said again; the daemon drops what it knows by (client, seq).

    ``accepted = saved + failed + dropped + pending`` at every moment.

Interruption
    Ctrl-C may strike between any two bytecodes, and so may a signal handler or a destructor that logs an image
    itself.  Three things keep that harmless.

    A critical section marks the state as dirty while it changes it; whoever enters next and finds the mark
    rebuilds what can be derived (free space, the next number) from what is pending, and has the link say
    everything again.  A call that ends by an exception between its two sections leaves its receipt behind, and
    whoever enters next takes its region back.  Who logs while the same thread is in a critical section cannot
    wait for itself: the lock says that this thread owns it, and the call is *deferred*, copied, to the link's
    thread.

    Nothing is said to ``logging`` under the lock: a handler may itself log images.

Devices
    A call whose pixels are still on their way from a device is pending like any other, but *held*: its frame is
    sent when they have arrived, see :mod:`pixlog.sending.arrivals`.  Frames are therefore not always sent in the
    order of their numbers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixlog.errors import ClientClosed, PixlogError
from pixlog.notices import Notices, kind_of
from pixlog.options import ClientOptions
from pixlog.protocol import (
    LIMITS,
    Frame,
    Header,
    Kind,
    PackedMap,
    encode_head,
    encode_head_of,
    encode_log_in_arena,
)
from pixlog.receipt import Receipt, State
from pixlog.sending.arena import SHARED_SUPPORTED, Arena, ArenaPool, Region
from pixlog.sending.arrivals import Arrival, Arrivals
from pixlog.sending.gather import Move, Pixels, copy_into, copy_now, lay_out, lying_in_place, private_copy
from pixlog.sending.link import Dial, Link, Message
from pixlog.sending.packed_outcomes import BLOCK_COUNT, Block, PackedOutcomes
from pixlog.sending.pending import Counts, Pending
from pixlog.sending.spill import Spill
from pixlog.signal_exceptions import pass_on
from pixlog.stats import Stats

log = logging.getLogger("pixlog")

_MAX_ARENAS = 32
_KEPT_NBYTES = 1024  # what a pending call occupies beside its pixels, generously
_LARGEST_INLINE_NBYTES = 1 << 31
_SENT_POLL_S = 0.002
_PLAIN_COUNT = 3  # what is said last of a call that has nothing to say but step, time and buffers


class Delivery:
    """The pending calls of one client and the link that carries them."""

    def __init__(
        self, identity: Header, run_dir: Path, options: ClientOptions, dial: Dial, notices: Notices
    ) -> None:
        self.client: str = identity["client"]
        self.counts = Counts()
        self._identity = identity
        self._options = options
        self._lock = threading.RLock()  # never entered twice, but it knows whether this thread owns it:
        self._owns_lock: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]
        self._dirty = False
        self.left_count = 0
        self._opened = False
        self._in_child = False
        self._ended = False
        self._settled = threading.Condition()
        self._waiter_count = 0
        self._abandoned = False
        self._next_seq = 0
        self._pending: dict[int, Pending] = {}
        self._packed = PackedOutcomes()
        self._outcome_count = 0
        self._reserved: dict[Receipt, Region] = {}
        self._given_up: deque[Receipt] = deque()
        self._deferred: deque[tuple[PackedMap, Header, Sequence[Pixels], Receipt]] = deque()
        self._notices = notices
        self._pool = ArenaPool(options.buffer_bytes, shared=SHARED_SUPPORTED, max_arenas=_MAX_ARENAS)
        self._arrivals = Arrivals(self.on_arrived, notices)
        self._late_count = 0
        self._spill = Spill(run_dir / "spill", self.client, options.spill_bytes, self._hello_frame)
        self._link = Link(self, dial, self._lock)

    # Beginning and ending

    def open(self, timeout_s: float) -> None:
        """Connect, pass the first arena and start the link's thread; raises ConnectError."""
        with self._lock:
            self._open(timeout_s)
        if SHARED_SUPPORTED and not self._pool.shared:
            log.info("pixlog: shared memory cannot be passed to this daemon; images travel inline")

    def open_soon(self, timeout_s: float) -> None:
        """As :meth:`open`, in a forked child: a daemon that cannot be reached in time is left to the link's thread.

        Other threads that log meanwhile wait; a signal handler of this thread finds the lock its own, and defers.

        A child may end by ``os._exit`` in the next moment, so under ``on_full="spill"`` its images go to the disk at
        once as long as no daemon can be reached.
        """
        with self._lock:
            if self._opened:
                return
            self._opened = self._in_child = True
            try:
                self._open(timeout_s)
            except (PixlogError, OSError) as exc:
                self._notices.note("late", "", f"not connected yet, images wait here: {exc}")
                pass_on(exc)
            finally:
                self._link.ensure_started()
        self._notices.say()

    def _open(self, timeout_s: float) -> None:
        """Locked: see :meth:`open`."""
        self._opened = True
        deadline = time.monotonic() + timeout_s
        self._link.connect(timeout_s)
        limits, pool = self._link.limits, self._pool
        pool.max_arenas = min(_MAX_ARENAS, int(limits.get("arenas", _MAX_ARENAS)))
        pool.budget_nbytes = min(pool.budget_nbytes, int(limits.get("arena_bytes", pool.budget_nbytes)))
        if self._pool.shared and not self._offer_first_arena(max(0.1, deadline - time.monotonic())):
            self._pool.make_private()
        self._link.start()
        self._link.wake()

    def _offer_first_arena(self, timeout_s: float) -> bool:
        try:
            arena = self._pool.grow()
            if arena is None or arena.fd is None:
                return False
            answer = self._link.offer(((_arena_head(arena),), arena.fd), timeout_s)
        except OSError as exc:
            pass_on(exc)
            return False
        return answer.kind is Kind.ARENA and bool(answer.header.get("ok"))

    def close(self, stop_s: float, leave_s: float) -> None:
        """Stop the link within ``stop_s``, and write to the spill, within ``leave_s``, what the daemon was not sent."""
        self._arrivals.stop(stop_s)
        finished = self._link.stop(stop_s)
        if finished:
            self._take_deferred()
        with self._lock:
            if self._ended:
                return
            self._enter()
            self._leave_unsent(time.monotonic() + leave_s, self._give_up_held())
            if finished:
                self._link.abandon()
            self._leave()
            self._ended = True
            self._spill.close()
            self._pool.close()
        self._notices.say()

    def _give_up_held(self) -> list[Pending]:
        """Locked: let each call that is still held fail, and those that follow it be sent; return them all."""
        held = [pending for _, pending in sorted(self._pending.items()) if pending.held]
        arriving = [pending for pending in held if pending.arrival is not None]
        for pending in arriving:
            pending.give_up(pending.header(), "copy from the device: not finished when the client was closed")
        if arriving:
            self._notices.note(
                "arriving",
                "",
                f"closed before {len(arriving)} images were copied from their device: they fail",
            )
        return held

    def _leave_unsent(self, deadline: float, held: Sequence[Pending]) -> None:
        """Locked: write what the daemon was not sent into the spill, as far as there is time and space."""
        unsent = [*self._unsent(), *held]
        packed = list(self._packed)
        self._spill.leave(entry.spilled for entry in self._pending.values() if entry.spilled is not None)
        try:
            for pending in unsent:
                head, *payload = pending.whole_frame()
                if time.monotonic() > deadline or self._spill.write(bytes(head), payload) is None:
                    return
                self.left_count += 1
            for block in packed:
                if time.monotonic() > deadline or self._spill.write(block.stream(), ()) is None:
                    return
                self.left_count += len(block.seqs)
        except OSError as exc:
            pass_on(exc)
            self._notices.note(
                "left", "", f"what the daemon was not sent could not be spilled: {exc.strerror}"
            )

    def _unsent(self) -> list[Pending]:
        """Locked: return what is pending, not held, and not whole in the socket: the last ones that were sent."""
        left_nbytes = self._link.waiting_nbytes if self._link.up else None
        unsent: list[Pending] = []
        sent = [
            (pending.late or (seq, 0), pending) for seq, pending in self._pending.items() if not pending.held
        ]
        for _, pending in sorted(sent, key=lambda entry: entry[0], reverse=True):
            if left_nbytes is not None and left_nbytes <= 0:
                break
            if left_nbytes is not None:
                left_nbytes -= sum(len(buffer) for buffer in pending.buffers())
            if pending.spilled is None:
                unsent.append(pending)
        return unsent[::-1]

    def abandon(self) -> None:
        """Let go of everything inherited, in a forked child: close descriptors, say nothing, wait for nobody."""
        self._abandoned = True
        self._arrivals.abandon()
        self._link.abandon()
        self._spill.close()
        self._pool.close()

    # Logging

    def submit(
        self,
        header: PackedMap,
        last: Header,
        pixels: Sequence[Pixels],
        receipt: Receipt,
        behind: int | None = None,
    ) -> None:
        """Accept one call: copy ``pixels`` and send ``header`` with ``last``, completed by what is known here.

        ``behind`` is the number of a call that the daemon must have before this one.
        Takes about one memory copy; waits only under ``on_full="block"``.  Raises nothing but ClientClosed,
        MemoryError and what a signal handler raises; then the call was accepted whole or not at all.
        """
        if self._owns_lock():
            self._defer(header, last, pixels, receipt)
            return
        buffers, nbytes = lay_out(pixels)
        last["buffers"] = buffers
        if not nbytes:
            self._commit(header, last, receipt, behind=behind)
            return
        hasty = self._in_child and not self._link.up and self._options.on_full == "spill"
        if hasty and self._submit_to_spill(header, last, pixels, nbytes, receipt) is None:
            return
        give_up = self._given_up.append
        try:
            region = self._reserve(nbytes, receipt)
            if region is None:
                self._submit_when_full(header, last, pixels, nbytes, receipt)
                return
            moves = copy_into(region.arena.memory, region.offset, pixels, buffers)
            self._commit(header, last, receipt, region, nbytes, moves, behind)
        except BaseException:
            give_up(receipt)  # the first thing that happens: nothing can come between
            raise

    def submit_outcome(
        self, header: PackedMap, last: Header, state: State, reason: str, receipt: Receipt
    ) -> None:
        """Accept a call that is over before it began: only its row is left to be written."""
        last["state"], last["reason"] = state, reason
        last.pop("buffers", None)
        if self._owns_lock():
            self._defer(header, last, (), receipt)
            return
        self._commit(header, last, receipt)
        self._outcome_count += 1
        if self._outcome_count >= BLOCK_COUNT:
            self._pack_outcomes()

    def _pack_outcomes(self) -> None:
        """Where no daemon is there, make small what only waits for its row; the calls are over for their receipts."""
        with self._lock:
            self._enter()
            self._outcome_count = 0
            if not self._link.up:
                over = [(seq, call) for seq, call in sorted(self._pending.items()) if call.outcome]
                for start in range(0, len(over) - BLOCK_COUNT + 1, BLOCK_COUNT):
                    calls = over[start : start + BLOCK_COUNT]
                    block = Block.of([(seq, bytes(call.head)) for seq, call in calls])
                    for _, call in calls:
                        header = call.header()
                        call.receipt.settle(header["state"], header["reason"], [])
                    self._packed.add(block)
                    for seq, _ in calls:
                        del self._pending[seq]
            self._leave()

    def _unpack_outcomes(self) -> None:
        """Locked: say a block of calls that are over, when those before it have their rows."""
        block = self._packed.first()
        if block is None or not self._link.up or len(self._pending) > BLOCK_COUNT:
            return
        for seq, head in block.frames():
            self._late_count += 1
            late = (self._next_seq, self._late_count)
            self._pending[seq] = Pending(head, self._unowned_receipt(seq), outcome=True, late=late)
            self._link.send((head,))
        self._packed.remove(block)

    def _unowned_receipt(self, seq: int) -> Receipt:
        receipt = Receipt(self, self.client, "", 0)
        receipt.seq = seq
        return receipt

    def _defer(self, header: PackedMap, last: Header, pixels: Sequence[Pixels], receipt: Receipt) -> None:
        """Leave a call to the link's thread, because this one is in the middle of another."""
        self._deferred.append((header, last, [private_copy(piece) for piece in pixels], receipt))
        self._link.wake()

    def _take_deferred(self) -> None:
        """Accept what was deferred, in order, as far as there is room without waiting."""
        while self._deferred:
            header, last, pixels, receipt = self._deferred[0]
            if self._options.on_full == "block" and not self._link.stopping and not self._fits(pixels):
                return  # the room that it has to wait for is made by this very thread
            try:
                self.submit(header, last, pixels, receipt)
            except Exception as exc:
                self.submit_outcome(header, last, "failed", f"{type(exc).__name__}: {exc}", receipt)
            finally:
                self._deferred.popleft()

    def _fits(self, pixels: Sequence[Pixels]) -> bool:
        with self._lock:
            return self._has_room(lay_out(pixels)[1])

    def _reserve(self, nbytes: int, receipt: Receipt) -> Region | None:
        with self._lock:
            self._enter()
            pool = self._pool
            region = None
            if self._has_room(nbytes):
                region = pool.reserve(nbytes)
                if region is None and self._grow(nbytes):
                    region = pool.reserve(nbytes)
            if region is not None:
                self._reserved[receipt] = region
            if 2 * pool.used_nbytes > pool.nbytes and pool.wants_growth():
                self._link.wake()
            self._leave()
        return region

    def _has_room(self, nbytes: int) -> bool:
        """Locked: whether ``nbytes`` more, and what is kept of each pending call, are within the budget."""
        kept_nbytes = len(self._pending) * _KEPT_NBYTES
        return self._pool.used_nbytes + nbytes + kept_nbytes <= self._options.buffer_bytes

    @property
    def _kept_nbytes(self) -> int:
        return len(self._pending) * _KEPT_NBYTES + self._packed.nbytes

    def _commit(
        self,
        header: PackedMap,
        last: Header,
        receipt: Receipt,
        region: Region | None = None,
        nbytes: int = 0,
        moves: Sequence[Move] = (),
        behind: int | None = None,
    ) -> None:
        with self._lock:
            self._enter()
            seq = self._next_seq
            inline = region is not None and not region.arena.visible
            if region is not None and not inline and len(last) == _PLAIN_COUNT and len(last["buffers"]) == 1:
                head = encode_log_in_arena(
                    header, last["step"], last["time"], seq, region.arena.id, region.offset, nbytes
                )
            else:
                last["seq"] = seq
                if region is not None and not inline:
                    last["at"] = ("arena", region.arena.id, region.offset, nbytes)
                head = encode_head_of(Kind.LOG, header, last, nbytes if inline else 0)
            pending = Pending(head, receipt, region, nbytes, None, inline, "state" in last)
            if (inline or len(head) > LIMITS.head_nbytes) and (
                refusal := self._refusal_of(pending)
            ) is not None:
                pending.give_up({**last, "seq": seq}, refusal)
            elif moves or behind is not None:
                self._hold(pending, moves, behind)
            self._admit(pending, nbytes)
            if region is not None:
                del self._reserved[receipt]
            self._leave()

    def _refusal_of(self, pending: Pending) -> str | None:
        """Return why no daemon would take the frame of a call: sent all the same, it would end every connection."""
        if len(pending.head) > LIMITS.head_nbytes:
            return f"described by {len(pending.head)} bytes, at most {LIMITS.head_nbytes} are taken"
        most = min(LIMITS.payload_nbytes, int(self._link.limits.get("payload_bytes", LIMITS.payload_nbytes)))
        if pending.inline and pending.payload_nbytes > most:
            return f"{pending.payload_nbytes} bytes of pixels, the daemon takes at most {most} through its socket"
        return None

    def _admit(self, pending: Pending, nbytes: int) -> None:
        """Locked: the call is accepted from here on, whatever happens."""
        pending.receipt.seq = self._next_seq
        self._pending[self._next_seq] = pending
        self._next_seq += 1
        self.counts.accepted = self._next_seq
        self.counts.nbytes += nbytes
        if pending.arrival is None and pending.behind is None:
            self._link.send(pending.buffers())
        else:
            self._watch(pending)

    # Pixels on their way from a device

    def _hold(self, pending: Pending, moves: Sequence[Move], behind: int | None) -> None:
        """Locked: hold a call back until its pixels have arrived, or until the call that it points at is sent."""
        if moves:
            assert pending.region is not None
            pending.arrival = Arrival(pending.region, moves)
        earlier = self._pending.get(behind) if behind is not None else None
        if earlier is not None and earlier.held:
            pending.behind = behind

    def last_held(self, items: Sequence[Header]) -> int | None:
        """Return the last call of this client that ``items`` point at and that may be held; None without any."""
        if not len(self._arrivals):
            return None
        seqs = [
            item["data"]["seq"]
            for item in items
            if item["data"]["kind"] == "ref" and item["data"]["client"] == self.client
        ]
        return max(seqs, default=None)

    def _watch(self, pending: Pending) -> None:
        """Locked: have the pixels of a held call copied; a second time, do nothing."""
        if pending.arrival is not None:
            self._arrivals.watch(pending.receipt.seq, pending.arrival)

    def on_arrived(self, arrived: Sequence[tuple[int, Arrival]]) -> None:
        """Send calls whose pixels have arrived, or failed rows in their place."""
        with self._lock:
            if self._ended:
                return
            self._enter()
            for seq, arrival in arrived:
                pending = self._pending.get(seq)
                if pending is None or pending.arrival is not arrival:
                    continue
                if arrival.error is not None:
                    pending.give_up(pending.header(), f"copy from the device: {arrival.error}")
                pending.arrival = None
                self._send_late(seq, pending)
            self._leave()

    def _send_late(self, seq: int, pending: Pending) -> None:
        """Locked: send a call unless something still holds it, and those that were behind it."""
        if pending.held:
            return
        self._late_count += 1
        pending.late = (self._next_seq, self._late_count)
        self._link.send(pending.buffers())
        for number, follower in list(self._pending.items()):
            if follower.behind == seq:
                follower.behind = None
                self._send_late(number, follower)

    def _grow(self, nbytes: int = 0) -> bool:
        """Locked: add an arena that holds ``nbytes`` and pass it on; False when there can be none."""
        try:
            arena = self._pool.grow(nbytes)
        except OSError as exc:
            pass_on(exc)
            self._notices.note("arena", "", f"no more shared memory for images: {exc.strerror}")
            return False
        if arena is None:
            return False
        if arena.fd is not None:
            self._link.send((_arena_head(arena),), arena.fd)
        return True

    # When the memory budget is spent

    def _submit_when_full(
        self, header: PackedMap, last: Header, pixels: Sequence[Pixels], nbytes: int, receipt: Receipt
    ) -> None:
        policy, budget = self._options.on_full, self._options.buffer_bytes
        full = f"images come faster than they are saved, the buffer of {budget} bytes is full: on_full={policy!r}"
        self._notices.note("full", "", full)
        self._link.wake()
        reason = f"buffer full: {nbytes} bytes did not fit into buffer_bytes={budget}"
        if policy == "block":
            region = self._wait_for_room(nbytes, receipt)
            if region is not None:
                moves = copy_into(region.arena.memory, region.offset, pixels, last["buffers"])
                self._commit(header, last, receipt, region, nbytes, moves)
                return
            reason += f" within {self._options.timeout_s:g} s"
        elif policy == "spill":
            refusal = self._submit_to_spill(header, last, pixels, nbytes, receipt)
            if refusal is None:
                return
            self._notices.note("spill", "", refusal)
            reason = refusal
        self.submit_outcome(header, last, "dropped", reason, receipt)

    def _wait_for_room(self, nbytes: int, receipt: Receipt) -> Region | None:
        """Wait for acknowledgements until ``nbytes`` fit; None when they cannot, or not in time."""
        deadline = time.monotonic() + self._options.timeout_s
        while self._pending and not self._link.is_own_thread():
            settled = self.counts.settled
            region = self._reserve(nbytes, receipt)
            if region is not None:
                return region
            if not self._wait_for_another(settled, deadline - time.monotonic()):
                return None
        return self._reserve(nbytes, receipt)

    def _wait_for_another(self, settled: int, timeout_s: float) -> bool:
        """Wait until more calls are settled than ``settled``."""
        return self.wait(lambda: self.counts.settled != settled, timeout_s)

    def _submit_to_spill(
        self, header: PackedMap, last: Header, pixels: Sequence[Pixels], nbytes: int, receipt: Receipt
    ) -> str | None:
        """Write the call to the spill; return why it cannot be, or None when it was."""
        if nbytes >= _LARGEST_INLINE_NBYTES:
            return f"buffer full, and {nbytes} bytes are too many for one spilled frame"
        payload = lying_in_place(pixels)
        if payload is None:
            gathered = np.zeros(nbytes, np.uint8)
            copy_now(gathered, 0, pixels, last["buffers"])
            payload = gathered.data
        refusal: str | None = None
        with self._lock:
            self._enter()
            last["seq"] = self._next_seq
            head = encode_head_of(Kind.LOG, header, last, nbytes)
            spilled = None
            try:
                if len(head) > LIMITS.head_nbytes:
                    refusal = f"described by {len(head)} bytes, at most {LIMITS.head_nbytes} are taken"
                elif self._kept_nbytes > self._options.buffer_bytes:
                    refusal = (
                        f"no space: buffer_bytes={self._options.buffer_bytes} cannot keep account of more than the "
                        f"{len(self._pending)} calls that wait"
                    )
                else:
                    spilled = self._spill.write(head, (payload,))
                if spilled is None and refusal is None:
                    refusal = f"no space: buffer and spill_bytes={self._options.spill_bytes} full"
            except OSError as exc:
                pass_on(exc)
                refusal = f"no space: buffer full, spill: {exc.strerror}"
            if spilled is not None:
                last["at"] = ("spill", spilled.file.path.name, spilled.offset, nbytes)
                head = encode_head_of(Kind.LOG, header, last)
                self._admit(Pending(head, receipt, spilled=spilled), nbytes)
                self.counts.spilled += 1
            self._leave()
        return refusal

    # The critical section

    def _enter(self) -> None:
        """Locked: begin to change the state; raises ClientClosed when there is none any more."""
        if self._ended:
            raise ClientClosed("the client was closed meanwhile")
        if self._dirty:
            self._repair()
        self._dirty = True
        while self._given_up:
            region = self._reserved.pop(self._given_up[0], None)
            if region is not None:
                self._pool.release(region)
            self._given_up.popleft()

    def _leave(self) -> None:
        """Locked: the state is consistent again.  A section that was cut short never comes here."""
        self._dirty = False

    def _repair(self) -> None:
        """Locked: derive everything again from what is pending, after a section was cut short."""
        used = {
            id(entry.region): entry.region for entry in self._pending.values() if entry.region is not None
        }
        self._reserved = {
            receipt: region for receipt, region in self._reserved.items() if id(region) not in used
        }
        self._pool.rebuild([*used.values(), *self._reserved.values()])
        self._spill.rebuild(entry.spilled for entry in self._pending.values() if entry.spilled is not None)
        for block in self._packed:
            for seq in block.seqs:
                self._pending.pop(seq, None)
        self._next_seq = max(self._next_seq, max(self._pending, default=-1) + 1)
        self.counts.accepted = self._next_seq
        for pending in self._pending.values():
            self._watch(pending)
        self._link.break_off()

    # What the link calls, on its thread

    def hello(self) -> Header:
        """Return the header of HELLO: who this is, and the lowest number that is not acknowledged."""
        resume = min(self._pending.copy(), default=self._next_seq)
        if (packed := self._packed.lowest_seq) is not None:
            resume = min(resume, packed)
        return {**self._identity, "resume": resume, "again": self._next_seq > 0}

    def _hello_frame(self) -> bytes:
        return encode_head(Kind.HELLO, self.hello())

    def on_connected(self, link: Link) -> None:
        """Say every arena and everything pending again, in order."""
        self._notices.note(
            "reconnected",
            "",
            f"the daemon was gone, connected to another; what was not saved is said again. Why it went may be in "
            f"{self._identity['run_dir']}/daemon.log",
        )
        with self._lock:
            self._enter()
            messages: list[Message] = [
                ((_arena_head(arena),), arena.fd) for arena in self._pool.arenas if arena.visible
            ]
            for _, pending in sorted(self._pending.items()):
                if not pending.held:
                    pending.late = None
                    messages.append((pending.buffers(), None))
            link.bring_up(messages)
            self._leave()

    def on_writable(self) -> None:
        """Send what waits, after repairing what may have been cut short in the middle of a frame."""
        with self._lock:
            self._enter()
            self._link.send_queue()
            self._leave()

    def on_frame(self, frame: Frame) -> None:
        """Settle what the daemon acknowledges."""
        if frame.kind is Kind.ACK:
            self._settle(frame.header["rows"])
        elif frame.kind is Kind.ERROR:
            self._notices.note("daemon", "", f"the daemon reports: {frame.header.get('message')}")
        elif frame.kind is Kind.ARENA and not frame.header.get("ok"):
            reason = frame.header.get("reason")
            self._notices.note("arena", "", f"the daemon refuses shared memory, images go inline: {reason}")
            self._hide(frame.header.get("arena"))

    def _hide(self, arena_id: object) -> None:
        """Stop using an arena as shared; what lies in it is said again, inline."""
        with self._lock:
            self._enter()
            for arena in self._pool.arenas:
                if arena.id == arena_id:
                    arena.visible = False
            for pending in self._pending.values():
                if pending.region is not None and not pending.region.arena.visible and not pending.inline:
                    header = pending.make_inline()
                    if (refusal := self._refusal_of(pending)) is not None:
                        pending.give_up(header, refusal)
            self._link.break_off()
            self._leave()

    def _settle(self, rows: Sequence[Sequence[Any]]) -> None:
        with self._lock:
            self._enter()
            for seq, state, reason, paths, notes in rows:
                pending = self._pending.get(seq)
                if pending is None:
                    continue
                if pending.arrival is not None:  # nobody was told of it, and a device writes into its region
                    continue
                if pending.region is not None:
                    self._pool.release(pending.region)
                if pending.spilled is not None:
                    self._spill.release(pending.spilled)
                self.counts.settle(state, reason)
                pending.receipt.settle(state, reason, paths)
                if state == "failed" and not pending.outcome:
                    self._notices.note("failed", pending.receipt.key, f"failed: {reason}")
                for note in notes:
                    self._notices.note(kind_of(note), pending.receipt.key, note)
                del self._pending[seq]  # last: who sees it gone, without the lock, may look at all the rest
            self._leave()
        if self._waiter_count:
            with self._settled:
                self._settled.notify_all()

    def on_idle(self) -> None:
        """Take in what signal handlers left, prepare memory ahead of need, and say what is to be said."""
        self._take_deferred()
        with self._lock:
            self._enter()
            if self._pool.arenas and self._pool.wants_growth():
                self._grow()
            self._unpack_outcomes()
            fresh = [arena for arena in self._pool.arenas if not arena.populated]
            self._leave()
        for arena in fresh:
            arena.populate()
        self._notices.say()

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
            unsent = sum(pending.spilled is None for pending in self._pending.copy().values())
        return unsent + len(self._deferred) + len(self._arrivals) + self._packed.count

    def wait(self, predicate: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until ``predicate`` holds; return whether it does.  None waits without limit.

        In a forked child nobody will ever settle what the parent logged, so there it does not wait.
        """
        if self._abandoned:
            return predicate()
        with self._settled:
            self._waiter_count += 1
            try:
                return self._settled.wait_for(predicate, timeout_s)
            finally:
                self._waiter_count -= 1

    def is_settled(self) -> bool:
        """Whether nothing is pending."""
        return not self._pending and not self._deferred and not self._packed.count

    @property
    def pending_count(self) -> int:
        """Calls that are accepted and not settled."""
        return len(self._pending) + len(self._deferred) + self._packed.count

    def stats(self) -> Stats:
        """Return the counts as they are; takes no lock."""
        counts = self.counts
        return Stats(
            accepted=counts.accepted,
            saved=counts.saved,
            failed=counts.failed,
            dropped=counts.dropped,
            pending=counts.accepted - counts.settled,
            nbytes=counts.nbytes,
            buffer_nbytes=self._pool.used_nbytes,
            spilled=counts.spilled,
            reconnects=self._link.reconnect_count,
            failed_reasons=dict(counts.failed_reasons),
            dropped_reasons=dict(counts.dropped_reasons),
        )


def _arena_head(arena: Arena) -> bytes:
    return encode_head(Kind.ARENA, {"arena": arena.id, "nbytes": arena.nbytes})
