"""One accepted socket: bytes and descriptors into a session, its events to the server, frames back.

Sockets are read with ``recvmsg`` from the event loop's reader callbacks, because neither asyncio's nor uvloop's
transports pass descriptors on.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import select
import socket
from collections import deque
from typing import Protocol

from pixlog.errors import ProtocolError
from pixlog.protocol import Header, Kind, Limits, encode_head
from pixlogd.config.settings import Settings
from pixlogd.descriptors import is_to_spare
from pixlogd.payload import MappedArena
from pixlogd.rundir.open_run import Ack, ClientRecord
from pixlogd.session import ArenaOffer, Broken, Event, Session, State

log = logging.getLogger("pixlogd")

_MOST_DESCRIPTORS_AT_ONCE = 4
_ANCILLARY_NBYTES = socket.CMSG_SPACE(_MOST_DESCRIPTORS_AT_ONCE * array.array("i").itemsize)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # macOS has none, and passes no arenas
_ROUNDS_A_WAKE_UP = 8
_MOST_UNSENT_NBYTES = 4 * 1024 * 1024
_GREETING_S = 10.0
_FAREWELL_S = 10.0
_HANG_UP_S = 2.0
_FEW_CLIENTS = 16
_MOST_INTERVALS = 10.0


def ack_wait_s(interval_s: float, client_count: int) -> float:
    """Return how long an acknowledgement waits for others of its client, so that many clients cost what few do.

    Each frame of them costs a system call here and wakes a thread there.  Where many clients share a daemon, each
    has fewer calls settled in an interval, and without this an image of 64 clients costs a quarter more.
    """
    return interval_s * min(max(1.0, client_count / _FEW_CLIENTS), _MOST_INTERVALS)


class ConnectionOwner(Protocol):
    """What a connection asks of the server."""

    @property
    def ack_wait_s(self) -> float:
        """How long an acknowledgement may wait for others."""

    def on_event(self, connection: Connection, event: Event) -> None:
        """Handle one event of the session."""

    def on_received(self, connection: Connection) -> None:
        """Handle the end of a round of events."""

    def on_closed(self, connection: Connection) -> None:
        """Forget the connection."""


class Connection:
    """The shell around one session."""

    def __init__(self, sock: socket.socket, owner: ConnectionOwner, settings: Settings) -> None:
        self.session = Session(Limits(payload_nbytes=settings.max_payload_bytes))
        self.record: ClientRecord | None = None
        self.arenas: dict[int, MappedArena] = {}
        self.paused = False
        self.closed = False
        self._sock = sock
        self._fd = sock.fileno()
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[memoryview] = deque()
        self._unsent_nbytes = 0
        self._mapped_nbytes = 0
        self._refused: set[int] = set()
        self._acks: list[Ack] = []
        self._awaited_seq = -1
        self._settings = settings
        self._ack_timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._deaf = False
        self._greeting_timer = self._loop.call_later(_GREETING_S, self._on_greeting_late)
        sock.setblocking(False)
        self._loop.add_reader(self._fd, self._on_readable)

    # Receiving

    def pause(self) -> None:
        """Read no more: what the client says waits in the socket, then in the client."""
        if not self.paused and not self.closed:
            self.paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self.paused and not self.closed and not self._closing:
            self.paused = False
            self._loop.add_reader(self._fd, self._on_readable)

    @property
    def is_left(self) -> bool:
        """Whether the client has hung up, which nobody notices while reading is paused."""
        poller = select.poll()
        poller.register(self._fd, 0)  # a hang-up is told without being asked for
        return bool(poller.poll(0))

    def receive_all(self) -> None:
        """Take all that the socket holds, even while reading is paused: the daemon, or the client, is at its end."""
        while self.open and self._receive_once():
            pass

    def _on_readable(self) -> None:
        for _ in range(_ROUNDS_A_WAKE_UP):
            if not self._receive_once() or self.paused or self.closed:
                break
        else:
            # uvloop reports a peer that is gone once and no more: what is not read to its end then is lost.
            self._loop.call_soon(self._read_on)
        self._owner.on_received(self)

    def _read_on(self) -> None:
        if not self.paused and not self.closed:
            self._on_readable()

    def _receive_once(self) -> bool:
        """Receive one buffer's worth and handle it; return whether there was any."""
        buffer = self.session.get_buffer()
        try:
            count, descriptors = self._receive(buffer)
        except BlockingIOError:
            return False
        except OSError as exc:
            log.debug("x %s", exc)
            count = 0
            descriptors = []
        if not count:
            self.close()
            return False
        for event in self.session.feed(count, descriptors):
            self._handle(event)
        return True

    def _receive(self, buffer: memoryview) -> tuple[int, list[int]]:
        count, ancillary, _, _ = self._sock.recvmsg_into([buffer], _ANCILLARY_NBYTES, _CLOSE_ON_EXEC)
        descriptors: list[int] = []
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = array.array("i")
                whole.frombytes(data[: len(data) - len(data) % whole.itemsize])
                descriptors.extend(whole)
        return count, descriptors

    def _handle(self, event: Event) -> None:
        if isinstance(event, Broken):
            log.warning("! %s", event.message)
            self.finish(event.farewell)
        elif isinstance(event, ArenaOffer):
            self._take_arena(event)
        elif not self.closed:
            try:
                self._owner.on_event(self, event)
            except ProtocolError as exc:
                log.warning("! %s", exc)
                self.finish(self.session.refuse("protocol", str(exc)))
            except Exception as exc:  # one client's trouble must not become everybody's
                log.exception("! internal error over %s", type(event).__name__)
                self.finish(self.session.refuse("internal", f"internal error: {type(exc).__name__}: {exc}"))

    def _take_arena(self, offer: ArenaOffer) -> None:
        """Map what is offered, and say whether it can be used."""
        reason: str | None = None
        if offer.fd is None:
            reason = "no descriptor came with it"
        else:
            reason = self._refusal_of(offer)
            if reason is not None:
                os.close(offer.fd)
            else:
                try:
                    self.arenas[offer.arena] = MappedArena(offer.fd, offer.nbytes)
                    self._mapped_nbytes += offer.nbytes
                except ProtocolError as exc:
                    reason = str(exc)
        self._answer_arena(offer.arena, reason)

    def refuse_arena(self, arena: int) -> None:
        """Say, once, that calls in an arena cannot be read; the client sends them inline instead."""
        if arena not in self._refused:
            self._answer_arena(arena, "it was not passed")

    def _answer_arena(self, arena: int, refusal: str | None) -> None:
        if refusal is not None:
            log.warning("! arena %d refused: %s", arena, refusal)
            self._refused.add(arena)
        self.send(encode_head(Kind.ARENA, {"arena": arena, "ok": refusal is None, "reason": refusal}))

    def _refusal_of(self, offer: ArenaOffer) -> str | None:
        most, most_nbytes = self._settings.max_arenas, self._settings.max_arena_bytes
        if offer.arena in self.arenas:
            return f"arena {offer.arena} was passed before"
        if len(self.arenas) >= most:
            return f"a client may pass {most} arenas"
        if self._mapped_nbytes + offer.nbytes > most_nbytes:
            return f"the arenas of a client may have {most_nbytes} bytes together"
        if offer.fd is not None and not is_to_spare(offer.fd):
            return "the daemon has no descriptor to spare"
        return None

    # Sending

    def send(self, frame: bytes) -> None:
        """Send a frame without blocking; a client that does not read its own is no longer read."""
        if self.closed or self._deaf:
            return
        if not self._unsent:
            try:
                count = self._sock.send(frame)
            except BlockingIOError:
                count = 0
            except OSError:
                self._on_deaf()
                return
            if count == len(frame):
                return
            self._loop.add_writer(self._fd, self._on_writable)
        else:
            count = 0
        self._unsent.append(memoryview(frame)[count:])
        self._unsent_nbytes += len(frame) - count

    @property
    def congested(self) -> bool:
        """Whether the client leaves so much unread that it should not be served for now."""
        return self._unsent_nbytes > _MOST_UNSENT_NBYTES

    def acknowledge(self, ack: Ack) -> None:
        """Send an acknowledgement, together with others of the next moment."""
        self._acks.append(ack)
        if len(self._acks) >= self._settings.ack_batch or self._is_last_awaited(ack[0]):
            self._send_acks()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(self._owner.ack_wait_s, self._send_acks)

    def flush(self, seq: int) -> None:
        """Let acknowledgements wait no more once every call up to ``seq`` has its row."""
        self._awaited_seq = max(self._awaited_seq, seq)
        if self._is_last_awaited(seq):
            self._send_acks()

    def _is_last_awaited(self, seq: int) -> bool:
        """Whether somebody waits for this call, and no call that is waited for is unsettled any more."""
        awaited = self._awaited_seq
        if seq > awaited:
            return False
        assert self.record is not None
        return not any(unsettled <= awaited for unsettled in self.record.unsettled)

    def welcome(self, limits: Header) -> None:
        """Let the client in, and send what it was to hear before."""
        self.send(self.session.welcome(limits))
        self._send_acks()

    def _send_acks(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self._acks and self.open:
            frame = encode_head(Kind.ACK, {"rows": self._acks})
            self._acks = []
            self.send(frame)

    def _on_writable(self) -> None:
        try:
            while self._unsent:
                view = self._unsent[0]
                count = self._sock.send(view)
                self._unsent_nbytes -= count
                if count < len(view):
                    self._unsent[0] = view[count:]
                    return
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._on_deaf()
            self._owner.on_received(self)
            return
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._hang_up()
        else:
            self._owner.on_received(self)

    def _on_deaf(self) -> None:
        """Send no more to a client that has died, but read to its end what it said before: it was accepted."""
        self._deaf = True
        self._unsent.clear()
        self._unsent_nbytes = 0
        self._loop.remove_writer(self._fd)
        if self._closing:
            self.close()

    # Ending

    def _on_greeting_late(self) -> None:
        if self.session.state is State.GREETING:
            log.warning("! a peer said nothing whole for %g s", _GREETING_S)
            self.close()

    def finish(self, farewell: bytes) -> None:
        """Send a last frame, then close, whether or not the peer reads it."""
        self.send(farewell)
        self._closing = True
        self.pause()
        if not self._unsent:
            self._hang_up()
        elif not self.closed:
            self._greeting_timer.cancel()
            self._greeting_timer = self._loop.call_later(_FAREWELL_S, self._on_farewell_late)

    def _on_farewell_late(self) -> None:
        log.warning("! a peer did not read its farewell for %g s", _FAREWELL_S)
        self.close()

    def _hang_up(self) -> None:
        """End our half, and take no notice of what still comes: closing now would take the farewell back."""
        if self.closed:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._loop.add_reader(self._fd, self._discard)
        self._greeting_timer.cancel()
        self._greeting_timer = self._loop.call_later(_HANG_UP_S, self.close)

    def _discard(self) -> None:
        try:
            while self._sock.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close the socket; the calls that lie in its arenas keep those mapped until they are done."""
        if self.closed:
            return
        self._send_acks()
        self.closed = True
        self._greeting_timer.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        for descriptor in self.session.close():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.arenas.clear()
        self._owner.on_closed(self)

    def peer_uid(self) -> int | None:
        """Return the uid of the peer, None where the system does not tell."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        credentials = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[4:8], "little")

    @property
    def open(self) -> bool:
        """Whether a client logs over it."""
        return self.session.state is State.OPEN and not self.closed
