"""What a client says, keeps and says again, seen from the other end of its socket."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
from middle_of_a_call import middle_of_a_call
from pixlog.protocol import Kind, encode_head
from pixlog.sending.pending import Pending
from pixlog.sending.spill import Spill
from pixlog.stats import Stats
from pixlogd.headers import InArena, InSpill
from pixlogd.rundir.spill_files import read_spill_file
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s, wait_until

Connect = Callable[..., pixlog.Client]
Gray = npt.NDArray[np.uint8]

pytestmark = pytest.mark.usefixtures("payload_way")


def image(number: int, nbytes: int = 1000) -> Gray:
    """Return an image whose bytes tell its number."""
    return np.full((10, nbytes // 10), number % 256, np.uint8)


def log_images(client: pixlog.Client, count: int, nbytes: int = 1000) -> list[pixlog.Receipt]:
    """Log some images."""
    return [client.log_image("k", image(number, nbytes)) for number in range(count)]


def test_calls_arrive_with_their_pixels(daemon: ScriptedDaemon, connect: Connect) -> None:
    """Every call is a frame with its number, and its pixels are where the frame says."""
    client = connect()
    receipts = log_images(client, 50)
    logs = daemon.wait_for_logs(50)
    assert [log.seq for log in logs] == [receipt.seq for receipt in receipts] == list(range(50))
    assert daemon.pixels == {number: image(number).tobytes() for number in range(50)}
    assert {receipt.state for receipt in receipts} == {"pending"}
    assert client.stats().pending == 50


def test_hello_names_the_client(daemon: ScriptedDaemon, connect: Connect, run_dir: Path) -> None:
    """The first words name client, run and process, and that nothing was said before."""
    client = connect(rank=3)
    (hello,) = daemon.hellos
    assert (hello.client, hello.run_dir, hello.rank) == (client.id, str(run_dir), 3)
    assert (hello.resume, hello.again) == (0, False)


def test_acknowledgements_settle_in_any_order(daemon: ScriptedDaemon, connect: Connect) -> None:
    """Calls are settled as they are acknowledged, with state, reason and paths, and their memory is free again."""
    client = connect()
    receipts = log_images(client, 30)
    daemon.wait_for_logs(30)
    order = list(range(30))
    random.Random(1).shuffle(order)
    for seq in order[:10]:
        daemon.acknowledge([seq], paths=[f"media/{seq}.png"])
    daemon.acknowledge(order[10:20], "failed", "no image: really")
    daemon.acknowledge(order[20:], "dropped", "no space")
    assert client.flush(timeout_s=scaled_s(10)) == 0
    by_state = {receipt.seq: (receipt.state, receipt.reason, receipt.paths) for receipt in receipts}
    assert all(by_state[seq] == ("saved", None, [f"media/{seq}.png"]) for seq in order[:10])
    assert all(by_state[seq] == ("failed", "no image: really", []) for seq in order[10:20])
    assert all(by_state[seq] == ("dropped", "no space", []) for seq in order[20:])
    stats = client.stats()
    assert (stats.accepted, stats.saved, stats.failed, stats.dropped, stats.pending) == (30, 10, 10, 10, 0)
    assert stats.buffer_nbytes == 0
    assert stats.failed_reasons == {"no image": 10}


def test_counts_agree_at_every_moment(daemon: ScriptedDaemon, connect: Connect) -> None:
    """However other threads log and settle meanwhile, accepted is saved, failed, dropped and pending together."""
    client = connect(buffer_bytes="64KiB", on_full="drop_newest")
    daemon.acknowledges = True
    interval_s = sys.getswitchinterval()
    logging_thread = threading.Thread(target=log_images, args=(client, 3000))
    odd: list[Stats] = []
    sys.setswitchinterval(1e-6)
    try:
        logging_thread.start()
        while logging_thread.is_alive():
            stats = client.stats()
            if (
                stats.accepted != stats.saved + stats.failed + stats.dropped + stats.pending
                or stats.pending < 0
            ):
                odd.append(stats)
    finally:
        sys.setswitchinterval(interval_s)
    assert odd == []
    assert client.flush(timeout_s=scaled_s(20)) == 0
    assert (client.stats().accepted, client.stats().pending) == (3000, 0)


def test_acknowledgement_counts_once(daemon: ScriptedDaemon, connect: Connect) -> None:
    """One that is said twice, or for a number that was never used, changes nothing."""
    client = connect()
    log_images(client, 2)
    daemon.wait_for_logs(2)
    daemon.acknowledge([0, 0, 77])
    daemon.acknowledge([0], "failed", "late")
    daemon.acknowledge([1])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    stats = client.stats()
    assert (stats.accepted, stats.saved, stats.failed) == (2, 2, 0)


def test_pending_calls_are_said_again_after_a_cut(daemon: ScriptedDaemon, connect: Connect) -> None:
    """After the connection broke, everything unacknowledged comes again, in order, with its pixels, and no more."""
    client = connect()
    log_images(client, 20)
    daemon.wait_for_logs(20)
    daemon.acknowledge([0, 1, 5, 19])
    wait_until(lambda: client.stats().saved == 4)
    daemon.pixels.clear()
    daemon.cut()
    logs = daemon.wait_for_logs(36)[20:]
    pending = [seq for seq in range(20) if seq not in (0, 1, 5, 19)]
    assert [log.seq for log in logs] == pending
    assert daemon.pixels == {seq: image(seq).tobytes() for seq in pending}
    assert (daemon.hellos[1].resume, daemon.hellos[1].again) == (2, True)
    client.log_image("k", image(20))
    assert daemon.wait_for_logs(37)[-1].seq == 20
    daemon.acknowledge([*pending, 20])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert client.stats().reconnects == 1


def test_call_accepted_while_the_client_says_who_it_is_is_not_said_to_be_known(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """The number from which a fresh connection resumes is never above one that another thread was just given."""
    client = connect()
    daemon.acknowledges = True
    log_images(client, 3)
    assert client.flush(timeout_s=scaled_s(10)) == 0
    ledger = client._delivery._ledger

    class LetsAnotherThreadRun(dict[int, Pending]):
        """What is pending, where another thread has its turn right after each copy."""

        def copy(self) -> dict[int, Pending]:
            copied = dict(self)
            if threading.current_thread().name == "pixlog-link" and ledger.next_seq == 3:
                other = threading.Thread(target=client.log_image, args=("k", image(3)))
                other.start()
                other.join()
            return copied

    ledger.pending = LetsAnotherThreadRun(ledger.pending)
    daemon.cut()
    assert daemon.wait_for_hellos(2)[1].resume == 3
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert client.stats().saved == 4


def test_calls_wait_while_nobody_listens(daemon: ScriptedDaemon, connect: Connect) -> None:
    """What is logged while the daemon is gone is accepted, and said when there is one again."""
    client = connect()
    daemon.listening = False
    daemon.cut()
    receipts = log_images(client, 15)
    daemon.acknowledges = daemon.listening = True
    assert client.flush(timeout_s=scaled_s(20)) == 0
    assert {receipt.state for receipt in receipts} == {"saved"}
    assert sorted({log.seq for log in daemon.logs}) == list(range(15))


def test_cut_in_the_middle_of_a_frame_loses_nothing(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that break again and again, with frames half sent, end with every call saved once."""
    monkeypatch.setattr("pixlog.sending.link._RETRY_FIRST_S", 0.001)
    client = connect(buffer_bytes="64MiB")
    for turn in range(8):
        for number in range(5):
            client.log_image("k", image(5 * turn + number, 400_000))
        daemon.cut()
    daemon.acknowledges = True
    daemon.cut()
    assert client.flush(timeout_s=scaled_s(30)) == 0
    assert client.stats().saved == 40
    assert daemon.broken == []
    assert daemon.pixels == {seq: image(seq, 400_000).tobytes() for seq in range(40)}


