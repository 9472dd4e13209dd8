"""Clients that take more than their share: the daemon stays small, and serves the others meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pixlog
from memfds import sealed_memfd, unsealed_memfd
from pixlog.protocol import Kind, encode_head, encode_head_of, pack_map
from raw_peer import RawPeer
from served import Daemon, serving
from small_disks import tiny_disk
from waiting import scaled_s, wait_until
from wire_frames import frame, gray_pixels, hello_header, log_header
from written_runs import gray

MIB = 1024 * 1024


def assert_served(daemon: Daemon, run_dir: Path, count: int = 10) -> None:
    """Assert that a client that comes now has its images saved."""
    with pixlog.connect(run_dir, daemon=daemon.socket_path, buffer_bytes="1MiB") as client:
        for number in range(count):
            client.log_image("served", gray(number))
        assert client.flush(scaled_s(60)) == 0
        assert client.stats().saved == count


def test_client_that_never_listens_is_no_longer_read(directory: Path, run_dir: Path, tmp_path: Path) -> None:
    """Acknowledgements that nobody takes stop the reading of that client alone, within a bounded memory."""
    outcome = log_header(0, items=[], buffers=..., state="failed", reason="r" * 60_000)
    with serving(directory, ack_interval_ms=1) as daemon, RawPeer(daemon.socket_path) as deaf:
        deaf.greet(run_dir)
        assert_served(daemon, tmp_path / "other")
        before = daemon.resident_nbytes()
        count, rest = deaf.say_until_stuck(frame(Kind.LOG, {**outcome, "seq": seq}) for seq in range(5000))
        assert count < 5000, "a client that reads nothing was read to the end"
        assert daemon.resident_nbytes() - before < 150 * MIB
        assert_served(daemon, tmp_path / "other")
        # Once it listens, everything goes on: nothing of what it said is lost.
        acks = deaf.hear_acks(count - 1)
        deaf.say(rest)
        assert {*acks, *deaf.hear_acks(1)} == set(range(count))


def test_descriptions_count_as_memory(directory: Path, tmp_path: Path) -> None:
    """Calls with large descriptions wait in the socket like those with large pixels, not all in the daemon."""
    meta = [{"a": number} for number in range(100_000)]  # 25 times its packed size, once it is unpacked
    packed = pack_map(log_header(0, seq=..., meta=meta))
    heads = [encode_head_of(Kind.LOG, packed, {"seq": seq}, 24) + gray_pixels(seq) for seq in range(60)]
    with (
        tiny_disk(nbytes=64 * MIB) as disk,
        serving(directory, queue_bytes="16MiB") as daemon,
        RawPeer(daemon.socket_path) as peer,
    ):
        peer.greet(disk / "run")
        assert_served(daemon, tmp_path / "other")
        fill(disk / "ballast")
        before = daemon.resident_nbytes()
        count, rest = peer.say_until_stuck(heads)
        assert count < 15, "calls with large descriptions were all taken while none could be written"
        assert daemon.resident_nbytes() - before < 300 * MIB
        (disk / "ballast").unlink()
        peer.say(rest)
        assert peer.hear_acks(count).keys() == set(range(count))


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_descriptors_run_out_and_come_back(directory: Path, run_dir: Path, tmp_path: Path) -> None:
    """Many silent peers do not take the descriptors that files need: who is in is saved, without a busy loop."""
    with serving(directory, limits="ulimit -n 64") as daemon, RawPeer(daemon.socket_path) as peer:
        peer.greet(run_dir)
        peer.log(1000)
        peer.hear_acks(1)  # what greeting opened for a moment is closed again
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(RawPeer(daemon.socket_path))
            wait_until(lambda: "no descriptor to spare" in daemon.said(), what="the daemon to refuse a peer")
            for seq in range(100):
                peer.log(seq)
            peer.hear_acks(100)
            fd = sealed_memfd(nbytes=MIB)
            try:
                assert peer.pass_arena(0, fd, MIB)["reason"] == "the daemon has no descriptor to spare"
            finally:
                os.close(fd)
            assert daemon.open_count() < 60
            # It says so once, and again after every ten seconds.
            assert daemon.said().count("! accept") <= 1 + (time.monotonic() - began) / 10
        assert_served(daemon, tmp_path / "other")


def test_arenas_beyond_the_limit_are_refused(directory: Path, run_dir: Path) -> None:
    """A client may pass so many arenas of so many bytes; each further one is refused and its descriptor closed."""
    with (
        serving(directory, max_arenas=3, max_arena_bytes="8MiB") as daemon,
        RawPeer(daemon.socket_path) as peer,
    ):
        peer.greet(run_dir)
        peer.log(1000)
        peer.hear_acks(1)
        before = daemon.open_count()
        fd = sealed_memfd(nbytes=8 * MIB)
        try:
            answers = [
                peer.pass_arena(0, fd, 4 * MIB),
                peer.pass_arena(0, fd, MIB),
                peer.pass_arena(1, fd, 5 * MIB),
            ]
            answers += [peer.pass_arena(arena, fd, MIB) for arena in (2, 3, 4)]
        finally:
            os.close(fd)
        assert [answer["ok"] for answer in answers] == [True, False, False, True, True, False]
        assert [answer["reason"] for answer in answers if answer["reason"]] == [
            "arena 0 was passed before",
            "the arenas of a client may have 8388608 bytes together",
            "a client may pass 3 arenas",
        ]
        assert daemon.open_count() == before + 3
        peer.log(0)
        peer.hear_acks(1)
        peer.close()
        wait_until(  # its socket, and the directory on which its daemon is seen to have it
            lambda: daemon.open_count() == before - 2, what="every descriptor of the client to be closed"
        )


def test_descriptors_that_are_no_arenas_are_refused(directory: Path, run_dir: Path) -> None:
    """Unsealed, short and foreign descriptors are refused, unclaimed ones are closed; nothing leaks."""
    with serving(directory) as daemon, RawPeer(daemon.socket_path) as peer:
        peer.greet(run_dir)
        peer.log(1000)
        peer.hear_acks(1)
        before = daemon.open_count()
        unsealed = unsealed_memfd(nbytes=MIB)
        null = os.open("/dev/null", os.O_RDWR)
        short = sealed_memfd(nbytes=100)
        try:
            for arena, fd in enumerate((unsealed, null, short)):
                answer = peer.pass_arena(arena, fd, MIB)
                assert answer["ok"] is False
            peer.say(frame(Kind.ARENA, {"arena": 9, "nbytes": MIB}))
            assert peer.hear().header["reason"] == "no descriptor came with it"
            assert daemon.open_count() == before
            peer.say(frame(Kind.LOG, log_header(0), gray_pixels(0)), [null, null, null, null])
            peer.hear_acks(1)
            peer.close()
        finally:
            for fd in (unsealed, null, short):
                os.close(fd)
        wait_until(  # its socket, and the directory on which its daemon is seen to have it
            lambda: daemon.open_count() == before - 2, what="every descriptor of the client to be closed"
        )


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_client_that_dies_without_listening_is_read_to_its_end(
    directory: Path, run_dir: Path, loop: str
) -> None:
    """What a client said before it was killed is saved and its descriptors are closed, whatever it left unread."""
    with serving(directory, loop=loop, ack_interval_ms=1) as daemon, RawPeer(daemon.socket_path) as peer:
        peer.greet(run_dir)
        peer.log(0)
        peer.wait_for_more()
        before = daemon.open_files()
        fd = sealed_memfd(nbytes=MIB)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            for arena in range(20):  # each is read on its own
                peer.say(frame(Kind.ARENA, {"arena": arena, "nbytes": MIB}), [fd])
            for seq in range(1, 10):
                peer.log(seq)
            peer.close()
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
            os.close(fd)
        wait_until(lambda: daemon.run_status(run_dir)["saved"] == 10, what="all ten images to be saved")
        wait_until(lambda: not daemon.open_files() - before, what="the client's descriptors to be closed")
        assert daemon.open_files()["/memfd:arena (deleted)"] == 0


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_client_that_dies_while_it_is_not_read_is_read_to_its_end(directory: Path, loop: str) -> None:
    """What waits in the socket of a client that the daemon did not read for a full disk is saved after its death."""
    frames = (frame(Kind.LOG, log_header(seq), gray_pixels(seq)) for seq in range(100_000))
    with (
        tiny_disk(nbytes=64 * MIB) as disk,
        serving(directory, loop=loop, queue_rows=16) as daemon,
        RawPeer(daemon.socket_path) as peer,
    ):
        peer.greet(disk / "run")
        peer.say(next(frames))
        peer.wait_for_more()
        before = daemon.open_files()
        fill(disk / "ballast")
        count, rest = peer.say_until_stuck(frames)
        assert 16 < count < 90_000
        peer.close()
        (disk / "ballast").unlink()
        whole = count if rest else count + 1
        wait_until(
            lambda: daemon.run_status(disk / "run")["saved"] == whole, timeout_s=30, what=f"{whole} images"
        )
        wait_until(lambda: not daemon.open_files() - before, what="the client's descriptors to be closed")


def test_payload_that_never_ends_costs_what_was_sent(directory: Path, run_dir: Path, tmp_path: Path) -> None:
    """Many clients that announce a gigabyte each and send a little cost a little."""
    with serving(directory) as daemon:
        assert_served(daemon, tmp_path / "other")
        before = daemon.resident_nbytes()
        with contextlib.ExitStack() as stack:
            for number in range(20):
                peer = stack.enter_context(RawPeer(daemon.socket_path))
                peer.greet(run_dir, client=f"{number:016x}")
                peer.say(encode_head(Kind.LOG, log_header(0), 1 << 30) + bytes(MIB // 2))
            assert_served(daemon, tmp_path / "other")
            assert daemon.resident_nbytes() - before < 80 * MIB
        wait_until(lambda: daemon.status()["runs"] is not None)


_KNOCK = """
import os, socket, sys
try:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
except OSError as exc:
    sys.exit(f"no other user here: {exc}")
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
    sock.settimeout(20)
    sock.connect(sys.argv[1])
    try:
        sock.sendall(bytes.fromhex(sys.argv[2]))
        answer = sock.recv(100)
    except ConnectionError:
        answer = b""
    print(len(answer))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell who connects")
def test_peer_of_another_user_is_refused(directory: Path, run_dir: Path, tmp_path: Path) -> None:
    """Even where file modes let it in, a process of another uid hears nothing and writes nothing."""
    with serving(directory) as daemon:
        directory.chmod(0o711)
        daemon.socket_path.chmod(0o666)
        knock = subprocess.run(
            [
                sys.executable,
                "-c",
                _KNOCK,
                str(daemon.socket_path),
                frame(Kind.HELLO, hello_header(run_dir)).hex(),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if knock.stderr.startswith("no other user here"):
            pytest.skip(knock.stderr.strip())
        assert knock.stdout.strip() == "0"
        assert "! peer of uid 65534 refused" in daemon.said()
        assert not run_dir.exists()
        assert_served(daemon, tmp_path / "other")
