"""Calls whose pixels are still on their way from a device, seen from the other end of the socket."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from host_device import HostDevice, host_device
from pixlog.sending import arrivals
from pixlogd.rundir.spill_files import read_spill_file
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]
Gray = npt.NDArray[np.uint8]

pytestmark = pytest.mark.usefixtures("payload_way")


@pytest.fixture
def device() -> Iterator[HostDevice]:
    """Return a device whose copies happen when the test says so."""
    with host_device() as device:
        yield device


@pytest.fixture(autouse=True)
def _forget_what_is_never_freed() -> Iterator[None]:
    """What a device may still write to is kept for the life of a process, which here is a test."""
    yield
    arrivals._never_freed.clear()


def image(number: int, nbytes: int = 1000) -> Gray:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


def test_held_call_is_sent_when_its_pixels_have_arrived(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """It has its number and counts as pending at once; its frame comes later, behind host images logged after it."""
    client = connect()
    held = client.log_image("k", device.take(image(7)))
    host = client.log_image("k", image(8))
    assert (held.seq, host.seq, held.state) == (0, 1, "pending")
    assert [log.seq for log in daemon.wait_for_logs(1)] == [1]
    assert (client.stats().accepted, client.stats().pending) == (2, 2)
    wait_until(lambda: device.started == 1)
    assert len(daemon.logs) == 1
    device.go()
    assert [log.seq for log in daemon.wait_for_logs(2)] == [1, 0]
    assert daemon.pixels == {0: image(7).tobytes(), 1: image(8).tobytes()}
    daemon.acknowledge([0, 1])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert client.stats().buffer_nbytes == 0


def test_many_held_calls_arrive_whole_and_in_their_order(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """Calls of one device are sent in the order of their numbers, each with its own pixels."""
    client = connect()
    device.open = True
    daemon.acknowledges = True
    for number in range(200):
        client.log_image("k", device.take(image(number)))
    assert client.flush(timeout_s=scaled_s(30)) == 0
    assert [log.seq for log in daemon.logs] == list(range(200))
    assert daemon.pixels == {number: image(number).tobytes() for number in range(200)}
    assert device.thread_names == {"pixlog-device"}


@pytest.mark.parametrize(
    ("shape", "axes", "options"),
    [
        pytest.param((8, 9), (0, 1), {}, id="gray"),
        pytest.param((8, 9, 3), (0, 1, 2), {"caption": "c"}, id="RGB"),
        pytest.param((3, 8, 9), (1, 2, 0), {}, id="planes seen as HWC"),
        pytest.param((5, 8, 9, 3), (0, 1, 2, 3), {}, id="batch"),
        pytest.param((5, 8, 9, 3), (0, 1, 2, 3), {"caption": list("abcde")}, id="batch with captions"),
        pytest.param((5, 3, 8, 9), (0, 2, 3, 1), {"grid": 2}, id="batch of planes in a grid"),
        pytest.param((8, 5, 9, 3), (1, 0, 2, 3), {}, id="batch with its images interleaved"),
    ],
)
def test_held_call_says_what_a_host_call_says(
    daemon: ScriptedDaemon,
    connect: Connect,
    device: HostDevice,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    options: dict[str, object],
) -> None:
    """Frame and pixels are those of the same array in host memory, whatever its memory order."""
    client = connect()
    device.open = True
    array = np.random.default_rng(0).random(shape).astype(np.float32).transpose(axes)
    client.log_image("k", array, step=0, **options)  # type: ignore[arg-type]
    for _ in range(2):  # described, and described from memory
        client.log_image("k", device.take(array), step=0, **options)  # type: ignore[arg-type]
    host, held, again = daemon.wait_for_logs(3)
    assert held.header["items"] == again.header["items"] == host.header["items"]
    assert held.header["buffers"] == host.header["buffers"]
    for offset, nbytes in host.header["buffers"]:  # what lies between them is nobody's
        one, two, three = (daemon.pixels[seq][offset : offset + nbytes] for seq in range(3))
        assert one == two == three


def test_list_mixes_host_and_device(daemon: ScriptedDaemon, connect: Connect, device: HostDevice) -> None:
    """One call may have pixels of both kinds; it is sent when the last of them are there."""
    client = connect()
    masks = {"m": {"mask_data": np.ones((10, 100), np.uint8)}}
    pieces = [device.take(image(1)), image(2), device.take(image(3))]
    receipt = client.log_image("k", pieces, masks=[masks, None, None])
    device.go()
    wait_until(lambda: device.started == 2)
    assert not daemon.logs
    device.go()
    (log,) = daemon.wait_for_logs(1)
    payload = daemon.pixels[receipt.seq]
    extents = [log.header["buffers"][item["data"]["buffer"]] for item in log.header["items"]]
    assert [payload[offset : offset + nbytes] for offset, nbytes in extents] == [
        image(number).tobytes() for number in (1, 2, 3)
    ]


def test_failed_copy_is_a_failed_row(daemon: ScriptedDaemon, connect: Connect, device: HostDevice) -> None:
    """A copy that ends with an error gives a row with its reason, and the memory back."""
    client = connect()
    device.open = True
    device.fails = "the device fell off the bus"
    client.log_image("k", device.take(image(1)))
    (log,) = daemon.wait_for_logs(1)
    assert (log.header["state"], log.header["key"], log.header["items"]) == ("failed", "k", [])
    assert log.header["reason"] == "copy from the device: the device fell off the bus"
    daemon.acknowledge([0], "failed", log.header["reason"])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert client.stats().failed_reasons == {"copy from the device": 1}
    assert client.stats().buffer_nbytes == 0


def test_copy_that_cannot_start_is_read_instead(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice, caplog: pytest.LogCaptureFixture
) -> None:
    """An error at the start of a copy is made up for by reading the snapshot; only if that fails too, the row fails."""
    client = connect()
    device.refuses_start = "no stream"
    client.log_image("k", device.take(image(1)))
    daemon.wait_for_logs(1)
    assert daemon.pixels[0] == image(1).tobytes()
    device.refuses_read = "no device"
    client.log_image("k", device.take(image(2)))
    assert daemon.wait_for_logs(2)[1].header["reason"] == "copy from the device: RuntimeError: no device"
    wait_until(lambda: caplog.text.count("cannot be started, it is read instead") == 1)


def test_flush_counts_held_calls(daemon: ScriptedDaemon, connect: Connect, device: HostDevice) -> None:
    """A flush waits for pixels on their way, as for everything that is not saved."""
    client = connect()
    daemon.acknowledges = True
    client.log_image("k", device.take(image(1)))
    client.log_image("k", image(2))
    wait_until(lambda: client.stats().saved == 1)
    assert client.flush(timeout_s=0.05) == 1
    assert not client._delivery.wait_until_sent(0.05)
    device.go()
    assert client.flush(timeout_s=scaled_s(10)) == 0


def test_close_ends_though_a_copy_never_does(
    connect: Connect, device: HostDevice, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy that never ends holds up close() for a bounded time, and is left as a failed row; its memory stays."""
    client = connect()
    client.log_image("k", device.take(image(1)))
    wait_until(lambda: device.started == 1)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "pixlog"):
        stats = client.close(timeout_s=0.1)
    assert time.monotonic() - began < scaled_s(5)
    assert (stats.accepted, stats.pending) == (1, 1)
    assert "closed before 1 images were copied from their device" in caplog.text
    (path,) = (run_dir / "spill").iterdir()
    left = read_spill_file(path)
    assert left is not None
    (log,) = left.logs
    assert (log.header["state"], log.header["key"]) == ("failed", "k")
    assert log.header["reason"].startswith("copy from the device: not finished")
    assert arrivals._never_freed == [client._delivery._arrivals]
    assert device.unlocked == []


