"""Two daemons of one host that write one run: what a dead client spilled is brought to its end by one of them."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounting import check_accounts
from daemon_rooms import client_of, open_run
from pixlog.protocol import Kind
from pixlog.reading.recover import recover
from pixlog.served_clients import ServedClients, is_served
from pixlogd.config.settings import Settings
from pixlogd.headers import parse_log
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.open_run import Entry
from pixlogd.work import process
from raw_peer import RawPeer
from scripts import run_script
from served import Daemon, serving
from waiting import scaled_s, wait_until
from wire_frames import CLIENT, frame, gray_pixels, hello_header, log_header
from written_runs import WrittenRun

COUNT = 5
NAME = f"{CLIENT}-0000.frames"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Daemon]:
    """Return a service beside which a run may get a daemon of its own."""
    with serving(tmp_path / "service") as daemon:
        yield daemon


def spill_of_a_dead_client(run_dir: Path) -> tuple[bytes, list[bytes]]:
    """Write what a client spilled that is dead; return its HELLO, and the frames that name the spilled calls."""
    hello = hello_header(run_dir, host=socket.gethostname(), pid=1 << 22)
    spilled = frame(Kind.HELLO, hello)
    named: list[bytes] = []
    for seq in range(COUNT):
        spilled += frame(Kind.LOG, log_header(seq), gray_pixels(seq))
        named.append(frame(Kind.LOG, log_header(seq, at=["spill", NAME, len(spilled) - 24, 24])))
    (run_dir / "spill").mkdir(parents=True, exist_ok=True)
    (run_dir / "spill" / NAME).write_bytes(spilled)
    return frame(Kind.HELLO, hello), named


@pytest.mark.skipif(sys.platform != "linux", reason="locks on a directory are those of Linux")
def test_spill_of_a_client_whose_calls_another_daemon_has_is_left_alone(
    service: Daemon, run_dir: Path, runtime_dir: Path
) -> None:
    """While a service has the dead client's calls in its socket, the run's own daemon leaves its file to it."""
    hello, named = spill_of_a_dead_client(run_dir)
    with RawPeer(service.socket_path) as peer:
        peer.say(hello)
        wait_until(lambda: is_served(run_dir / "spill", CLIENT))
        os.kill(service.pid, signal.SIGSTOP)
        peer.say(b"".join(named))
    try:
        recovered = recover(run_dir, timeout_s=scaled_s(30))
        assert [(left.path.name, left.why) for left in recovered.left] == [
            (NAME, "another daemon of this host is working on its client's images")
        ]
    finally:
        os.kill(service.pid, signal.SIGCONT)
    wait_until(lambda: not list((run_dir / "spill").iterdir()))
    assert check_accounts(run_dir).saved == {(CLIENT, seq) for seq in range(COUNT)}
    wait_until(lambda: not is_served(run_dir / "spill", CLIENT))


@pytest.mark.skipif(sys.platform != "linux", reason="locks on a directory are those of Linux")
def test_clients_are_had_one_by_one(tmp_path: Path) -> None:
    """Each is seen by others until it is let go, by the one that has it never as another's; ends are no neighbours."""
    first, second, last = "0" * 16, f"{2:016x}", "f" * 16
    served = ServedClients(tmp_path)
    for client in (first, last):
        served.add(client)
    assert [is_served(tmp_path, client) for client in (first, second, last)] == [True, False, True]
    assert not served.is_elsewhere(first)
    other = ServedClients(tmp_path)
    assert other.is_elsewhere(first)
    served.discard(first)
    assert [other.is_elsewhere(client) for client in (first, last)] == [False, True]
    served.close()
    assert not other.is_elsewhere(last)


def test_call_that_another_daemon_saved_and_removed_gets_no_second_row(tmp_path: Path) -> None:
    """Its client is told what the other's row says; a call without a row anywhere fails, for its file is gone."""
    written = WrittenRun(tmp_path / "run")
    saved = written.image("k", 0, seq=0, client=CLIENT)
    with open_run(tmp_path / "run") as run:
        client = client_of(run)
        payload = SpilledPayload(tmp_path / "run" / "spill" / NAME, 0, 24)
        entries = [
            Entry(client, parse_log(log_header(seq, at=["spill", NAME, 0, 24]), None), payload)
            for seq in range(2)
        ]
        elsewhere, failed = process(entries, Settings()).finished
    assert (elsewhere.line, elsewhere.ack) == (b"", (0, "saved", None, [saved["files"][0]["path"]], []))
    assert failed.ack[1] == "failed"
    assert b"is gone" in failed.line


def test_images_in_the_spill_of_a_run_that_is_moved_are_saved_where_it_is_now(
    tmp_path: Path, run_dir: Path, runtime_dir: Path
) -> None:
    """The daemon of the new place leaves them alone while their process lives; after that each is saved once."""
    moved = run_dir.with_name("moved")
    done = run_script(tmp_path / "script.py", _MOVES_ITS_RUN, run_dir, moved)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == COUNT
    assert recover(moved, timeout_s=scaled_s(60)).left == []
    old, new = check_accounts(run_dir), check_accounts(moved)
    assert not set(old.saved) & set(new.saved)
    assert len(old.saved) + len(new.saved) == COUNT + 2
    assert all("is gone" in row["reason"] for row in old.rows.values() if row["state"] == "failed")


_MOVES_ITS_RUN = f"""
    import os, signal, sys
    import numpy as np, pixlog
    from pixlog.control import request
    from pixlog.rendezvous import socket_for
    run_dir, moved = sys.argv[1:]
    client = pixlog.connect(run_dir, buffer_bytes="256KiB")
    client.log_image("first", np.zeros((4, 4), np.uint8))
    client.flush()
    daemon = request(socket_for(run_dir), "status", timeout_s=60)["pid"]
    os.kill(daemon, signal.SIGSTOP)
    for step in range({COUNT}):
        client.log_image("k", np.full((300, 300, 3), step, np.uint8), step=step)
    os.rename(run_dir, moved)
    other = pixlog.connect(moved)  # another daemon, which finds the spill of the first client
    other.log_image("other", np.zeros((4, 4), np.uint8))
    other.flush()
    os.kill(daemon, signal.SIGCONT)
    print(client.stats().spilled)
"""


def test_call_in_a_file_that_another_daemon_replays_is_waited_for(tmp_path: Path) -> None:
    """A claimed file is not one that is gone: its calls are tried again, and get no row meanwhile."""
    with open_run(tmp_path / "run") as run:
        client = client_of(run)
        for name in (NAME, f"{CLIENT}-left-0001.frames"):
            (tmp_path / "run" / "spill" / f"{name}.claimed-node1-1-1").touch()
            payload = SpilledPayload(tmp_path / "run" / "spill" / name.replace("-left", ""), 0, 24)
            entry = Entry(client, parse_log(log_header(0, at=["spill", NAME, 0, 24]), None), payload)
            outcome = process([entry], Settings())
            assert (outcome.unread, outcome.finished) == ([entry], [])
