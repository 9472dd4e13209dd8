"""The daemon: it listens, opens runs, hands calls to the pipeline, and knows when to end.

    startup → serve → drain → close

Who may listen is seen to in :mod:`pixlogd.listener`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pixlog.errors import RunDirError
from pixlog.protocol import Header
from pixlog.writer_mark import safe_host
from pixlogd.config.settings import Settings
from pixlogd.connection import Connection, ack_wait_s
from pixlogd.descriptors import most_files_at_rest
from pixlogd.headers import Control, Flush, Hello, InArena, InSpill, Log
from pixlogd.listener import Listener
from pixlogd.metrics import MetricsServer
from pixlogd.payload import Payload, SpilledPayload
from pixlogd.pipeline import Pipeline
from pixlogd.priority import step_forward
from pixlogd.regulation import Regulation
from pixlogd.rundir.open_run import ClientRecord, Entry, OpenRun
from pixlogd.rundir.recall import recall
from pixlogd.rundir.recovery import Recovery
from pixlogd.runs_at_rest import RunsAtRest
from pixlogd.session import Event, State
from pixlogd.status import status_of

log = logging.getLogger("pixlogd")

_RAW_NBYTES_PER_S = 400_000_000
"""How fast raw images are taken to reach the page cache of a busy machine."""


class Server:
    """One daemon on one socket."""

    def __init__(self, settings: Settings, socket_path: Path, *, only_run: Path | None, host: str) -> None:
        self.settings = settings
        self.socket_path = socket_path
        self.started = time.monotonic()
        self.runs: dict[Path, OpenRun] = {}
        self.connections: set[Connection] = set()
        self._regulation = Regulation(settings, self.connections)
        self.pipeline = Pipeline(settings, self._on_progress, self._on_left)
        self._only_run = only_run
        self._at_rest = RunsAtRest(self._is_in_use, most=most_files_at_rest())
        self._writer = f"{safe_host(host)}-{os.getpid()}"
        self.recovery = Recovery(self.pipeline, safe_host(host), self._writer)
        self.metrics = MetricsServer(
            settings.metrics,
            lambda: list(self.runs.values()),
            lambda: self.pipeline.worker_processes.count,
        )
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_unexpected)
        self._crash: Exception | None = None
        self._listener = Listener(socket_path, self._on_accepted)
        self._idle_since = time.monotonic()
        self._stop = asyncio.Event()
        self._forced = asyncio.Event()
        self._patient = False
        self._looked_back = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Startup

    def open_run(self, run_dir: Path) -> OpenRun:
        """Return the run at ``run_dir``, opened when it is new here; raises RunDirError."""
        if self._only_run is not None and run_dir != self._only_run:
            raise RunDirError(f"this daemon serves {self._only_run}, not {run_dir}")
        run = self.runs.get(run_dir)
        if run is None:
            self._let_go_of_runs()
            run = self.runs[run_dir] = OpenRun(run_dir, self._writer, self.settings)
            self._spawn(self.recovery.recover(run))
        return run

    def _is_in_use(self, run: OpenRun) -> bool:
        return bool(run.clients) or run.recovery.begun_count > 0 or not self.pipeline.is_done_with(run)

    def _let_go_of_runs(self) -> None:
        """Close the runs that nobody needs any more; a daemon that was started for one run ends instead."""
        if self._only_run is None:
            for run in self._at_rest.due(self.runs.values(), time.monotonic()):
                self._spawn(self._let_go(run))

    async def _let_go(self, run: OpenRun) -> None:
        """Close a run, unless there is more to do in it: what clients spilled that are surely gone by now."""
        await self.recovery.recover(run)
        if self.runs.get(run.run_dir) is run and not self._is_in_use(run):
            del self.runs[run.run_dir]
            await run.close()

    def _on_accepted(self, sock: socket.socket) -> None:
        connection = Connection(sock, self, self.settings)
        uid = connection.peer_uid()
        if uid not in (None, os.getuid()):
            log.warning("! peer of uid %s refused", uid)
            connection.close()
            return
        self.connections.add(connection)
        self._looked_back = False

    # Serving

    @property
    def ack_wait_s(self) -> float:
        """How long an acknowledgement may wait for others."""
        return ack_wait_s(self.settings.ack_interval_ms / 1000, len(self.connections))

    def on_event(self, connection: Connection, event: Event) -> None:
        """Handle one event of a connection's session."""
        match event:
            case Log():
                self._on_log(connection, event)
            case Flush():
                connection.flush(event.seq)
            case Hello():
                self._spawn(self._on_hello(connection, event))
            case Control():
                self._on_control(connection, event)
            case _:
                raise AssertionError(event)

    def on_received(self, connection: Connection) -> None:
        """Start work on what came, and read no more from a client of whom too much waits."""
        self.pipeline.dispatch()
        self._regulation.regulate(connection)

    def on_closed(self, connection: Connection) -> None:
        """Forget a connection; its client's record stays while something of it is here."""
        self.connections.discard(connection)
        self._idle_since = time.monotonic()
        record = connection.record
        if record is not None and record.deliver == connection.acknowledge:
            record.deliver = None
            log.info("x client %s left", record.hello.client)
            if record.idle:
                self._on_left(record)

    def _on_left(self, record: ClientRecord) -> None:
        """Forget a client that is gone and of which nothing is on its way any more, and see what it spilled."""
        recovery = self.recovery.recover(record.run)  # begins now: calls may wait for images of this client
        record.run.forget(record)
        self._spawn(recovery)

    async def _on_hello(self, connection: Connection, hello: Hello) -> None:
        run_dir = Path(hello.run_dir)
        try:
            run = self.open_run(run_dir)
        except RunDirError as exc:
            connection.finish(connection.session.refuse("run-dir", str(exc)))
            return
        if connection.closed:  # there is nobody to let in, but there may be what it left in the spill
            self._spawn(self.recovery.recover(run))
            return
        record = run.client(hello)
        record.deliver = connection.acknowledge
        connection.record = record
        if hello.again:
            try:
                record.recalled = await asyncio.to_thread(recall, run_dir, hello.client, hello.resume)
            except OSError as exc:
                message = f"cannot read the manifest of {run_dir}: {exc.strerror or exc}"
                connection.finish(connection.session.refuse("run-dir", message))
                return
        if connection.session.state is not State.OPENING:  # it said something wrong meanwhile, or is gone
            return
        log.info("= client %s: rank %d, pid %d on %s", hello.client, hello.rank, hello.pid, hello.host)
        connection.welcome(
            {
                "arenas": self.settings.max_arenas,
                "arena_bytes": self.settings.max_arena_bytes,
                "payload_bytes": self.settings.max_payload_bytes,
            }
        )

    def _on_log(self, connection: Connection, event: Log) -> None:
        record = connection.record
        assert record is not None
        if record.recalled and event.seq in record.recalled:
            ack = record.recalled.pop(event.seq)
            record.known.add(event.seq)
            connection.acknowledge(ack)
            return
        try:
            payload = self._payload(connection, record, event)
        except LookupError:
            assert isinstance(event.place, InArena)
            connection.refuse_arena(event.place.arena)
            return
        if record.known.add(event.seq):
            self.pipeline.accept(Entry(record, event, payload))

    def _payload(self, connection: Connection, record: ClientRecord, event: Log) -> Payload:
        """Return where the call's bytes are; raises KeyError when they lie in an arena that is not here."""
        match event.place:
            case InArena(arena, offset, nbytes):
                return connection.arenas[arena].slice(offset, nbytes)
            case InSpill(name, offset, nbytes):
                return SpilledPayload(record.run.run_dir / "spill" / name, offset, nbytes)
            case place:
                return place

    def _let_go_of_the_dead(self) -> None:
        if self._regulation.receive_from_the_dead():
            self.pipeline.dispatch()

    def _on_progress(self) -> None:
        self._idle_since = time.monotonic()
        self._regulation.regulate_paused()

    # Commands

    def _on_control(self, connection: Connection, control: Control) -> None:
        answer: Header
        match control.command:
            case "status":
                answer = status_of(self)
            case "recover":
                run_dir = Path(str(control.arguments.get("run_dir", "")))
                answer = {"run_dir": str(run_dir)}
                if run_dir in self.runs:
                    others = control.arguments.get("of_other_hosts") is True
                    self._spawn(self.recovery.recover(self.runs[run_dir], of_other_hosts=others))
                else:
                    answer["error"] = f"this daemon does not serve {run_dir}"
            case "stop":
                answer = {"pid": os.getpid(), "queued": self.pipeline.queued_count}
                self._patient = True
                self._stop.set()
            case unknown:
                answer = {"error": f"unknown command {unknown!r}, expected 'status', 'recover' or 'stop'"}
        connection.finish(connection.session.reply(answer))

    # Ending

    async def serve(self, *, exit_when_idle: bool) -> None:
        """Serve until told to stop, or, where wanted, until nobody has been here for ``idle_exit_s``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(0.25, self.settings.idle_exit_s or 0.25))
            self._let_go_of_the_dead()
            self._let_go_of_runs()
            if exit_when_idle and self._is_idle() and not self._look_back():
                log.info("x nobody is here any more")
                break
            if exit_when_idle and self._is_out_of_patience():
                log.error(
                    "! %d calls wait for a disk that refuses, and nobody is here: giving up",
                    self.pipeline.queued_count,
                )
                break
        if self._crash is not None:
            raise self._crash

    def _is_idle(self) -> bool:
        if self.connections or self._tasks or not self.pipeline.idle:
            return False
        if time.monotonic() - self._idle_since < self.settings.idle_exit_s:
            return False
        # Whoever connected in this very moment is served.
        self._listener.accept_waiting()
        return not self.connections

    def _is_out_of_patience(self) -> bool:
        """Whether all that is left waits for a disk that has refused for too long since the last client went."""
        if self.connections or self.pipeline.idle or not any(run.trouble for run in self.runs.values()):
            return False
        return time.monotonic() - self._idle_since > self.settings.give_up_s

    def _on_unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End over an error that nobody foresaw: a daemon that goes on without a part of itself would lose images.

        Its traceback is in the log, what it had accepted goes into the spill, and the clients start another.
        """
        exc = context.get("exception")
        if "handle" in context and isinstance(exc, Exception):
            self._crash = self._crash or exc
            self._stop.set()
        else:
            log.error("! %s", context.get("message"), exc_info=exc)

    def _look_back(self) -> bool:
        """Look once more for what clients spilled, now that they are surely gone; return whether it was time to."""
        if self._looked_back:
            return False
        self._looked_back = True
        for run in self.runs.values():
            self._spawn(self.recovery.recover(run))
        return bool(self.runs)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._forced.set()
        step_forward()
        self.pipeline.worker_processes.step_forward()
        log.info("x told to stop")
        self._stop.set()

    async def drain(self) -> None:
        """Let nobody in, write what was accepted as long as the deadline allows, acknowledge it."""
        self._listener.stop()
        self._regulation.receive_the_rest()
        self.pipeline.dispatch()
        drained = asyncio.ensure_future(self.pipeline.drain(self._time_to_encode_s()))
        forced = asyncio.ensure_future(self._forced.wait())
        await asyncio.wait((drained, forced), return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        self._let_go_of_the_dead()
        if not drained.done() or not drained.result():
            log.warning("x %d calls were not written in time", self.pipeline.queued_count)
        drained.cancel()

    def _time_to_encode_s(self) -> float | None:
        """Return the seconds until the spill must begin: the more there is to be written raw, the sooner."""
        if self._patient:
            return None
        raw_nbytes = sum(
            0 if isinstance(entry.payload, SpilledPayload) else entry.nbytes
            for run in self.runs.values()
            for entry in self.pipeline.unwritten(run)
        )
        return max(0.0, self.settings.drain_s - raw_nbytes / _RAW_NBYTES_PER_S)

    async def close(self) -> None:
        """Stop the workers, leave behind what is not written, close every connection and run, give the lock back."""
        for task in self._tasks:
            task.cancel()
        self.pipeline.stop()
        # What is being worked on goes into the spill too: whoever ends this daemon may not wait for it.
        left = [self.recovery.leave(run, self.pipeline.unwritten(run)) for run in self.runs.values()]
        finished = asyncio.ensure_future(self.pipeline.finish())
        spilled = await asyncio.gather(*left, return_exceptions=True)
        await asyncio.wait((finished,))
        if (exc := finished.exception()) is not None:
            log.error("! what the workers had finished was not written down: %s", exc, exc_info=exc)
        for run, paths in zip(self.runs.values(), spilled, strict=True):
            if isinstance(paths, BaseException):
                log.error("! %s: what waited was not spilled: %s", run.run_dir, paths, exc_info=paths)
            elif not self.pipeline.unwritten(run):
                self.recovery.take_back(paths)
        for connection in list(self.connections):
            connection.close()
        for run in self.runs.values():
            await run.close()
        await self.metrics.close()
        self._listener.give_lock_back()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("! %s", exc, exc_info=exc)


async def run_server(
    settings: Settings,
    socket_path: Path,
    *,
    run_dir: Path | None,
    host: str,
    exit_when_idle: bool,
    on_ready: Callable[[], None],
) -> None:
    """Run one daemon from startup to close; ``on_ready`` is called once it listens."""
    server = Server(settings, socket_path, only_run=run_dir, host=host)
    try:
        if run_dir is not None:
            server.open_run(run_dir)
        await server.metrics.start()
        on_ready()
        await server.serve(exit_when_idle=exit_when_idle)
        await server.drain()
    finally:
        await server.close()
