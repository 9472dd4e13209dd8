"""``python -m pixlogd.rendering.worker``: renders what the daemon hands over, in an interpreter of its own.

It has no disk and no state, and whoever ends it loses nothing.  It ends with its daemon: at the end of the stream
between batches, and by the kernel's hand wherever else it may be.  Signals that go to the whole job are the daemon's
to answer, which has images to bring home with its help.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pixlog.protocol import pack, unpack
from pixlogd.allocator import keep_freed_memory
from pixlogd.rendering.exchange import (
    NOTHING,
    LaneMemory,
    pack_rendered,
    receive_message,
    send_message,
    unpack_call,
)
from pixlogd.rendering.render import render

READY: Final = b"ready"
_THE_DAEMONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
_OOM_SCORE: Final = "500"
_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000


def main() -> None:
    """Serve the lanes named by the arguments: the daemon's pid, then a memory and a socket's descriptor for each."""
    for number in _THE_DAEMONS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _THE_DAEMONS)  # held back by the daemon until now
    parent, *fds = map(int, sys.argv[1:])
    _end_with(parent)
    with contextlib.suppress(
        OSError
    ):  # of two that hold images and one that does not, memory is taken from that
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    keep_freed_memory()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    lanes = [
        (socket.socket(fileno=sock_fd), LaneMemory(memory_fd))
        for memory_fd, sock_fd in zip(fds[::2], fds[1::2], strict=True)
    ]
    with contextlib.suppress(OSError):
        send_message(lanes[0][0], READY)
        _serve(lanes)


def _end_with(parent: int) -> None:
    """Have the kernel end this process with its daemon, whose main thread started it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _serve(lanes: Sequence[tuple[socket.socket, LaneMemory]]) -> None:
    poller = select.poll()
    by_fd = {sock.fileno(): (sock, memory) for sock, memory in lanes}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            sock, memory = by_fd[fd]
            request = receive_message(sock)
            if request is None:
                return
            send_message(sock, answer(request, memory))


def answer(request: bytes | bytearray, memory: LaneMemory) -> bytes:
    """Render every call of a request; one that cannot be rendered is None in the answer."""
    answers: list[bytes | None] = []
    memory.begin_files()
    for number, call in enumerate(unpack(request)):
        memory.mark(number)
        began = time.perf_counter()
        try:
            rendered = render(*unpack_call(call, memory))
            answers.append(pack_rendered(rendered, memory, time.perf_counter() - began))
        except Exception:  # the daemon renders it again, and says what is wrong
            answers.append(None)
    memory.mark(NOTHING)
    return pack(answers)


if __name__ == "__main__":
    main()
