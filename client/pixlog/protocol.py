"""The wire: every byte that client and daemon exchange, and no socket.

Frame
    ======  ====  =======================================================================
    offset  size  field (big-endian)
    ======  ====  =======================================================================
    0       2     magic ``b"PX"``
    2       1     protocol version, major
    3       1     kind, one of :class:`Kind`
    4       4     head_nbytes: bytes of the body before the payload
    8       8     payload_nbytes: bytes of the inline payload, 0 when there is none
    16      ...   body, ``head_nbytes + payload_nbytes`` bytes
    ======  ====  =======================================================================

    The body is one plain msgpack value: ``[header]``, or ``[header, payload]`` where ``header`` is a map and
    ``payload`` a *bin 32* whose bytes end the body.  A sender therefore gathers ``[head, pixels]`` without
    joining them, and a receiver takes the pixels straight into a buffer of their size.

Payload
    A LOG frame describes one call: its ``buffers`` are ``[offset, nbytes]`` pairs within one payload.  Where
    the payload lies is said by the header's ``at``: absent, it is inline; ``["arena", id, offset, nbytes]``,
    in a sealed memfd that an ARENA frame passed before; ``["spill", name, offset, nbytes]``, in a file of
    the run directory's ``spill/``.

Conversation
    ``HELLO`` → ``WELCOME`` or ``ERROR``; then any number of ``ARENA`` and ``LOG`` from the client, ``ARENA``
    and ``ACK`` from the daemon.  A connection may instead open with ``CONTROL`` and get one ``REPLY``.
    Descriptors travel as ``SCM_RIGHTS`` of the first byte of the ARENA frame that names them.

Limits are checked when the prelude is read, before anything is allocated.
"""

from __future__ import annotations

import enum
import struct
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgpack
import numpy as np

from pixlog.errors import ProtocolError
from pixlog.log_tail import TAIL_COUNT, TAIL_NBYTES, pack_tail, unpack_tail

MAJOR = 1
MINOR = 1
MAGIC = b"PX"

PRELUDE = struct.Struct(">2sBBIQ")
_BIN32 = struct.Struct(">BI")
_MAP16 = struct.Struct(">BH")
_FIXMAP = [bytes([0x80 | count]) for count in range(16)]
_MOST_KNOWN = 256
_LONGEST_KNOWN_NBYTES = 1024
_RECEIVE_NBYTES = 256 * 1024

Header: TypeAlias = dict[str, Any]
Buffer: TypeAlias = bytes | bytearray | memoryview


class Kind(enum.IntEnum):
    """What a frame says."""

    HELLO = 1
    WELCOME = 2
    ERROR = 3
    ARENA = 4
    LOG = 5
    ACK = 6
    CONTROL = 7
    REPLY = 8
    FLUSH = 9


