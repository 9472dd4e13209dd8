"""Signal handlers that fork in the middle of a call: both processes come back to it, and only the parent logs."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from pixlog.sending import arena, gather, own_pages, spill, submission
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]


def image(number: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


class Fork:
    """A handler of SIGUSR1 that forks once; the child comes back from it when :meth:`let_go` says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_child = False
        self.in_parent: Callable[[], object] = lambda: None
        self.child = 0
        self._code = 0
        self._monkeypatch = monkeypatch
        self._go, self._told = os.pipe()
        self._before = signal.signal(signal.SIGUSR1, self._strike)

    def _strike(self, *_: object) -> None:
        self.child = os.fork()
        if self.child:
            self.in_parent()
            return
        self.in_child = True
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.read(self._go, 1)

    def at(self, owner: object, name: str, *, behind: bool = False) -> None:
        """Have the next call of ``owner.name`` struck, at its beginning or behind its end."""
        function = getattr(owner, name)

        def struck(*args: object, **options: object) -> object:
            self._monkeypatch.setattr(owner, name, function)
            if not behind:
                os.kill(os.getpid(), signal.SIGUSR1)
            result = function(*args, **options)
            if behind:
                os.kill(os.getpid(), signal.SIGUSR1)
            return result

        self._monkeypatch.setattr(owner, name, struck)

    def run(self, call: Callable[[], bool]) -> None:
        """Make the call that is struck; in the child, end: with 0 when ``call`` says that all is well."""
        code = 1
        try:
            code = 0 if call() else 2
        finally:
            if self.in_child:
                os._exit(code)
        assert self.child, "nothing was struck"
        assert code == 0

    def let_go(self) -> int:
        """Let the child come back to the call; return its exit code, negative for a signal."""
        os.write(self._told, b"g")
        wait_until(self._has_ended, what="the end of the child")
        self.child = 0
        return self._code

    def _has_ended(self) -> bool:
        pid, status = os.waitpid(self.child, os.WNOHANG)
        self._code = os.waitstatus_to_exitcode(status)
        return pid != 0

    def close(self) -> None:
        """Leave no handler, descriptor or child behind."""
        signal.signal(signal.SIGUSR1, self._before)
        if self.child:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        os.close(self._go)
        os.close(self._told)


@pytest.fixture
def fork(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fork]:
    """Return a handler that forks."""
    fork = Fork(monkeypatch)
    yield fork
    fork.close()


def log_first(client: pixlog.Client, nbytes: int, fork: Fork) -> bool:
    """Log image 1; say whether the call ended as it is to end: in the child nothing becomes of it."""
    receipt = client.log_image("k", image(1, nbytes))
    known = client.stats().accepted
    return (
        receipt.state == "pending"
        and known == (0 if fork.in_child else 1)
        and not (fork.in_child and receipt.wait())
    )


def log_next_in_the_same_place(client: pixlog.Client, daemon: ScriptedDaemon, nbytes: int) -> arena.Region:
    """Have image 1 acknowledged and log image 2; return where it lies."""
    daemon.wait_for_logs(1)
    daemon.acknowledge([0])
    assert client.flush(scaled_s(20)) == 0
    client.log_image("k", image(2, nbytes))
    region = client._delivery._ledger.pending[1].region
    assert region is not None
    return region


def assert_unharmed(client: pixlog.Client, daemon: ScriptedDaemon, region: arena.Region, nbytes: int) -> None:
    """Check that image 2 is as it was logged, and that nobody but the parent said anything."""
    assert bytes(region.memory[:nbytes]) == image(2, nbytes).tobytes()
    assert client.stats().accepted == 2
    assert [log.seq for log in daemon.wait_for_logs(2)] == [0, 1]
    assert len(daemon.hellos) == 1


@pytest.mark.parametrize(
    ("owner", "name", "behind", "nbytes"),
    [
        pytest.param(submission, "copy_into", False, 1_000_000, id="large, copied without the lock"),
        pytest.param(arena.Arena, "put", False, 10_000, id="small, copied with the lock"),
        pytest.param(arena, "Arena", True, 10_000_000, id="in memory that is just made"),
    ],
)
def test_child_that_comes_back_copies_nothing_into_its_parents_memory(
    daemon: ScriptedDaemon,
    connect: Connect,
    fork: Fork,
    payload_way: str,
    owner: object,
    name: str,
    behind: bool,
    nbytes: int,
) -> None:
    """The parent's next image lies in the same place by the time at which the child ends the interrupted copy."""
    client = connect(buffer_bytes="32MiB")
    fork.at(owner, name, behind=behind)
    fork.run(lambda: log_first(client, nbytes, fork))
    region = log_next_in_the_same_place(client, daemon, nbytes)
    assert fork.let_go() == 0
    assert_unharmed(client, daemon, region, nbytes)


