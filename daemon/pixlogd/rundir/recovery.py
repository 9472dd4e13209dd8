"""Images whose client is gone: replayed from spill files, and left in one when this daemon must end.

Clients spill when their memory is full, a daemon when it must end with calls it could not encode in time.  Either
way the images are accepted, and whoever opens the run next brings them to their end; what the manifest already
has is skipped, and a file goes when everything in it has its row.  The files of a client that still lives are its
own: it says again itself what is in them.  So are those of one that is gone while calls of it are on their way
here, for these calls may lie in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

from pixlog.errors import PixlogError
from pixlog.process_identity import is_alive
from pixlog.spill_names import LEFT
from pixlog.writer_mark import own_mark, safe_host
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Entry, OpenRun, RecoveryProgress
from pixlogd.rundir.recall import recall
from pixlogd.rundir.spill_files import (
    claim,
    entries_of,
    find_spill_files,
    read_spill_file,
    set_aside,
    write_raw,
)
from pixlogd.session import Hello

log = logging.getLogger("pixlogd")


class Recovery:
    """Takes from and leaves in the ``spill/`` of the runs of one daemon."""

    def __init__(self, pipeline: Pipeline, host: str, writer: str) -> None:
        self._pipeline = pipeline
        self._host = host
        self._mark = own_mark(writer)

    def recover(self, run: OpenRun, *, of_other_hosts: bool = False) -> Coroutine[None, None, None]:
        """Return what brings to its end what lies in the spill files of dead clients.

        Whether a client of another host is dead cannot be seen from here; ``of_other_hosts`` says that it is.
        """
        run.recovery.begun_count += 1
        return self._recover(run, of_other_hosts)

    async def _recover(self, run: OpenRun, of_other_hosts: bool) -> None:
        try:
            async with run.recovering:
                spill = run.run_dir / "spill"
                for path in await asyncio.to_thread(
                    find_spill_files, spill, self._host, of_other_hosts=of_other_hosts
                ):
                    try:
                        await self._recover_file(run, path, of_other_hosts)
                    except (OSError, PixlogError) as exc:
                        log.error("! spill file %s cannot be replayed: %s", path.name, exc)
        finally:
            run.recovery.begun_count -= 1

    async def leave(self, run: OpenRun, entries: Sequence[Entry]) -> list[Path]:
        """Write calls raw into the spill, as fast as the disk goes; return the files."""
        if not entries:
            return []
        try:
            paths = await asyncio.to_thread(write_raw, run.run_dir / "spill", self._mark, entries)
        except OSError as exc:
            log.error("! %s: %d calls could not be spilled: %s", run.run_dir, len(entries), exc)
            return []
        log.warning("x %s: %d calls spilled for the next daemon", run.run_dir, len(entries))
        return paths

    @staticmethod
    def take_back(paths: Sequence[Path]) -> None:
        """Remove files of :meth:`leave` of which every call has its row by now."""
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()

    async def _recover_file(self, run: OpenRun, path: Path, of_other_hosts: bool) -> None:
        file = await asyncio.to_thread(read_spill_file, path)
        if file is not None and not self._is_left(run, path, file.hello, of_other_hosts):
            return
        claimed = await asyncio.to_thread(claim, path, self._mark)
        if claimed is None:
            return
        if file is not None:
            record = run.client(file.hello)
            record.recalled = await asyncio.to_thread(recall, run.run_dir, file.hello.client, 0)
            entries = list(entries_of(replace(file, path=claimed), record))
            log.info("= spill file %s: %d calls to bring to their end", path.name, len(entries))
            run.recovery.file = claimed.name
            await self._finish(run.recovery, entries)
            run.recovery.file = ""
            if record.deliver is None and record.idle:
                run.forget(record)
            if file.damage is not None:
                aside = await asyncio.to_thread(set_aside, claimed)
                log.error("! %s is damaged: %s; what follows could not be read", aside.name, file.damage)
                return
        await asyncio.to_thread(claimed.unlink, missing_ok=True)

    def _is_left(self, run: OpenRun, path: Path, hello: Hello, of_other_hosts: bool) -> bool:
        """Whether nobody comes back for a file: its client is dead, or was closed, and nothing of it is on its way."""
        record = run.clients.get(hello.client)
        if record is not None and (record.deliver is not None or not record.idle):
            return False
        if safe_host(hello.host) != self._host:
            return of_other_hosts
        return LEFT in path.name or not is_alive(hello.pid, hello.started)

    async def _finish(self, progress: RecoveryProgress, entries: list[Entry]) -> None:
        """Put the calls through the pipeline and wait until each has its row."""
        progress.call_count = progress.left_count = len(entries)
        done = asyncio.Event()

        def count_down() -> None:
            progress.left_count -= 1
            if not progress.left_count:
                done.set()

        for entry in entries:
            entry.on_settled = count_down
            self._pipeline.accept(entry)
        self._pipeline.dispatch()
        if entries:
            await done.wait()
