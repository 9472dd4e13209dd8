"""The protocol with a real daemon, the same bodies for both ways of the pixels and both event loops."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from pixlog.protocol import MAJOR, MINOR, Kind
from raw_peer import RawPeer
from served import Daemon
from waiting import wait_until
from wire_frames import CLIENT, frame, gray_pixels, log_header
from written_runs import encode, gray

pytestmark = pytest.mark.usefixtures("payload_way")
NOISE = np.random.default_rng(3).integers(0, 256, (100, 100), np.uint8)


@pytest.fixture
def peer(shared_daemon: Daemon, run_dir: Path) -> Iterator[RawPeer]:
    """Return a connection that was welcomed."""
    with RawPeer(shared_daemon.socket_path) as peer:
        assert peer.greet(run_dir).kind is Kind.WELCOME
        yield peer


def rows_of(run_dir: Path) -> dict[int, Any]:
    """Return the rows of a run by number; each must be there once."""
    rows = list(pixlog.Run(run_dir).rows())
    by_seq = {row.seq: row for row in rows}
    assert len(by_seq) == len(rows)
    return by_seq


def assert_saved(run_dir: Path, seqs: range) -> None:
    """Assert that a run holds just these calls with their pixels."""
    assert rows_of(run_dir).keys() == set(seqs)
    for image in pixlog.Run(run_dir).images("k"):
        assert image.array().tobytes() == gray_pixels(image.row.seq)


def test_welcome_says_the_limits(shared_daemon: Daemon, run_dir: Path) -> None:
    """A client hears the version and what it may pass."""
    with RawPeer(shared_daemon.socket_path) as peer:
        welcome = peer.greet(run_dir)
    assert welcome.kind is Kind.WELCOME
    assert welcome.header["version"] == [MAJOR, MINOR]
    assert welcome.header["limits"].keys() == {"arenas", "arena_bytes", "payload_bytes"}


def test_calls_are_saved_and_acknowledged(peer: RawPeer, run_dir: Path, payload_way: str) -> None:
    """Each call gets its row, its file and one acknowledgement that names the file."""
    for seq in range(200):
        peer.log(seq, payload_way)
    acks = peer.hear_acks(200)
    assert_saved(run_dir, range(200))
    for seq, row in rows_of(run_dir).items():
        assert acks[seq] == [seq, "saved", None, [row.value["path"]], []]


def test_numbers_at_their_limits_are_read_back(peer: RawPeer, run_dir: Path, payload_way: str) -> None:
    """The largest number and the outermost steps that the wire takes are in the run for its readers."""
    steps = {10**12 - 1: (1 << 63) - 1, 0: -(1 << 63), 10**12 - 2: 0}
    for seq, step in steps.items():
        peer.log(seq, payload_way, step=step)
    peer.hear_acks(3)
    assert {seq: row.step for seq, row in rows_of(run_dir).items()} == steps


def test_call_said_twice_is_saved_once(peer: RawPeer, run_dir: Path, payload_way: str) -> None:
    """A number that is known is not taken again, whatever comes under it."""
    for seq in (0, 1, 1, 0, 2, 1):
        peer.log(seq, payload_way)
    assert peer.hear_acks(3).keys() == {0, 1, 2}
    assert_saved(run_dir, range(3))


def test_client_that_comes_back_hears_what_it_missed(
    shared_daemon: Daemon, run_dir: Path, payload_way: str
) -> None:
    """Calls that were saved before the connection broke are acknowledged again and not saved again."""
    with RawPeer(shared_daemon.socket_path) as peer:
        peer.greet(run_dir)
        for seq in range(20):
            peer.log(seq, payload_way)
        first = peer.hear_acks(20)
    with RawPeer(shared_daemon.socket_path) as peer:
        assert peer.greet(run_dir, resume=10, again=True).kind is Kind.WELCOME
        for seq in range(10, 25):
            peer.log(seq, payload_way)
        again = peer.hear_acks(15)
    assert {seq: again[seq] for seq in range(10, 20)} == {seq: first[seq] for seq in range(10, 20)}
    assert_saved(run_dir, range(25))


def test_call_of_a_client_that_hung_up_is_saved(
    shared_daemon: Daemon, run_dir: Path, payload_way: str
) -> None:
    """What was said before the client was gone is saved, its arenas notwithstanding."""
    with RawPeer(shared_daemon.socket_path) as peer:
        peer.greet(run_dir)
        for seq in range(100):
            peer.log(seq, payload_way)
    wait_until(lambda: len(rows_of(run_dir)) == 100, what="100 rows")
    assert_saved(run_dir, range(100))


def test_two_connections_of_one_client_save_each_call_once(
    shared_daemon: Daemon, run_dir: Path, payload_way: str
) -> None:
    """A connection that the daemon does not yet know to be dead does no harm beside its successor."""
    with RawPeer(shared_daemon.socket_path) as old, RawPeer(shared_daemon.socket_path) as new:
        old.greet(run_dir)
        for seq in range(10):
            old.log(seq, payload_way)
        assert new.greet(run_dir, resume=0, again=True).kind is Kind.WELCOME
        for seq in range(20):
            new.log(seq, payload_way)
            old.log(seq, payload_way)
        wait_until(lambda: len(rows_of(run_dir)) == 20, what="20 rows")
    assert_saved(run_dir, range(20))


def test_malformed_call_gets_its_row_and_hurts_no_other(
    peer: RawPeer, run_dir: Path, payload_way: str
) -> None:
    """A call that cannot be understood fails alone: before and behind it all goes well."""
    peer.log(0, payload_way)
    peer.log(1, payload_way, time="noon")
    peer.log(2, payload_way, buffers=[[0, 10_000]])
    peer.log(3, payload_way, meta={b"bytes": 1})
    peer.log(4, payload_way)
    acks = peer.hear_acks(5)
    assert [acks[seq][1] for seq in range(5)] == ["saved", "failed", "failed", "failed", "saved"]
    rows = rows_of(run_dir)
    assert rows[1].reason == acks[1][2] == "malformed call: time is a str, expected float"
    assert rows[2].reason == acks[2][2] == "malformed call: buffer [0, 10000] is not within 24 bytes"
    assert "written as JSON" in str(rows[3].reason)


def test_outcome_of_a_client_becomes_its_row(peer: RawPeer, run_dir: Path) -> None:
    """A call that failed or was dropped at the client is reported as such and comes without pixels."""
    for seq, state in enumerate(("failed", "dropped")):
        outcome = log_header(seq, items=[], buffers=..., state=state, reason=f"reason {seq}")
        peer.say(frame(Kind.LOG, outcome))
    acks = peer.hear_acks(2)
    assert acks == {0: [0, "failed", "reason 0", [], []], 1: [1, "dropped", "reason 1", [], []]}
    assert [(row.state, row.reason) for row in rows_of(run_dir).values()] == [
        ("failed", "reason 0"),
        ("dropped", "reason 1"),
    ]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\0" * 64, id="zeros"),
        pytest.param(frame(Kind.HELLO, {"version": [1, 0]}), id="second hello"),
        pytest.param(frame(Kind.ACK, {"rows": []}), id="ack"),
        pytest.param(frame(Kind.LOG, {"seq": -1}), id="call without a number"),
        pytest.param(frame(Kind.LOG, {})[:8] + b"\xff" * 8 + bytes(64), id="endless payload"),
    ],
)
def test_broken_protocol_is_answered_and_the_client_may_return(
    shared_daemon: Daemon, peer: RawPeer, run_dir: Path, payload_way: str, stream: bytes
) -> None:
    """The daemon says what was wrong before it hangs up; what came before is saved, and a new connection goes on."""
    peer.log(0, payload_way)
    peer.say(stream)
    said = peer.hear_end()
    assert said[-1].kind is Kind.ERROR
    assert said[-1].header["code"] == "protocol"
    with RawPeer(shared_daemon.socket_path) as again:
        assert again.greet(run_dir, resume=0, again=True).kind is Kind.WELCOME
        for seq in range(3):
            again.log(seq, payload_way)
        again.hear_acks(3)
    assert_saved(run_dir, range(3))


def test_client_of_another_version_hears_both(shared_daemon: Daemon, run_dir: Path) -> None:
    """An incompatible client is told the daemon's version and its own, under its own code."""
    with RawPeer(shared_daemon.socket_path) as peer:
        answer = peer.greet(run_dir, version=[2, 3])
        assert answer.kind is Kind.ERROR
        assert answer.header["code"] == "version"
        assert f"{MAJOR}.{MINOR}" in answer.header["message"]
        assert "2.3" in answer.header["message"]


