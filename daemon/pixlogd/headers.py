"""The headers of what a client says, checked: who it is, and each call with the place of its payload.

A header comes over a connection, see :mod:`pixlogd.session`, or lies in a spill file, see
:mod:`pixlogd.rundir.spill_files`; what is checked is the same.
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

from pixlog.errors import ProtocolError
from pixlog.protocol import MAJOR, MINOR, Header, Limits

CLIENT_ID = re.compile(r"[0-9a-f]{16}")
_SPILL_NAME = re.compile(r"[0-9a-f]{16}-[0-9]{4,10}\.frames")
_MOST_BUFFERS = 1 << 20
_LARGEST_SEQ = 10**12
"""Numbers end here, as they do for readers of the manifest."""
_MOST_PAYLOAD_NBYTES = Limits().payload_nbytes
_CALL_FIELDS = (("key", str), ("step", int), ("items", list), ("time", float))
_CALL_OPTIONS = (("contract", str), ("list", bool), ("call", str), ("reason", str))


class OtherVersion(ProtocolError):
    """The peer speaks another major version of the protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who connects, to which run.

    ``started`` is when its process began, in clock ticks since boot.  ``resume`` is the lowest number that may
    come; ``again`` says that some may have been sent before.
    """

    client: str
    run_dir: str
    rank: int
    local_rank: int | None
    world_size: int | None
    host: str
    pid: int
    started: int | None
    resume: int
    again: bool

    def header(self) -> Header:
        """Return the header that says the same."""
        return {"version": [MAJOR, MINOR], **asdict(self)}


class InArena(NamedTuple):
    """A payload that lies in an arena."""

    arena: int
    offset: int
    nbytes: int


class InSpill(NamedTuple):
    """A payload that lies in a file of the run directory's ``spill/``."""

    name: str
    offset: int
    nbytes: int


Place: TypeAlias = memoryview | InArena | InSpill | None
"""Where the payload of a call is: here (inline), in an arena, in a spill file, or there is none."""


class Log(NamedTuple):
    """One call, structurally sound: numbers, key and extents are what they should be.

    ``head_nbytes`` is what its header had on the wire.
    """

    seq: int
    key: str
    step: int
    header: Header
    place: Place
    head_nbytes: int = 0


@dataclass(frozen=True, slots=True)
class Flush:
    """Somebody waits for every call up to ``seq``."""

    seq: int


@dataclass(frozen=True, slots=True)
class Control:
    """A command of the ``pixlog`` tool."""

    command: str
    arguments: Header


def parse_hello(header: Header) -> Hello:
    """Check a HELLO header; raises ProtocolError."""
    version = header.get("version")
    if not isinstance(version, list) or not version or version[0] != MAJOR:
        raise OtherVersion(
            f"this daemon speaks protocol {MAJOR}.{MINOR}, the client {_dotted(version)}: upgrade the older one"
        )
    client = _text(header, "client", 16)
    if not CLIENT_ID.fullmatch(client):
        raise ProtocolError(f"client id {_shown(client)} is not 16 hexadecimal digits")
    run_dir = _text(header, "run_dir", 4096)
    if not run_dir.startswith("/") or "\0" in run_dir:
        raise ProtocolError(f"run_dir {_shown(run_dir)} is not an absolute path")
    return Hello(
        client=client,
        run_dir=run_dir,
        rank=_natural(header, "rank", 1 << 31),
        local_rank=_maybe_natural(header, "local_rank"),
        world_size=_maybe_natural(header, "world_size"),
        host=_text(header, "host", 256),
        pid=_natural(header, "pid", 1 << 31),
        started=_maybe_natural(header, "started", _LARGEST_SEQ),
        resume=_natural(header, "resume", _LARGEST_SEQ),
        again=header.get("again") is True,
    )


def parse_arena(header: Header) -> tuple[int, int]:
    """Return the number and the bytes of the arena that an ARENA header offers; raises ProtocolError."""
    return _natural(header, "arena", 1 << 31), _natural(header, "nbytes", 1 << 48)


def parse_flush(header: Header) -> Flush:
    """Check a FLUSH header; raises ProtocolError."""
    return Flush(_natural(header, "seq", _LARGEST_SEQ))


def parse_control(header: Header) -> Control:
    """Check a CONTROL header; raises ProtocolError."""
    return Control(_text(header, "command", 64), header)


def parse_log(
    header: Header,
    payload: memoryview | None,
    most_nbytes: int = _MOST_PAYLOAD_NBYTES,
    head_nbytes: int = 0,
) -> Log:
    """Check the structure of a LOG header against its payload, which may have ``most_nbytes``.

    A call that can be named but not understood comes back as a failed one, so that it gets its row and is not
    sent for ever.  Raises ProtocolError only for one that cannot be named.
    """
    seq = _natural(header, "seq", _LARGEST_SEQ)
    try:
        _check_call(header)
        place = _place(header, payload, most_nbytes)
        _check_extents(header.get("buffers", []), 0 if place is None else place.nbytes)
    except ProtocolError as exc:
        outcome = failed_call(header, f"malformed call: {exc}")
        return Log(seq, outcome["key"], outcome["step"], outcome, None, head_nbytes)
    return Log(seq, header["key"], header["step"], header, place, head_nbytes)