def test_garbage_from_the_daemon_is_survived(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A daemon that talks nonsense loses the connection, not the images."""
    client = connect()
    log_images(client, 5)
    daemon.wait_for_logs(5)
    daemon.say(b"\0" * 100)
    assert [log.seq for log in daemon.wait_for_logs(10)[5:]] == [0, 1, 2, 3, 4]
    daemon.acknowledge(range(5))
    assert client.flush(timeout_s=scaled_s(10)) == 0


@pytest.mark.parametrize(
    "ack",
    [
        pytest.param({}, id="no rows"),
        pytest.param({"rows": 5}, id="rows is a number"),
        pytest.param({"rows": [[0]]}, id="short row"),
        pytest.param({"rows": [[{}, "saved", None, [], []]]}, id="odd number"),
        pytest.param({"rows": [[0, "lost", None, [], []]]}, id="odd state"),
        pytest.param({"rows": [[0, "dropped", 5, [], []]]}, id="odd reason"),
        pytest.param({"rows": [[0, "saved", None, [], [5]]]}, id="odd note"),
    ],
)
def test_odd_acknowledgement_is_survived(
    daemon: ScriptedDaemon, connect: Connect, ack: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """An acknowledgement that makes no sense ends the connection at worst; every call is still settled once."""
    caplog.set_level(logging.CRITICAL, "pixlog")
    client = connect()
    log_images(client, 3)
    daemon.wait_for_logs(3)
    daemon.acknowledges = True
    daemon.say(encode_head(Kind.ACK, ack))
    daemon.acknowledge([0, 1, 2])
    assert client.flush(timeout_s=scaled_s(20)) == 0
    stats = client.stats()
    assert stats.saved + stats.dropped == stats.accepted == 3


def test_close_leaves_what_is_pending_and_says_so(
    daemon: ScriptedDaemon, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing in time with unsaved images returns the counts, warns once with their number, and a second is nothing."""
    client = connect()
    log_images(client, 3)
    daemon.wait_for_logs(3)
    daemon.acknowledge([1])
    wait_until(lambda: client.stats().saved == 1)
    stats = client.close(timeout_s=0.2)
    assert (stats.accepted, stats.saved, stats.pending) == (3, 1, 2)
    assert [record for record in caplog.messages if "2 images not yet saved" in record] != []
    assert client.close() == stats


def test_close_does_not_wait_for_room(daemon: ScriptedDaemon, connect: Connect, run_dir: Path) -> None:
    """A deferred call that finds no room under "block" is a dropped row when nobody makes room any more."""
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=3600)
    client.log_image("k", image(0, 200_000))
    daemon.listening = False
    daemon.cut()
    wait_until(lambda: not client._delivery._link.up)
    with middle_of_a_call(client):
        client.log_image("k", image(1, 200_000))
    assert client.close(timeout_s=0.1).pending == 2
    (path,) = (run_dir / "spill").iterdir()
    left = read_spill_file(path)
    assert left is not None
    assert [(log.seq, log.header.get("state")) for log in left.logs] == [(0, None), (1, "dropped")]