def test_client_of_a_directory_that_cannot_be_written_hears_why(
    shared_daemon: Daemon, tmp_path: Path
) -> None:
    """A run directory that is a file is refused under its own code, with the path."""
    (tmp_path / "file").touch()
    with RawPeer(shared_daemon.socket_path) as peer:
        answer = peer.greet(tmp_path / "file")
    assert (answer.kind, answer.header["code"]) == (Kind.ERROR, "run-dir")
    assert str(tmp_path / "file") in answer.header["message"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [({"command": "status"}, "pid"), ({"command": "dance"}, "error"), ({"command": "recover"}, "error")],
)
def test_command_is_answered_and_ends_the_connection(
    shared_daemon: Daemon, command: dict[str, Any], expected: str
) -> None:
    """A connection that opens with CONTROL gets one REPLY, then its end."""
    with RawPeer(shared_daemon.socket_path) as peer:
        peer.say(frame(Kind.CONTROL, command))
        (reply,) = peer.hear_end()
    assert reply.kind is Kind.REPLY
    assert expected in reply.header


# The same through the client that training uses.


@pytest.fixture
def client(shared_daemon: Daemon, run_dir: Path) -> Iterator[pixlog.Client]:
    """Return a client of the shared daemon."""
    with pixlog.connect(run_dir, daemon=shared_daemon.socket_path, buffer_bytes="64MiB") as client:
        yield client


