"""The daemon's conversation, walked through every pair of state and frame."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlog.protocol import MAJOR, MINOR, Kind, Limits
from pixlogd.headers import Control, Flush, Hello, Log
from pixlogd.session import TRANSITIONS, ArenaOffer, Broken, Event, Session, State
from wire_frames import decode, frame, gray_pixels, hello_header, log_header, split_at

SOUND_FRAMES = {
    Kind.HELLO: frame(Kind.HELLO, hello_header("/run")),
    Kind.WELCOME: frame(Kind.WELCOME, {"version": [1, 0], "limits": {}}),
    Kind.ERROR: frame(Kind.ERROR, {"code": "protocol", "message": "m", "version": [1, 0]}),
    Kind.ARENA: frame(Kind.ARENA, {"arena": 0, "nbytes": 4096}),
    Kind.LOG: frame(Kind.LOG, log_header(0), gray_pixels(0)),
    Kind.ACK: frame(Kind.ACK, {"rows": []}),
    Kind.CONTROL: frame(Kind.CONTROL, {"command": "status"}),
    Kind.REPLY: frame(Kind.REPLY, {}),
    Kind.FLUSH: frame(Kind.FLUSH, {"seq": 0}),
}
EVENT_TYPES = {
    Kind.HELLO: Hello,
    Kind.ARENA: ArenaOffer,
    Kind.LOG: Log,
    Kind.CONTROL: Control,
    Kind.FLUSH: Flush,
}


def feed(session: Session, stream: bytes, descriptors: tuple[int, ...] = ()) -> list[Event]:
    """Feed a session, one buffer after the other; the descriptors come with the first."""
    events: list[Event] = []
    while stream:
        buffer = session.get_buffer()
        count = min(len(buffer), len(stream))
        buffer[:count] = stream[:count]
        events += session.feed(count, descriptors)
        stream, descriptors = stream[count:], ()
    return events


def session_in(state: State) -> Session:
    """Return a session that was led into a state."""
    session = Session(Limits())
    if state in (State.OPENING, State.OPEN):
        feed(session, SOUND_FRAMES[Kind.HELLO])
    if state is State.OPEN:
        session.welcome({})
    if state is State.CONTROLLED:
        feed(session, SOUND_FRAMES[Kind.CONTROL])
    if state is State.CLOSED:
        session.close()
    assert session.state is state
    return session


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_session_takes_what_the_table_names_and_nothing_else(state: State, kind: Kind) -> None:
    """Each pair of the table is one event and the next state; each other pair ends the session with a reason."""
    session = session_in(state)
    events = feed(session, SOUND_FRAMES[kind])
    following = TRANSITIONS.get((state, kind))
    if following is not None:
        assert session.state is following
        (event,) = events
        assert isinstance(event, EVENT_TYPES[kind])
    elif state is State.CLOSED:
        assert events == []
    else:
        assert session.state is State.CLOSED
        (event,) = events
        assert isinstance(event, Broken)
        assert event.message == f"{kind.name} is not expected while the session is {state.value}"


def test_transitions_name_only_what_a_client_may_say() -> None:
    """No kind that only a daemon says is in the table, and nothing leads out of a closed session."""
    assert {kind for _, kind in TRANSITIONS} == EVENT_TYPES.keys()
    assert State.CLOSED not in {state for state, _ in TRANSITIONS}


def test_session_is_closed_for_good_after_an_error() -> None:
    """After one broken frame nothing that follows is an event any more, however sound."""
    session = session_in(State.OPEN)
    events = feed(session, SOUND_FRAMES[Kind.LOG] + b"garbage of more than sixteen bytes")
    assert isinstance(events[-1], Broken)
    assert session.state is State.CLOSED
    assert feed(session, SOUND_FRAMES[Kind.LOG] * 3) == []


@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_what_was_said_before_an_error_counts_under_any_splits(cuts: list[int]) -> None:
    """Calls before the first wrong byte are events, wherever the stream was cut on its way."""
    session = session_in(State.OPEN)
    stream = b"".join(frame(Kind.LOG, log_header(seq), gray_pixels(seq)) for seq in range(5)) + b"\0" * 40
    events = [event for piece in split_at(stream, cuts) for event in feed(session, piece)]
    assert [event.seq for event in events[:-1] if isinstance(event, Log)] == [0, 1, 2, 3, 4]
    assert isinstance(events[-1], Broken)


@pytest.mark.parametrize("kind", [Kind.HELLO, Kind.CONTROL], ids=lambda kind: kind.name)
def test_greeting_with_garbage_behind_it_is_an_error_alone(kind: Kind) -> None:
    """A greeting and what breaks the protocol, received at once, are one error: nobody is let in or answered."""
    (event,) = feed(Session(Limits()), SOUND_FRAMES[kind] + b"garbage of more than sixteen bytes")
    assert isinstance(event, Broken)


def test_farewell_says_what_was_wrong() -> None:
    """The last frame that a broken session sends is an ERROR with a code, the reason and the daemon's version."""
    (event,) = feed(session_in(State.GREETING), b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(event, Broken)
    (farewell,) = decode(event.farewell)
    assert farewell.kind is Kind.ERROR
    assert farewell.header == {"code": "protocol", "message": event.message, "version": [MAJOR, MINOR]}


def test_session_refuses_with_a_code() -> None:
    """Refusing a client closes the session and names a code that the client can tell apart."""
    session = session_in(State.OPENING)
    (said,) = decode(session.refuse("run-dir", "cannot write /run"))
    assert (said.kind, said.header["code"], said.header["message"]) == (
        Kind.ERROR,
        "run-dir",
        "cannot write /run",
    )
    assert session.state is State.CLOSED


def test_session_welcomes_and_replies_once() -> None:
    """WELCOME carries version and limits and opens; REPLY carries the answer and closes."""
    session = session_in(State.OPENING)
    (said,) = decode(session.welcome({"arenas": 3}))
    assert (said.kind, said.header) == (Kind.WELCOME, {"version": [MAJOR, MINOR], "limits": {"arenas": 3}})
    assert session.state is State.OPEN
    session = session_in(State.CONTROLLED)
    (said,) = decode(session.reply({"pid": 1}))
    assert (said.kind, said.header) == (Kind.REPLY, {"pid": 1})
    assert session.state is State.CLOSED


def test_session_hands_descriptors_to_arenas_in_order() -> None:
    """Descriptors belong to the ARENA frames in the order they came, also when they came early."""
    session = session_in(State.OPEN)
    assert feed(session, SOUND_FRAMES[Kind.LOG], (70, 71)) != []
    offers = feed(session, SOUND_FRAMES[Kind.ARENA] * 3)
    assert [offer.fd for offer in offers if isinstance(offer, ArenaOffer)] == [70, 71, None]
    assert session.close() == []


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_session_returns_descriptors_that_nobody_took(state: State) -> None:
    """Descriptors that no ARENA frame claimed come back when the session is closed, in any state, and once."""
    session = session_in(state)
    session.feed(0, (70, 71, 72))
    assert session.close() == [70, 71, 72]
    assert session.close() == []


def test_session_refuses_a_heap_of_descriptors() -> None:
    """More descriptors than frames could name end the session, and all of them come back."""
    session = session_in(State.OPEN)
    events: list[Event] = []
    for first in itertools.count(100, 4):
        events = session.feed(0, tuple(range(first, first + 4)))
        if events:
            break
    (event,) = events
    assert isinstance(event, Broken)
    assert "descriptors that no frame names" in event.message
    left = session.close()
    assert left == list(range(100, 100 + len(left)))
    assert len(left) <= 12