def test_close_ends_the_waiting_of_other_threads(daemon: ScriptedDaemon, connect: Connect) -> None:
    """Who waits for a receipt, for all or for room hears of the end at once; a call that waited for room is dropped."""
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=3600)
    pending = client.log_image("k", image(0, 200_000))
    told: dict[str, object] = {}
    waits: dict[str, Callable[[], object]] = {
        "receipt": pending.wait,
        "flush": lambda: client.flush(timeout_s=3600),
        "room": lambda: client.log_image("k", image(1, 200_000)).state,
    }
    threads = [
        threading.Thread(target=lambda name=name: told.update({name: waits[name]()})) for name in waits
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: client._delivery._ledger._waiter_count == 3)
    client.close(timeout_s=0.1)
    for thread in threads:
        thread.join(scaled_s(20))
    assert told == {"receipt": False, "flush": 1, "room": "dropped"}
    assert (client.stats().accepted, client.stats().pending) == (1, 1)
    assert not pending.wait()


# Memory


def test_memory_is_used_again(daemon: ScriptedDaemon, connect: Connect) -> None:
    """Ten times the budget goes through it, each call with its own pixels."""
    daemon.acknowledges = True
    client = connect(buffer_bytes="1MiB", on_full="block")
    for number in range(100):
        client.log_image("k", image(number, 100_000))
    assert client.flush(timeout_s=scaled_s(20)) == 0
    assert daemon.pixels == {number: image(number, 100_000).tobytes() for number in range(100)}
    assert client.stats().saved == 100


