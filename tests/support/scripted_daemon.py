"""A daemon's end of the socket that does what a test says: it keeps, answers, refuses or hangs up, but never saves.

It speaks through the daemon's own session, so that a real client and the real protocol meet in one process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pixlog.errors import ProtocolError
from pixlog.protocol import Header, Kind, Limits, encode_head
from pixlogd.headers import Flush, Hello, InArena, InSpill, Log
from pixlogd.payload import MappedArena
from pixlogd.session import ArenaOffer, Broken, Event, Session, State
from waiting import scaled_s


class ScriptedDaemon:
    """What the client said, in order, and levers for what it hears.

    ``limits`` go into WELCOME.  ``takes_arenas`` is how many arenas are taken before they are refused.  With
    ``acknowledges`` every call is saved at once, otherwise :meth:`acknowledge` says when.  ``greeting`` replaces
    the answer to HELLO: bytes to send before hanging up; ``behind_welcome`` is sent in one breath with WELCOME.
    While ``hears`` is clear nothing more is received.
    """

    def __init__(self) -> None:
        self.limits: Header = {"arenas": 64, "arena_bytes": 1 << 34, "payload_bytes": 1 << 30}
        self.takes_arenas = 64
        self.acknowledges = False
        self.greeting: bytes | None = None
        self.greeting_in_pieces = False
        self.behind_welcome = b""
        self.listening = True
        self.hears = threading.Event()
        self.hears.set()
        self.hellos: list[Hello] = []
        self.logs: list[Log] = []
        self.pixels: dict[int, bytes] = {}
        self.flushes: list[int] = []
        self.broken: list[str] = []
        self._changed = threading.Condition()
        self._connections: list[_Connection] = []

    def dial(self, timeout_s: float) -> socket.socket:
        """Connect a client, as the client's own dialling does."""
        del timeout_s
        if not self.listening:
            raise ConnectionRefusedError
        theirs, ours = socket.socketpair()
        connection = _Connection(self, ours)
        with self._changed:
            self._connections.append(connection)
        connection.thread.start()
        return theirs

    def acknowledge(
        self,
        seqs: Sequence[int],
        state: str = "saved",
        reason: str | None = None,
        *,
        paths: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Acknowledge calls over the last connection."""
        rows = [(seq, state, reason, list(paths), list(notes)) for seq in seqs]
        self.say(encode_head(Kind.ACK, {"rows": rows}))

    def say(self, stream: bytes) -> None:
        """Send bytes over the last connection, if it still stands."""
        with contextlib.suppress(OSError):
            self._connections[-1].sock.sendall(stream)

    def cut(self) -> None:
        """Hang up on the last connection."""
        with contextlib.suppress(OSError):
            self._connections[-1].sock.shutdown(socket.SHUT_RDWR)

    def wait_for_logs(self, count: int) -> list[Log]:
        """Wait until ``count`` calls came over all connections; return them all."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.logs) >= count, scaled_s(20))
            assert came, (
                f"waited for {count} calls, got {[log.seq for log in self.logs]}, broken: {self.broken}"
            )
            return list(self.logs)

    def wait_for_pixels(self, count: int) -> dict[int, bytes]:
        """Wait until the pixels of ``count`` calls came, some perhaps when they were said again; return them."""
        with self._changed:
            came = self._changed.wait_for(lambda: sum(map(bool, self.pixels.values())) >= count, scaled_s(20))
            assert came, (
                f"waited for the pixels of {count} calls, got {sum(map(bool, self.pixels.values()))} of "
                f"{len(self.pixels)} over {len(self.hellos)} connections, broken: {self.broken}"
            )
            return dict(self.pixels)

    def wait_for_hellos(self, count: int) -> list[Hello]:
        """Wait until clients connected ``count`` times."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.hellos) >= count, scaled_s(20))
            return list(self.hellos)

    def close(self) -> None:
        """Hang up on everybody."""
        self.hears.set()
        for connection in self._connections:
            connection.end()

    def _note(self, event: Event, connection: _Connection) -> None:
        with self._changed:
            match event:
                case Hello():
                    self.hellos.append(event)
                case Log():
                    self.logs.append(event)
                    # A connection that was broken off may be read to its end after the next one said all again.
                    self.pixels[event.seq] = connection.pixels_of(event) or self.pixels.get(event.seq, b"")
                case Flush(seq):
                    self.flushes.append(seq)
                case Broken(message):
                    self.broken.append(message)
                case _:
                    pass
            self._changed.notify_all()


class _Connection:
    """One connection, served by a thread of its own."""

    def __init__(self, daemon: ScriptedDaemon, sock: socket.socket) -> None:
        self.sock = sock
        self.arenas: dict[int, MappedArena] = {}
        self.thread = threading.Thread(target=self._serve, name="scripted-daemon", daemon=True)
        self._daemon = daemon
        self._session = Session(Limits())

    def end(self) -> None:
        """Hang up and wait for the thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(scaled_s(10))
        self.sock.close()

    def pixels_of(self, log: Log) -> bytes:
        """Return the payload of a call; nothing of one that lies on disk."""
        match log.place:
            case InArena(arena, offset, nbytes):
                return bytes(self.arenas[arena].slice(offset, nbytes)) if arena in self.arenas else b""
            case InSpill() | None:
                return b""
            case view:
                return bytes(view)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while self._session.state is not State.CLOSED:
                self._daemon.hears.wait()
                buffer = self._session.get_buffer()
                data, descriptors, _, _ = socket.recv_fds(self.sock, min(len(buffer), 1 << 18), 4)
                if not data:
                    break
                buffer[: len(data)] = data
                for event in self._session.feed(len(data), descriptors):
                    self._daemon._note(event, self)
                    self._answer(event)
        for fd in self._session.close():
            os.close(fd)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.arenas.clear()

    def _answer(self, event: Event) -> None:
        daemon = self._daemon
        match event:
            case Hello() if daemon.greeting is not None:
                self._say(daemon.greeting)
                self._session.close()
            case Hello():
                welcome = self._session.welcome(daemon.limits) + daemon.behind_welcome
                for piece in map(bytes, zip(welcome)) if daemon.greeting_in_pieces else [welcome]:
                    self._say(piece)
            case ArenaOffer():
                self._say(encode_head(Kind.ARENA, self._take(event)))
            case Log() if daemon.acknowledges:
                row: list[Any] = [event.seq, "saved", None, [f"media/{event.seq}"], []]
                self._say(encode_head(Kind.ACK, {"rows": [row]}))
            case Broken():
                self._say(event.farewell)
            case _:
                pass

    def _say(self, stream: bytes) -> None:
        with contextlib.suppress(OSError):  # the client is gone; what it said before counts all the same
            self.sock.sendall(stream)

    def _take(self, offer: ArenaOffer) -> Header:
        if len(self.arenas) >= self._daemon.takes_arenas or offer.fd is None:
            if offer.fd is not None:
                os.close(offer.fd)
            return {"arena": offer.arena, "ok": False, "reason": "scripted"}
        try:
            self.arenas[offer.arena] = MappedArena(offer.fd, offer.nbytes)
        except ProtocolError as exc:
            return {"arena": offer.arena, "ok": False, "reason": str(exc)}
        return {"arena": offer.arena, "ok": True, "reason": None}


@contextmanager
def scripted_daemon() -> Iterator[ScriptedDaemon]:
    """Return a scripted daemon and hang up on everybody at the end."""
    daemon = ScriptedDaemon()
    try:
        yield daemon
    finally:
        daemon.close()
