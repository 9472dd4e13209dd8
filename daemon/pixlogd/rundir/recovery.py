"""Images whose client is gone: replayed from spill files, and left in one when this daemon must end.

Clients spill when their memory is full, a daemon when it must end with calls it could not encode in time.  Either
way the images are accepted, and whoever opens the run next brings them to their end; what the manifest already
has is skipped, and a file goes when everything in it has its row.  The files of a client that still lives are its
own: it says again itself what is in them.  So are those of one that is gone while calls of it are on their way
here, or to another daemon of this host (see :mod:`pixlog.served_clients`), for these calls may lie in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixlog.errors import PixlogError
from pixlog.process_identity import is_alive
from pixlog.spill_names import LEFT
from pixlog.writer_mark import own_mark, safe_host
from pixlogd.headers import Hello, Log
from pixlogd.pipeline import Pipeline
from pixlogd.rundir.open_run import Ack, Entry, OpenRun, RecoveryProgress
from pixlogd.rundir.recall import recall
from pixlogd.rundir.spill_files import (
    SpillFile,
    claim,
    entries_of,
    find_spill_files,
    give_back,
    may_be_begun,
    read_spill_file,
    set_aside,
)
from pixlogd.rundir.spill_writing import NotAllSpilled, write_raw
from pixlogd.work import MOST_READS

log = logging.getLogger("pixlogd")


@dataclass(slots=True)
class _Claimed:
    """A spill file under the name that it has while this daemon replays it.

    ``unread_count`` calls of it failed because their pixels could not be read.
    """

    path: Path
    file: SpillFile
    unread_count: int = 0

    @property
    def pointing(self) -> list[Log]:
        """Calls that show the image of an earlier call, which may lie in another file."""
        return [log for log in self.file.logs if _points(log)]


def _points(log: Log) -> bool:
    return any(item["data"].get("kind") == "ref" for item in log.header["items"])


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
                found = await asyncio.to_thread(
                    find_spill_files, spill, self._host, of_other_hosts=of_other_hosts
                )
                unfinished: list[_Claimed] = []
                for path in found:
                    with self._guarded(path):
                        unfinished += await self._replay(run, path, of_other_hosts)
                await self._finish_files(run, unfinished)
        finally:
            run.recovery.begun_count -= 1

    async def leave(self, run: OpenRun, entries: Sequence[Entry]) -> list[Path]:
        """Write calls raw into the spill, as fast as the disk goes; return the files."""
        if not entries:
            return []
        trouble: OSError | None = None
        try:
            paths = await asyncio.to_thread(write_raw, run.run_dir / "spill", self._mark, entries)
            lost_count = 0
        except NotAllSpilled as exc:
            paths, lost_count, trouble = exc.paths, exc.lost_count, exc
        except OSError as exc:
            paths, lost_count, trouble = [], len(entries), exc
        if lost_count:
            log.error("! %s: %d calls could not be spilled: %s", run.run_dir, lost_count, trouble)
        if lost_count < len(entries):
            spilled_count = len(entries) - lost_count
            log.warning("x %s: %d calls spilled for the next daemon", run.run_dir, spilled_count)
        return paths

    @staticmethod
    def take_back(paths: Sequence[Path]) -> None:
        """Remove files of :meth:`leave` of which every call has its row by now."""
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def _guarded(self, *paths: Path) -> Iterator[None]:
        """Work on files; when that fails, they are free again for whoever tries next."""
        try:
            yield
        except Exception as exc:  # one file's trouble must not become that of the others
            expected = isinstance(exc, (OSError, PixlogError))
            names = ", ".join(path.name for path in paths)
            log.error("! spill file %s cannot be replayed: %s", names, exc, exc_info=not expected)
            for path in paths:
                with contextlib.suppress(OSError):
                    give_back(path, self._mark)

    async def _replay(self, run: OpenRun, path: Path, of_other_hosts: bool) -> list[_Claimed]:
        """Claim a file and bring what stands for itself in it to its end; return it if there is more to do."""
        try:
            file = await asyncio.to_thread(read_spill_file, path)
            begun = file is None and not of_other_hosts and await asyncio.to_thread(may_be_begun, path)
        except FileNotFoundError:  # its client, or another daemon, was faster
            return []
        if file is None:
            if begun:
                return []
        elif not self._is_left(run, path, file.hello, of_other_hosts):
            return []
        claimed_path = await asyncio.to_thread(claim, path, self._mark)
        if claimed_path is None:
            return []
        if file is None:
            await asyncio.to_thread(claimed_path.unlink, missing_ok=True)
            return []
        claimed = _Claimed(claimed_path, file)
        await self._bring_to_end(run, [(claimed, [log for log in file.logs if not _points(log)])])
        if claimed.pointing or file.lost:
            return [claimed]
        await self._remove(claimed)
        return []

    async def _finish_files(self, run: OpenRun, unfinished: Sequence[_Claimed]) -> None:
        """Bring to their end the calls that need those of other files: first what points at their images.

        What one file only announces, another may hold with its pixels: announcements come last.
        """
        pointing = [(claimed, logs) for claimed in unfinished if (logs := claimed.pointing)]
        failed = bool(pointing)
        with self._guarded(*(claimed.path for claimed in unfinished)):
            if pointing:
                await self._bring_to_end(run, pointing)
            failed = False
        if failed:
            return
        for claimed in unfinished:
            with self._guarded(claimed.path):
                if claimed.file.lost:
                    await self._bring_to_end(run, [(claimed, claimed.file.lost)])
                await self._remove(claimed)

    async def _remove(self, claimed: _Claimed) -> None:
        """Remove a file of which every call has its row, or set it aside if it is damaged."""
        damage = claimed.file.damage
        if damage is None and claimed.unread_count:
            damage = f"{claimed.unread_count} of its calls"
        if damage is not None:
            aside = await asyncio.to_thread(set_aside, claimed.path)
            log.error("! %s is damaged: %s; what stood there could not be read", aside.name, damage)
            return
        await asyncio.to_thread(claimed.path.unlink, missing_ok=True)

    async def _bring_to_end(self, run: OpenRun, parts: Sequence[tuple[_Claimed, Sequence[Log]]]) -> None:
        """Put calls of files through the pipeline, those left out that have their rows, until each has its own."""
        recalled: dict[str, dict[int, Ack]] = {}
        for claimed, _ in parts:
            client = claimed.file.hello.client
            if client not in recalled:
                recalled[client] = await asyncio.to_thread(recall, run.run_dir, client, 0)
        begun: list[tuple[_Claimed, Entry]] = []
        for claimed, logs in parts:
            record = run.client(claimed.file.hello)
            record.recalled = recalled[record.hello.client]
            entries = list(entries_of(claimed.path, logs, record))
            log.info("= spill file %s: %d calls to bring to their end", claimed.path.name, len(entries))
            begun += ((claimed, entry) for entry in entries)
        run.recovery.file = parts[0][0].path.name if len(parts) == 1 else ""
        await self._finish(run.recovery, [entry for _, entry in begun])
        run.recovery.file = ""
        for claimed, entry in begun:
            claimed.unread_count += entry.unread_count >= MOST_READS
        for claimed, _ in parts:
            record = run.client(claimed.file.hello)
            if record.deliver is None and record.idle:
                run.forget(record)

    def _is_left(self, run: OpenRun, path: Path, hello: Hello, of_other_hosts: bool) -> bool:
        """Whether nobody comes back for a file: its client is dead, or was closed, and nothing of it is on its way."""
        record = run.clients.get(hello.client)
        if record is not None and (record.deliver is not None or not record.idle):
            return False
        if safe_host(hello.host) != self._host:
            return of_other_hosts
        if run.served.is_elsewhere(hello.client):
            log.info("= spill file %s: another daemon has its client", path.name)
            return False
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
