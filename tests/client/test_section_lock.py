"""Ctrl-C behind the taking of a lock, while one waits for it, and behind its release by a condition.

On Python 3.14 the first of these would leave a lock taken that is entered by ``with``.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pixlog
from host_device import host_device
from pixlog.section_lock import SectionLock
from pixlog.sending import submission
from scripted_daemon import ScriptedDaemon
from struck_locks import locks_that_can_be_struck, spare, strikes_of, struck
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

SMALL = np.zeros((10, 100), np.uint8)
LARGE = np.zeros((1000, 1000), np.uint8)  # is copied between two sections
TOO_LARGE = np.zeros((3000, 1000), np.uint8)


@pytest.fixture(autouse=True)
def _locks() -> Iterator[None]:
    with locks_that_can_be_struck("sending.delivery", "sending.ledger", "sending.arrivals"):
        yield


def assert_all_goes_on(client: pixlog.Client) -> None:
    """Another thread's image is saved, and heard of, so no lock is left with this one."""
    told: list[bool] = []
    thread = threading.Thread(
        target=lambda: told.append(client.log_image("other", SMALL).wait(scaled_s(10))), daemon=True
    )
    thread.start()
    thread.join(scaled_s(20))
    assert told == [True]


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
    submit_plain = submission.Submission.submit_plain.__code__

    def hold() -> None:
        lock.acquire()
        waits.set()
        wait_until(lambda: sys._current_frames()[caller].f_code is submit_plain)
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