def failed_call(header: Header, reason: str) -> Header:
    """Return the header of a call that failed for ``reason``: of ``header``, what names it and is sound."""
    outcome: Header = {"seq": header["seq"], "key": "", "step": 0, "time": 0.0, "items": []}
    for name, expected in (("key", str), ("step", int), ("time", float), ("call", str)):
        if type(header.get(name)) is expected and (name != "step" or _is_step(header[name])):
            outcome[name] = header[name]
    return {**outcome, "state": "failed", "reason": reason}


def _check_call(header: Header) -> None:
    for name, expected in _CALL_FIELDS:
        value = header.get(name)
        if type(value) is not expected:
            raise ProtocolError(f"{name} is a {type(value).__name__}, expected {expected.__name__}")
    if not _is_step(header["step"]):
        raise ProtocolError(f"step {header['step']} is not a signed number of 64 bits")
    for name, expected in _CALL_OPTIONS:
        value = header.get(name)
        if value is not None and type(value) is not expected:
            raise ProtocolError(f"{name} is a {type(value).__name__}, expected {expected.__name__}")
    state = header.get("state")
    if state is not None and state not in ("failed", "dropped"):
        raise ProtocolError(f"state {_shown(state)}, expected failed or dropped")
    for item in header["items"]:
        if type(item) is not dict or type(item.get("data")) is not dict:
            raise ProtocolError(f"item {_shown(item)} is not a map with data")
    if state is None and not header["items"] and not header.get("list"):
        raise ProtocolError("no items, expected one image")


def _is_step(step: int) -> bool:
    return -(1 << 63) <= step < 1 << 63


def _check_extents(extents: Any, available: int) -> None:
    if not isinstance(extents, list) or len(extents) > _MOST_BUFFERS:
        raise ProtocolError(f"buffers is not a list of at most {_MOST_BUFFERS}")
    for extent in extents:
        if not (_is_extent(extent) and extent[0] + extent[1] <= available):
            raise ProtocolError(f"buffer {_shown(extent)} is not within {available} bytes")


def _is_extent(pair: Any) -> bool:
    """Whether it is an offset and a number of bytes."""
    if type(pair) is not list or len(pair) != 2:
        return False
    offset, nbytes = pair
    return type(offset) is int and type(nbytes) is int and offset >= 0 and nbytes >= 0


def _place(header: Header, payload: memoryview | None, most_nbytes: int) -> Place:
    at = header.get("at")
    if at is None:
        return payload
    if payload is not None:
        raise ProtocolError("LOG with an inline payload and a place elsewhere")
    if type(at) is not list or len(at) != 4 or not _is_extent(at[2:]):
        raise ProtocolError(f"payload place {_shown(at)}")
    kind, where, offset, nbytes = at
    if kind == "arena" and type(where) is int:
        return InArena(where, offset, nbytes)
    if kind != "spill" or type(where) is not str:
        raise ProtocolError(f"payload place {_shown(at)}")
    if not _SPILL_NAME.fullmatch(where):
        raise ProtocolError(f"spill file name {_shown(where)}")
    if nbytes > most_nbytes:
        raise ProtocolError(f"payload of {nbytes} bytes, at most {most_nbytes} are taken")
    return InSpill(where, offset, nbytes)


def _dotted(version: Any) -> str:
    if isinstance(version, list) and 0 < len(version) < 5 and all(type(part) is int for part in version):
        return ".".join(map(str, version))
    return _shown(version)


class _Brief(reprlib.Repr):
    """Shows the beginning of a value, at a cost that does not depend on its size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = self.maxdict = 3
        self.maxlist = 6

    def repr_bytes(self, value: bytes, _: int) -> str:
        return repr(value[:40])

    def repr_ExtType(self, value: Any, _: int) -> str:
        return f"ExtType of {len(value.data)} bytes"


_brief = _Brief()


def _shown(value: Any) -> str:
    text = _brief.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _natural(header: Header, name: str, limit: int) -> int:
    value = header.get(name)
    if type(value) is not int or not 0 <= value < limit:
        raise ProtocolError(f"{name} is {_shown(value)}, expected a whole number from 0 to {limit - 1}")
    return value


def _maybe_natural(header: Header, name: str, limit: int = 1 << 31) -> int | None:
    return None if header.get(name) is None else _natural(header, name, limit)


def _text(header: Header, name: str, limit: int) -> str:
    value = header.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise ProtocolError(f"{name} is not text of at most {limit} characters")
    return value
