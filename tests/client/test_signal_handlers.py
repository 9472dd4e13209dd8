"""Signal handlers that end the client or wait for it, at chosen moments of a log call."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from pixlog.sending import submission
from pixlog.sending.ledger import Ledger
from pixlog.sending.link import Link
from pixlogd.rundir.spill_files import read_spill_file
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s

Connect = Callable[..., pixlog.Client]
OnSignal = Callable[[Callable[[], object]], None]
Strike = Callable[[object, str], None]

pytestmark = pytest.mark.usefixtures("payload_way")

LOCKED = [
    pytest.param((Ledger, "admit"), id="before it has its number"),
    pytest.param((Link, "send"), id="before its frame is sent"),
    pytest.param((Ledger, "leave"), id="after its frame was sent"),
]


def image(number: int, nbytes: int = 1000) -> npt.NDArray[np.uint8]:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


@pytest.fixture
def on_signal() -> Iterator[OnSignal]:
    """Return what installs a handler of SIGUSR1, until the test is over."""
    before = signal.getsignal(signal.SIGUSR1)

    def install(work: Callable[[], object]) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: work())

    yield install
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Strike:
    """Return what has SIGUSR1 strike once, when the main thread next calls a function of a class or a module."""

    def strike(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def struck(*args: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args)
            monkeypatch.setattr(owner, name, function)
            os.kill(os.getpid(), signal.SIGUSR1)
            return function(*args)

        monkeypatch.setattr(owner, name, struck)

    return strike


@pytest.mark.parametrize("moment", LOCKED)
def test_close_in_the_middle_of_a_call_is_done_when_that_is_over(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike, moment: tuple[object, str]
) -> None:
    """The handler gets the counts of that moment and goes on; the call is saved, then the client closes."""
    daemon.acknowledges = True
    client = connect()
    client.log_image("k", image(0)).wait(scaled_s(20))
    told: list[pixlog.Stats] = []
    on_signal(lambda: told.append(client.close(timeout_s=scaled_s(60))))
    strike(*moment)
    receipt = client.log_image("k", image(1))
    assert [stats.saved for stats in told] == [1]
    assert (receipt.seq, receipt.state) == (1, "saved")
    assert (client.stats().accepted, client.stats().saved) == (2, 2)
    assert client.log_image("k", image(2)).state == "dropped"
    assert client.stats().accepted == 2
    assert not client._delivery._link.up
    assert daemon.pixels == {0: image(0).tobytes(), 1: image(1).tobytes()}


def test_close_between_the_sections_of_a_call_drops_it(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike
) -> None:
    """While the pixels are copied the call is not accepted yet: the client is closed at once, the receipt says so."""
    daemon.acknowledges = True
    client = connect()
    client.log_image("k", image(0))
    on_signal(lambda: client.close(timeout_s=scaled_s(60)))
    strike(submission, "copy_into")
    receipt = client.log_image("k", image(1, 1_000_000))
    assert (receipt.seq, receipt.state, receipt.reason) == (-1, "dropped", "the client was closed meanwhile")
    assert (client.stats().accepted, client.stats().saved, client.stats().buffer_nbytes) == (1, 1, 0)


def test_close_put_off_by_a_handler_that_raises_is_done_by_the_next(
    daemon: ScriptedDaemon,
    connect: Connect,
    on_signal: OnSignal,
    strike: Strike,
    run_dir: Path,
) -> None:
    """A call that is cut short closes nothing; a second close(), such as that at exit, leaves all to the spill."""
    client = connect()
    daemon.listening = False
    client.log_image("k", image(0))

    def close_and_exit() -> None:
        client.close(timeout_s=3600)
        raise SystemExit

    on_signal(close_and_exit)
    strike(Link, "send")
    with pytest.raises(SystemExit):
        client.log_image("k", image(1))
    assert client.log_image("k", image(2)).state == "dropped"
    stats = client.close(timeout_s=0.1)
    assert (stats.accepted, stats.pending) == (2, 2)
    (path,) = (run_dir / "spill").iterdir()
    left = read_spill_file(path)
    assert left is not None
    assert [log.seq for log in left.logs] == [0, 1]


@pytest.mark.parametrize("moment", LOCKED)
def test_waiting_in_the_middle_of_a_call_ends_at_once(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike, moment: tuple[object, str]
) -> None:
    """What the interrupted call keeps from being settled is not waited for, not even without a limit."""
    daemon.acknowledges = True
    client = connect()
    client.log_image("first", image(0)).wait(scaled_s(20))
    told: list[object] = []

    def wait() -> None:
        receipt = client.log_image("handler", image(2))
        told.extend([receipt.wait(), client.flush(timeout_s=3600) > 0, receipt.state, receipt])

    on_signal(wait)
    strike(*moment)
    client.log_image("k", image(1))
    assert client.flush(timeout_s=scaled_s(20)) == 0
    *said, receipt = told
    assert said == [False, True, "pending"]
    assert isinstance(receipt, pixlog.Receipt)
    assert receipt.state == "saved"


def test_waiting_between_the_sections_of_a_call_waits(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike
) -> None:
    """While the pixels of a call are copied, a handler may log an image and wait until it is saved."""
    daemon.acknowledges = True
    client = connect()
    states: list[str] = []

    def wait() -> None:
        receipt = client.log_image("handler", image(2))
        receipt.wait()
        states.append(receipt.state)

    on_signal(wait)
    strike(submission, "copy_into")
    receipt = client.log_image("k", image(1, 1_000_000))
    assert receipt.wait(scaled_s(20))
    assert states == ["saved"]


def test_waiting_for_room_that_the_interrupted_call_has_ends_at_once(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike
) -> None:
    """Under "block" a handler's image that finds no room is accepted after the call that it came between."""
    daemon.acknowledges = True
    client = connect(on_full="block", buffer_bytes=4 << 20)
    client.log_image("first", image(0)).wait(scaled_s(20))
    told: list[object] = []

    def wait() -> None:
        receipt = client.log_image("handler", image(2, 3_000_000))
        told.extend([receipt.wait(), client.flush(timeout_s=3600) > 0, receipt.state, receipt])

    on_signal(wait)
    strike(submission, "copy_into")
    client.log_image("k", image(1, 3_000_000))
    assert client.flush(timeout_s=scaled_s(20)) == 0
    *said, receipt = told
    assert said == [False, True, "pending"]
    assert isinstance(receipt, pixlog.Receipt)
    assert receipt.state == "saved"