def test_close_leaves_exactly_what_the_daemon_did_not_get(
    daemon: ScriptedDaemon,
    connect: Connect,
    device: HostDevice,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With held calls and one behind them cut off by a full socket, each is the daemon's or in the spill."""
    monkeypatch.setattr("pixlog.sending.handshake._SEND_BUFFER_NBYTES", 64 << 10)
    client = connect(buffer_bytes="32MiB")
    daemon.hears.clear()
    link = client._delivery._link
    while not link.waiting_count:
        held = [client.log_image("held", device.take(image(number))) for number in range(50)]
        device.go(len(held))
        wait_until(lambda: not len(client._delivery._arrivals))
        last = client.log_image("host", image(0))
    client.close(timeout_s=0.1)
    left = [read_spill_file(path) for path in (run_dir / "spill").iterdir()]
    left_seqs = {log.seq for file in left if file is not None for log in file.logs}
    assert last.seq in left_seqs
    daemon.hears.set()
    wait_until(lambda: {log.seq for log in daemon.logs} | left_seqs == set(range(last.seq + 1)))


def test_pages_are_locked_once_and_unlocked_at_the_end(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice, payload_way: str
) -> None:
    """Each shared arena is page-locked before its first copy, by the background thread, and unlocked by close()."""
    client = connect()
    daemon.acknowledges = device.open = True
    for number in range(5):
        client.log_image("k", device.take(image(number)))
        assert client.flush(timeout_s=scaled_s(10)) == 0
    sizes = [arena.nbytes for arena in client._delivery._pool.arenas] if payload_way == "arena" else []
    assert device.locked == sizes
    assert device.started_locked == (5 if payload_way == "arena" else 0)
    client.close()
    assert device.unlocked == sizes


def test_pages_that_cannot_be_locked_are_copied_to_all_the_same(
    daemon: ScriptedDaemon,
    connect: Connect,
    device: HostDevice,
    caplog: pytest.LogCaptureFixture,
    payload_way: str,
) -> None:
    """Without page-locked memory copies are started with that said, to the device and once to the user."""
    client = connect()
    device.locks, device.open = False, True
    client.log_image("k", device.take(image(1)))
    daemon.wait_for_logs(1)
    assert (device.started, device.started_locked) == (1, 0)
    assert daemon.pixels[0] == image(1).tobytes()
    if payload_way == "arena":
        wait_until(lambda: caplog.text.count("cannot be page-locked") == 1)


def test_held_call_is_not_said_again_before_it_was_said(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """After the connection broke, everything but what is held comes again; what is held comes once, when it can."""
    client = connect()
    client.log_image("k", device.take(image(0)))
    client.log_image("k", image(1))
    daemon.wait_for_logs(1)
    daemon.cut()
    assert [log.seq for log in daemon.wait_for_logs(2)] == [1, 1]
    assert daemon.hellos[1].resume == 0
    device.go()
    assert [log.seq for log in daemon.wait_for_logs(3)] == [1, 1, 0]
    assert daemon.pixels == {0: image(0).tobytes(), 1: image(1).tobytes()}


def test_held_call_arrives_while_nobody_listens(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """Pixels that arrive while the daemon is gone are said when there is one again."""
    client = connect()
    client.log_image("k", device.take(image(0)))
    daemon.listening = False
    daemon.cut()
    wait_until(lambda: not client._delivery._link.up)
    device.go()
    wait_until(lambda: not len(client._delivery._arrivals))
    daemon.acknowledges = daemon.listening = True
    assert client.flush(timeout_s=scaled_s(20)) == 0
    assert daemon.pixels == {0: image(0).tobytes()}


def test_acknowledgement_of_a_held_call_changes_nothing(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """Nobody can have saved what was not sent: its memory is not given to others while a device writes to it."""
    client = connect()
    receipt = client.log_image("k", device.take(image(0)))
    client.log_image("k", image(1))
    daemon.wait_for_logs(1)
    daemon.acknowledge([0, 1])
    wait_until(lambda: client.stats().saved == 1)
    assert receipt.state == "pending"
    device.go()
    daemon.wait_for_logs(2)
    daemon.acknowledge([0])
    assert client.flush(timeout_s=scaled_s(10)) == 0


def test_image_that_points_at_a_held_call_follows_it(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """A call over an earlier image comes to the daemon after that image, others do not wait."""
    client = connect()
    held = client.log_image("k", device.take(image(0)))
    one = client.log_image("ref", pixlog.Image.ref(held, caption="one"))
    two = client.log_image("ref", pixlog.Image.ref(one, caption="two"))
    client.log_image("k", image(3))
    assert [log.seq for log in daemon.wait_for_logs(1)] == [3]
    device.go()
    assert [log.seq for log in daemon.wait_for_logs(4)] == [3, held.seq, one.seq, two.seq]


@pytest.mark.parametrize("on_full", ["spill", "block", "drop_newest"])
def test_full_memory_holds_for_devices_too(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice, run_dir: Path, on_full: str
) -> None:
    """Without room a snapshot is read into the spill, waits for room, or is dropped, as any image."""
    client = connect(buffer_bytes="64KiB", on_full=on_full)
    device.open = True
    client.log_image("k", device.take(image(0, 40_000)))
    daemon.wait_for_logs(1)
    if on_full == "block":
        daemon.acknowledges = True
        daemon.acknowledge([0])
    client.log_image("k", device.take(image(1, 40_000)))
    log = daemon.wait_for_logs(2)[1]
    if on_full == "drop_newest":
        assert log.header["state"] == "dropped"
    elif on_full == "block":
        assert daemon.pixels[1] == image(1, 40_000).tobytes()
    else:
        (path,) = (run_dir / "spill").iterdir()
        assert image(1, 40_000).tobytes() in path.read_bytes()


def test_full_memory_waits_for_what_another_thread_copies(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """With "block", a call waits for room though nothing is pending: another thread is copying what holds it."""
    daemon.acknowledges = True
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=3600)
    device.reads.clear()
    copying = threading.Thread(
        target=client.log_image, args=("k", device.take_every_other(image(1, 300_000)))
    )
    copying.start()
    wait_until(lambda: device.reading == 1)
    let_go = threading.Timer(scaled_s(0.2), device.reads.set)
    let_go.start()
    client.log_image("k", image(2, 150_000))
    copying.join()
    let_go.join()
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert daemon.pixels == {0: image(1, 150_000).tobytes(), 1: image(2, 150_000).tobytes()}
    assert (client.stats().saved, client.stats().dropped) == (2, 0)


def test_handler_does_not_wait_for_the_call_that_it_interrupts(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """With "block", a call from a signal handler that finds the memory held by the interrupted call comes after it."""
    daemon.acknowledges = True
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=3600)
    device.reads.clear()
    receipts: list[pixlog.Receipt] = []

    def log_too(*_: object) -> None:
        receipts.append(client.log_image("handler", image(2, 150_000)))
        device.reads.set()

    def interrupt() -> None:
        wait_until(lambda: device.reading == 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, log_too)
    interrupting = threading.Thread(target=interrupt)
    try:
        interrupting.start()
        client.log_image("k", device.take_every_other(image(1, 300_000)))
    finally:
        interrupting.join()
        signal.signal(signal.SIGUSR1, before)
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert [receipt.state for receipt in receipts] == ["saved"]
    assert daemon.pixels == {0: image(1, 150_000).tobytes(), 1: image(2, 150_000).tobytes()}


def test_interrupted_call_is_copied_after_the_next(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between accepting a call and having it copied loses nothing: the next call sees to both."""
    client = connect()
    device.open = True
    watch = arrivals.Arrivals.watch
    strikes = [KeyboardInterrupt()]

    def struck(self: arrivals.Arrivals, seq: int, arrival: arrivals.Arrival) -> None:
        if strikes:
            raise strikes.pop()
        watch(self, seq, arrival)

    monkeypatch.setattr(arrivals.Arrivals, "watch", struck)
    with pytest.raises(KeyboardInterrupt):
        client.log_image("k", device.take(image(0)))
    client.log_image("k", device.take(image(1)))
    wait_until(lambda: {log.seq for log in daemon.logs} == {0, 1})
    assert daemon.pixels == {0: image(0).tobytes(), 1: image(1).tobytes()}


def test_refused_arena_with_held_calls_goes_inline(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """When the daemon takes no more arenas, pixels that arrive in one that it does not see are sent inline."""
    daemon.takes_arenas = 1
    client = connect(buffer_bytes="32MiB")
    first = image(0, 6_000_000)
    second = image(1, 6_000_000)
    client.log_image("k", first)
    client.log_image("k", device.take(second))
    device.go()
    pixels = daemon.wait_for_pixels(2)
    assert pixels == {0: first.tobytes(), 1: second.tobytes()}


def test_refused_arena_with_a_failed_copy_goes_inline(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """A failed row that waits beside others does not keep them from being said inline to a daemon without arenas."""
    client = connect()
    device.open = True
    device.fails = "the device fell off the bus"
    client.log_image("k", device.take(image(0)))
    client.log_image("k", image(1))
    daemon.wait_for_logs(2)
    daemon.takes_arenas = 0
    daemon.pixels.clear()
    daemon.cut()
    assert daemon.wait_for_pixels(1)[1] == image(1).tobytes()
    daemon.acknowledge([0], "failed", "copy from the device: the device fell off the bus")
    daemon.acknowledge([1])
    assert client.flush(timeout_s=scaled_s(10)) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_forked_child_leaves_the_device_alone(
    daemon: ScriptedDaemon, connect: Connect, device: HostDevice
) -> None:
    """A child that is forked with copies in flight keeps what it inherited, logs its own, and ends."""
    client = connect()
    client.log_image("k", device.take(image(0)))
    wait_until(lambda: device.started == 1)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            delivery = client._delivery
            code = 0 if arrivals._never_freed and not len(delivery._arrivals) and not device.unlocked else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    device.go()
    daemon.wait_for_logs(1)
    assert daemon.pixels[0] == image(0).tobytes()
