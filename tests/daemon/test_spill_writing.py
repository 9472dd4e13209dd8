"""What an ending daemon writes raw comes back whole, and what it could only announce comes back as lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_rooms import client_of, entry_of, open_run
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.open_run import ClientRecord, Entry, OpenRun
from pixlogd.rundir.spill_files import NOT_WRITTEN, read_spill_file
from pixlogd.rundir.spill_writing import write_raw
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
    assert sorted(path.name for path in paths) == [f"{number:016x}-by-{MARK}.frames" for number in range(3)]
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
