"""HELLO, ARENA, CONTROL and LOG headers: what passes, what ends the connection, what becomes a failed row."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixlog.errors import ProtocolError
from pixlog.protocol import MAJOR, MINOR, Kind, Limits
from pixlogd.headers import Control, Hello, InArena, InSpill, parse_hello, parse_log
from pixlogd.session import ArenaOffer, Broken, Session, State
from wire_frames import CLIENT, decode, frame, gray_pixels, hello_header, log_header

PIXELS = memoryview(gray_pixels(0))
HUGE = "9" * 100_000


def opened() -> Session:
    """Return a session that is open."""
    session = Session(Limits())
    feed_all(session, frame(Kind.HELLO, hello_header("/run")))
    session.welcome({})
    return session


def feed_all(session: Session, stream: bytes) -> list[Any]:
    """Feed a stream that fits the session's buffer."""
    session.get_buffer()[: len(stream)] = stream
    return list(session.feed(len(stream)))


def test_hello_carries_the_client() -> None:
    """Every field of a sound HELLO is in the event, and the event's header says the same again."""
    header = hello_header("/run", rank=3, local_rank=1, world_size=8, started=77, resume=5, again=True)
    hello = parse_hello(header)
    assert hello == Hello(CLIENT, "/run", 3, 1, 8, "node1", 4242, 77, 5, True)
    assert hello.header() == header
    assert parse_hello(hello.header()) == hello


def test_hello_may_leave_out_what_is_unknown() -> None:
    """Local rank, world size, start time and "again" are optional; unknown fields are ignored."""
    header = hello_header("/run", local_rank=..., world_size=..., started=..., again=..., colour="red")
    hello = parse_hello(header)
    assert (hello.local_rank, hello.world_size, hello.started, hello.again) == (None, None, None, False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"client": ...}, "client is not text of at most 16 characters"),
        ({"client": "xyz"}, "client id 'xyz' is not 16 hexadecimal digits"),
        ({"client": "AAAAAAAAAAAAAAAA"}, "is not 16 hexadecimal digits"),
        ({"client": "../../../../../.."}, "client is not text of at most 16 characters"),
        ({"client": b"00000000000000aa"}, "client is not text"),
        ({"run_dir": ...}, "run_dir is not text of at most 4096 characters"),
        ({"run_dir": "runs/a"}, "run_dir 'runs/a' is not an absolute path"),
        ({"run_dir": "/a\0b"}, "is not an absolute path"),
        ({"run_dir": "/" * 5000}, "run_dir is not text of at most 4096 characters"),
        ({"rank": -1}, "rank is -1, expected a whole number from 0 to 2147483647"),
        ({"rank": True}, "rank is True, expected a whole number"),
        ({"rank": 1 << 31}, "rank is 2147483648, expected a whole number"),
        ({"rank": ...}, "rank is None, expected a whole number"),
        ({"world_size": 2.0}, "world_size is 2.0, expected a whole number"),
        ({"local_rank": "0"}, "local_rank is '0', expected a whole number"),
        ({"host": 5}, "host is not text of at most 256 characters"),
        ({"host": "h" * 257}, "host is not text of at most 256 characters"),
        ({"pid": None}, "pid is None, expected a whole number"),
        ({"resume": 10**12}, f"resume is {10**12}, expected a whole number from 0 to {10**12 - 1}"),
        ({"started": -4}, "started is -4, expected a whole number"),
    ],
)
def test_hello_is_refused(changed: dict[str, Any], message: str) -> None:
    """Each field of the wrong type or size is an error that names the field and what it held."""
    with pytest.raises(ProtocolError, match=re.escape(message)):
        parse_hello(hello_header("/run", **changed))


@pytest.mark.parametrize("version", [None, [], [2, 0], ["1", 0], 1, "1.0", {}])
def test_hello_of_another_version_is_refused_by_name(version: object) -> None:
    """A client of another major version hears both versions, under a code of its own."""
    session = Session(Limits())
    (event,) = feed_all(session, frame(Kind.HELLO, hello_header("/run", version=version)))
    assert isinstance(event, Broken)
    assert f"this daemon speaks protocol {MAJOR}.{MINOR}, the client " in event.message
    (farewell,) = decode(event.farewell)
    assert farewell.header["code"] == "version"


def test_hello_of_a_later_minor_version_is_taken() -> None:
    """Versions that differ after the dot understand each other."""
    assert parse_hello(hello_header("/run", version=[1, 7])).client == CLIENT


