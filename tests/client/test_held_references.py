"""Calls that point at images which are still on their way from a device: the daemon must not meet them first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from host_device import HostDevice, host_device
from middle_of_a_call import middle_of_a_call
from pixlog.sending import arrivals
from pixlog.sending.pending import Pending
from pixlogd.rundir.spill_files import read_spill_file
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

pytestmark = pytest.mark.usefixtures("payload_way")


@pytest.fixture
def devices() -> Iterator[tuple[HostDevice, HostDevice]]:
    """Return two devices whose copies happen when the test says so."""
    with host_device() as one, host_device() as two:
        yield one, two


@pytest.fixture(autouse=True)
def _forget_what_is_never_freed() -> Iterator[None]:
    """What a device may still write to is kept for the life of a process, which here is a test."""
    yield
    arrivals._never_freed.clear()


def image(number: int, nbytes: int = 1000) -> npt.NDArray[np.uint8]:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


def test_call_follows_every_held_call_that_it_points_at(
    daemon: ScriptedDaemon, connect: Connect, devices: tuple[HostDevice, HostDevice]
) -> None:
    """A call over two images waits for both, in whatever order they arrive, and a call over that one for it."""
    client = connect()
    earlier = [client.log_image("k", device.take(image(0))) for device in devices]
    both = client.log_image("ref", [pixlog.Image.ref(receipt) for receipt in earlier])
    over = client.log_image("ref", pixlog.Image.ref(both))
    devices[1].go()
    assert [log.seq for log in daemon.wait_for_logs(1)] == [earlier[1].seq]
    assert not client._delivery.wait_until_sent(0.05)
    devices[0].go()
    seqs = [log.seq for log in daemon.wait_for_logs(4)]
    assert seqs == [earlier[1].seq, earlier[0].seq, both.seq, over.seq]


class Unsearched(dict[int, Pending]):
    """Calls by their number, of which nobody has looked through all."""

    def items(self) -> NoReturn:
        """Fail, as there may be a hundred thousand."""
        raise AssertionError("all pending calls were looked through")


def test_arrival_costs_no_look_through_all_pending_calls(
    daemon: ScriptedDaemon, connect: Connect, devices: tuple[HostDevice, HostDevice]
) -> None:
    """However many calls wait for a slow daemon, training is kept from the lock no longer for it."""
    client = connect()
    held = client.log_image("k", devices[0].take(image(0)))
    over = client.log_image("ref", pixlog.Image.ref(held))
    ledger = client._delivery._ledger
    ledger.pending = Unsearched(ledger.pending)
    devices[0].go()
    assert [log.seq for log in daemon.wait_for_logs(2)] == [held.seq, over.seq]
    wait_until(lambda: not ledger.followers)  # the section goes on for a moment behind the last frame
    ledger.pending = ledger.pending.copy()


@pytest.mark.parametrize("on_full", ["spill", "block"])
def test_call_without_room_follows_what_it_points_at(
    daemon: ScriptedDaemon, connect: Connect, devices: tuple[HostDevice, HostDevice], on_full: str
) -> None:
    """A call that is spilled, or that waited for room, is sent after the held image over which it lies."""
    client = connect(buffer_bytes="1MiB", on_full=on_full, timeout_s=3600)
    client.log_image("fill", image(0, 1_000_000))
    held = client.log_image("k", devices[0].take(image(1)))
    daemon.wait_for_logs(1)
    room = threading.Timer(scaled_s(0.1), lambda: daemon.acknowledge([0]))
    if on_full == "block":
        room.start()
    late = client.log_image("ref", [pixlog.Image.ref(held), image(2, 200_000)])
    assert client.stats().spilled == (on_full == "spill")
    assert [log.seq for log in daemon.logs] == [0]
    devices[0].go()
    assert [log.seq for log in daemon.wait_for_logs(3)] == [0, held.seq, late.seq]


def test_deferred_call_follows_what_it_points_at(
    daemon: ScriptedDaemon, connect: Connect, devices: tuple[HostDevice, HostDevice]
) -> None:
    """A call that a signal handler makes in the middle of another one waits for what it points at all the same."""
    client = connect()
    held = client.log_image("k", devices[0].take(image(0)))
    with middle_of_a_call(client):
        late = client.log_image("ref", pixlog.Image.ref(held))
    wait_until(lambda: late.seq > held.seq)
    client.log_image("k", image(1))
    assert [log.seq for log in daemon.wait_for_logs(1)] == [2]
    devices[0].go()
    assert [log.seq for log in daemon.wait_for_logs(3)] == [2, held.seq, late.seq]


def test_spilled_call_that_is_held_is_left_once(
    daemon: ScriptedDaemon,
    connect: Connect,
    devices: tuple[HostDevice, HostDevice],
    run_dir: Path,
) -> None:
    """Closed before the image over which it lies arrived, a spilled call is on disk once, and that image fails."""
    client = connect(buffer_bytes="1MiB")
    client.log_image("fill", image(0, 1_000_000))
    held = client.log_image("k", devices[0].take(image(1)))
    late = client.log_image("ref", [pixlog.Image.ref(held), image(2, 200_000)])
    daemon.wait_for_logs(1)
    client.close(timeout_s=0.1)
    found = [read_spill_file(path) for path in sorted((run_dir / "spill").iterdir())]
    left = [(log.seq, log.header.get("state")) for file in found if file is not None for log in file.logs]
    assert sorted(left) == [(held.seq, "failed"), (late.seq, None)]