def test_client_closed_while_a_bad_call_is_refused_raises_nothing(
    daemon: ScriptedDaemon, connect: Connect, on_signal: OnSignal, strike: Strike
) -> None:
    """Training hears of a bad image by a warning, and of the end by the receipt."""
    daemon.acknowledges = True
    client = connect()
    on_signal(lambda: client.close(timeout_s=scaled_s(60)))
    strike(pixlog.client, "pack_map")
    receipt = client.log_image("bad", None)
    assert (receipt.seq, receipt.state) == (-1, "dropped")
    assert (receipt.reason or "").startswith("got None")
    assert client.stats().accepted == 0


def test_client_closed_behind_an_accepted_outcome_keeps_it(
    daemon: ScriptedDaemon,
    connect: Connect,
    on_signal: OnSignal,
    strike: Strike,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What there is to do for many outcomes behind one of them is no matter when it was the last."""
    monkeypatch.setattr("pixlog.sending.packing.BLOCK_COUNT", 1)
    client = connect()
    on_signal(lambda: client.close(timeout_s=0.1))
    strike(Ledger, "leave")
    receipt = client.log_image("bad", None)
    assert receipt.seq == daemon.wait_for_logs(1)[0].seq == 0
    assert (client.stats().accepted, client.stats().pending) == (1, 1)
