"""Clients closed by the destructor of garbage that one of their own threads happens to find."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import pixlog
from host_device import HostDevice, host_device
from pixlog.sending.arena import Arena
from pixlog.sending.arrivals import Arrival
from pixlog.sending.ledger import Ledger
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

IMAGE = np.zeros((10, 100), np.uint8)


@pytest.fixture
def device() -> Iterator[HostDevice]:
    """Return a device whose copies happen at once."""
    with host_device() as device:
        device.open = True
        yield device


@pytest.mark.parametrize(
    ("owner", "name", "thread"),
    [
        pytest.param(Ledger, "settle", "pixlog-link", id="link"),
        pytest.param(Ledger, "forget", "pixlog-link", id="link in a section"),
        pytest.param(Arrival, "over", "pixlog-device", id="device"),
        pytest.param(Arena, "populate", "pixlog-ahead", id="patient"),
    ],
)
def test_close_on_a_thread_of_the_client_saves_what_was_logged(
    daemon: ScriptedDaemon,
    connect: Connect,
    device: HostDevice,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    thread: str,
) -> None:
    """It returns at once, for that thread has the work to do that is waited for; the client closes when it is done."""
    daemon.acknowledges = True
    told: list[pixlog.Stats] = []
    logged = threading.Event()
    function = getattr(owner, name)

    def close_first(*args: object) -> object:
        if threading.current_thread().name == thread and logged.wait(scaled_s(10)) and not told:
            told.append(client.close(timeout_s=scaled_s(30)))
        return function(*args)

    monkeypatch.setattr(owner, name, close_first)
    client = connect()
    receipts = [client.log_image("k", data) for data in (IMAGE, device.take(IMAGE), IMAGE)]
    logged.set()
    for receipt in receipts:
        assert receipt.wait(scaled_s(10)), receipt
    wait_until(lambda: not client._delivery._link.up, what="the end of the connection")
    assert [receipt.state for receipt in receipts] == ["saved"] * 3
    assert [stats.accepted for stats in told] == [3]
    assert client.log_image("k", IMAGE).state == "dropped"
