"""One accepted socket on an event loop of its own: when the daemon loses patience, and how it hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pixlog.protocol import Kind
from pixlogd.config.settings import Settings
from pixlogd.connection import Connection, ack_wait_s
from pixlogd.headers import Hello
from pixlogd.session import Event
from waiting import scaled_s
from wire_frames import decode, frame, hello_header

HELLO = frame(Kind.HELLO, hello_header("/run"))


class Owner:
    """Stands where the server stands: lets everybody in, and remembers."""

    ack_wait_s = 0.05

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = asyncio.Event()

    def on_event(self, connection: Connection, event: Event) -> None:
        """Welcome whoever says hello."""
        self.events.append(event)
        if isinstance(event, Hello):
            connection.welcome({})

    def on_received(self, connection: Connection) -> None:
        """Nothing to be regulated here."""

    def on_closed(self, connection: Connection) -> None:
        """Remember the end."""
        self.closed.set()


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[socket.socket, Connection, Owner]]:
    """Return the client's end of a connection, and the daemon's."""
    theirs, ours = socket.socketpair()
    owner = Owner()
    connection = Connection(ours, owner, Settings())
    theirs.setblocking(False)
    try:
        yield theirs, connection, owner
    finally:
        connection.close()
        theirs.close()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a new event loop."""

    async def in_time() -> None:
        await asyncio.wait_for(main(), scaled_s(20))

    asyncio.run(in_time())


async def hear_all(sock: socket.socket) -> bytes:
    """Return everything until the daemon hangs up."""
    said = b""
    while piece := await asyncio.get_running_loop().sock_recv(sock, 65536):
        said += piece
    return said


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixlogd.connection._GREETING_S", 0.1)
    monkeypatch.setattr("pixlogd.connection._HANG_UP_S", 0.1)


def test_silent_peer_is_hung_up_on() -> None:
    """Whoever says nothing is not kept."""

    async def main() -> None:
        async with connected() as (theirs, _, owner):
            assert await hear_all(theirs) == b""
            await owner.closed.wait()

    run(main)


def test_slow_peer_is_hung_up_on() -> None:
    """Nor is whoever has not said a whole greeting in time, though a byte comes now and then."""

    async def main() -> None:
        async with connected() as (theirs, _, owner):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for byte in HELLO[:-1]:
                    theirs.send(bytes([byte]))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(owner.closed.wait(), 0.01)
            await owner.closed.wait()
            assert owner.events == []

    run(main)


def test_greeted_peer_may_be_silent() -> None:
    """A client that was let in is kept, however long it says nothing."""

    async def main() -> None:
        async with connected() as (theirs, connection, owner):
            theirs.send(HELLO)
            assert decode(await asyncio.get_running_loop().sock_recv(theirs, 65536))[0].kind is Kind.WELCOME
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(owner.closed.wait(), 0.3)
            assert connection.open

    run(main)


def test_acknowledgements_of_a_moment_ride_together() -> None:
    """What is settled while an acknowledgement waits for its owner's moment goes out in the same frame."""

    async def main() -> None:
        async with connected() as (theirs, connection, owner):
            theirs.send(HELLO)
            loop = asyncio.get_running_loop()
            assert decode(await loop.sock_recv(theirs, 65536))[0].kind is Kind.WELCOME
            owner.ack_wait_s = 3600.0
            connection.acknowledge((0, "saved", None, ["a"], []))
            connection.acknowledge((1, "saved", None, ["b"], []))
            with pytest.raises(BlockingIOError):
                theirs.recv(65536)
            connection.close()
            (sent,) = decode(await hear_all(theirs))
            assert [row[0] for row in sent.header["rows"]] == [0, 1]

    run(main)


@pytest.mark.parametrize(
    ("client_count", "intervals"), [(0, 1), (1, 1), (16, 1), (64, 4), (160, 10), (5000, 10)]
)
def test_acknowledgements_wait_longer_among_many_clients(client_count: int, intervals: int) -> None:
    """Up to 16 clients wait an interval, more of them longer in proportion, and nobody longer than ten."""
    assert ack_wait_s(0.02, client_count) == pytest.approx(0.02 * intervals)


def test_farewell_arrives_though_the_peer_talks_on() -> None:
    """The reason of an end is heard by a peer that has said more than the daemon read, and the end comes in time."""

    async def main() -> None:
        async with connected() as (theirs, _, owner):
            theirs.send(b"\0" * 100_000)
            said = decode(await hear_all(theirs))
            assert [one.kind for one in said] == [Kind.ERROR]
            await owner.closed.wait()

    run(main)


def test_peer_that_does_not_read_its_farewell_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that lives and never reads keeps no connection open."""
    monkeypatch.setattr("pixlogd.connection._FAREWELL_S", 0.1)

    async def main() -> None:
        async with connected() as (theirs, connection, owner):
            theirs.send(HELLO)
            await asyncio.get_running_loop().sock_recv(theirs, 65536)
            assert connection.open
            connection.send(b"x" * (1 << 22))
            connection.finish(b"farewell")
            assert not connection.closed
            await owner.closed.wait()

    run(main)


def test_peer_that_reads_late_gets_its_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a peer is sent whole once it reads, the farewell last."""
    monkeypatch.setattr("pixlogd.connection._FAREWELL_S", scaled_s(10))

    async def main() -> None:
        async with connected() as (theirs, connection, owner):
            theirs.send(HELLO)
            await asyncio.get_running_loop().sock_recv(theirs, 65536)
            assert connection.open
            connection.send(b"x" * (1 << 22))
            connection.finish(b"farewell")
            await asyncio.sleep(0.2)
            said = await hear_all(theirs)
            assert said.endswith(b"x" * (1 << 22) + b"farewell")
            await owner.closed.wait()

    run(main)


def test_peer_that_hung_up_is_forgotten() -> None:
    """The end of a peer is the end of its connection, in any state."""

    async def main() -> None:
        for stream in (b"", HELLO[:10], HELLO, HELLO + b"\0" * 50):
            async with connected() as (theirs, connection, owner):
                theirs.send(stream)
                theirs.close()
                await owner.closed.wait()
                assert connection.closed

    run(main)