def test_full_memory_blocks_until_there_is_room(daemon: ScriptedDaemon, connect: Connect) -> None:
    """With "block", a call that finds no room in time is dropped with the reason, and counted."""
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=scaled_s(0.2))
    kept = log_images(client, 2, 100_000)
    dropped = client.log_image("k", image(2, 100_000))
    assert daemon.wait_for_logs(3)[2].header["state"] == "dropped"
    assert f"within {scaled_s(0.2):g} s" in daemon.logs[2].header["reason"]
    daemon.acknowledge([0, 1])
    daemon.acknowledge([2], "dropped", daemon.logs[2].header["reason"])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert [receipt.state for receipt in kept] == ["saved", "saved"]
    assert dropped.state == "dropped"
    assert client.log_image("k", image(3, 100_000)).seq == 3
    assert "state" not in daemon.wait_for_logs(4)[3].header


def test_call_that_can_never_fit_does_not_wait(daemon: ScriptedDaemon, connect: Connect) -> None:
    """With "block", an image larger than all the memory is dropped though others are pending, from a handler too."""
    client = connect(buffer_bytes="256KiB", on_full="block", timeout_s=3600)
    client.log_image("k", image(0))
    client.log_image("k", image(1, 300_000))
    with middle_of_a_call(client):
        client.log_image("k", image(2, 300_000))
    reasons = [log.header.get("reason") for log in daemon.wait_for_logs(3)]
    assert reasons == [None, *["buffer full: 300000 bytes did not fit into buffer_bytes=262144"] * 2]


def test_full_memory_drops_the_newest(daemon: ScriptedDaemon, connect: Connect) -> None:
    """With "drop_newest", what is there stays and what comes is dropped: a frame with the reason and no pixels."""
    client = connect(buffer_bytes="256KiB", on_full="drop_newest")
    log_images(client, 5, 100_000)
    logs = daemon.wait_for_logs(5)
    assert ["state" in log.header for log in logs] == [False, False, True, True, True]
    assert all(log.header["reason"].startswith("buffer full: 100000 bytes did not fit") for log in logs[2:])
    assert [len(daemon.pixels[seq]) for seq in range(5)] == [100_000, 100_000, 0, 0, 0]


def test_full_memory_spills_to_disk(daemon: ScriptedDaemon, connect: Connect, run_dir: Path) -> None:
    """With "spill", the rest goes into files whose frames name file and offset, and the files go with the last call."""
    client = connect(buffer_bytes="256KiB", on_full="spill")
    log_images(client, 8, 100_000)
    logs = daemon.wait_for_logs(8)
    places = [log.place for log in logs]
    assert [isinstance(place, InSpill) for place in places] == [False] * 2 + [True] * 6
    (path,) = (run_dir / "spill").iterdir()
    content = path.read_bytes()
    for seq, place in enumerate(places):
        if isinstance(place, InSpill):
            assert place.name == path.name
            assert content[place.offset : place.offset + place.nbytes] == image(seq, 100_000).tobytes()
    recorded = read_spill_file(path)
    assert recorded is not None
    assert (recorded.hello.client, [log.seq for log in recorded.logs]) == (client.id, [2, 3, 4, 5, 6, 7])
    daemon.acknowledge(range(8))
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert client.stats().spilled == 6
    assert list((run_dir / "spill").iterdir()) == []


