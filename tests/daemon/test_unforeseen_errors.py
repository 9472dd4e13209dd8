"""What a daemon still holds when something goes wrong that nobody foresaw: it ends, and its calls are spilled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon_rooms import client_of, entry_of, open_run
from pixlogd.config.settings import Settings
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Entry, OpenRun
from waiting import scaled_s
from wire_frames import log_header


def test_batch_whose_worker_raises_is_among_what_is_unwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes to the event loop, which ends the daemon, and the calls are there for the spill."""

    def raising(batch: Sequence[Entry], *_: Any) -> None:
        raise RuntimeError(f"nobody foresaw what {len(batch)} calls do")

    monkeypatch.setattr("pixlogd.pipeline.process", raising)

    async def main(run: OpenRun) -> None:
        told = asyncio.Event()
        errors: list[object] = []

        def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            errors.append(context["exception"])
            told.set()

        asyncio.get_running_loop().set_exception_handler(note)
        pipeline = Pipeline(
            Settings(nice=0, encode_processes="off"), lambda: None, lambda _: pytest.fail("nobody left")
        )
        entries = [entry_of(client_of(run), log_header(seq)) for seq in range(3)]
        for entry in entries:
            pipeline.accept(entry)
        pipeline.dispatch()
        async with asyncio.timeout(scaled_s(20)):
            await told.wait()
            pipeline.stop()
            await pipeline.finish()
        assert [str(error) for error in errors] == ["nobody foresaw what 3 calls do"]
        assert pipeline.unwritten(run) == entries

    with open_run(tmp_path / "run") as run:
        asyncio.run(main(run))
