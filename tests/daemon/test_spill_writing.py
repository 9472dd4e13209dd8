"""What an ending daemon writes raw comes back whole, and what it could only announce comes back as lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_rooms import client_of, entry_of, open_run
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.open_run import ClientRecord, Entry, OpenRun
from pixlogd.rundir.spill_files import NOT_WRITTEN, read_spill_file
from pixlogd.rundir.spill_writing import NotAllSpilled, write_raw
from small_disks import tiny_disk
from wire_frames import gray_pixels, log_header

MARK = "node1-1-1"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[OpenRun]:
    """Return a run that is open here."""
    with open_run(tmp_path / "run") as run:
        yield run


def calls_of(client: ClientRecord, count: int = 5) -> list[Entry]:
    """Return calls of a client as the server accepted them."""
    return [entry_of(client, log_header(seq)) for seq in range(count)]


def test_calls_come_back_from_the_files_of_an_ending_daemon(run: OpenRun, tmp_path: Path) -> None:
    """Each client has its file, under a name that nobody claims, with every call and its pixels once."""
    clients = [client_of(run, client=f"{number:016x}") for number in range(3)]
    entries = [entry for pair in zip(*map(calls_of, clients), strict=True) for entry in pair]
    paths = write_raw(tmp_path / "spill", MARK, entries)
    assert sorted(path.name for path in paths) == [
        f"{number:016x}-left-by-{MARK}.frames" for number in range(3)
    ]
    for path in paths:
        file = read_spill_file(path)
        assert file is not None
        assert ([log.seq for log in file.logs], file.lost, file.damage) == ([0, 1, 2, 3, 4], (), None)
        for log in file.logs:
            place = log.place
            assert not isinstance(place, memoryview)
            assert place is not None
            assert SpilledPayload(path, place.offset, place.nbytes).read() == gray_pixels(log.seq)


def test_calls_in_spill_files_are_not_written_again(run: OpenRun, tmp_path: Path) -> None:
    """A call whose pixels lie in a client's own spill file is safe there."""
    client = client_of(run)
    entry = Entry(client, calls_of(client, 1)[0].log, SpilledPayload(tmp_path / "x", 0, 24))
    assert write_raw(tmp_path / "spill", MARK, [entry]) == []


def test_every_announced_call_is_there_wherever_the_file_ends(run: OpenRun, tmp_path: Path) -> None:
    """Killed at any byte behind the announcements, each call is either whole or lost by name, never both or none."""
    (path,) = write_raw(tmp_path / "spill", MARK, calls_of(client_of(run)))
    data = path.read_bytes()
    announced_nbytes = len(data)
    seen = set()
    for nbytes in range(len(data), 0, -1):
        path.write_bytes(data[:nbytes])
        file = read_spill_file(path)
        if file is None or len(file.logs) + len(file.lost) < 5:
            break
        announced_nbytes = nbytes
        whole, lost = [log.seq for log in file.logs], [log.seq for log in file.lost]
        assert whole + lost == [0, 1, 2, 3, 4]
        assert all(log.header["reason"] == NOT_WRITTEN and log.key == "k" for log in file.lost)
        seen.add(len(whole))
    assert seen == {0, 1, 2, 3, 4, 5}
    assert announced_nbytes < len(data) - 5 * len(gray_pixels(0))


def test_full_disk_keeps_whole_frames_and_counts_the_rest(run: OpenRun) -> None:
    """Files end behind what is whole, so the room of a torn image is free again; every other call is lost by name."""
    large, small = (client_of(run, client=f"{number:016x}") for number in range(2))
    noise = os.urandom(40_000)
    entries = [
        *(entry_of(large, log_header(seq, buffers=[[0, len(noise)]]), noise) for seq in range(5)),
        *calls_of(small),
    ]
    with tiny_disk(nbytes=112 * 1024) as disk:
        with pytest.raises(NotAllSpilled, match="No space left") as caught:
            write_raw(disk / "spill", MARK, entries)
        files = [file for path in caught.value.paths if (file := read_spill_file(path)) is not None]
        assert [([log.seq for log in file.logs], [log.seq for log in file.lost]) for file in files] == [
            ([0, 1], [2, 3, 4]),
            ([0, 1, 2, 3, 4], []),
        ]
        assert caught.value.lost_count == 3
        assert sorted(path.name for path in (disk / "spill").iterdir()) == [
            path.name for path in caught.value.paths
        ]
        assert caught.value.paths[0].stat().st_size < 3 * len(noise)


def test_disk_without_room_for_a_name_keeps_no_file(run: OpenRun) -> None:
    """Where not even one announcement fits, all calls are lost and no file is left over."""
    with tiny_disk(nbytes=64 * 1024) as disk:
        (disk / "spill").mkdir()
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        with pytest.raises(NotAllSpilled, match="No space left") as caught:
            write_raw(disk / "spill", MARK, calls_of(client_of(run)))
        assert (caught.value.paths, caught.value.lost_count) == ([], 5)
        assert list((disk / "spill").iterdir()) == []
