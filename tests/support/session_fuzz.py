"""Hostile conversations through the sans-I/O session: what must hold whatever is said."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

from hostile import Chunk, conversation
from pixlog.protocol import Kind, Limits
from pixlogd.headers import Control, Hello, Log, parse_log
from pixlogd.session import ArenaOffer, Broken, Event, Session, State
from sound_frames import MOST_PAYLOAD_NBYTES
from wire_frames import decode

LIMITS = Limits(payload_nbytes=MOST_PAYLOAD_NBYTES)


@dataclass(slots=True)
class SessionReport:
    """What came of many conversations."""

    inputs: int = 0
    seconds: float = 0.0
    events: Counter[str] = field(default_factory=Counter)

    def add(self, other: SessionReport) -> None:
        """Add what another process found."""
        self.inputs += other.inputs
        self.seconds += other.seconds
        self.events += other.events

    def __str__(self) -> str:
        events = ", ".join(f"{count} {name}" for name, count in sorted(self.events.items()))
        return f"{events} in {self.seconds:.0f} s of work"


def fuzz_session(seed: int, count: int, first: int = 0) -> SessionReport:
    """Hold conversations ``first`` to ``first + count`` of a seed; AssertionError names the one that went wrong."""
    report = SessionReport()
    started = time.perf_counter()
    for number in range(first, first + count):
        try:
            _Listener(report).listen(seed, number)
        except Exception as exc:
            raise AssertionError(f"{type(exc).__name__}: {exc}\n{again(seed, number)}") from exc
        report.inputs += 1
    report.seconds = time.perf_counter() - started
    return report


def again(seed: int, number: int) -> str:
    """Return how to repeat one conversation."""
    return (
        f"conversation {number} of seed {seed}; alone with  "
        f"PIXLOG_TEST_SEED={seed} PIXLOG_TEST_FIRST={number} PIXLOG_FAULT_REPEATS=1 pytest tests/fuzz"
    )


class _Listener:
    """One session, and what it owes at any moment."""

    def __init__(self, report: SessionReport) -> None:
        self._report = report
        self._session = Session(LIMITS)
        self._numbers = itertools.count(1000)
        self._handed: list[int] = []
        self._taken: list[int] = []
        self._broken = False

    def listen(self, seed: int, number: int) -> None:
        talk = conversation(seed, number, "/run")
        if talk.greeting is not None:
            self._feed(Chunk(talk.greeting))
        for chunk in talk.chunks:
            self._feed(chunk)
        left = self._session.close()
        assert sorted(self._taken + left) == self._handed, "a descriptor was lost or doubled"
        assert self._session.close() == []

    def _feed(self, chunk: Chunk) -> None:
        descriptors = [next(self._numbers) for _ in chunk.descriptors]
        self._handed += descriptors
        if self._broken:
            assert self._session.feed(0, descriptors) == []
            return
        view = memoryview(chunk.data)
        while (view or descriptors) and not self._broken:
            buffer = self._session.get_buffer()
            assert len(buffer) > 0
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            events = self._session.feed(count, descriptors)
            view, descriptors = view[count:], []
            for event in events:
                self._hear(event)
            assert self._session.payload_nbytes_held <= MOST_PAYLOAD_NBYTES

    def _hear(self, event: Event) -> None:
        assert not self._broken, "an event after the end"
        self._report.events[type(event).__name__] += 1
        match event:
            case Hello():
                assert self._session.state is State.OPENING
                self._session.welcome({})
            case Control():
                self._session.reply({})
            case ArenaOffer(arena, nbytes, fd):
                assert arena >= 0 <= nbytes
                if fd is not None:
                    self._taken.append(fd)
            case Log():
                _check_log(event)
            case Broken(message, farewell):
                self._broken = True
                assert self._session.state is State.CLOSED
                (said,) = decode(farewell)
                assert said.kind is Kind.ERROR
                assert said.header["message"] == message
                assert 0 < len(message) < 400


def _check_log(log: Log) -> None:
    header = log.header
    assert type(log.key) is str
    assert type(log.step) is int
    assert 0 <= log.seq < 10**12
    assert header.get("state") in (None, "failed", "dropped")
    nbytes = 0 if log.place is None else log.place.nbytes
    assert not isinstance(log.place, memoryview) or nbytes <= MOST_PAYLOAD_NBYTES
    assert all(0 <= start <= start + size <= nbytes for start, size in header.get("buffers", ()))
    assert all(type(item["data"]) is dict for item in header["items"])
    inline = log.place if isinstance(log.place, memoryview) else None
    again = parse_log(header, inline, MOST_PAYLOAD_NBYTES, log.head_nbytes)
    assert again == log
