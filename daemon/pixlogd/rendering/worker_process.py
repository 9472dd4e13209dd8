"""A worker process as its daemon sees it: started, given batches over two lanes, and seen to its end.

Theory of operation
    A lane is a socket and a piece of memory; one batch at a time is on it.  Two lanes lead to each process: while the
    daemon writes the files of one batch, which still lie in the lane, the process works on the batch of the other.
    Which of the two is ready the process finds out by itself, so nothing is shared between the daemon's threads.

    A process that is gone, or does not get on with a call, is told by :class:`WorkerGone`.  It holds nothing that
    is not here as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from pixlog.errors import PixlogError
from pixlog.protocol import Buffer, Header, pack, unpack
from pixlog.sealed_memory import sealed_memfd
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering.exchange import (
    LANE_NBYTES,
    NOTHING,
    PIXELS_AT,
    LaneMemory,
    pack_call,
    receive_message,
    send_message,
    unpack_rendered,
)
from pixlogd.rendering.render import Rendered

LANES_A_PROCESS: Final = 2
_LOOK_EVERY_S: Final = 5.0
_STUCK_S: Final = 60.0
_REAP_S: Final = 5.0
_HELD_BACK: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CRASHES: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class WorkerGone(Exception):
    """A worker process has ended with a batch.

    ``how`` says what ended it; ``number`` is the call that did, None when it was somebody from outside.
    """

    def __init__(self, how: str, number: int | None) -> None:
        super().__init__(how)
        self.how = how
        self.number = number


class Lane:
    """One of the ways to a worker process; used by one thread at a time."""

    def __init__(self, process: WorkerProcess, sock: socket.socket, memory: LaneMemory) -> None:
        self.process = process
        self.memory = memory
        self._sock = sock
        sock.settimeout(_STUCK_S)
        self._poller = select.poll()
        self._poller.register(sock, select.POLLIN)

    def render(
        self, calls: Sequence[tuple[Header, Sequence[memoryview], EncodeDefaults] | None]
    ) -> list[tuple[Rendered, float] | None]:
        """Have calls rendered; return of each the rendering and the seconds that it took.

        None for a call that is None, does not fit, or could not be rendered there.  What is returned lies in the
        lane until the next batch.  Raises WorkerGone.
        """
        sent, numbers = self._pack(calls)
        results: list[tuple[Rendered, float] | None] = [None] * len(calls)
        if not sent:
            return results
        self.memory.mark(NOTHING)
        try:
            send_message(self._sock, pack(sent))
            answers = self._wait()
        except (OSError, PixlogError):
            answers = None
        if answers is None or len(answers) != len(sent):
            how, crashed = self.process.end()
            marked = self.memory.marked
            raise WorkerGone(how, numbers[marked] if crashed and marked < len(numbers) else None)
        for number, packed in zip(numbers, answers, strict=True):
            if packed is not None:
                results[number] = unpack_rendered(packed, self.memory)
        return results

    def _pack(
        self, calls: Sequence[tuple[Header, Sequence[memoryview], EncodeDefaults] | None]
    ) -> tuple[list[bytes], list[int]]:
        sent, numbers = [], []
        end = PIXELS_AT
        for number, call in enumerate(calls):
            if call is None:
                continue
            header, views, defaults = call
            placed = self.memory.put_pixels(views, end)
            if placed is None:
                continue
            try:
                sent.append(pack_call(header, placed[0], defaults))
            except Exception:  # rendered here, where its trouble is told
                continue
            end = placed[1]
            numbers.append(number)
        return sent, numbers

    def _wait(self) -> list[Buffer | None] | None:
        """Wait for the answer; None when none will come."""
        marked, since = self.memory.marked, time.monotonic()
        while not self._poller.poll(_LOOK_EVERY_S * 1000):
            if self.memory.marked != marked:
                marked, since = self.memory.marked, time.monotonic()
            elif time.monotonic() - since > _STUCK_S:
                return None
        message = receive_message(self._sock)
        return None if message is None else unpack(message)

    def receive_word(self) -> bool:
        """Wait for the word that the process is ready; False when it does not come."""
        try:
            return receive_message(self._sock) is not None
        except OSError:
            return False

    def close(self) -> None:
        """Let the process see the end of the stream, and give the memory back; nobody may be using the lane."""
        self._sock.close()
        self.memory.close()


class WorkerProcess:
    """One worker process.  Made by the main thread, whose end would end it."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """Start it; raises OSError when that cannot be.  ``command`` is what is started in the place of a worker."""
        self._lock = threading.Lock()
        self._how: tuple[str, bool] | None = None
        self.lanes: list[Lane] = []
        theirs: list[int] = []
        try:
            for _ in range(LANES_A_PROCESS):
                theirs.append(sealed_memfd("pixlog-lane", LANE_NBYTES))
                memory = LaneMemory(theirs[-1])
                our_sock, their_sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                self.lanes.append(Lane(self, our_sock, memory))
                theirs.append(their_sock.detach())
            self._popen = _start(
                [*(command or _worker_command()), str(os.getpid()), *map(str, theirs)], theirs
            )
        except BaseException:
            for lane in self.lanes:
                lane.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self.pid = self._popen.pid

    def wait_until_ready(self) -> bool:
        """Wait until it can be given batches; False when it ended before, and then it is seen to its end."""
        ready = self.lanes[0].receive_word()
        if not ready:
            self.close()
        return ready

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self._how is not None or self._popen.poll() is not None

    def kill(self) -> None:
        """End it now, without waiting."""
        self._popen.kill()

    def end(self) -> tuple[str, bool]:
        """End it if it has not ended; return what did end it, and whether that was a crash of its own."""
        with self._lock:
            if self._how is None:
                self._popen.kill()
                try:
                    code = self._popen.wait(_REAP_S)
                except subprocess.TimeoutExpired:  # in the kernel's hands
                    return "a system call that does not end", False
                name = _signal_name(-code) if code < 0 else f"exit code {code}"
                self._how = (name, code > 0 or -code in _CRASHES)
        return self._how

    def close(self) -> None:
        """Let it end by itself, and wait until it has; raises nothing."""
        for lane in self.lanes:
            lane.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(1.0)
        self.end()


def _signal_name(number: int) -> str:
    """Return the name of a signal; most real-time ones have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _worker_command() -> list[str]:
    return [sys.executable, "-P", "-m", "pixlogd.rendering.worker"]


def _start(command: Sequence[str], fds: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a process that gets no signal of the job's before it has said what it does with them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
            cwd="/",
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # whose threads have memory of their own
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
