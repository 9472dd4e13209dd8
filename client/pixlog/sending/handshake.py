"""The first words with a daemon: HELLO, what it answers, and the frames that come in one breath with that."""

from __future__ import annotations

import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pixlog.errors import ConnectError, PixlogError, RunDirError, VersionMismatch
from pixlog.protocol import MAJOR, MINOR, Frame, FrameDecoder, Header, Kind, encode_head

_SEND_BUFFER_NBYTES: Final = 4 * 1024 * 1024


class ReceivedFrames:
    """The frames of one connection; ``early`` are those that came before anybody listened for more."""

    def __init__(self) -> None:
        self.early: deque[Frame] = deque()
        self._decoder = FrameDecoder()

    def begin_anew(self) -> None:
        """Forget the last connection."""
        self.early.clear()
        self._decoder = FrameDecoder()

    def receive(self, sock: socket.socket) -> tuple[int, list[Frame]]:
        """Receive once; return how many bytes there were, 0 at the end of the stream, and the frames in them."""
        count = sock.recv_into(self._decoder.get_buffer())
        return count, self._decoder.feed(count) if count else []

    def receive_one(self, sock: socket.socket, deadline: float) -> Frame:
        """Wait for the next frame; raises EOFError, and TimeoutError after ``deadline``."""
        while not self.early:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            count, frames = self.receive(sock)
            if not count:
                raise EOFError("the daemon closed the connection")
            self.early.extend(frames)
        return self.early.popleft()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a daemon said in its WELCOME: how much it takes, by name, and the minor version of its protocol."""

    limits: Header = field(default_factory=dict)
    minor: int = 0


def greet(sock: socket.socket, frames: ReceivedFrames, hello: Header, deadline: float) -> Terms:
    """Say ``hello`` over a fresh connection and be welcomed.

    Raises ConnectError or one of its kinds where the daemon refuses or is none that this client understands, OSError,
    EOFError and ProtocolError where the connection does not stand or says what is no frame.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_NBYTES)
    frames.begin_anew()
    sock.sendall(encode_head(Kind.HELLO, hello))
    frame = frames.receive_one(sock, deadline)
    if frame.kind is Kind.ERROR:
        raise _refusal(frame.header)
    if frame.kind is not Kind.WELCOME:
        raise ConnectError(f"the daemon answered HELLO with {frame.kind.name}, expected WELCOME")
    version = frame.header.get("version")
    if not isinstance(version, list) or not version or version[0] != MAJOR:
        raise VersionMismatch(
            f"this client speaks protocol {MAJOR}.{MINOR}, the daemon {version}: upgrade the older one and "
            f"restart the daemon with  pixlog stop"
        )
    limits = frame.header.get("limits", {})
    if not isinstance(limits, dict) or any(type(limit) is not int for limit in limits.values()):
        raise ConnectError(f"the daemon's limits are {limits!r}, expected whole numbers by name")
    minor = version[1] if len(version) > 1 else 0
    return Terms(limits, minor if type(minor) is int else 0)


def _refusal(header: Header) -> PixlogError:
    message = str(header.get("message", "the daemon refused the connection without saying why"))
    kinds = {"version": VersionMismatch, "run-dir": RunDirError}
    return kinds.get(str(header.get("code")), ConnectError)(message)
