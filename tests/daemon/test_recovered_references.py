"""Calls in a spill file that show the image of an earlier call are saved, whichever file holds that one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from accounting import check_accounts
from daemon_rooms import open_run, recovered_in
from pixlog.protocol import Header, Kind
from pixlogd.rundir.spill_files import NOT_WRITTEN
from wire_frames import CLIENT, frame, gray_pixels, hello_header, log_header

OTHER = "0" * 16


def reference(seq: int, to: int, client: str = CLIENT) -> Header:
    """Return the header of a call that shows the image of another."""
    return log_header(seq, items=[{"data": {"kind": "ref", "client": client, "seq": to}}], buffers=[])


def write(spill: Path, name: str, calls: Sequence[Header]) -> None:
    """Write a spill file of a client that is dead."""
    hello = hello_header(spill.parent, client=name[:16], pid=1 << 22)
    frames = [frame(Kind.LOG, call, gray_pixels(call["seq"]) if call["buffers"] else b"") for call in calls]
    (spill / name).write_bytes(b"".join([frame(Kind.HELLO, hello), *frames]))


def test_reference_is_saved_whichever_file_holds_the_call_that_it_points_at(tmp_path: Path) -> None:
    """Files of the same client or of another, that sort before or behind, and chains over three of them."""
    with open_run(tmp_path / "run") as run:
        spill = tmp_path / "run" / "spill"
        write(spill, f"{OTHER}-0000.frames", [reference(0, 5), log_header(1)])
        write(spill, f"{CLIENT}-0000.frames", [log_header(4), reference(5, 1), reference(7, 6)])
        write(spill, f"{CLIENT}-0001.frames", [reference(6, 5), log_header(8), reference(9, 8)])
        write(spill, f"{CLIENT}-by-node1-1-1.frames", [log_header(1), reference(2, 9)])
        assert asyncio.run(recovered_in(run)) == []
        assert (run.tally.saved, run.tally.failed) == (10, 0)
    rows = check_accounts(tmp_path / "run").rows
    first = rows[CLIENT, 1]["files"][0]["path"]
    assert {
        rows[client, seq]["files"][0]["path"] for client, seq in ((CLIENT, 5), (CLIENT, 7), (OTHER, 0))
    } == {first}


def test_reference_to_a_call_that_is_lost_fails_alone(tmp_path: Path) -> None:
    """What no file holds is said to be missing; the rest of the file is saved, and the file goes."""
    with open_run(tmp_path / "run") as run:
        lost = log_header(0, items=[], buffers=[], state="failed", reason=NOT_WRITTEN)
        write(
            tmp_path / "run" / "spill",
            f"{CLIENT}-by-node1-1-1.frames",
            [lost, reference(1, 0), log_header(2)],
        )
        assert asyncio.run(recovered_in(run)) == []
        assert (run.tally.saved, run.tally.failed) == (1, 2)
    rows = check_accounts(tmp_path / "run").rows
    assert rows[CLIENT, 0]["reason"] == NOT_WRITTEN
    assert f"the earlier call {CLIENT}/0" in rows[CLIENT, 1]["reason"]
