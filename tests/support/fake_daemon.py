"""A daemon that is none: it accepts on a socket and answers every greeting with bytes of the test's choice."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from waiting import scaled_s


@contextlib.contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Listen on ``path``; send ``answer`` to whoever says something, nothing where it is empty."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answer))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            thread.join(scaled_s(10))


def _serve(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(scaled_s(10))
                peer.recv(65536)
                peer.sendall(answer)
                peer.recv(65536)  # until it hangs up
