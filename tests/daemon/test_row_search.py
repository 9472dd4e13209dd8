"""The row of an earlier call is found without reading the whole manifest, which may have a million rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon_rooms import client_of, entry_of, open_run
from pixlog.errors import InputError
from pixlogd.rundir import row_search
from pixlogd.rundir.library import Library, NotThereYet
from pixlogd.rundir.recall import recall_one
from pixlogd.rundir.row_search import find_row
from wire_frames import CLIENT, log_header
from written_runs import WrittenRun, gray


def _segment(run_dir: Path) -> Path:
    (segment,) = (run_dir / "manifest").glob("*.jsonl")
    return segment


@pytest.mark.parametrize("block_nbytes", [1, 7, 200, 1000, 1 << 20])
def test_every_row_is_found_wherever_a_block_begins(
    run_dir: Path, block_nbytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each whole line is found, long ones too; one that is still being written is not."""
    monkeypatch.setattr(row_search, "_BLOCK_NBYTES", block_nbytes)
    run = WrittenRun(run_dir)
    for seq in range(5):
        run.image("key", seq, gray(seq), seq=seq, client=CLIENT, meta="long" * 200 * (seq == 2))
    segment = _segment(run_dir)
    torn = segment.read_bytes().splitlines()[0].replace(b'"seq":0,', b'"seq":7,')
    with segment.open("ab") as file:
        file.write(torn)
    found = [find_row(run_dir, CLIENT, seq) for seq in range(5)]
    assert [row and row["step"] for row in found] == list(range(5))
    assert find_row(run_dir, CLIENT, 7) is None


def test_row_of_a_recent_call_is_found_at_the_end_of_the_newest_segment(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the segments of earlier daemons nor what is far above the row are read."""
    run = WrittenRun(run_dir)
    run.image("key", 1, gray(1), seq=1, client=CLIENT)
    segment = _segment(run_dir)
    row = segment.read_bytes()
    with segment.open("wb") as file:
        for _ in range(16):
            file.write(row.replace(b'"seq":1,', b'"seq":9,') * (row_search._BLOCK_NBYTES // len(row)))
        file.write(row)
    (run_dir / "manifest" / "0-earlier.jsonl").mkdir()  # which cannot be read
    read_nbytes: list[int] = []
    pread = os.pread

    def count(fd: int, nbytes: int, offset: int) -> bytes:
        read_nbytes.append(nbytes)
        return pread(fd, nbytes, offset)

    monkeypatch.setattr(os, "pread", count)
    assert find_row(run_dir, CLIENT, 1) is not None
    assert recall_one(run_dir, CLIENT, 1) is not None
    assert read_nbytes == [row_search._BLOCK_NBYTES] * 2


def test_manifest_is_not_read_for_a_call_that_is_on_its_way(run_dir: Path) -> None:
    """Whoever waits for an image asks again and again: that costs no search while the image's call has no row."""
    (run_dir / "manifest" / "unreadable.jsonl").mkdir(parents=True)
    with pytest.raises(NotThereYet):
        Library(run_dir, lambda client, seq: True, lambda client, seq: True).find(
            {"client": CLIENT, "seq": 1}
        )


def test_call_is_on_its_way_until_it_is_settled(run_dir: Path) -> None:
    """A receipt whose row was removed is refused at once, though its client has other calls in the queue."""
    with open_run(run_dir) as run:
        client = client_of(run)
        client.known.add(0)
        client.queue.append(entry_of(client, log_header(5)))
        with pytest.raises(InputError, match="is not in this run"):
            run.library.find({"client": CLIENT, "seq": 0})
