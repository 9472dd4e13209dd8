"""Acknowledgements wait for others to ride with them, but not when somebody waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pixlog
from pixlog.protocol import Kind
from raw_peer import RawPeer
from served import Daemon, serving
from waiting import scaled_s, wait_until
from wire_frames import frame
from written_runs import gray

pytestmark = pytest.mark.usefixtures("payload_way")


@pytest.fixture
def daemon(directory: Path) -> Iterator[Daemon]:
    """Return a daemon that acknowledges once a minute, if nobody waits."""
    with serving(directory, ack_interval_ms=60_000) as daemon:
        yield daemon


@pytest.fixture
def peer(daemon: Daemon, run_dir: Path) -> Iterator[RawPeer]:
    """Return a connection that was welcomed."""
    with RawPeer(daemon.socket_path) as peer:
        assert peer.greet(run_dir).kind is Kind.WELCOME
        yield peer


def flush(seq: int) -> bytes:
    """Return a FLUSH frame."""
    return frame(Kind.FLUSH, {"seq": seq})


def test_flush_brings_what_is_on_its_way(peer: RawPeer, payload_way: str) -> None:
    """Calls that were said before are acknowledged when all of them have their rows."""
    for seq in range(5):
        peer.log(seq, payload_way)
    peer.say(flush(4))
    assert peer.hear_acks(5).keys() == set(range(5))


def test_flush_brings_what_is_saved_already(peer: RawPeer, run_dir: Path, payload_way: str) -> None:
    """Acknowledgements that wait when somebody begins to wait for them are sent."""
    for seq in range(3):
        peer.log(seq, payload_way)
    wait_until(lambda: len(list(pixlog.Run(run_dir).rows())) == 3, what="the rows")
    assert not peer.has_more(0.2)
    peer.say(flush(2))
    assert peer.hear_acks(3).keys() == {0, 1, 2}


def test_flush_is_for_calls_that_come_late_too(peer: RawPeer, payload_way: str) -> None:
    """A call below the number that comes afterwards, as one does whose pixels a device still had, does not wait."""
    peer.log(1, payload_way)
    peer.say(flush(1))
    assert peer.hear_acks(1).keys() == {1}
    peer.log(0, payload_way)
    assert peer.hear_acks(1).keys() == {0}


def test_calls_after_a_flush_wait_for_others_again(peer: RawPeer, run_dir: Path, payload_way: str) -> None:
    """Nobody waits for what has a higher number."""
    peer.log(0, payload_way)
    peer.say(flush(0))
    assert peer.hear_acks(1).keys() == {0}
    peer.log(1, payload_way)
    wait_until(lambda: len(list(pixlog.Run(run_dir).rows())) == 2, what="the row")
    assert not peer.has_more(0.2)
    peer.say(flush(1))
    assert peer.hear_acks(1).keys() == {1}


@pytest.mark.parametrize("waits", ["flush", "receipt", "close"])
def test_who_waits_hears_at_once(daemon: Daemon, run_dir: Path, waits: str) -> None:
    """Flush, a receipt's wait and close do not take as long as acknowledgements may."""
    with pixlog.connect(run_dir, daemon=daemon.socket_path) as client:
        for number in range(3):
            receipt = client.log_image("k", gray(number))
        if waits == "flush":
            assert client.flush(scaled_s(20)) == 0
        elif waits == "receipt":
            assert receipt.wait(scaled_s(20))
        else:
            assert client.close(timeout_s=scaled_s(20)).saved == 3
        assert receipt.state == "saved"
