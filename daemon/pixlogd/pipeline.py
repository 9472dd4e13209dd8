"""From accepted calls to acknowledged rows: who is next, worker threads, one manifest write for many rows.

Theory of operation
    Clients with something to do stand in a ring; a batch takes one call of each in turn, so a client that floods
    delays another's single image by no more than one batch.  A batch is bounded in calls and in bytes: many
    small images share one hop to a worker thread and back, a large one goes alone.  What a worker finished waits
    for the run's manifest writer, which appends all there is in one write, and only then is it acknowledged.

    When the disk refuses to be written, the batch goes back to the head of the queue and the run rests; the queue
    fills, the connection is no longer read, the client's memory fills, and its policy decides.  A call that cannot be
    *read*, because its spill file lies on bad blocks, stands aside for a while and holds nobody up.

Everything here but ``process`` runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pixlogd.config.settings import Settings
from pixlogd.encode import compiled
from pixlogd.rendering.exchange import LARGEST_NBYTES
from pixlogd.rendering.worker_process import LANES_A_PROCESS, Lane
from pixlogd.rundir.open_run import ClientRecord, Entry, OpenRun
from pixlogd.work import Finished, Outcome, process
from pixlogd.worker_processes import WorkerProcesses

log = logging.getLogger("pixlogd")

_BATCH_CALLS = 64
_BATCH_NBYTES = 1 << 20
_APPEND_NBYTES = 256 * 1024
_SMALL_NBYTES = 512 * 1024
_SMALL_COMPILED_NBYTES = 128 * 1024  # for PNG where the encoder's compiled part is there
_MOST_SMALL = 2  # one in work and one that waits
_LOCK_FREE_TYPES = frozenset({"webp", "avif"})  # a single long call each, whatever the size
_EARLY_S = 0.02
_UNSAID_S = 0.2
_REST_FIRST_S = 0.2
_REST_MOST_S = 5.0


class Pipeline:
    """The workers of a daemon and what stands before and behind them.

    ``on_progress`` is called whenever calls were settled, so that reading can go on; ``on_left`` when the last
    call is settled of a client that is gone.
    """

    def __init__(
        self, settings: Settings, on_progress: Callable[[], None], on_left: Callable[[ClientRecord], None]
    ) -> None:
        self.queued_count = 0
        self._settings = settings
        self._on_progress = on_progress
        self._on_left = on_left
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(settings.encode_workers, thread_name_prefix="pixlogd-encode")
        self._small_pool = (
            ThreadPoolExecutor(1, thread_name_prefix="pixlogd-small")
            if settings.encode_workers > 1
            else self._pool
        )
        self.worker_processes = WorkerProcesses(settings, self.dispatch)
        self._lane_pool = ThreadPoolExecutor(
            self.worker_processes.most_lanes, thread_name_prefix="pixlogd-lane"
        )
        self._lanes: dict[asyncio.Future[Outcome], Lane] = {}
        self._suspects: deque[Entry] = deque()
        self._ring: deque[ClientRecord] = deque()
        self._ready: set[ClientRecord] = set()
        self._batches: dict[asyncio.Future[Outcome], list[Entry]] = {}
        self._small: set[asyncio.Future[Outcome]] = set()
        self._early: list[Entry] = []
        self._unread: set[Entry] = set()
        self._settled_count = 0
        self._settled_at_try = -1
        self._unwritten: dict[OpenRun, list[Finished]] = {}
        self._in_writing: dict[OpenRun, list[Finished]] = {}
        self._writers: dict[OpenRun, asyncio.Task[None]] = {}
        self._rests: dict[OpenRun, float] = {}
        self._resting: set[OpenRun] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether everything that was accepted is in a manifest."""
        return not self.queued_count

    def accept(self, entry: Entry) -> None:
        """Take one call; the caller has checked that it is new and that there is room."""
        entry.client.queue.append(entry)
        entry.client.unsettled.add(entry.log.seq)
        for tally in (entry.client.tally, entry.client.run.tally):
            tally.accepted += 1
            tally.accepted_nbytes += entry.nbytes
        self.queued_count += 1
        entry.client.inline_nbytes += entry.inline_nbytes
        self._idle.clear()
        self._make_ready(entry.client)

    def dispatch(self) -> None:
        """Give the workers what there is; called after a round of accepting, and when a batch is done."""
        if self._suspects:
            self._dispatch_suspects()
        while not self._closed and self._find_next():
            entry = self._ring[0].queue[0]
            has_use = self._has_use_for_process(entry)
            has_lanes = has_use and self.worker_processes.count > 0
            lane = self._free_lane() if has_lanes else None
            is_small = self._is_small(entry)
            if lane is None and (has_lanes or not self._has_slot(is_small)):
                if has_use:
                    self.worker_processes.note_pressure()
                return
            self._hand_over(self._next_batch(), is_small=is_small, lane=lane)
        self.worker_processes.note_relief()

    def _hand_over(self, batch: list[Entry], *, is_small: bool, lane: Lane | None) -> None:
        pool = self._lane_pool if lane is not None else self._small_pool if is_small else self._pool
        future = self._loop.run_in_executor(pool, process, batch, self._settings, lane)
        self._batches[future] = batch
        if lane is not None:
            self._lanes[future] = lane
        elif is_small:
            self._small.add(future)
        future.add_done_callback(self._on_batch_done)

    def _free_lane(self) -> Lane | None:
        """Return a lane that may be used now; what threads work on leaves the processes one less each."""
        large_count = len(self._batches) - len(self._small) - len(self._lanes)
        process_count = max(1, self._settings.encode_workers - large_count - bool(self._small))
        return self.worker_processes.take_lane(process_count * LANES_A_PROCESS)

    def _dispatch_suspects(self) -> None:
        """Try calls that crashed a worker process again, each alone in another; fail them where there is none."""
        while self._suspects and not self._closed:
            lane = self.worker_processes.take_lane(self.worker_processes.most_lanes)
            if lane is None and self.worker_processes.ensure_one():
                return
            self._hand_over([self._suspects.popleft()], is_small=True, lane=lane)

    async def drain(self, timeout_s: float | None) -> bool:
        """Wait until everything accepted is written; return whether it is.  None waits without limit."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Begin nothing more; what the workers have begun goes on."""
        self._closed = True
        self.worker_processes.stop()
        for pool in (self._pool, self._small_pool, self._lane_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def unwritten(self, run: OpenRun) -> list[Entry]:
        """Return every call of a run that is accepted and not in its manifest, those worked on first."""
        finished = [*self._in_writing.get(run, ()), *self._unwritten.get(run, ())]
        working = [entry for batch in self._batches.values() for entry in batch]
        entries = [*(item.entry for item in finished), *working, *self._early, *self._unread, *self._suspects]
        return [entry for entry in entries if entry.client.run is run] + [
            entry for record in run.clients.values() for entry in record.queue
        ]

    def is_done_with(self, run: OpenRun) -> bool:
        """Whether nothing of a run without clients is here: no row to be written, and nobody who writes one."""
        return run not in self._writers and run not in self._resting and not self._unwritten.get(run)

    async def finish(self) -> None:
        """After :meth:`stop`: wait until the workers have done what they had begun, and write it down."""
        if self._batches:
            await asyncio.wait(self._batches)
        await asyncio.sleep(0)  # their callbacks
        await self.worker_processes.close()
        await asyncio.gather(*self._writers.values(), return_exceptions=True)
        for run in list(self._unwritten):
            await self._write(run)

    def _make_ready(self, client: ClientRecord) -> None:
        if client not in self._ready and client.run not in self._resting:
            self._ready.add(client)
            self._ring.append(client)

    def _find_next(self) -> bool:
        """Bring a client with something to do to the head of the ring; return whether there is one."""
        ring = self._ring
        while ring:
            client = ring[0]
            if client.queue and client.run not in self._resting:
                return True
            ring.popleft()
            self._ready.discard(client)
        return False

    def _has_slot(self, is_small: bool) -> bool:
        """Whether a batch may be given to the threads: one more than they can work on, so that none ever waits."""
        small_count = len(self._small)
        large_count = len(self._batches) - small_count - len(self._lanes)
        worker_count = self._settings.encode_workers
        busy_count = -(-len(self._lanes) // LANES_A_PROCESS)
        if is_small:
            return small_count < _MOST_SMALL and (worker_count > 1 or not large_count)
        if busy_count:
            return large_count <= worker_count - busy_count - bool(small_count)
        return large_count <= worker_count - (_MOST_SMALL if small_count else 0)

    def _next_batch(self) -> list[Entry]:
        batch: list[Entry] = []
        nbytes = 0
        ring = self._ring
        while len(batch) < _BATCH_CALLS and nbytes < _BATCH_NBYTES and self._find_next():
            client = ring.popleft()
            if batch and batch[0].client.run is not client.run:
                ring.appendleft(client)
                break
            entry = client.queue.popleft()
            client.in_flight += 1
            nbytes += entry.nbytes
            batch.append(entry)
            if client.queue:
                ring.append(client)
            else:
                self._ready.discard(client)
        return batch

    def _is_small(self, entry: Entry) -> bool:
        """Whether a batch that begins with this call is one of those that threads work on one at a time."""
        if entry.nbytes >= _SMALL_NBYTES:
            return False
        encode = self._settings.for_key(entry.log.key)
        if encode.file_type in _LOCK_FREE_TYPES or encode.level != "fast":
            return False
        is_compiled = encode.file_type == "png" and compiled.library is not None
        return entry.nbytes < (_SMALL_COMPILED_NBYTES if is_compiled else _SMALL_NBYTES)

    def _has_use_for_process(self, entry: Entry) -> bool:
        """Whether a batch that begins with this call is done sooner by a worker process."""
        if not 0 < entry.nbytes <= LARGEST_NBYTES:
            return False
        encode = self._settings.for_key(entry.log.key)
        return encode.file_type == "png" and encode.level == "fast"

    def _on_batch_done(self, future: asyncio.Future[Outcome]) -> None:
        # An error that nobody foresaw ends the daemon, which finds the batch among those worked on.
        outcome = None if future.cancelled() else future.result()
        batch = self._batches.pop(future)
        self._small.discard(future)
        lane = self._lanes.pop(future, None)
        if outcome is None:
            for entry in reversed(batch):
                entry.client.in_flight -= 1
                entry.client.queue.appendleft(entry)
            return
        self._suspects += outcome.suspects
        if outcome.finished:
            run = outcome.finished[0].entry.client.run
            self._unwritten.setdefault(run, []).extend(outcome.finished)
            self._ensure_writer(run)
        if outcome.early:
            self._early += outcome.early
            self._loop.call_later(_EARLY_S, self._try_again)
        if outcome.unsaid:
            self._early += outcome.unsaid
            self._loop.call_later(_UNSAID_S, self._try_again)
        if outcome.unread:
            self._unread.update(outcome.unread)
            tried_count = max(1, outcome.unread[0].unread_count)
            rest_s = min(_REST_FIRST_S * 2 ** (tried_count - 1), _REST_MOST_S)
            self._loop.call_later(rest_s, self._read_again, outcome.unread)
        if outcome.stalled:
            assert outcome.trouble is not None
            self._put_back(outcome.stalled, outcome.trouble)
        if lane is not None:
            self.worker_processes.give_back(lane, outcome.gone)
        self.dispatch()

    def _try_again(self) -> None:
        """Try those again that wait for other calls; for the last time, when all that is left waits like that."""
        entries, self._early = self._early, []
        last_try = len(entries) == self.queued_count and self._settled_count == self._settled_at_try
        self._settled_at_try = self._settled_count
        for entry in entries:
            entry.last_try = last_try
        self._queue_again(entries)

    def _read_again(self, entries: list[Entry]) -> None:
        """Try those again that could not be read."""
        self._unread.difference_update(entries)
        self._queue_again(entries)

    def _queue_again(self, entries: list[Entry]) -> None:
        for entry in entries:
            entry.client.in_flight -= 1
            entry.client.queue.append(entry)
            self._make_ready(entry.client)
        self.dispatch()

    # A disk that refuses

    def _put_back(self, entries: list[Entry], trouble: OSError) -> None:
        run = entries[0].client.run
        for entry in reversed(entries):
            entry.client.in_flight -= 1
            entry.client.queue.appendleft(entry)
        self._rest(run, trouble)

    def _rest(self, run: OpenRun, trouble: OSError) -> None:
        if run in self._resting:
            return
        rest_s = self._rests.get(run, _REST_FIRST_S)
        self._rests[run] = min(2 * rest_s, _REST_MOST_S)
        if run.trouble is None:
            log.error("! %s: %s; trying again until it works", run.run_dir, trouble.strerror or trouble)
        run.trouble = trouble.strerror or str(trouble)
        self._resting.add(run)
        self._loop.call_later(rest_s, self._wake, run)

    def _wake(self, run: OpenRun) -> None:
        self._resting.discard(run)
        for client in run.clients.values():
            if client.queue:
                self._make_ready(client)
        if self._unwritten.get(run):
            self._ensure_writer(run)
        self.dispatch()

    # The manifest

    def _ensure_writer(self, run: OpenRun) -> None:
        if run not in self._writers and run not in self._resting and not self._closed:
            task = self._loop.create_task(self._write(run))
            self._writers[run] = task
            task.add_done_callback(lambda task: self._on_writer_done(run, task))

    def _on_writer_done(self, run: OpenRun, task: asyncio.Task[None]) -> None:
        del self._writers[run]
        if not task.cancelled():
            task.result()  # an error that nobody foresaw ends the daemon
        if self._unwritten.get(run):
            self._ensure_writer(run)

    async def _write(self, run: OpenRun) -> None:
        """Append what is finished until nothing is; one run has one writer at a time."""
        while self._unwritten.get(run):
            finished = self._in_writing[run] = self._next_lines(run)
            try:
                await run.manifest.append([item.line for item in finished])
            except OSError as exc:
                self._unwritten[run] = finished + self._unwritten.get(run, [])
                self._rest(run, exc)
                return
            finally:
                del self._in_writing[run]
            self._settle(run, finished)

    def _next_lines(self, run: OpenRun) -> list[Finished]:
        """Take what one append writes: a part of what waits when that is much, so that it fits where little does."""
        waiting = self._unwritten.pop(run)
        nbytes = 0
        for count, item in enumerate(waiting):
            nbytes += len(item.line)
            if nbytes > _APPEND_NBYTES and count:
                self._unwritten[run] = waiting[count:]
                return waiting[:count]
        return waiting

    def _settle(self, run: OpenRun, finished: list[Finished]) -> None:
        if run.trouble is not None:
            log.info("= %s: writing again", run.run_dir)
            run.trouble = None
            self._rests.pop(run, None)
        for item in finished:
            client = item.entry.client
            client.in_flight -= 1
            client.unsettled.discard(item.entry.log.seq)
            for tally in (client.tally, run.tally):
                tally.count(item.ack[1], item.ack[2])
                tally.nbytes += item.nbytes
            if item.write_s is not None:
                client.run.encode_latency.observe(item.encode_s)
                client.run.write_latency.observe(item.write_s)
            self.queued_count -= 1
            self._settled_count += 1
            client.inline_nbytes -= item.entry.inline_nbytes
            if item.entry.on_settled is not None:
                item.entry.on_settled()
            if client.deliver is not None:
                client.deliver(item.ack)
            elif client.idle and item.entry.on_settled is None:
                self._on_left(client)
        run.rates.note(run.tally)
        if not self.queued_count:
            self._idle.set()
        self._on_progress()