def test_spill_file_that_cannot_be_removed_holds_up_nothing(
    daemon: ScriptedDaemon, connect: Connect, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its images are saved and are counted so over the same connection, and the user hears of the file once."""
    client = connect(buffer_bytes="256KiB", on_full="spill")
    log_images(client, 8, 100_000)
    daemon.wait_for_logs(8)
    (path,) = (run_dir / "spill").iterdir()
    path.unlink()
    path.mkdir()  # what is no file cannot be removed as one
    daemon.acknowledge(range(8))
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert (client.stats().saved, client.stats().reconnects) == (8, 0)
    wait_until(lambda: caplog.text.count("a spill file that nobody needs cannot be removed") == 1)


def test_spill_has_a_budget_too(daemon: ScriptedDaemon, connect: Connect) -> None:
    """Beyond memory and spill a call is dropped: no space, and the row says so."""
    client = connect(buffer_bytes="256KiB", spill_bytes="256KiB", on_full="spill")
    log_images(client, 6, 100_000)
    logs = daemon.wait_for_logs(6)
    assert ["state" in log.header for log in logs] == [False] * 4 + [True] * 2
    assert logs[5].header["reason"].startswith("no space: ")


def test_account_of_waiting_calls_has_a_bound_and_says_so(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A kibibyte of memory is set aside for each call that waits; where that alone fills it, the reason names it."""
    client = connect(buffer_bytes="64KiB", on_full="spill")
    log_images(client, 80, 2000)
    reasons = [log.header.get("reason") for log in daemon.wait_for_logs(80)]
    assert reasons[:60] == [None] * 60
    assert reasons[-1] is not None
    assert reasons[-1].startswith("no space: buffer_bytes=65536 cannot keep account of more than the ")


@pytest.mark.parametrize(
    ("on_full", "reason"),
    [
        pytest.param("drop_newest", "buffer full: 1000 bytes did not fit", id="drop_newest"),
        pytest.param("block", "buffer full: 1000 bytes did not fit", id="block"),
        pytest.param("spill", "no space: buffer_bytes=1048576 cannot keep account", id="spill"),
    ],
)
def test_what_calls_say_of_themselves_counts_as_memory(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch, on_full: str, reason: str
) -> None:
    """Beside a long meta little room is left for pixels, and a call that is dropped for that keeps its outcome only."""
    client = connect(buffer_bytes="1MiB", on_full=on_full)
    ledger = client._delivery._ledger
    monkeypatch.setattr(ledger, "options", ledger.options._replace(timeout_s=0.01))
    for number in range(30):
        client.log_image("k", image(number), meta={"text": "x" * 100_000})
        assert sum(len(pending.head) for pending in ledger.pending.values()) < 1_200_000
    logs = daemon.wait_for_logs(30)
    kept = [log.seq for log in logs if "state" not in log.header]
    assert kept == list(range(len(kept)))
    assert 5 < len(kept) < 12
    for log in logs[:15]:
        assert ("meta" in log.header) == (log.seq in kept)
    assert all(log.header["reason"].startswith(reason) for log in logs[len(kept) :])
    assert "without its description of 100" in logs[-1].header["reason"]
    daemon.acknowledge(range(30))
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert ledger.extra_nbytes == 0
    assert "state" not in daemon.wait_for_logs(client.log_image("k", image(0), meta="m").seq + 1)[-1].header


def test_calls_without_pixels_count_as_memory(daemon: ScriptedDaemon, connect: Connect) -> None:
    """What points at an image and says much of it is dropped where that does not fit, and waits under "block"."""
    for on_full in ("drop_newest", "block"):
        daemon.logs.clear()
        client = connect(buffer_bytes="256KiB", on_full=on_full, timeout_s=scaled_s(20))
        first = client.log_image("k", image(0))
        for _ in range(2):
            client.log_image("ref", pixlog.Image.ref(first), meta="m" * 100_000)
        assert all("state" not in log.header for log in daemon.wait_for_logs(3))
        acknowledging = threading.Timer(0.2, lambda: daemon.acknowledge([1, 2]))
        if on_full == "block":
            acknowledging.start()
        last = client.log_image("ref", pixlog.Image.ref(first), meta="m" * 100_000)
        log = daemon.wait_for_logs(4)[last.seq]
        if on_full == "block":
            acknowledging.join()
            assert log.header["meta"] == "m" * 100_000
        else:
            assert (log.header["state"], log.header["items"]) == ("dropped", [])
            assert log.header["reason"].startswith("buffer full: its description of 100")
        client.close(timeout_s=0)


@pytest.mark.parametrize("on_full", ["spill", "drop_newest", "block"])
def test_memory_that_is_full_of_pixels_drops_no_call_without_them(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch, on_full: str
) -> None:
    """While pixels fill the memory, what points at an image, and the row of a dropped one, keep what they say."""
    client = connect(buffer_bytes="256KiB", on_full=on_full)
    ledger = client._delivery._ledger
    monkeypatch.setattr(ledger, "options", ledger.options._replace(timeout_s=0.05))
    first = client.log_image("k", image(0, 100_000))
    for number in range(1, 4):
        client.log_image("k", image(number, 155_000), meta="m" * 2000)
    client.log_image("ref", pixlog.Image.ref(first), meta="m" * 2000)
    logs = daemon.wait_for_logs(5)
    assert "state" not in logs[4].header
    assert [log.header.get("meta") for log in logs[1:]] == ["m" * 2000] * 4


def test_disk_that_refuses_the_spill_drops(
    daemon: ScriptedDaemon, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spill that the disk will not have ends dropped with the disk's word, and nothing is raised."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    client = connect(buffer_bytes="128KiB", on_full="spill")
    monkeypatch.setattr(Spill, "write", refuse)
    log_images(client, 2, 100_000)
    logs = daemon.wait_for_logs(2)
    assert logs[1].header["reason"] == "no space: buffer full, spill: No space left on device"


# What a daemon may limit


def test_refused_memory_goes_inline(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A daemon that takes no shared memory at all, or no more than some, gets the pixels inline, each call once."""
    for takes in (0, 1):
        daemon.takes_arenas = takes
        daemon.logs.clear()
        daemon.pixels.clear()
        client = connect(buffer_bytes="64MiB")
        for number in range(30):
            client.log_image("k", image(number, 1_000_000))
        assert daemon.wait_for_pixels(30) == {
            number: image(number, 1_000_000).tobytes() for number in range(30)
        }
        daemon.acknowledges = (
            True  # also what is said again, where an arena that nothing lies in is refused last
        )
        daemon.acknowledge(range(30))
        assert client.flush(timeout_s=scaled_s(20)) == 0
        assert client.stats().saved == 30
        daemon.acknowledges = False
        client.close()


def test_daemon_that_takes_less_than_the_last_is_told_everything(
    daemon: ScriptedDaemon, connect: Connect
) -> None:
    """What the next daemon would take neither in shared memory nor inline becomes failed rows, and the rest goes on."""
    client = connect(buffer_bytes="64MiB")
    for number in range(20):
        client.log_image("k", image(number, 1_000_000))
    client.log_image("k", image(20))
    daemon.wait_for_logs(21)
    daemon.takes_arenas = 0
    daemon.limits["payload_bytes"] = 50_000
    daemon.cut()

    def is_said() -> bool:
        *large, small = daemon.logs[-21:]
        states = {log.header.get("state") for log in large}
        return states == {"failed"} and small.seq == 20 and not isinstance(small.place, InArena)

    wait_until(is_said)
    assert daemon.pixels[20] == image(20).tobytes()
    daemon.acknowledge(range(20), "failed", daemon.logs[-2].header["reason"])
    daemon.acknowledge([20])
    assert client.flush(timeout_s=scaled_s(10)) == 0
    assert (client.stats().saved, client.stats().failed) == (1, 20)


def test_shared_memory_stays_within_what_the_daemon_takes(
    daemon: ScriptedDaemon, connect: Connect, payload_way: str
) -> None:
    """The daemon's limit on arenas binds a client with a larger budget."""
    daemon.limits["arena_bytes"] = 1 << 20
    client = connect(buffer_bytes="64MiB", on_full="drop_newest")
    log_images(client, 15, 100_000)
    logs = daemon.wait_for_logs(15)
    fitted = sum("state" not in log.header for log in logs)
    assert fitted == 10 if payload_way == "arena" else fitted >= 10


def test_call_larger_than_the_daemon_takes_fails_alone(daemon: ScriptedDaemon, connect: Connect) -> None:
    """An inline payload beyond the daemon's limit becomes a failed row; the connection and its neighbours live."""
    daemon.takes_arenas = 0
    daemon.limits["payload_bytes"] = 50_000
    client = connect()
    log_images(client, 1)
    client.log_image("k", image(1, 100_000))
    log_images(client, 1)
    logs = daemon.wait_for_logs(3)
    assert ["state" in log.header for log in logs] == [False, True, False]
    assert logs[1].header["state"] == "failed"
    assert "100000" in logs[1].header["reason"]
    assert "50000" in logs[1].header["reason"]
    assert len(daemon.hellos) == 1


def test_call_whose_description_is_too_long_fails_alone(daemon: ScriptedDaemon, connect: Connect) -> None:
    """A header beyond what any daemon reads becomes a failed row instead of breaking the connection for ever."""
    client = connect()
    client.log_image("k", image(0), meta="m" * (65 << 20))
    client.log_image("k", image(1))
    logs = daemon.wait_for_logs(2)
    assert [log.seq for log in logs] == [0, 1]
    assert logs[0].header["state"] == "failed"
    assert "state" not in logs[1].header
    assert daemon.broken == []
    assert len(daemon.hellos) == 1
