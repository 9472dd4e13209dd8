"""The socket that a daemon listens on: one daemon has it, and whoever connects is let in as long as there is room.

The socket's lock is held for life: a second daemon for the same socket gives up at once, and a socket that nobody
holds the lock of is stale and may be removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from pixlog.errors import PixlogError
from pixlog.rendezvous import dial
from pixlogd.descriptors import is_to_spare

log = logging.getLogger("pixlogd")

_BACKLOG = 1024
_PREDECESSOR_S = 20.0
_PREDECESSOR_POLL_S = 0.02
_ACCEPTS_A_WAKE_UP = 64
_REST_S = 0.1
_TROUBLE_EVERY_S = 10.0


class AlreadyServed(PixlogError):
    """Another daemon listens on the socket."""


class Listener:
    """The lock, the socket, and who waits to be accepted; ``on_accepted`` takes each connection.

    Made within a running loop; raises AlreadyServed, and OSError where the socket cannot be bound.
    """

    def __init__(self, socket_path: Path, on_accepted: Callable[[socket.socket], None]) -> None:
        self._socket_path = socket_path
        self._on_accepted = on_accepted
        self._loop = asyncio.get_running_loop()
        self._refused_at = float("-inf")
        self._lock_fd = _take_lock(socket_path)
        self._sock = self._listen()

    def _listen(self) -> socket.socket:
        """Bind the socket; what lies there is stale, for the lock is ours."""
        with contextlib.suppress(FileNotFoundError):
            self._socket_path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(self._socket_path))
        self._socket_path.chmod(0o600)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self.accept_waiting)
        return sock

    def accept_waiting(self) -> None:
        """Accept who waits now, some at a time."""
        for _ in range(_ACCEPTS_A_WAKE_UP):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._rest(exc.strerror or str(exc))
                return
            if not is_to_spare(sock.fileno()):
                sock.close()
                self._rest("no descriptor to spare for another client")
                return
            self._on_accepted(sock)

    def _rest(self, reason: str) -> None:
        """Rest from accepting: who waits to be accepted would wake the loop again at once."""
        if time.monotonic() - self._refused_at > _TROUBLE_EVERY_S:
            log.error("! accept: %s; trying again", reason)
            self._refused_at = time.monotonic()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_REST_S, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self.accept_waiting)

    def stop(self) -> None:
        """Let nobody in any more, and remove the socket; the lock stays."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        with contextlib.suppress(FileNotFoundError):
            self._socket_path.unlink()

    def give_lock_back(self) -> None:
        """Let the next daemon begin; the last thing that a daemon does."""
        os.close(self._lock_fd)


def _take_lock(socket_path: Path) -> int:
    """Take the socket's lock for life; a daemon that no longer listens but still writes is waited for."""
    fd = os.open(socket_path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _PREDECESSOR_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            listening = dial(socket_path, 1.0)
            if listening is not None:
                listening.close()
            if listening is not None or time.monotonic() > deadline:
                os.close(fd)
                raise AlreadyServed(f"another daemon serves {socket_path}") from None
            time.sleep(_PREDECESSOR_POLL_S)
