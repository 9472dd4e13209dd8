"""Which batches threads work on two at a time, and which one after the other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon_rooms import client_of, entry_of, open_run
from pixlogd.config.settings import Settings
from pixlogd.encode import compiled
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Entry, OpenRun
from pixlogd.work import Outcome, process
from waiting import scaled_s
from wire_frames import gray_pixels, log_header

BATCHES = 6


def most_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, *, expected: int) -> int:
    """Put gray images through a pipeline with two workers; return how many batches were in work at once.

    Each batch waits for as many others as are expected, so that they cannot miss each other.
    """
    lock = threading.Lock()
    met = threading.Barrier(expected)
    at_work: list[int] = []
    seen: list[int] = []

    def watched(batch: Sequence[Entry], settings: Settings, lane: None) -> Outcome:
        with lock:
            at_work.append(batch[0].log.seq)
            seen.append(len(at_work))
        try:
            met.wait(scaled_s(20))
            return process(batch, settings, lane)
        finally:
            with lock:
                at_work.remove(batch[0].log.seq)

    monkeypatch.setattr("pixlogd.pipeline.process", watched)
    count = BATCHES * min(64, -(-(1 << 20) // (side * side)))
    pixels = gray_pixels(0, height=side, width=side)

    async def main(run: OpenRun) -> None:
        settings = Settings(nice=0, encode_workers=2, encode_processes="off")
        pipeline = Pipeline(settings, lambda: None, lambda _: None)
        for seq in range(count):
            header = log_header(seq, height=side, width=side)
            pipeline.accept(entry_of(client_of(run), header, pixels))
        pipeline.dispatch()
        assert await pipeline.drain(scaled_s(60))
        pipeline.stop()
        await pipeline.finish()
        await run.manifest.close()

    with open_run(tmp_path / "run") as run:
        asyncio.run(main(run))
        assert run.tally.saved == count
    assert len(seen) == BATCHES
    return max(seen)


def test_small_pictures_are_worked_on_one_batch_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads would only pass the interpreter's lock on."""
    assert most_at_once(tmp_path, monkeypatch, 28, expected=1) == 1


@pytest.mark.skipif(compiled.library is None, reason="the encoder is not compiled")
def test_medium_pictures_are_worked_on_two_batches_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoder is compiled, it needs no lock for most of a PNG of more than 128 KB."""
    assert most_at_once(tmp_path, monkeypatch, 512, expected=2) == 2


def test_medium_pictures_are_worked_on_one_batch_after_the_other_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy gives the lock back and takes it again too often for two threads to gain by it."""
    monkeypatch.setattr(compiled, "library", None)
    assert most_at_once(tmp_path, monkeypatch, 400, expected=1) == 1
