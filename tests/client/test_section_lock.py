"""Ctrl-C behind the taking of a lock, while one waits for it, and behind its release by a condition.

A signal is made to arrive in the very call, in C, that takes or releases: its handler runs where the interpreter next
looks for signals.
"""

from __future__ import annotations

import _thread
import operator
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import pixlog
from host_device import host_device
from pixlog.section_lock import SectionLock
from pixlog.sending import delivery
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

SMALL = np.zeros((10, 100), np.uint8)
LARGE = np.zeros((1000, 1000), np.uint8)  # is copied between two sections
TOO_LARGE = np.zeros((3000, 1000), np.uint8)


def struck(function: Callable[[], object]) -> Callable[[], object]:
    """Return what, once, does ``function`` and has Ctrl-C arrive, with no moment in between for a handler to run."""
    return partial(list, map(operator.call, (function, _thread.interrupt_main)))


class StruckLock(SectionLock):  # type: ignore[misc]  # as there
    """Is struck when the main thread takes it, after so many times that it was taken by it: see :data:`spared`."""

    @property
    def acquire(self) -> Any:
        acquire = super().acquire
        if spared is None or threading.current_thread() is not threading.main_thread():
            return acquire
        spare(spared - 1)
        return struck(acquire) if spared is None else acquire


spared: int | None = None
"""How many times the locks may yet be taken before Ctrl-C; None for ever."""


def spare(count: int) -> None:
    """Have Ctrl-C strike when a lock is taken the next time after ``count`` others; below none, it has struck."""
    global spared
    spared = count if count >= 0 else None


@pytest.fixture(autouse=True)
def _ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have Ctrl-C raise, and every client made of locks that can be struck."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    for module in ("delivery", "ledger", "arrivals"):
        monkeypatch.setattr(f"pixlog.sending.{module}.SectionLock", StruckLock)
    yield
    spare(-1)
    signal.signal(signal.SIGINT, before)


def assert_all_goes_on(client: pixlog.Client) -> None:
    """Another thread's image is saved, and heard of, so no lock is left with this one."""
    told: list[bool] = []
    thread = threading.Thread(
        target=lambda: told.append(client.log_image("other", SMALL).wait(scaled_s(10))), daemon=True
    )
    thread.start()
    thread.join(scaled_s(20))
    assert told == [True]


def strikes_of(work: Callable[[], object]) -> Iterator[int]:
    """Do ``work`` again and again, struck at its first lock, at its second and so on; yield the number of each."""
    number, was_struck = 0, True
    while was_struck:
        spare(number)
        try:
            work()
        except KeyboardInterrupt:
            assert spared is None
            yield number
            number += 1
        else:
            was_struck = spared is None
            assert not was_struck, "an interrupt was swallowed"
    spare(-1)


@pytest.mark.parametrize("policy", ["drop_newest", "spill"])
@pytest.mark.parametrize("what", ["small", "large", "without room", "from a device", "waited for"])
def test_ctrl_c_behind_the_taking_of_any_lock_leaves_none_taken(
    daemon: ScriptedDaemon, connect: Connect, what: str, policy: str
) -> None:
    """Whichever lock of a call it is, it is free again, and the interrupt reaches the program."""
    daemon.acknowledges = True
    client = connect(buffer_bytes="2MiB", on_full=policy)
    with host_device() as device:
        device.open = True
        calls: dict[str, Callable[[], object]] = {
            "small": lambda: client.log_image("k", SMALL),
            "large": lambda: client.log_image("k", LARGE),
            "without room": lambda: client.log_image("k", TOO_LARGE),
            "from a device": lambda: client.log_image("k", device.take(SMALL)),
            "waited for": lambda: client.log_image("k", SMALL).wait(scaled_s(10)),
        }
        calls[what]()  # from now on there is every thread
        strikes = 0
        for _ in strikes_of(calls[what]):
            strikes += 1
            assert_all_goes_on(client)
        assert strikes >= (1 if what == "small" else 2)
        assert client.flush(scaled_s(20)) == 0


def test_ctrl_c_behind_the_taking_of_the_lock_that_close_waits_with_ends_only_the_waiting(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """The client is closed in order all the same: it hangs nowhere, and the next call does nothing."""
    client = connect()
    client.log_image("k", LARGE)
    daemon.wait_for_logs(1)
    spare(0)
    with pytest.raises(KeyboardInterrupt):
        client.close(scaled_s(10))
    stats = client.close(0)
    assert (stats.accepted, stats.pending, stats.buffer_nbytes) == (1, 1, 0)


def test_ctrl_c_while_a_call_waits_for_the_lock_is_what_the_program_gets(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """Not a complaint that the lock, which another thread has, cannot be released."""
    daemon.acknowledges = True
    client = connect()
    client.log_image("k", SMALL)
    caller, lock = threading.get_ident(), client._delivery._lock
    submit = delivery.Delivery.submit_plain.__code__

    def hold() -> None:
        lock.acquire()
        waits.set()
        wait_until(lambda: sys._current_frames()[caller].f_code is submit)
        time.sleep(0.05)  # from its first line to the lock
        signal.pthread_kill(caller, signal.SIGINT)
        is_over.wait(scaled_s(10))
        lock.release()

    waits, is_over = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    waits.wait()
    with pytest.raises(KeyboardInterrupt):
        client.log_image("k", SMALL)
    is_over.set()
    holder.join()
    assert_all_goes_on(client)


def test_ctrl_c_where_a_condition_lets_go_of_its_lock_is_what_the_program_gets(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``Condition.wait`` then comes back without the lock, and nothing is made of that."""
    client = connect()
    client.log_image("k", SMALL)
    settled: Any = client._delivery._ledger._settled
    with monkeypatch.context() as patch:
        patch.setattr(settled, "_release_save", struck(settled._release_save))
        with pytest.raises(KeyboardInterrupt):
            client.flush(scaled_s(10))
    daemon.acknowledge([0])
    daemon.acknowledges = True
    assert_all_goes_on(client)
    assert client.flush(scaled_s(10)) == 0


def test_section_lock_refuses_with() -> None:
    """From Python 3.14 on, Ctrl-C may come between ``with`` and its block."""
    with pytest.raises(TypeError, match="in a try"), SectionLock():
        pass
