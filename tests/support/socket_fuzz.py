"""Hostile conversations through a daemon's socket, while an honest client is served.

What must hold: every image of the honest client is saved as it was logged; the daemon's memory and descriptors stay
within bounds and come back; it changes nothing outside its run; the manifest stays one that readers can read; and
whatever was accepted comes to an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

import pixlog
from hostile import Chunk, conversation
from memfds import half_sealed_memfd, sealed_memfd, unsealed_memfd
from pixlog.protocol import Kind
from raw_peer import RawPeer
from served import Daemon, serving
from session_fuzz import again
from sound_frames import ARENA_NBYTES, CLIENT_COUNT
from waiting import scaled_s, wait_until
from wire_frames import frame, hello_header, log_header

HONEST_EVERY = 5
MOST_GROWTH_NBYTES = 300 << 20


@dataclass(slots=True)
class SocketReport:
    """What came of many conversations."""

    inputs: int = 0
    seconds: float = 0.0
    honest: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    most_growth_nbytes: int = 0

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {name}" for name, count in sorted(self.answers.items()))
        rows = ", ".join(f"{count} {state}" for state, count in sorted(self.rows.items()))
        return (
            f"the daemon said {answers}; rows: {rows}; its memory grew by at most "
            f"{self.most_growth_nbytes >> 20} MiB; {self.seconds:.0f} s"
        )


def fuzz_socket(seed: int, count: int, directory: Path, run_dir: Path, *, first: int = 0) -> SocketReport:
    """Hold conversations ``first`` to ``first + count`` of a seed with a daemon of ``run_dir``.

    ``directory``, with a short name, is for its socket.  Raises AssertionError when something does not hold.
    """
    report = SocketReport()
    started = time.perf_counter()
    run_dir.mkdir(parents=True)
    with (
        serving(directory, run_dir=run_dir, audited=[run_dir], ack_interval_ms=1) as daemon,
        _Descriptors() as descriptors,
    ):
        with pixlog.connect(run_dir, daemon=daemon.socket_path, buffer_bytes="8MiB") as honest:
            honest.log_image("honest", _image(0)).wait(scaled_s(30))
            open_files, resident_nbytes = daemon.open_files(), daemon.resident_nbytes()
            receipts: list[pixlog.Receipt] = []
            with _Nuisances(daemon, run_dir) as nuisances:
                for number in range(first, first + count):
                    try:
                        _attack(daemon, seed, number, run_dir, descriptors, report)
                    except Exception as exc:
                        raise AssertionError(f"{type(exc).__name__}: {exc}\n{again(seed, number)}") from exc
                    if number % HONEST_EVERY == 0:
                        receipts.append(honest.log_image("honest", _image(number), step=number))
                    if number % 50 == 0:
                        nuisances.go_on()
                        grown_nbytes = daemon.resident_nbytes() - resident_nbytes
                        report.most_growth_nbytes = max(report.most_growth_nbytes, grown_nbytes)
                    report.inputs += 1
            unsaved = honest.flush(timeout_s=scaled_s(60))
            assert unsaved == 0, f"{unsaved} honest images are not saved"
            assert {receipt.state for receipt in receipts} <= {"saved"}, [
                str(receipt) for receipt in receipts
            ]
            wait_until(
                lambda: daemon.run_status(run_dir)["queued"] == 0,
                timeout_s=30,
                what="everything that was accepted to come to its end",
            )
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not daemon.open_files() - open_files, timeout_s=15)
            left = daemon.open_files() - open_files
            assert not left, f"the daemon did not close {dict(left)}"
        report.honest = len(receipts)
        assert report.most_growth_nbytes < MOST_GROWTH_NBYTES, report
        assert daemon.changed_outside() == []
    report.seconds = time.perf_counter() - started
    _check_run(run_dir, honest.id, receipts, report)
    return report


def _image(number: int) -> npt.NDArray[np.uint8]:
    return np.full((9, 11), number % 251, np.uint8)


def _check_run(run_dir: Path, honest: str, receipts: list[pixlog.Receipt], report: SocketReport) -> None:
    """Read the run as anybody would: whole lines, every call once, every file there, honest pixels as logged."""
    names: set[tuple[str, int]] = set()
    for segment in (run_dir / "manifest").iterdir():
        for line in segment.read_bytes().splitlines(keepends=True):
            assert line.endswith(b"\n")
            row = json.loads(line)
            name = row["client"], row["seq"]
            # Those that changed their own HELLO may have said that they never came before.
            if row["client"] == honest or int(row["client"], 16) < CLIENT_COUNT:
                assert name not in names, name
            names.add(name)
            report.rows[row["state"]] += 1
            for file in row.get("files", ()):
                assert (run_dir / file["path"]).stat().st_size == file["size"], row
    assert {(honest, receipt.seq) for receipt in receipts} <= names
    run = pixlog.Run(run_dir)
    assert len(list(run.rows())) == len(names)
    for image in run.images("honest"):
        assert np.array_equal(image.array(), _image(image.row.step))


# Attacks


def _attack(
    daemon: Daemon, seed: int, number: int, run_dir: Path, descriptors: _Descriptors, report: SocketReport
) -> None:
    rng = random.Random(f"{seed}/{number}")
    talk = conversation(seed, number, str(run_dir))
    with RawPeer(daemon.socket_path) as peer:
        if talk.greeting is not None:
            peer.say(talk.greeting)
            answer = peer.hear()
            report.answers[answer.kind.name] += 1
            assert answer.kind is Kind.WELCOME, answer
        for chunk in talk.chunks:
            if not _say(peer.sock, chunk, descriptors):
                break
        descriptors.shrink()
        if rng.random() < 0.3:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_WR)
            for said in peer.hear_end():
                report.answers[said.kind.name] += 1


def _say(sock: socket.socket, chunk: Chunk, descriptors: _Descriptors) -> bool:
    """Send a chunk; return whether the daemon still listens."""
    view = memoryview(chunk.data)
    fds = [descriptors.of(kind) for kind in chunk.descriptors][:200]
    sock.setblocking(False)
    try:
        while view:
            try:
                count = socket.send_fds(sock, [view], fds) if fds else sock.send(view)
            except BlockingIOError:
                poller = select.poll()
                poller.register(sock, select.POLLOUT)
                if not poller.poll(200):
                    return False
                continue
            view, fds = view[count:], []
    except (BrokenPipeError, ConnectionResetError):
        return False
    finally:
        sock.settimeout(scaled_s(20))
    return True


class _Descriptors:
    """One real descriptor of each kind."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def __enter__(self) -> _Descriptors:
        read_fd, write_fd = os.pipe()
        os.close(write_fd)
        self._fds = {
            "arena": sealed_memfd(b"pixels", nbytes=ARENA_NBYTES),
            "unsealed": unsealed_memfd(nbytes=ARENA_NBYTES),
            "half sealed": half_sealed_memfd(nbytes=ARENA_NBYTES),
            "short": sealed_memfd(nbytes=50),
            "empty": sealed_memfd(),
            "shrunk": unsealed_memfd(nbytes=ARENA_NBYTES),
            "null": os.open("/dev/null", os.O_RDWR),
            "pipe": read_fd,
            "file": os.open(__file__, os.O_RDONLY),
            "directory": os.open("/", os.O_RDONLY),
            "socket": socket.socket(socket.AF_UNIX).detach(),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def of(self, kind: str) -> int:
        """Return a descriptor to pass; one that will shrink has its full size when it is passed."""
        if kind == "shrunk":
            os.ftruncate(self._fds[kind], ARENA_NBYTES)
        return self._fds[kind]

    def shrink(self) -> None:
        """Take the memory away from whoever mapped what can be shrunk."""
        for kind in ("shrunk", "unsealed", "half sealed"):
            os.ftruncate(self._fds[kind], 0)
            with contextlib.suppress(PermissionError):
                os.ftruncate(self._fds[kind], ARENA_NBYTES)


class _Nuisances:
    """Peers that stay: one says a byte a second, one never hears what the daemon says to it."""

    def __init__(self, daemon: Daemon, run_dir: Path) -> None:
        self._daemon = daemon
        self._run_dir = run_dir
        self._hello = frame(Kind.HELLO, hello_header(run_dir, client="00000000000000f1"))
        self._said = 0
        self._said_at = 0.0
        self._seq = 0
        self._slow = RawPeer(daemon.socket_path)
        self._deaf = RawPeer(daemon.socket_path)
        self._deaf.greet(run_dir, client="00000000000000f2")

    def __enter__(self) -> _Nuisances:
        return self

    def __exit__(self, *_: object) -> None:
        self._slow.close()
        self._deaf.close()

    def go_on(self) -> None:
        """Be a nuisance a little more."""
        if time.monotonic() - self._said_at > 1:
            self._said_at = time.monotonic()
            try:
                self._slow.say(self._hello[self._said : self._said + 1])
                self._said = min(self._said + 1, len(self._hello) - 1)
            except OSError:  # hung up on, as it should be
                self._slow.close()
                self._slow, self._said = RawPeer(self._daemon.socket_path), 0
        outcome = log_header(self._seq, items=[], buffers=..., state="failed", reason="r" * 20_000)
        if _say(self._deaf.sock, Chunk(frame(Kind.LOG, outcome)), _Descriptors()):
            self._seq += 1
