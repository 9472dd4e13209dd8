"""The rooms of a daemon without its socket: a run that is open here, and calls to put through its workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixlog.protocol import Header
from pixlogd.config.settings import Settings
from pixlogd.headers import parse_hello, parse_log
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import ClientRecord, Entry, OpenRun
from pixlogd.rundir.recovery import Recovery
from pixlogd.work import Finished
from wire_frames import gray_pixels, hello_header


@contextmanager
def open_run(run_dir: Path, settings: Settings | None = None) -> Iterator[OpenRun]:
    """Open a run for writing while the block lasts."""
    run = OpenRun(run_dir, "node1-1", settings or Settings())
    try:
        yield run
    finally:
        asyncio.run(run.close())


def client_of(run: OpenRun, **hello: Any) -> ClientRecord:
    """Return the record of a client of the run."""
    return run.client(parse_hello(hello_header(run.run_dir, **hello)))


def entry_of(client: ClientRecord, header: Header, payload: bytes | None = None) -> Entry:
    """Return a call as the server would hand it to the workers."""
    view = memoryview(gray_pixels(header["seq"]) if payload is None else payload)
    log = parse_log(header, view if header.get("buffers") else None)
    return Entry(client, log, log.place if isinstance(log.place, memoryview) else None)


async def recovered_in(run: OpenRun) -> list[str]:
    """Recover a run once; return what lies in its spill afterwards."""
    pipeline = Pipeline(Settings(encode_workers=1), lambda: None, lambda _: None)
    await Recovery(pipeline, "node1", "node1-1").recover(run)
    pipeline.stop()
    await pipeline.finish()
    await run.manifest.close()
    return [path.name for path in (run.run_dir / "spill").iterdir()]


def row_of(finished: Finished) -> dict[str, Any]:
    """Return the row of a finished call."""
    assert finished.line.endswith(b"\n")
    row = json.loads(finished.line)
    assert isinstance(row, dict)
    return row
