"""One connection as a state machine: bytes and descriptors in, events out; no socket and no clock.

    GREETING ── HELLO ──► OPENING ── welcome() ──► OPEN ── ARENA, LOG, LOG, FLUSH, ...
        │                    └────── refuse() ───► CLOSED
        └────── CONTROL ──► CONTROLLED ── reply() ──► CLOSED

Whatever the table below does not name is an error of the peer: the session says why and is closed for good.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pixlog.errors import ProtocolError
from pixlog.protocol import MAJOR, MINOR, Frame, FrameDecoder, Header, Kind, Limits, encode_head
from pixlogd.headers import (
    Control,
    Flush,
    Hello,
    Log,
    OtherVersion,
    parse_arena,
    parse_control,
    parse_flush,
    parse_hello,
    parse_log,
)

_MOST_DESCRIPTORS_WAITING = 8


class State(enum.Enum):
    """Where a conversation stands."""

    GREETING = "greeting"
    OPENING = "opening"
    OPEN = "open"
    CONTROLLED = "controlled"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[State, Kind], State] = {
    (State.GREETING, Kind.HELLO): State.OPENING,
    (State.GREETING, Kind.CONTROL): State.CONTROLLED,
    (State.OPEN, Kind.ARENA): State.OPEN,
    (State.OPEN, Kind.LOG): State.OPEN,
    (State.OPEN, Kind.FLUSH): State.OPEN,
}
"""What a peer may say in which state; a missing pair is a protocol error."""


@dataclass(frozen=True, slots=True)
class ArenaOffer:
    """A descriptor that claims to be an arena of ``nbytes``; whoever takes the event owns it."""

    arena: int
    nbytes: int
    fd: int | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The peer broke the protocol; ``farewell`` is the last frame to send before closing."""

    message: str
    farewell: bytes


Event: TypeAlias = Hello | ArenaOffer | Log | Flush | Control | Broken


class Session:
    """The daemon's side of one connection."""

    def __init__(self, limits: Limits) -> None:
        self.state = State.GREETING
        self._limits = limits
        self._decoder = FrameDecoder(limits)
        self._descriptors: deque[int] = deque()

    @property
    def payload_nbytes_held(self) -> int:
        """Bytes allocated for a payload that is still arriving."""
        return self._decoder.payload_nbytes_held

    def get_buffer(self) -> memoryview:
        """Return where the next bytes are to be received."""
        return self._decoder.get_buffer()

    def feed(self, nbytes: int, descriptors: Sequence[int] = ()) -> list[Event]:
        """Account for received bytes and the descriptors that came with them; return what they mean.

        The session owns a descriptor until an event hands it over; :meth:`close` returns those left.
        """
        if self.state is State.CLOSED:
            self._descriptors.extend(descriptors)
            return []
        events: list[Event] = []
        try:
            self._descriptors.extend(descriptors)
            if len(self._descriptors) > _MOST_DESCRIPTORS_WAITING:
                raise ProtocolError(f"{len(self._descriptors)} descriptors that no frame names")
            for frame in self._decoder.feed(nbytes):
                events.append(self._receive(frame))
            self._decoder.check()
        except ProtocolError as exc:
            self.state = State.CLOSED
            code = "version" if isinstance(exc, OtherVersion) else "protocol"
            # A greeting that cannot be answered any more is none.
            events = [event for event in events if not isinstance(event, (Hello, Control))]
            events.append(Broken(str(exc), _error(code, str(exc))))
        return events

    def welcome(self, limits: Header) -> bytes:
        """Open the session; return the frame that says so."""
        assert self.state is State.OPENING
        self.state = State.OPEN
        return encode_head(Kind.WELCOME, {"version": [MAJOR, MINOR], "limits": limits})

    def refuse(self, code: str, message: str) -> bytes:
        """Close the session; return the frame that says why."""
        self.state = State.CLOSED
        return _error(code, message)

    def reply(self, answer: Header) -> bytes:
        """Answer a command and close the session."""
        assert self.state is State.CONTROLLED
        self.state = State.CLOSED
        return encode_head(Kind.REPLY, answer)

    def close(self) -> list[int]:
        """Close the session; return the descriptors that nobody took."""
        self.state = State.CLOSED
        left = list(self._descriptors)
        self._descriptors.clear()
        return left

    def _receive(self, frame: Frame) -> Event:
        following = TRANSITIONS.get((self.state, frame.kind))
        if following is None:
            raise ProtocolError(f"{frame.kind.name} is not expected while the session is {self.state.value}")
        event = self._parse(frame)
        self.state = following
        return event

    def _parse(self, frame: Frame) -> Event:
        if frame.payload is not None and frame.kind is not Kind.LOG:
            raise ProtocolError(f"{frame.kind.name} with a payload")
        match frame.kind:
            case Kind.HELLO:
                return parse_hello(frame.header)
            case Kind.ARENA:
                return self._parse_arena(frame.header)
            case Kind.CONTROL:
                return parse_control(frame.header)
            case Kind.FLUSH:
                return parse_flush(frame.header)
            case _:
                most_nbytes = self._limits.payload_nbytes
                return parse_log(frame.header, frame.payload, most_nbytes, frame.head_nbytes)

    def _parse_arena(self, header: Header) -> ArenaOffer:
        arena, nbytes = parse_arena(header)
        return ArenaOffer(arena, nbytes, self._descriptors.popleft() if self._descriptors else None)


def _error(code: str, message: str) -> bytes:
    return encode_head(Kind.ERROR, {"code": code, "message": message, "version": [MAJOR, MINOR]})