_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest frame that a receiver takes, in bytes."""

    head_nbytes: int = 64 * 1024 * 1024
    payload_nbytes: int = 2 * 1024 * 1024 * 1024


LIMITS = Limits()
"""What no receiver goes beyond, whatever it is set to."""


class Frame(NamedTuple):
    """One frame as received; ``payload`` is None unless it came inline.

    ``head_nbytes`` is what the header had on the wire: unpacked it takes several times as much.
    """

    kind: Kind
    header: Header
    payload: memoryview | None = None
    head_nbytes: int = 0


def unpack(data: Buffer) -> Any:
    """Unpack one msgpack value; raises ProtocolError on anything else."""
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
    except Exception as exc:  # its own, ValueError, RecursionError, TypeError for an unhashable key, ...
        raise ProtocolError(f"body is not msgpack: {type(exc).__name__}: {exc}") from exc


@dataclass(slots=True)
class PackedMap:
    """The entries of a header, packed but for those that are known last; see :func:`encode_head_of`.

    ``log_opening`` is how the frames of :func:`encode_log_in_arena` begin, once there was one.
    """

    count: int
    entries: bytes
    log_opening: bytes = b""


_packers = threading.local()


def pack(value: object) -> bytes:
    """Pack plain values; raises TypeError (with the type's name), ValueError or OverflowError.

    Each thread keeps its packer: making one takes longer than packing a header.  While one is in use nobody else
    finds it, not even a destructor that logs, and one that gave up is not kept: it holds what it packed by then.
    """
    packer = getattr(_packers, "packer", None)
    if packer is None:
        packer = msgpack.Packer(unicode_errors="surrogatepass")
    _packers.packer = None
    packed: bytes = packer.pack(value)
    _packers.packer = packer
    return packed


def pack_map(header: Header) -> PackedMap:
    """Pack a header of fewer than 65,000 entries so that more can be added without packing it again."""
    packed = pack(header)
    count = len(header)
    return PackedMap(count, packed[1:] if count < 16 else packed[3:])


def encode_head_of(kind: Kind, packed: PackedMap, last: Header, payload_nbytes: int = 0) -> bytes:
    """As :func:`encode_head`, for a header whose entries are those of ``packed`` and of ``last``."""
    more = pack_map(last)
    count = packed.count + more.count
    opening = _FIXMAP[count] if count < 16 else _MAP16.pack(0xDE, count)
    if payload_nbytes:
        bin32 = _BIN32.pack(0xC6, payload_nbytes)
        head = b"".join((b"\x92", opening, packed.entries, more.entries, bin32))
    else:
        head = b"".join((b"\x91", opening, packed.entries, more.entries))
    return PRELUDE.pack(MAGIC, MAJOR, kind, len(head), payload_nbytes) + head


def encode_log_in_arena(
    packed: PackedMap, step: int, time_s: float, seq: int, arena: int, offset: int, nbytes: int
) -> bytes:
    """As :func:`encode_head_of`, for a LOG frame of one buffer in an arena and nothing else to say: half as dear."""
    if not packed.log_opening:
        count = packed.count + TAIL_COUNT
        head = b"\x91" + (_FIXMAP[count] if count < 16 else _MAP16.pack(0xDE, count)) + packed.entries
        packed.log_opening = PRELUDE.pack(MAGIC, MAJOR, Kind.LOG, len(head) + TAIL_NBYTES, 0) + head
    return packed.log_opening + pack_tail(step, time_s, seq, arena, offset, nbytes)


def encode_head(kind: Kind, header: Header, payload_nbytes: int = 0) -> bytes:
    """Everything of a frame but its payload bytes, which the sender appends as they lie."""
    return encode_head_of(kind, pack_map(header), {}, payload_nbytes)


def decode_head(head: bytes, *, inline: bool = False) -> Header:
    """Return the header of a frame that :func:`encode_head` made, with an ``inline`` payload or without one."""
    header: Header = unpack(head[PRELUDE.size + 1 : -_BIN32.size if inline else None])
    return header


def _untouched(nbytes: int) -> memoryview:
    """Allocate without touching: a peer that announces much and sends little costs address space only."""
    return memoryview(np.empty(nbytes, np.uint8))  # type: ignore[arg-type]


class FrameDecoder:
    """Turn received bytes into frames; the caller asks where to receive, then says how much came.

    Small frames share one scratch buffer, so one system call may bring hundreds.  A payload gets its own
    allocation of exactly its size, and the rest of it is received in place.

    What many headers have in common is unpacked once: their parts may be shared, and are not to be changed.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or LIMITS
        self._scratch = _untouched(_RECEIVE_NBYTES)
        self._start = 0
        self._end = 0
        self._payload: memoryview | None = None
        self._payload_filled = 0
        self._waiting: tuple[Kind, Header] | None = None
        self._head_nbytes = 0
        self._failure: ProtocolError | None = None
        self._known: dict[bytes, Header] = {}

    @property
    def idle(self) -> bool:
        """Whether the stream stands at a frame boundary."""
        return self._waiting is None and self._start == self._end

    @property
    def payload_nbytes_held(self) -> int:
        """Bytes allocated for a payload that is still arriving."""
        return 0 if self._payload is None else len(self._payload)

    def get_buffer(self) -> memoryview:
        """Return where the next bytes belong; never empty."""
        if self._payload is not None:
            return self._payload[self._payload_filled :]
        return self._scratch[self._end :]

    def feed(self, nbytes: int) -> list[Frame]:
        """Account for ``nbytes`` written into the last :meth:`get_buffer`; return the frames now complete.

        Raises ProtocolError; the decoder is unusable from then on.  Frames that were complete before what is wrong
        are returned first: :meth:`check` raises then, as does the next call.
        """
        self.check()
        frames: list[Frame] = []
        if self._payload is not None:
            self._payload_filled += nbytes
            if self._payload_filled < len(self._payload):
                return frames
            frames.append(self._finish_payload())
            return frames
        self._end += nbytes
        try:
            while (frame := self._next_frame()) is not None:
                frames.append(frame)
            self._make_room()
        except ProtocolError as exc:
            self._failure = exc
        if not frames:
            self.check()
        return frames

    def check(self) -> None:
        """Raise the ProtocolError that the last feed met behind the frames that it returned, if any."""
        if self._failure is not None:
            raise self._failure

    def feed_bytes(self, data: Buffer) -> list[Frame]:
        """Feed bytes that were received elsewhere, such as those of a file."""
        frames: list[Frame] = []
        view = memoryview(data)
        while view:
            buffer = self.get_buffer()
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            frames += self.feed(count)
            view = view[count:]
        return frames

    def _finish_payload(self) -> Frame:
        assert self._waiting is not None
        assert self._payload is not None
        kind, header = self._waiting
        frame = Frame(kind, header, self._payload.toreadonly(), self._head_nbytes)
        self._waiting = self._payload = None
        self._payload_filled = 0
        return frame

    def _next_frame(self) -> Frame | None:
        available = self._end - self._start
        if available < PRELUDE.size:
            return None
        kind, head_nbytes, payload_nbytes = self._read_prelude()
        body = self._start + PRELUDE.size
        if available - PRELUDE.size < head_nbytes:
            return None
        head = self._scratch[body : body + head_nbytes]
        header = self._read_plain_log(head) if kind is Kind.LOG and not payload_nbytes else None
        if header is None:
            header = self._read_head(head, payload_nbytes)
        self._start = body + head_nbytes
        if not payload_nbytes:
            return Frame(kind, header, None, head_nbytes)
        self._waiting = (kind, header)
        self._head_nbytes = head_nbytes
        self._payload = _untouched(payload_nbytes)
        count = min(self._end - self._start, payload_nbytes)
        self._payload[:count] = self._scratch[self._start : self._start + count]
        self._start += count
        self._payload_filled = count
        return self._finish_payload() if count == payload_nbytes else None

    def _read_prelude(self) -> tuple[Kind, int, int]:
        magic, major, kind, head_nbytes, payload_nbytes = PRELUDE.unpack_from(self._scratch, self._start)
        if magic != MAGIC:
            raise ProtocolError(f"frame begins with {magic!r}, expected {MAGIC!r}")
        known = _KINDS.get(kind)
        if major != MAJOR and known not in (Kind.HELLO, Kind.WELCOME, Kind.ERROR, Kind.CONTROL, Kind.REPLY):
            raise ProtocolError(f"frame of protocol version {major}, expected {MAJOR}")
        if known is None:
            raise ProtocolError(f"frame of unknown kind {kind}")
        if head_nbytes > self._limits.head_nbytes:
            raise ProtocolError(
                f"header of {head_nbytes} bytes, at most {self._limits.head_nbytes} are taken"
            )
        if payload_nbytes > self._limits.payload_nbytes:
            raise ProtocolError(
                f"payload of {payload_nbytes} bytes, at most {self._limits.payload_nbytes} are taken"
            )
        return known, head_nbytes, payload_nbytes

    def _read_plain_log(self, head: memoryview) -> Header | None:
        """Return a header that ends as :mod:`pixlog.log_tail` says; None for any other."""
        if not 2 <= len(head) - TAIL_NBYTES <= _LONGEST_KNOWN_NBYTES or head[0] != 0x91:
            return None
        tail = unpack_tail(head)
        if tail is None:
            return None
        opening = bytes(head[1:-TAIL_NBYTES])
        known = self._known.get(opening)
        if known is None:
            count = opening[0] - 0x80 - TAIL_COUNT
            if not 0 <= count < 16:
                return None
            try:
                known = unpack(_FIXMAP[count] + opening[1:])
            except ProtocolError:
                return None  # what looked like the tail is a part of something longer
            if len(known) != count or not known.keys().isdisjoint(tail):
                return None
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[opening] = known
        return known | tail

    def _read_head(self, head: memoryview, payload_nbytes: int) -> Header:
        if payload_nbytes:
            if len(head) < 1 + _BIN32.size or head[0] != 0x92:
                raise ProtocolError("body with a payload is not a msgpack array of two")
            tag, length = _BIN32.unpack_from(head, len(head) - _BIN32.size)
            if tag != 0xC6 or length != payload_nbytes:
                raise ProtocolError(f"payload is not a bin 32 of {payload_nbytes} bytes")
            header = unpack(head[1 : -_BIN32.size])
        else:
            if len(head) < 1 or head[0] != 0x91:
                raise ProtocolError("body without a payload is not a msgpack array of one")
            header = unpack(head[1:])
        if not isinstance(header, dict):
            raise ProtocolError(f"header is a {type(header).__name__}, expected a map")
        return header

    def _make_room(self) -> None:
        """Move the unread tail to the front, in a scratch buffer that can hold the frame it belongs to."""
        tail = self._end - self._start
        needed = _RECEIVE_NBYTES
        if tail >= PRELUDE.size:
            _, head_nbytes, _ = self._read_prelude()
            needed = max(needed, PRELUDE.size + head_nbytes)
        if tail == 0 and len(self._scratch) == needed:
            self._start = self._end = 0
            return
        if len(self._scratch) != needed:
            scratch = _untouched(needed)
            scratch[:tail] = self._scratch[self._start : self._end]
            self._scratch = scratch
        elif self._start:
            self._scratch[:tail] = bytes(self._scratch[self._start : self._end])
        self._start, self._end = 0, tail
