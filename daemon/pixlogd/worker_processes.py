"""When there are worker processes, and how many: none, until small images have come too fast for one interpreter.

Theory of operation
    Rendering a small picture holds the interpreter's lock for most of its time, so that two threads are no faster
    than one.  Processes are; but each takes memory, and a start, for which a training that logs an image now and then
    has no use.  Hence they are started once calls of that kind have waited without a pause for ``_PRESSURE_S``, and
    end when they have had nothing to do for ``_IDLE_S``.  Threads work on until they are there, and whenever they
    cannot be.

Everything here runs on the event loop's thread, which is the process's main one: a worker ends with the thread that
started it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pixlogd.config.settings import Settings
from pixlogd.priority import step_forward
from pixlogd.rendering.worker_process import LANES_A_PROCESS, Lane, WorkerGone, WorkerProcess

log = logging.getLogger("pixlogd")

_MOST: Final = 8
_PRESSURE_S: Final = 1.0
_IDLE_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0
_REST_FIRST_S: Final = 1.0
_REST_MOST_S: Final = 60.0
_LAST_BATCH_S: Final = 1.0
_MOST_FAILED_STARTS: Final = 3
_START_AGAIN_S: Final = 1.0


class WorkerProcesses:
    """The worker processes of a daemon.  ``on_change`` is called when there are more or fewer than before."""

    def __init__(self, settings: Settings, on_change: Callable[[], None]) -> None:
        wanted = min(_MOST, settings.encode_workers)
        may_be = settings.encode_processes == "auto" and sys.platform == "linux" and wanted > 1
        self._wanted = wanted if may_be else 0
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._ready: list[WorkerProcess] = []
        self._idle_lanes: list[Lane] = []
        # Of their own: the loop's threads, which write the manifest, may be fewer than the processes waited for.
        self._waiting = ThreadPoolExecutor(max(1, self._wanted), thread_name_prefix="pixlogd-start")
        self._starting: dict[asyncio.Future[bool], WorkerProcess] = {}
        self._ended: list[WorkerProcess] = []
        self._pressed_since: float | None = None
        self._rest_s = _REST_FIRST_S
        self._rest_until = 0.0
        self._failed_starts = 0  # in a row, since there was the last one
        self._start_again: asyncio.TimerHandle | None = None
        self._used_at = 0.0
        self._look: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def most_lanes(self) -> int:
        """Batches that can be on their way to worker processes at once."""
        return max(1, self._wanted * LANES_A_PROCESS)

    @property
    def count(self) -> int:
        """Worker processes that can be given batches."""
        return len(self._ready)

    def take_lane(self, most_busy: int) -> Lane | None:
        """Return the lane of the process with the least to do, None when ``most_busy`` lanes are busy or all are."""
        busy_count = self.count * LANES_A_PROCESS - len(self._idle_lanes)
        if not self._idle_lanes or busy_count >= most_busy:
            return None
        free = [lane.process for lane in self._idle_lanes]
        lane = max(self._idle_lanes, key=lambda lane: free.count(lane.process))
        self._idle_lanes.remove(lane)
        self._used_at = time.monotonic()
        return lane

    def give_back(self, lane: Lane, gone: WorkerGone | None) -> None:
        """Take a lane back when its batch is done; ``gone`` says that its process has ended meanwhile."""
        if gone is not None:
            self._drop(lane.process, gone.how)
        if lane.process in self._ready:
            self._idle_lanes.append(lane)
            self._used_at = time.monotonic()
        else:
            lane.close()

    def note_pressure(self) -> None:
        """Hear that calls wait which worker processes could take; start them when that has been so for long."""
        if len(self._ready) + len(self._starting) >= self._wanted:
            return
        now = time.monotonic()
        if self._pressed_since is None:
            self._pressed_since = now
        elif now - self._pressed_since > _PRESSURE_S and now >= self._rest_until:
            while len(self._ready) + len(self._starting) < self._wanted and self._start():
                pass

    def note_relief(self) -> None:
        """Hear that nothing waits."""
        self._pressed_since = None

    def ensure_one(self) -> bool:
        """Return whether there is a worker process, or may soon be one, which ``on_change`` tells of.

        One is started where there is none, and again when that fails; False after ``_MOST_FAILED_STARTS`` in a row.
        """
        if self._ready or self._starting or self._start_again is not None:
            return True
        if not self._wanted or self._closed:
            return False
        if not self._failed_starts and self._start():
            return True
        if self._failed_starts >= _MOST_FAILED_STARTS:
            return False
        self._start_again = self._loop.call_later(_START_AGAIN_S, self._on_start_again)
        return True

    def step_forward(self) -> None:
        """Be as important as anybody."""
        for process in self._ready:
            step_forward(process.pid)

    def stop(self) -> None:
        """Start no more; what has been handed over may be finished, but is not waited for without an end."""
        self._closed = True
        if self._start_again is not None:
            self._start_again.cancel()
        self._loop.call_later(_LAST_BATCH_S, self._kill_all)

    async def close(self) -> None:
        """End every worker process and see it to its end."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
        starting = dict(self._starting)
        for process in starting.values():
            process.kill()
        await asyncio.gather(*starting, return_exceptions=True)
        self._waiting.shutdown(wait=False)
        everyone = [*self._ready, *starting.values(), *self._ended]
        self._ready, self._ended, self._idle_lanes = [], [], []
        await asyncio.gather(*(asyncio.to_thread(process.close) for process in everyone))

    def _kill_all(self) -> None:
        for process in self._ready:
            process.kill()

    def _start(self) -> bool:
        """Start one; return whether that went well so far."""
        if self._closed:
            return False
        try:
            process = WorkerProcess()
        except OSError as exc:
            self._on_failed(exc.strerror or str(exc))
            return False
        future = self._loop.run_in_executor(self._waiting, process.wait_until_ready)
        self._starting[future] = process
        future.add_done_callback(self._on_started)
        return True

    def _on_started(self, future: asyncio.Future[bool]) -> None:
        process = self._starting.pop(future)
        if self._closed:
            return
        if future.cancelled() or not future.result():
            self._on_failed(f"ended by {process.end()[0]} before it was ready")
        else:
            self._failed_starts = 0
            self._ready.append(process)
            self._idle_lanes += process.lanes
            self._used_at = time.monotonic()
            log.info("= worker process %d", process.pid)
            if self._look is None:
                self._look = self._loop.call_later(_LOOK_EVERY_S, self._look_after)
        self._on_change()

    def _on_failed(self, reason: str) -> None:
        if not self._failed_starts:
            log.warning("! no worker process: %s; threads encode instead", reason)
        self._failed_starts += 1
        self._rest()

    def _on_start_again(self) -> None:
        self._start_again = None
        if not (self._ready or self._starting):
            self._start()
        self._on_change()

    def _rest(self) -> None:
        self._rest_until = time.monotonic() + self._rest_s
        self._rest_s = min(2 * self._rest_s, _REST_MOST_S)

    def _drop(self, process: WorkerProcess, how: str) -> None:
        """Give no more to a process that has ended, or is about to."""
        if process not in self._ready:
            return
        log.warning("! worker process %d was ended by %s; its calls are rendered again", process.pid, how)
        self._ready.remove(process)
        for lane in [lane for lane in self._idle_lanes if lane.process is process]:
            self._idle_lanes.remove(lane)
            lane.close()
        self._ended.append(process)
        self._failed_starts = 0
        self._rest()
        self._on_change()

    def _look_after(self) -> None:
        """See to processes that ended while they had nothing to do, and end those that have had nothing for long."""
        for process in [process for process in self._ready if process.has_ended]:
            self._drop(process, process.end()[0])
        self._ended = [process for process in self._ended if not process.has_ended]
        now = time.monotonic()
        all_idle = len(self._idle_lanes) == self.count * LANES_A_PROCESS
        if all_idle and now - self._used_at > _IDLE_S:
            for process in self._ready:
                log.info("x worker process %d had nothing to do", process.pid)
                for lane in process.lanes:
                    lane.close()
            self._ended += self._ready
            self._ready, self._idle_lanes = [], []
            self._rest_s = _REST_FIRST_S
            self._on_change()
        again = self._ready or self._ended
        self._look = self._loop.call_later(_LOOK_EVERY_S, self._look_after) if again else None
