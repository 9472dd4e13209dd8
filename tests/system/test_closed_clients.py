"""What a client leaves behind when it is closed, or gone before it was let in, is brought to its end by the daemon."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import daemons
import pixlog
from accounting import check_accounts
from pixlog.protocol import Kind
from pixlog.reading.recover import recover
from pixlog.rendezvous import socket_for
from raw_peer import RawPeer
from waiting import scaled_s, wait_until
from wire_frames import frame, hello_header

COUNT = 20


def test_spill_of_a_closed_client_is_emptied_while_its_process_lives(
    run_dir: Path, runtime_dir: Path
) -> None:
    """Images that the daemon had heard of, and others that it had not, are saved, and no file of them stays."""
    client = pixlog.connect(run_dir, buffer_bytes="256KiB")
    client.log_image("first", np.zeros((4, 4), np.uint8))
    client.flush()
    daemon = daemons.the_daemon_of(runtime_dir)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for step in range(COUNT):
            client.log_image("k", np.full((100, 100, 3), step, np.uint8), step=step)
        assert client.stats().spilled > COUNT // 4
        stats = client.close(timeout_s=0.1)
        assert stats.pending == COUNT
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: not list((run_dir / "spill").iterdir()), timeout_s=30)
    assert len(check_accounts(run_dir).saved) == COUNT + 1


def test_what_an_ending_daemon_leaves_of_a_closed_client_is_saved_while_its_process_lives(
    run_dir: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook closes its client, the daemon is told to stop, and the next one saves what that left raw."""
    monkeypatch.setenv("PIXLOG_DRAIN_S", "0")
    monkeypatch.setenv("PIXLOG_ENCODE_LEVEL", "small")
    monkeypatch.setenv("PIXLOG_ENCODE_WORKERS", "1")
    client = pixlog.connect(run_dir)
    rng = np.random.default_rng(0)
    for step in range(COUNT):
        client.log_image("k", rng.integers(0, 256, (500, 500, 3), np.uint8), step=step)
    client.close(timeout_s=0.1)
    os.kill(daemons.the_daemon_of(runtime_dir).pid, signal.SIGTERM)
    wait_until(lambda: daemons.gone(runtime_dir))
    (left,) = (run_dir / "spill").iterdir()
    assert left.name.startswith(f"{client.id}-left-by-")
    recovered = recover(run_dir, timeout_s=scaled_s(60))
    assert (recovered.left, recovered.count > 0) == ([], True)
    assert len(check_accounts(run_dir).saved) == COUNT


def test_image_that_a_closed_client_left_in_its_spill_is_shown_by_another(
    run_dir: Path, runtime_dir: Path
) -> None:
    """A receipt outlives its client: a second client points at images that the daemon was not sent yet."""
    with pixlog.connect(run_dir) as other:
        first = pixlog.connect(run_dir)
        first.log_image("first", np.zeros((4, 4), np.uint8))
        first.flush()
        with daemons.stopped(daemons.the_daemon_of(runtime_dir)):
            meta = "m" * 3000  # so that the socket does not take all of them
            receipts = [
                first.log_image("k", np.zeros((4, 4), np.uint8), step=step, meta=meta) for step in range(2500)
            ]
            first.close(timeout_s=0.1)
            assert first._delivery.left_count >= COUNT
            shown = [other.log_image("shown", pixlog.Image.ref(receipt)) for receipt in receipts[-COUNT:]]
        assert other.flush(scaled_s(60)) == 0
        assert {receipt.state for receipt in shown} == {"saved"}, shown[0].reason


def test_client_that_did_not_wait_to_be_let_in_is_not_taken_for_connected(
    run_dir: Path, runtime_dir: Path
) -> None:
    """A client that hung up before its greeting was read is no client of the daemon, and its spill is not spared."""
    with pixlog.connect(run_dir) as client:
        client.log_image("first", np.zeros((4, 4), np.uint8))
        client.flush()
        daemon = daemons.the_daemon_of(runtime_dir)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            for number in range(5):
                with RawPeer(socket_for(run_dir)) as peer:
                    peer.say(frame(Kind.HELLO, hello_header(run_dir, client=f"{number:016x}")))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        wait_until(lambda: _clients(run_dir) == [client.id])
        client.log_image("last", np.zeros((4, 4), np.uint8))
        client.flush()
        assert _clients(run_dir) == [client.id]


def _clients(run_dir: Path) -> list[str]:
    """Return the clients that the run's daemon knows of."""
    (run,) = daemons.status_of(run_dir)["runs"]
    return [said["client"] for said in run["clients"]]
