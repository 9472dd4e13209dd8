"""A client that says exactly what a test tells it to, frame by frame, over a real socket."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from memfds import sealed_memfd
from pixlog.protocol import Frame, FrameDecoder, Header, Kind
from waiting import scaled_s
from wire_frames import frame, gray_pixels, hello_header, log_header


class RawPeer:
    """One connection to a daemon."""

    def __init__(self, socket_path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(scaled_s(20))
        try:
            self.sock.connect(str(socket_path))
        except BaseException:
            self.sock.close()
            raise
        self._decoder = FrameDecoder()
        self._frames: deque[Frame] = deque()
        self._arenas: dict[int, int] = {}

    def __enter__(self) -> RawPeer:
        """Return the peer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection and the arenas."""
        self.close()

    def close(self) -> None:
        """Close the connection and the arenas."""
        self.sock.close()
        for fd in self._arenas.values():
            os.close(fd)
        self._arenas.clear()

    # Saying

    def say(self, stream: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, the descriptors with the first of them."""
        if descriptors:
            count = socket.send_fds(self.sock, [stream], list(descriptors))
            stream = stream[count:]
        self.sock.sendall(stream)

    def say_until_stuck(self, frames: Iterable[bytes], *, stuck_s: float = 1.0) -> tuple[int, bytes]:
        """Send frames until the daemon has read none for a while; return how many were begun, and the rest of the last.

        A daemon that is only slow may be taken for one that is stuck; it goes on reading when the rest is said.
        """
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        timeout_s = self.sock.gettimeout()
        self.sock.setblocking(False)
        try:
            count = 0
            for one in frames:
                count += 1
                rest = memoryview(one)
                while rest:
                    if not poller.poll(stuck_s * 1000):
                        return count, bytes(rest)
                    rest = rest[self.sock.send(rest) :]
            return count, b""
        finally:
            self.sock.settimeout(timeout_s)

    def greet(self, run_dir: Path, **changed: Any) -> Frame:
        """Say HELLO; return what the daemon answers."""
        self.say(frame(Kind.HELLO, hello_header(run_dir, **changed)))
        return self.hear()

    def pass_arena(self, arena: int, fd: int, nbytes: int) -> Header:
        """Pass a descriptor as an arena; return the daemon's answer."""
        self.say(frame(Kind.ARENA, {"arena": arena, "nbytes": nbytes}), [fd])
        before: list[Frame] = []
        while (answer := self.hear()).kind is not Kind.ARENA:
            before.append(answer)
        self._frames.extendleft(reversed(before))
        return answer.header

    def log(self, seq: int, payload_way: str = "inline", **changed: Any) -> None:
        """Log one small gray image, its pixels inline or in an arena that is passed first."""
        pixels = gray_pixels(seq)
        if payload_way == "inline":
            self.say(frame(Kind.LOG, log_header(seq, **changed), pixels))
            return
        if 0 not in self._arenas:
            self._arenas[0] = sealed_memfd(nbytes=1 << 20)
            assert self.pass_arena(0, self._arenas[0], 1 << 20)["ok"]
        offset = 64 * (seq % 16384)
        os.pwrite(self._arenas[0], pixels, offset)
        self.say(frame(Kind.LOG, log_header(seq, at=["arena", 0, offset, len(pixels)], **changed)))

    # Hearing

    def hear(self) -> Frame:
        """Return the next frame; EOFError when the daemon hung up."""
        while not self._frames:
            count = self.sock.recv_into(self._decoder.get_buffer())
            if not count:
                raise EOFError("the daemon hung up")
            self._frames.extend(self._decoder.feed(count))
        return self._frames.popleft()

    def has_more(self, timeout_s: float) -> bool:
        """Whether the daemon says more than was heard within so many seconds; leaves it unheard."""
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        return bool(self._frames or poller.poll(timeout_s * 1000))

    def wait_for_more(self) -> None:
        """Wait until the daemon has said more than was heard, and leave it unheard."""
        assert self.has_more(scaled_s(20))

    def hear_acks(self, count: int) -> dict[int, list[Any]]:
        """Return the acknowledgements of ``count`` calls by number; one that comes twice must say the same."""
        acks: dict[int, list[Any]] = {}
        while len(acks) < count:
            said = self.hear()
            assert said.kind is Kind.ACK, said
            for row in said.header["rows"]:
                assert acks.get(row[0], row) == row
                acks[row[0]] = row
        return acks

    def hear_end(self) -> list[Frame]:
        """Return every frame until the daemon hangs up."""
        frames: list[Frame] = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                frames.append(self.hear())
        return frames