def test_client_images_come_back_equal(client: pixlog.Client, run_dir: Path) -> None:
    """Arrays of many shapes, sizes and strides, lists, masks and files are read back as they were logged."""
    random = np.random.default_rng(3)
    images = {
        "tiny": random.integers(0, 256, (1, 1), np.uint8),
        "rgb": random.integers(0, 256, (65, 33, 3), np.uint8),
        "rgba": random.integers(0, 256, (8, 9, 4), np.uint8),
        "large": random.integers(0, 256, (1200, 1600, 3), np.uint8),
        "strided": random.integers(0, 256, (80, 90, 3), np.uint8)[::2, ::3],
        "reversed": random.integers(0, 256, (40, 50, 3), np.uint8)[::-1],
        "transposed": random.integers(0, 256, (3, 40, 50), np.uint8).transpose(1, 2, 0),
    }
    receipts = {key: client.log_image(key, image) for key, image in images.items()}
    several = [images["rgb"], images["rgb"][::-1], images["rgb"][:, ::-1]]
    client.log_image("list", several)
    mask = random.integers(0, 3, (65, 33), np.uint8)
    client.log_image("masked", images["rgb"], masks={"m": {"mask_data": mask}})
    assert client.flush() == 0
    assert {receipt.state for receipt in receipts.values()} == {"saved"}
    run = pixlog.Run(run_dir)
    for key, image in images.items():
        (saved,) = run.images(key)
        assert np.array_equal(saved.array().reshape(image.shape), image), key
    for saved, image in zip(run.images("list"), several, strict=True):
        assert np.array_equal(saved.array(), image)
    (row,) = run.rows(key="masked")
    assert [file.role for file in row.files] == ["image", "mask"]


def test_client_buffers_are_used_again(client: pixlog.Client, run_dir: Path) -> None:
    """Far more pixels than the memory budget pass through it, and none is mixed up with another."""
    for number in range(150):
        client.log_image("k", np.full((1024, 1024), number, np.uint8))
    assert client.flush() == 0
    stats = client.stats()
    assert (stats.saved, stats.buffer_nbytes, stats.pending) == (150, 0, 0)
    values = {image.row.step: np.unique(image.array()).tolist() for image in pixlog.Run(run_dir).images("k")}
    assert values == {number: [number] for number in range(150)}


def test_client_counts_what_cannot_be_converted(client: pixlog.Client) -> None:
    """An image that only the daemon finds out to be none ends failed, with the reason, and the next is saved."""
    bad = client.log_image("k", encode(NOISE)[:-4000])
    good = client.log_image("k", gray())
    client.flush()
    assert (bad.state, bad.paths, good.state) == ("failed", [], "saved")
    assert "no decodable image" in str(bad.reason)
    stats = client.stats()
    assert (stats.accepted, stats.saved, stats.failed) == (2, 1, 1)


