"""Calls in a spill file that show the image of an earlier call are saved, whichever file holds that one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from accounting import check_accounts
from daemon_rooms import client_of, entry_of, open_run, recovered_in
from pixlog.protocol import Header, Kind
from pixlogd.config.settings import Settings
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Entry, OpenRun
from pixlogd.rundir.recovery import Recovery
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


async def recovered_beside(run: OpenRun, entries: Sequence[Entry]) -> None:
    """Recover a run while calls of clients that are here wait; none of them is over before the recovery begins."""
    pipeline = Pipeline(Settings(encode_workers=1), lambda: None, lambda _: None)
    recovering = Recovery(pipeline, "node1", "node1-1").recover(run)
    for entry in entries:
        pipeline.accept(entry)
    pipeline.dispatch()
    assert not await pipeline.drain(0.1)
    assert (run.tally.saved, run.tally.failed) == (0, 0)
    await recovering
    assert await pipeline.drain(60)
    pipeline.stop()
    await pipeline.finish()
    await run.manifest.close()


def test_reference_of_a_client_that_is_here_waits_for_the_spill_of_one_that_is_gone(tmp_path: Path) -> None:
    """An image that a closed client left in its spill is shown by others once it is saved."""
    with open_run(tmp_path / "run") as run:
        write(tmp_path / "run" / "spill", f"{CLIENT}-left-0000.frames", [log_header(1), reference(2, 1)])
        here = client_of(run, client=OTHER)
        asyncio.run(recovered_beside(run, [entry_of(here, reference(0, 1)), entry_of(here, reference(1, 2))]))
        assert (run.tally.saved, run.tally.failed) == (4, 0)
    rows = check_accounts(tmp_path / "run").rows
    assert len({row["files"][0]["path"] for row in rows.values()}) == 1


def test_reference_fails_when_the_spill_is_gone_without_what_it_points_at(tmp_path: Path) -> None:
    """A call that no file holds is waited for as long as there are files of its client, and no longer."""
    with open_run(tmp_path / "run") as run:
        write(tmp_path / "run" / "spill", f"{CLIENT}-left-0000.frames", [log_header(1)])
        here = client_of(run, client=OTHER)
        asyncio.run(recovered_beside(run, [entry_of(here, reference(0, 7))]))
        assert (run.tally.saved, run.tally.failed) == (1, 1)
    rows = check_accounts(tmp_path / "run").rows
    assert rows[OTHER, 0]["reason"] == f"the earlier call {CLIENT}/7 is not in this run"


def test_references_that_wait_for_each_other_over_the_spill_come_to_an_end(tmp_path: Path) -> None:
    """A call in the spill that shows one which waits for a call of the same spill that is lost fails with it."""
    with open_run(tmp_path / "run") as run:
        lost = log_header(1, items=[], buffers=[], state="failed", reason=NOT_WRITTEN)
        crossing = reference(2, 0, client=OTHER)
        write(tmp_path / "run" / "spill", f"{CLIENT}-by-node1-1-1.frames", [lost, crossing])
        here = client_of(run, client=OTHER)
        asyncio.run(recovered_beside(run, [entry_of(here, reference(0, 1))]))
        assert (run.tally.saved, run.tally.failed) == (0, 3)
    assert len(check_accounts(tmp_path / "run").rows) == 3


def test_reference_waits_for_a_call_that_a_client_which_is_here_has_still_to_say(tmp_path: Path) -> None:
    """Receipts may be handed from one client to another, and the second may be heard first."""

    async def say_late(run: OpenRun) -> None:
        pipeline = Pipeline(Settings(encode_workers=1), lambda: None, lambda _: None)
        pipeline.accept(entry_of(client_of(run, client=OTHER), reference(0, 0)))
        first = entry_of(client_of(run), log_header(0))
        pipeline.dispatch()
        assert not await pipeline.drain(0.1)
        assert first.client.known.add(0)
        pipeline.accept(first)
        pipeline.dispatch()
        assert await pipeline.drain(60)
        pipeline.stop()
        await pipeline.finish()
        await run.manifest.close()

    with open_run(tmp_path / "run") as run:
        asyncio.run(say_late(run))
        assert (run.tally.saved, run.tally.failed) == (2, 0)
