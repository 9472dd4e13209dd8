"""Calls that are over wait for their rows in little memory, while nobody writes any."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from pixlog.sending.ledger import Ledger
from pixlog.sending.packed_outcomes import BLOCK_COUNT, PackedOutcomes
from pixlogd.rundir.spill_files import read_spill_file
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]

pytestmark = pytest.mark.usefixtures("payload_way")


def image(number: int, nbytes: int) -> npt.NDArray[np.uint8]:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


def drop_images(client: pixlog.Client, count: int) -> list[pixlog.Receipt]:
    """Log images that are larger than the memory can ever hold."""
    return [client.log_image("k", image(step, 100_000), step=step) for step in range(count)]


def test_drops_while_nobody_listens_take_little_memory_and_keep_their_rows(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """Thousands of calls dropped without a daemon are packed, and each is said to the next daemon, exactly."""
    client = connect(buffer_bytes="64KiB", on_full="drop_newest")
    daemon.acknowledges = True
    daemon.listening = False
    daemon.cut()
    wait_until(lambda: not client._delivery._link.up)
    receipts = [client.log_image("k", image(step, 100), step=step) for step in range(5000)]
    packed = client._delivery._ledger.packed
    assert packed.count >= 4096
    assert packed.nbytes < 100 * packed.count
    assert client._delivery._ledger.extra_nbytes == packed.nbytes
    assert len(client._delivery._ledger.pending) < 1200
    stats = client.stats()
    assert (stats.accepted, stats.pending) == (5000, 5000)
    assert (receipts[2000].state, str(receipts[2000].reason)[:13]) == ("dropped", "buffer full: ")
    daemon.listening = True
    assert client.flush(timeout_s=scaled_s(60)) == 0
    logs = {log.seq: log for log in daemon.wait_for_logs(5000)}
    assert {seq: log.step for seq, log in logs.items()} == {seq: seq for seq in range(5000)}
    assert packed.count == client._delivery._ledger.extra_nbytes == 0
    assert client.stats().accepted == client.stats().saved + client.stats().dropped


def test_packing_that_is_interrupted_anywhere_keeps_every_call_once(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """Ctrl-C before any line of packing leaves each call in its place or in its block, and accounted for once."""
    codes = {function.__code__ for function in (Ledger.pack, Ledger.forget, PackedOutcomes.add)}
    daemon.acknowledges = True
    for struck_at in range(8):  # the rest repeats the last few of them
        daemon.listening = True
        client = connect(buffer_bytes="64KiB", on_full="drop_newest")
        ledger = client._delivery._ledger
        daemon.listening = False
        daemon.cut()
        wait_until(lambda link=client._delivery._link: not link.up)  # type: ignore[misc]
        drop_images(client, 1023)
        lines = iter(range(10_000))

        def strike(frame: FrameType, event: str, _: object, at: int = struck_at, lines: Any = lines) -> Any:
            if frame.f_code in codes and event == "line" and next(lines) == at:
                raise KeyboardInterrupt
            return strike

        before = sys.gettrace()
        sys.settrace(strike)
        try:
            client.log_image("k", image(0, 100_000))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert next(lines) == struck_at + 1
        client.log_image("k", image(0, 100_000))
        assert ledger.packed.count + len(ledger.pending) == client.stats().accepted == 1025
        assert ledger.extra_nbytes == ledger.packed.nbytes
        daemon.listening = True
        assert client.flush(timeout_s=scaled_s(20)) == 0
        assert client.stats().saved == 1025


def test_packing_wakes_who_waits_for_a_dropped_call(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A receipt that turns final without a daemon ends the wait for it at once, not at its time limit."""
    client = connect(buffer_bytes="64KiB", on_full="drop_newest")
    daemon.listening = False
    daemon.cut()
    wait_until(lambda: not client._delivery._link.up)
    receipt = client.log_image("k", image(0, 100_000))
    waiting = threading.Thread(target=receipt.wait, args=(scaled_s(60),), daemon=True)
    waiting.start()
    drop_images(client, 1100)
    assert receipt.state == "dropped"
    waiting.join(scaled_s(10))
    assert not waiting.is_alive()


def test_packed_drops_are_left_in_the_spill_when_nobody_comes(
    daemon: ScriptedDaemon, connect: Connect, run_dir: Path
) -> None:
    """A client that is closed before there is a daemon leaves the rows of what it dropped to whoever opens the run."""
    client = connect(buffer_bytes="64KiB", on_full="drop_newest")
    daemon.listening = False
    daemon.cut()
    wait_until(lambda: not client._delivery._link.up)
    for step in range(2500):
        client.log_image("k", image(step, 100), step=step)
    client.close(timeout_s=0.5)
    left = [read_spill_file(path) for path in (run_dir / "spill").iterdir()]
    assert sorted(log.seq for file in left if file is not None for log in file.logs) == list(range(2500))


def test_drops_beside_a_daemon_that_stands_still_take_little_memory_and_keep_their_rows(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """What is dropped by the thousand while a daemon reads no more is packed, and said once when it reads again."""
    client = connect(buffer_bytes="64KiB", on_full="drop_newest")
    link, ledger = client._delivery._link, client._delivery._ledger
    daemon.acknowledges = True
    daemon.hears.clear()
    drop_images(client, 20_000)
    assert link.up
    assert link.waiting_count < 5 * BLOCK_COUNT + 2
    assert ledger.packed.count > BLOCK_COUNT
    assert ledger.packed.nbytes < 100 * ledger.packed.count
    stats = client.stats()
    assert stats.accepted == stats.saved + stats.pending == 20_000
    wait_until(lambda: len(ledger.pending) + ledger.packed.count == client.stats().pending)
    daemon.hears.set()
    assert client.flush(timeout_s=scaled_s(60)) == 0
    assert sorted(log.seq for log in daemon.logs) == list(range(20_000))
    assert {log.seq for log in daemon.logs if log.step != log.seq} == set()
    assert (len(daemon.hellos), ledger.packed.count, ledger.extra_nbytes) == (1, 0, 0)


def test_packing_what_is_queued_leaves_all_else_in_the_queue(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """Images that wait for the same daemon are sent before and behind what was packed, none twice."""
    client = connect(buffer_bytes="1MiB", on_full="drop_newest")
    daemon.hears.clear()
    kept = [client.log_image("k", image(step, 1000), step=step) for step in range(100)]
    drop_images(client, 20_000)
    kept += [client.log_image("k", image(step, 1000), step=step) for step in range(100)]
    assert client._delivery._ledger.packed.count
    assert {receipt.state for receipt in kept} == {"pending"}
    daemon.hears.set()
    logs = daemon.wait_for_logs(20_200 - client._delivery._ledger.packed.count)
    daemon.acknowledges = True
    daemon.acknowledge([log.seq for log in logs])
    assert client.flush(timeout_s=scaled_s(60)) == 0
    assert {receipt.state for receipt in kept} == {"saved"}
    assert sorted(log.seq for log in daemon.logs) == list(range(20_200))
    assert len(daemon.hellos) == 1