def test_client_rows_carry_its_identity(client: pixlog.Client, run_dir: Path) -> None:
    """Rows name client, number, host and process as the client knows them."""
    receipts = [client.log_image("k", np.zeros((4, 4), np.uint8)) for _ in range(3)]
    client.flush()
    rows = rows_of(run_dir)
    assert [rows[receipt.seq].client for receipt in receipts] == [client.id] * 3
    assert {row.pid for row in rows.values()} == {os.getpid()}
    assert client.id != CLIENT


def refer(client: str, seq: int) -> list[dict[str, Any]]:
    """Return the items of a call that shows the image of another call."""
    return [{"data": {"kind": "ref", "client": client, "seq": seq, "index": 0}}]


def test_call_that_refers_to_itself_fails(peer: RawPeer, payload_way: str) -> None:
    """References to the call itself, and to each other in a ring, come to an end instead of waiting for ever."""
    peer.log(0, payload_way)
    peer.log(1, items=refer(CLIENT, 1))
    peer.log(2, items=refer(CLIENT, 3))
    peer.log(3, items=refer(CLIENT, 2))
    peer.log(4, items=refer(CLIENT, 0))
    acks = peer.hear_acks(5)
    assert [acks[seq][1] for seq in range(5)] == ["saved", "failed", "failed", "failed", "saved"]


@pytest.mark.parametrize("client", ["\ud800", "a\n", '"', "ä" * 1000, ""])
def test_reference_to_no_client_fails_with_its_name(peer: RawPeer, client: str) -> None:
    """A name that no client can have is an error of that call, in words."""
    peer.log(0, items=refer(client, 0))
    (_, state, reason, *_) = peer.hear_acks(1)[0]
    assert (state, reason[:55]) == ("failed", "an earlier image is one of a client of 16 hexadecimal d")


def test_calls_of_two_clients_that_refer_to_each_other_fail(shared_daemon: Daemon, run_dir: Path) -> None:
    """A ring of references over several clients comes to an end as well."""
    other = "00000000000000bb"
    with RawPeer(shared_daemon.socket_path) as one, RawPeer(shared_daemon.socket_path) as two:
        one.greet(run_dir)
        two.greet(run_dir, client=other)
        one.log(5, items=refer(other, 6))
        two.log(6, items=refer(CLIENT, 5))
        assert {one.hear_acks(1)[5][1], two.hear_acks(1)[6][1]} == {"failed"}


def test_client_that_comes_back_to_a_manifest_that_cannot_be_read_hears_why(
    shared_daemon: Daemon, run_dir: Path
) -> None:
    """What a daemon cannot look up it does not guess: it refuses the client for the run directory, for now."""
    (run_dir / "manifest" / "20250102T030405Z-host-77.jsonl").mkdir(parents=True)
    with RawPeer(shared_daemon.socket_path) as peer:
        answer = peer.greet(run_dir, resume=0, again=True)
    assert (answer.kind, answer.header["code"]) == (Kind.ERROR, "run-dir")
    (run_dir / "manifest" / "20250102T030405Z-host-77.jsonl").rmdir()
    with RawPeer(shared_daemon.socket_path) as peer:
        assert peer.greet(run_dir, resume=0, again=True).kind is Kind.WELCOME


@pytest.mark.parametrize("seed", range(3))
def test_client_that_breaks_off_again_and_again_has_each_call_acknowledged(
    shared_daemon: Daemon, run_dir: Path, payload_way: str, seed: int
) -> None:
    """However connections end in the middle of things, no call is doubled and none stays unacknowledged for ever."""
    chance = random.Random(seed)
    pending: dict[int, None] = {}
    said = 0
    for turn in range(25):
        with RawPeer(shared_daemon.socket_path) as peer:
            answer = peer.greet(run_dir, resume=min(pending, default=said), again=turn > 0)
            assert answer.kind is Kind.WELCOME
            fresh = range(said, said + chance.randrange(12))
            pending |= dict.fromkeys(fresh)
            said = fresh.stop
            for seq in sorted(pending):
                peer.log(seq, payload_way)
            if turn == 24:
                peer.hear_acks(len(pending))
                break
            for _ in range(chance.randrange(4)):
                if not peer.has_more(chance.choice((0, 0.001, 0.01))):
                    break
                heard = peer.hear()
                for row in heard.header.get("rows", ()):
                    pending.pop(row[0], None)
    assert_saved(run_dir, range(said))