@pytest.mark.parametrize(
    ("kind", "header", "message"),
    [
        (Kind.ARENA, {"nbytes": 1}, "arena is None, expected a whole number"),
        (Kind.ARENA, {"arena": -1, "nbytes": 1}, "arena is -1"),
        (Kind.ARENA, {"arena": 0, "nbytes": 1 << 48}, f"nbytes is {1 << 48}, expected"),
        (Kind.LOG, {}, "seq is None, expected a whole number"),
        (Kind.FLUSH, {}, "seq is None, expected a whole number"),
        (Kind.FLUSH, {"seq": 10**12}, f"seq is {10**12}, expected a whole number"),
        (Kind.LOG, log_header(-1), "seq is -1, expected a whole number"),
        (Kind.LOG, {**log_header(0), "seq": 10**12}, f"seq is {10**12}, expected a whole number"),
        (Kind.LOG, {**log_header(0), "seq": 1.0}, "seq is 1.0, expected a whole number"),
    ],
)
def test_frame_that_cannot_be_named_ends_the_session(
    kind: Kind, header: dict[str, Any], message: str
) -> None:
    """An arena or a call without a usable number is a broken protocol: there is nothing to answer to."""
    session = opened()
    (event,) = feed_all(session, frame(kind, header))
    assert isinstance(event, Broken)
    assert message in event.message
    assert session.state is State.CLOSED


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.CONTROL])
def test_greeting_with_a_payload_is_refused(kind: Kind) -> None:
    """Only LOG frames have a payload."""
    header = hello_header("/run") if kind is Kind.HELLO else {"command": "status"}
    (event,) = feed_all(Session(Limits()), frame(kind, header, b"payload"))
    assert isinstance(event, Broken)
    assert event.message == f"{kind.name} with a payload"


def test_arena_with_a_payload_is_refused() -> None:
    """An ARENA frame is its descriptor and two numbers."""
    (event,) = feed_all(opened(), frame(Kind.ARENA, {"arena": 0, "nbytes": 1}, b"payload"))
    assert isinstance(event, Broken)


@pytest.mark.parametrize("command", [None, 7, "c" * 65, ["status"]])
def test_control_without_a_command_is_refused(command: object) -> None:
    """A command is a short text."""
    (event,) = feed_all(Session(Limits()), frame(Kind.CONTROL, {"command": command}))
    assert isinstance(event, Broken)
    assert event.message == "command is not text of at most 64 characters"


def test_control_carries_its_arguments() -> None:
    """The event of a CONTROL frame has the whole header."""
    header = {"command": "recover", "run_dir": "/run"}
    assert feed_all(Session(Limits()), frame(Kind.CONTROL, header)) == [Control("recover", header)]


def test_arena_offer_carries_the_announcement() -> None:
    """An ARENA frame without a descriptor is still an offer: the answer to it says what is missing."""
    assert feed_all(opened(), frame(Kind.ARENA, {"arena": 4, "nbytes": 9})) == [ArenaOffer(4, 9, None)]


def test_log_carries_call_and_place() -> None:
    """A sound call keeps its header; its place is the inline payload, an arena, a spill file or nothing."""
    header = log_header(7)
    log = parse_log(header, PIXELS)
    assert (log.seq, log.key, log.step, log.header) == (7, "k", 7, header)
    assert log.place == PIXELS
    in_arena = parse_log(log_header(7, at=["arena", 1, 64, 24]), None)
    assert in_arena.place == InArena(1, 64, 24)
    name = f"{CLIENT}-0000.frames"
    in_spill = parse_log(log_header(7, at=["spill", name, 300, 24]), None)
    assert in_spill.place == InSpill(name, 300, 24)
    nothing = parse_log(log_header(7, items=[], list=True, buffers=...), None)
    assert nothing.place is None
    for one in (log, in_arena, in_spill, nothing):
        assert "state" not in one.header


def test_log_of_a_call_that_is_over_keeps_its_reason() -> None:
    """A client may report a call that failed or was dropped before it was sent: it has no items."""
    header = log_header(7, items=[], buffers=..., state="dropped", reason="buffer full: 5 bytes did not fit")
    assert parse_log(header, None).header == header


