"""``Run.follow``: rows as they are written, by other threads and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pixlog.reading.run import Run
from waiting import scaled_s
from written_runs import WrittenRun, line_of

_WRITER = """
import sys, time
from pathlib import Path
from written_runs import WrittenRun, line_of
run_dir, client, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
run = WrittenRun(run_dir, segment=f"20250102T030405Z-host-{client}.jsonl")
for step in range(count):
    line = line_of(run.fields("k", step, client=client))
    cut = step * 13 % len(line)
    run.append(line[:cut])
    if step % 50 == 0:
        time.sleep(0.005)
    run.append(line[cut:])
"""


def test_follow_yields_rows_there_and_rows_to_come(written: WrittenRun) -> None:
    """Rows that are there come first, then each as it is written, until stop."""
    written.row("k", 0)
    run = Run(written.path)
    stop = threading.Event()
    seen: list[int] = []
    for row in run.follow(poll_s=0.01, stop=stop, timeout_s=scaled_s(20)):
        seen.append(row.step)
        if row.step < 3:
            written.row("k", row.step + 1)
        else:
            written.row("k", 4)
            stop.set()
    assert seen == [0, 1, 2, 3, 4]


def test_follow_can_leave_out_rows_there_already(written: WrittenRun) -> None:
    """existing=False begins with the next row that is written."""
    written.row("k", 0)
    following = Run(written.path).follow(existing=False, poll_s=0.01, timeout_s=scaled_s(20))
    written.row("k", 1)
    assert next(following).step == 1


def test_follow_ends_after_silence(written: WrittenRun) -> None:
    """timeout_s ends it when no row has come for so long."""
    written.row("k", 0)
    before_s = time.monotonic()
    assert len(list(Run(written.path).follow(poll_s=0.01, timeout_s=0.05))) == 1
    assert time.monotonic() - before_s >= 0.05


def test_follow_filters_like_rows(written: WrittenRun) -> None:
    """Key, step, rank, state, client and where narrow what follows."""
    for step in range(6):
        written.row("ab"[step % 2], step, rank=step % 3, state="saved" if step < 4 else "failed")
    run = Run(written.path)

    def steps(**filters: object) -> list[int]:
        following = run.follow(timeout_s=0, poll_s=0.01, **filters)  # type: ignore[arg-type]
        return [row.step for row in following]

    assert steps(key="a") == [0, 2, 4]
    assert steps(key=["a", "unheard of"], step=slice(1, None)) == [2, 4]
    assert steps(rank=1, state="failed") == [4]
    assert steps(where=lambda row: row.step > 3) == [4, 5]
    assert steps(key="unheard of") == []


def test_follow_drains_before_it_stops(written: WrittenRun) -> None:
    """What was written before stop became true is yielded."""
    run = Run(written.path)
    following = run.follow(stop=lambda: True)
    written.row("k", 0)
    assert [row.step for row in following] == [0]


def test_follow_takes_a_key_that_appears_later(written: WrittenRun) -> None:
    """A key that nobody has logged yet can be followed."""
    following = Run(written.path).follow("later", poll_s=0.01, timeout_s=scaled_s(20))
    timer = threading.Timer(0.05, lambda: written.row("later", 8))
    timer.start()
    assert next(following).step == 8
    timer.join()


def test_follow_sees_every_row_of_concurrent_writers(written: WrittenRun) -> None:
    """Two processes that append in torn pieces while it is followed: every row once, in each writer's order."""
    count = 1500
    support = str(Path(__file__).parents[1] / "support")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(written.path), client, str(count)],
            env={"PYTHONPATH": support},
        )
        for client in ("a", "b")
    ]
    run = Run(written.path)
    steps: dict[str, list[int]] = {"a": [], "b": []}

    def all_written() -> bool:
        return all(writer.poll() is not None for writer in writers)

    for row in run.follow(poll_s=0.001, stop=all_written):
        steps[row.client].append(row.step)
        assert row.value is not None
    assert [writer.wait() for writer in writers] == [0, 0]
    assert steps == {"a": list(range(count)), "b": list(range(count))}
    assert run.problems.total == 0


@pytest.mark.parametrize("tail", [b"", b'{"v":1,"key":"k","step":'])
def test_follow_is_not_held_up_by_a_torn_tail(written: WrittenRun, tail: bytes) -> None:
    """A half line at the end of one segment does not keep rows of another back."""
    written.append(line_of(written.fields("k", 0)) + tail)
    WrittenRun(written.path, segment="20260101T000000Z-b-2.jsonl").row("k", 1, client="b")
    assert [row.step for row in Run(written.path).follow(timeout_s=0)] == [0, 1]


def test_follow_yields_rows_that_were_taken_back_before_they_were_read(written: WrittenRun) -> None:
    """Rows that a writer without space takes back and writes again come too, once each; none counts as damaged."""
    lines = [line_of(written.fields("k", step)) for step in range(600)]
    written.append(b"".join(lines))
    run = Run(written.path)
    rounds: list[int] = []

    def is_stopped() -> bool:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            written.append(b"".join(lines[300:]))
        return len(rounds) == 4

    seen: list[int] = []
    for row in run.follow(poll_s=0.0, stop=is_stopped):
        seen.append(row.step)
        if row.step == 5:
            written.segment.write_bytes(b"".join(lines[:300]))
    assert sorted(seen) == list(range(600))
    assert run.problems.total == 0


def test_follow_does_not_take_another_row_for_the_one_that_was_there(written: WrittenRun) -> None:
    """Lines of one length, taken back and written in another order while they are followed, come once each."""
    lines = [line_of(written.fields("k", step)) for step in range(100, 900)]
    written.append(b"".join(lines))
    run = Run(written.path)
    seen: list[int] = []
    for row in run.follow(poll_s=0.0, timeout_s=0.0):
        seen.append(row.step)
        if len(seen) == 1:
            written.segment.write_bytes(b"".join(lines[:200] + lines[:199:-1]))
    assert sorted(seen) == list(range(100, 900))
    assert run.problems.total == 0
