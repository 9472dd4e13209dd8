"""Images whose client is gone: replayed from spill files, and left in one when this daemon must end.

Clients spill when their memory is full, a daemon when it must end with calls it could not encode in time.  Either
way the images are accepted, and whoever opens the run next brings them to their end; what the manifest already
has is skipped, and a file goes when everything in it has its row.  The files of a client that still lives are its
own: it says again itself what is in them.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from pixlog.errors import PixlogError
from pixlog.process_identity import is_alive
from pixlogd.open_run import Ack, ClientRecord, Entry, OpenRun
from pixlogd.pipeline import Pipeline
from pixlogd.recall import recall
from pixlogd.session import Hello
from pixlogd.spill_files import claim, entries_of, find_spill_files, read_spill_file, write_raw

log = logging.getLogger("pixlogd")


class Recovery:
    """Takes from and leaves in the ``spill/`` of the runs of one daemon."""

    def __init__(self, pipeline: Pipeline, host: str, writer: str) -> None:
        self._pipeline = pipeline
        self._host = host
        self._writer = writer

    async def recover(self, run: OpenRun, *, of_other_hosts: bool = False) -> None:
        """Bring to its end what lies in the spill files of dead clients.

        Whether a client of another host is dead cannot be seen from here; ``of_other_hosts`` says that it is.
        """
        async with run.recovering:
            for path in await asyncio.to_thread(find_spill_files, run.run_dir / "spill", self._host):
                try:
                    await self._recover_file(run, path, of_other_hosts)
                except (OSError, PixlogError) as exc:
                    log.error("! spill file %s cannot be replayed: %s", path.name, exc)

    async def leave(self, run: OpenRun, unwritten: list[Entry]) -> None:
        """Write ``unwritten`` and all that is queued raw into the spill, as fast as the disk goes."""
        entries = unwritten + [entry for record in run.clients.values() for entry in record.queue]
        if not entries:
            return
        try:
            count = await asyncio.to_thread(write_raw, run.run_dir / "spill", self._writer, entries)
        except OSError as exc:
            log.error("! %s: %d calls could not be spilled: %s", run.run_dir, len(entries), exc)
        else:
            log.warning("x %s: %d calls spilled for the next daemon", run.run_dir, count)

    async def _recover_file(self, run: OpenRun, path: Path, of_other_hosts: bool) -> None:
        file = await asyncio.to_thread(read_spill_file, path)
        if file is not None and not self._is_dead(run, file.hello, of_other_hosts):
            return
        claimed = await asyncio.to_thread(claim, path, self._writer)
        if claimed is None:
            return
        if file is not None:
            record = run.client(file.hello)
            record.recalled = await asyncio.to_thread(recall, run.run_dir, file.hello.client, 0)
            entries = list(entries_of(replace(file, path=claimed), record))
            log.info("= spill file %s: %d calls to bring to their end", path.name, len(entries))
            await self._finish(record, entries)
            run.forget(record)
        await asyncio.to_thread(claimed.unlink, missing_ok=True)

    def _is_dead(self, run: OpenRun, hello: Hello, of_other_hosts: bool) -> bool:
        record = run.clients.get(hello.client)
        if record is not None and record.deliver is not None:
            return False
        if safe_host(hello.host) != self._host:
            return of_other_hosts
        return not is_alive(hello.pid, hello.started)

    async def _finish(self, record: ClientRecord, entries: list[Entry]) -> None:
        """Put the calls through the pipeline and wait until each has its row."""
        waiting = len(entries)
        done = asyncio.Event()

        def count_down(_: Ack) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                done.set()

        record.deliver = count_down
        for entry in entries:
            self._pipeline.accept(entry)
        self._pipeline.dispatch()
        if entries:
            await done.wait()
        record.deliver = None


def safe_host(host: str) -> str:
    """Return a host name as it goes into the names of files."""
    return "".join(char if char.isalnum() or char in "._" else "_" for char in host)[:64] or "host"