@pytest.mark.skipif(not arena.SHARED_SUPPORTED, reason="this system has no memfds")
def test_child_that_gets_no_memory_of_its_own_dies_before_it_writes(
    daemon: ScriptedDaemon, connect: Connect, fork: Fork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel promises no more memory, the copy of the child ends the child and harms nobody."""
    client = connect()
    monkeypatch.setattr(own_pages, "_map", lambda *_: own_pages._MAP_FAILED)
    fork.at(submission, "copy_into")
    fork.run(lambda: log_first(client, 1_000_000, fork))
    region = log_next_in_the_same_place(client, daemon, 1_000_000)
    assert fork.let_go() == -signal.SIGSEGV
    assert_unharmed(client, daemon, region, 1_000_000)


def test_child_that_comes_back_waits_for_no_thread_of_its_parent(connect: Connect, fork: Fork) -> None:
    """The lock that another thread had at the fork, and that nobody in the child will release, holds nothing up."""
    client = connect()
    lock = client._delivery._lock
    taken, enough = threading.Event(), threading.Event()

    def hold() -> None:
        lock.acquire()
        taken.set()
        enough.wait()
        lock.release()

    holder = threading.Thread(target=hold)

    def copy_beside(*args: object) -> object:
        holder.start()
        taken.wait()
        os.kill(os.getpid(), signal.SIGUSR1)
        if not fork.in_child:
            enough.set()
            holder.join()
        return gather.copy_into(*args)  # type: ignore[arg-type]

    fork._monkeypatch.setattr(submission, "copy_into", copy_beside)
    fork.run(lambda: log_first(client, 1_000_000, fork))
    assert fork.let_go() == 0


def test_child_that_comes_back_to_waiting_for_a_thread_of_its_parent_goes_on(
    connect: Connect, fork: Fork
) -> None:
    """A fork while the call waits for the lock that another thread has: in the child there is nobody to release it."""
    client = connect()
    lock, caller = client._delivery._lock, threading.get_ident()
    taken, enough = threading.Event(), threading.Event()
    fork.in_parent = enough.set

    def hold() -> None:
        lock.acquire()
        taken.set()
        enough.wait()
        lock.release()

    def strike_when_waiting() -> None:
        taken.wait()
        wait_until(
            lambda: sys._current_frames()[caller].f_code is submission.Submission.submit_plain.__code__
        )
        time.sleep(0.05)  # from its first line to the lock
        signal.pthread_kill(caller, signal.SIGUSR1)

    threads = [threading.Thread(target=hold), threading.Thread(target=strike_when_waiting)]
    client.log_image("k", image(0, 1000))  # the next is described already
    for thread in threads:
        thread.start()
    taken.wait()
    fork.run(lambda: client.log_image("k", image(1, 1000)).state == "pending")
    for thread in threads:
        thread.join()
    assert fork.let_go() == 0


@pytest.mark.parametrize("name", ["flush", "close"])
def test_child_that_comes_back_to_waiting_waits_no_longer(
    daemon: ScriptedDaemon, connect: Connect, fork: Fork, name: str
) -> None:
    """What is logged by the parent is never settled in the child, so its flush() and close() end at once."""
    client = connect()
    client.log_image("k", image(1, 1000))
    daemon.wait_for_logs(1)
    fork.in_parent = lambda: daemon.acknowledge([0])
    ledger = client._delivery._ledger

    def strike_when_waiting() -> None:
        wait_until(lambda: ledger._waiter_count, what="the waiting")
        os.kill(os.getpid(), signal.SIGUSR1)

    striker = threading.Thread(target=strike_when_waiting)
    striker.start()
    fork.run(lambda: getattr(client, name)(timeout_s=scaled_s(600)) is not None)
    striker.join()
    assert fork.let_go() == 0


@pytest.mark.parametrize("behind", [False, True], ids=["before it is made", "before it has its name"])
def test_child_that_comes_back_leaves_its_parents_spill_alone(
    daemon: ScriptedDaemon, connect: Connect, fork: Fork, run_dir: Path, behind: bool
) -> None:
    """A fork in the making of a spill file: the child neither removes nor replaces what the parent made of it."""
    client = connect()
    client.log_image("k", image(0, 6_000_000))
    daemon.wait_for_logs(1)
    client._delivery._spill_ahead._retry_at = float("inf")
    client._delivery._ledger.spill.drop_room()
    fork.at(spill, "_create", behind=behind)
    fork.run(lambda: client.log_image("k", image(1, 6_000_000)).state == "pending")
    place = client._delivery._ledger.pending[1].spilled
    assert place is not None
    assert fork.let_go() == 0
    stream = place.file.path.read_bytes()
    assert stream[place.offset : place.end] == image(1, 6_000_000).tobytes()
    assert os.fstat(place.file.io.fileno()).st_nlink == 1
    assert len(daemon.hellos) == 1
