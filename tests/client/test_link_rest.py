"""The link's thread rests while nobody waits for acknowledgements, and is there when somebody does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import pixlog
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

pytestmark = pytest.mark.usefixtures("payload_way")


def image(nbytes: int = 1000) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return an image of so many bytes."""
    return np.zeros((10, nbytes // 10), np.uint8)


@pytest.fixture
def resting(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pixlog.Client]:
    """Return a function that connects a client, by now resting, for minutes if nobody wakes it."""
    monkeypatch.setattr("pixlog.sending.link._REST_S", scaled_s(300))

    def resting(**options: str) -> pixlog.Client:
        client = connect(**options)
        client.log_image("k", image())
        daemon.wait_for_logs(1)
        daemon.acknowledge([0])
        wait_until(lambda: client._delivery._link.resting, what="a rest")
        assert client.stats().saved == 1
        return client

    return resting


def test_acknowledgements_of_a_rest_are_not_taken_in_one_by_one(
    daemon: ScriptedDaemon, resting: Callable[[], pixlog.Client]
) -> None:
    """Calls go on at once, and what the daemon says of them is heard together."""
    client = resting()
    for seq in range(1, 6):
        client.log_image("k", image())
        daemon.wait_for_logs(seq + 1)
        daemon.acknowledge([seq])
    assert client.stats().saved == 1
    client._delivery._link.wake()
    wait_until(lambda: client.stats().saved == 6)


@pytest.mark.parametrize("waits", ["flush", "receipt", "close"])
def test_who_waits_ends_the_rest(
    daemon: ScriptedDaemon, resting: Callable[[], pixlog.Client], waits: str
) -> None:
    """Flush, a receipt's wait and close hear of what is saved as soon as it is."""
    client = resting()
    receipt = client.log_image("k", image())
    daemon.wait_for_logs(2)
    if waits == "close":
        daemon.acknowledge([1])
        assert client.close(timeout_s=scaled_s(20)).saved == 2
        return
    done = threading.Event()

    def wait() -> None:
        if waits == "flush":
            client.flush(timeout_s=scaled_s(60))
        else:
            receipt.wait(scaled_s(60))
        done.set()

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: client._delivery._ledger._waiter_count, what="somebody who waits")
    daemon.acknowledge([1])
    assert done.wait(scaled_s(20))
    thread.join()
    assert receipt.state == "saved"


def test_many_calls_end_the_rest(daemon: ScriptedDaemon, resting: Callable[[], pixlog.Client]) -> None:
    """Who logs faster than rests are good for has acknowledgements taken in as they come."""
    client = resting()
    daemon.acknowledges = True
    for _ in range(200):
        client.log_image("k", image(100))
    wait_until(lambda: client.stats().pending <= 64)
    assert client.flush(timeout_s=scaled_s(20)) == 0


@pytest.mark.parametrize("on_full", ["spill", "block", "drop_newest"])
def test_memory_that_fills_ends_the_rest(
    daemon: ScriptedDaemon, resting: Callable[..., pixlog.Client], on_full: str
) -> None:
    """Regions that the daemon is done with are free before anything is spilled, waits or is dropped."""
    client = resting(on_full=on_full, buffer_bytes="8MiB")
    daemon.acknowledges = True
    for _ in range(30):
        client.log_image("k", image(1_000_000))
        wait_until(lambda: client.stats().buffer_nbytes <= 5_000_000, what="memory")
    assert client.flush(timeout_s=scaled_s(20)) == 0
    stats = client.stats()
    assert (stats.saved, stats.spilled, stats.dropped, stats.buffer_nbytes) == (31, 0, 0, 0)


def test_memory_that_is_full_ends_the_rest(
    daemon: ScriptedDaemon, resting: Callable[..., pixlog.Client]
) -> None:
    """An image too large for what is left is spilled, and the ones after it find memory again."""
    client = resting(buffer_bytes="1MiB")
    daemon.acknowledges = True
    client.log_image("k", image(400_000))
    daemon.wait_for_logs(2)
    client.log_image("k", image(900_000))
    assert client.stats().spilled == 1
    wait_until(lambda: client.stats().buffer_nbytes == 0, what="memory")


def test_rest_does_not_delay_a_new_connection_for_calls(
    daemon: ScriptedDaemon, resting: Callable[[], pixlog.Client]
) -> None:
    """A call that finds the daemon gone ends the rest, and is said to the next one."""
    client = resting()
    daemon.cut()
    daemon.acknowledges = True

    def log_until_noticed() -> bool:
        client.log_image("k", image())
        time.sleep(0.01)
        return client.stats().reconnects > 0

    wait_until(log_until_noticed, what="another connection")
    assert client.flush(timeout_s=scaled_s(20)) == 0


def test_who_waits_tells_the_daemon_and_the_next_one(daemon: ScriptedDaemon, connect: Connect) -> None:
    """FLUSH names the last call, once while nothing new is logged, and again when the connection is another."""
    client = connect()
    for _ in range(3):
        client.log_image("k", image())
    thread = threading.Thread(target=client.flush, args=(scaled_s(60),))
    thread.start()
    wait_until(lambda: daemon.flushes, what="a flush")
    daemon.cut()
    daemon.wait_for_logs(6)
    wait_until(lambda: len(daemon.flushes) == 2, what="another flush")
    daemon.acknowledge(range(3))
    thread.join(scaled_s(20))
    assert not thread.is_alive()
    assert daemon.flushes == [2, 2]


def test_daemon_of_the_version_before_is_not_told_who_waits(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protocol 1.0 has no FLUSH and would end the connection; waiting works without."""
    monkeypatch.setattr("pixlogd.session.MINOR", 0)
    daemon.acknowledges = True
    client = connect()
    client.log_image("k", image())
    assert client.flush(scaled_s(20)) == 0
    assert not daemon.flushes
    assert not daemon.broken