@pytest.mark.parametrize(
    ("changed", "inline", "reason"),
    [
        ({"key": ...}, True, "key is a NoneType, expected str"),
        ({"key": b"k"}, True, "key is a bytes, expected str"),
        ({"step": 1.5}, True, "step is a float, expected int"),
        ({"step": True}, True, "step is a bool, expected int"),
        ({"step": 1 << 63}, True, f"step {1 << 63} is not a signed number of 64 bits"),
        ({"time": 5}, True, "time is a int, expected float"),
        ({"items": {}}, True, "items is a dict, expected list"),
        ({"items": ...}, True, "items is a NoneType, expected list"),
        ({"items": []}, True, "no items, expected one image"),
        ({"items": [7]}, True, "item 7 is not a map with data"),
        ({"items": [{"data": []}]}, True, "item {'data': []} is not a map with data"),
        ({"call": b"x"}, True, "call is a bytes, expected str"),
        ({"contract": 5}, True, "contract is a int, expected str"),
        ({"list": "yes"}, True, "list is a str, expected bool"),
        ({"state": "lost"}, True, "state 'lost', expected failed or dropped"),
        ({"state": "failed", "reason": 5}, True, "reason is a int, expected str"),
        ({"buffers": 5}, True, "buffers is not a list"),
        ({"buffers": [[0, 25]]}, True, "buffer [0, 25] is not within 24 bytes"),
        ({"buffers": [[-1, 5]]}, True, "buffer [-1, 5] is not within 24 bytes"),
        ({"buffers": [[20, -5]]}, True, "buffer [20, -5] is not within 24 bytes"),
        ({"buffers": [[0, 1, 2]]}, True, "buffer [0, 1, 2] is not within 24 bytes"),
        ({"buffers": [[0.0, 1]]}, True, "buffer [0.0, 1] is not within 24 bytes"),
        ({"buffers": [[0, (1 << 64) - 1]]}, True, "is not within 24 bytes"),
        ({}, False, "buffer [0, 24] is not within 0 bytes"),
        ({"at": ["arena", 0, 0, 24]}, True, "LOG with an inline payload and a place elsewhere"),
        ({"at": ["arena", 0, 0]}, False, "payload place ['arena', 0, 0]"),
        ({"at": ["arena", 0, -1, 24]}, False, "payload place ['arena', 0, -1, 24]"),
        ({"at": ["disk", 0, 0, 24]}, False, "payload place ['disk', 0, 0, 24]"),
        ({"at": 5}, False, "payload place 5"),
        ({"at": ["arena", 0, 0, 23]}, False, "buffer [0, 24] is not within 23 bytes"),
        ({"at": ["spill", "../../etc/passwd", 0, 24]}, False, "spill file name '../../etc/passwd'"),
        ({"at": ["spill", f"{CLIENT}-0000.frames\0", 0, 24]}, False, "spill file name"),
        ({"at": ["spill", f"{CLIENT}-0000.frames", 0, 1 << 40]}, False, "payload of 1099511627776 bytes"),
    ],
)
def test_malformed_call_that_has_a_number_becomes_a_failed_one(
    changed: dict[str, Any], inline: bool, reason: str
) -> None:
    """A call that can be named but not understood comes back failed with the reason, itself a sound call now."""
    log = parse_log(log_header(7, **changed), PIXELS if inline else None)
    assert log.seq == 7
    assert log.place is None
    assert log.header["state"] == "failed"
    assert reason in log.header["reason"]
    assert log.header["reason"].startswith("malformed call: ")
    assert parse_log(log.header, None) == log


@pytest.mark.parametrize(
    "header",
    [
        log_header(7, buffers=[[HUGE]]),
        log_header(7, buffers=[HUGE.encode()]),
        log_header(7, buffers=[[[HUGE] * 9] * 9] * 9),
        log_header(7, items=[{"data": HUGE}]),
        log_header(7, at=[HUGE] * 3),
        log_header(7, at=["spill", HUGE, 0, 1]),
        log_header(7, state=HUGE),
    ],
)
def test_reasons_stay_short(header: dict[str, Any]) -> None:
    """A message shows what was got only as far as a reader needs it."""
    assert len(parse_log(header, PIXELS).header["reason"]) < 300


@pytest.mark.parametrize("changed", [{"rank": HUGE}, {"run_dir": "x" * 4000}, {"version": [HUGE] * 50}])
def test_errors_stay_short(changed: dict[str, Any]) -> None:
    """So does the error that ends a connection, which goes over the wire and into the log."""
    with pytest.raises(ProtocolError) as caught:
        parse_hello(hello_header("/run", **changed))
    assert len(str(caught.value)) < 300


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    changed=st.dictionaries(
        st.sampled_from(
            [
                "seq",
                "key",
                "step",
                "time",
                "items",
                "buffers",
                "at",
                "state",
                "reason",
                "call",
                "meta",
                "list",
            ]
        ),
        ODD,
        max_size=4,
    ),
    inline=st.booleans(),
)
def test_any_log_header_is_sound_failed_or_a_protocol_error(changed: dict[str, Any], inline: bool) -> None:
    """Whatever the fields hold, out comes a call whose extents lie inside its payload, a failed one, or an error."""
    try:
        log = parse_log(log_header(7, **changed), PIXELS if inline else None)
    except ProtocolError:
        return
    assert 0 <= log.seq < 10**12
    assert type(log.key) is str
    assert type(log.step) is int
    available = 0 if log.place is None else log.place.nbytes
    assert all(0 <= start <= start + nbytes <= available for start, nbytes in log.header.get("buffers", []))
    assert log.header.get("state") in (None, "failed", "dropped")
