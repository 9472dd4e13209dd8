"""What a daemon that must end leaves behind: the calls that it had accepted, raw, in spill files.

A file is born claimed and gets its own name when it is whole; of a daemon that is killed meanwhile, the claim is an
abandoned one.  First the calls are *announced*: for each a small frame says that it failed because its pixels were
never written.  Then come their frames with the pixels, and take the place of the announcements.  Whenever the daemon
is killed, every call that was announced ends with a row.

On a disk that refuses, a file ends behind its last whole frame: the rest of it would only take the room that the next
daemon needs to bring the others to their end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from pixlog.protocol import Kind, encode_head
from pixlog.spill_names import BY_DAEMON, SUFFIX, claimed_name, left_name, unclaimed_name
from pixlogd.headers import failed_call
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.direct_file import DirectFile
from pixlogd.rundir.open_run import ClientRecord, Entry
from pixlogd.rundir.spill_files import NOT_WRITTEN


class NotAllSpilled(OSError):
    """The disk refused: ``lost_count`` calls are in no file; ``paths`` are the files that have others."""

    def __init__(self, trouble: OSError, paths: list[Path], lost_count: int) -> None:
        super().__init__(trouble.errno, trouble.strerror)
        self.paths = paths
        self.lost_count = lost_count


def write_raw(spill_dir: Path, mark: str, entries: Iterable[Entry]) -> list[Path]:
    """Write accepted calls as they came into spill files, one for each client; return the files.

    Calls whose payload lies in a spill file already are safe and skipped.  Raises OSError, and NotAllSpilled where the
    disk takes only some of them.
    """
    entries_of: dict[ClientRecord, list[Entry]] = {}
    for entry in entries:
        if not isinstance(entry.payload, SpilledPayload):
            entries_of.setdefault(entry.client, []).append(entry)
    spill_dir.mkdir(parents=True, exist_ok=True)
    trouble: OSError | None = None
    lost_count = 0
    with contextlib.ExitStack() as open_files:
        files: list[_ClientFile] = []
        for record, theirs in entries_of.items():
            path = spill_dir / claimed_name(_name_of(record, mark), mark)
            try:
                file = open_files.enter_context(DirectFile(path))
            except OSError as exc:
                trouble = exc
                lost_count += len(theirs)
                continue
            files.append(_ClientFile(file, path, theirs))
            files[-1].announce(record)
        for client_file in files:
            client_file.write_calls()
        paths = [named for client_file in files if (named := client_file.end()) is not None]
    for client_file in files:
        trouble = client_file.trouble or trouble
        lost_count += client_file.lost_count
    if trouble is not None:
        raise NotAllSpilled(trouble, paths, lost_count)
    return paths


def _name_of(record: ClientRecord, mark: str) -> str:
    """Return the name of a client's file; one that has hung up does not come back for it, though its process lives."""
    name = f"{record.hello.client}{BY_DAEMON}{mark}{SUFFIX}"
    return name if record.deliver is not None else left_name(name)


class _ClientFile:
    """The file of one client; the first error of the disk ends it, and is kept."""

    def __init__(self, file: DirectFile, path: Path, entries: list[Entry]) -> None:
        self.trouble: OSError | None = None
        self.lost_count = 0
        self._file = file
        self._path = path
        self._entries = entries
        self._announced_ends: list[int] = []
        self._call_ends: list[int] = []

    def announce(self, record: ClientRecord) -> None:
        """Write who the client is, and of each call that it failed."""
        try:
            self._file.write(encode_head(Kind.HELLO, record.hello.header()))
            self._announced_ends.append(self._file.nbytes)
            for entry in self._entries:
                self._file.write(encode_head(Kind.LOG, failed_call(entry.log.header, NOT_WRITTEN)))
                self._announced_ends.append(self._file.nbytes)
            self._file.flush()
        except OSError as exc:
            self._keep_what_is_whole(exc)

    def write_calls(self) -> None:
        """Write every call with its pixels."""
        if self.trouble is not None:
            return
        try:
            for entry in self._entries:
                _write_call(self._file, entry)
                self._call_ends.append(self._file.nbytes)
            self._file.flush()
        except OSError as exc:
            self._keep_what_is_whole(exc)

    def end(self) -> Path | None:
        """Give the file its own name and return it; remove it, and return None, when it names no call."""
        if self.trouble is not None and len(self._announced_ends) < 2:
            self._path.unlink()
            return None
        return self._path.rename(self._path.with_name(unclaimed_name(self._path.name)))

    def _keep_what_is_whole(self, trouble: OSError) -> None:
        """Cut the file behind its last whole frame, so that others find room, those that the next daemon writes too."""
        self.trouble = trouble
        written_nbytes = self._file.written_nbytes
        self._announced_ends = [end for end in self._announced_ends if end <= written_nbytes]
        self._call_ends = [end for end in self._call_ends if end <= written_nbytes]
        self.lost_count = len(self._entries) - len(self._call_ends)
        with contextlib.suppress(OSError):  # readers do without
            self._file.end_at([0, *self._announced_ends, *self._call_ends][-1])


def _write_call(file: DirectFile, entry: Entry) -> None:
    header = {name: value for name, value in entry.log.header.items() if name != "at"}
    payload = entry.payload
    assert not isinstance(payload, SpilledPayload)
    file.write(encode_head(Kind.LOG, header, payload.nbytes if payload is not None else 0))
    if payload is not None:
        file.write(payload)
