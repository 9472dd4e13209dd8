"""What a daemon that must end leaves behind: the calls that it had accepted, raw, in spill files.

A file is born claimed and gets its own name when it is whole; of a daemon that is killed meanwhile, the claim is an
abandoned one.  First the calls are *announced*: for each a small frame says that it failed because its pixels were
never written.  Then come their frames with the pixels, and take the place of the announcements.  Whenever the daemon
is killed, every call that was announced ends with a row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from pixlog.protocol import Kind, encode_head
from pixlog.spill_names import BY_DAEMON, SUFFIX, claimed_name, unclaimed_name
from pixlogd.headers import failed_call
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.direct_file import DirectFile
from pixlogd.rundir.open_run import ClientRecord, Entry
from pixlogd.rundir.spill_files import NOT_WRITTEN


def write_raw(spill_dir: Path, mark: str, entries: Iterable[Entry]) -> list[Path]:
    """Write accepted calls as they came into spill files, one for each client; return the files.

    Calls whose payload lies in a spill file already are safe and skipped.  Raises OSError; what was written by
    then is found by the next daemon all the same.
    """
    entries_of: dict[ClientRecord, list[Entry]] = {}
    for entry in entries:
        if not isinstance(entry.payload, SpilledPayload):
            entries_of.setdefault(entry.client, []).append(entry)
    spill_dir.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    with contextlib.ExitStack() as open_files:
        files: dict[ClientRecord, DirectFile] = {}
        for record, theirs in entries_of.items():
            hello = record.hello
            path = spill_dir / claimed_name(f"{hello.client}{BY_DAEMON}{mark}{SUFFIX}", mark)
            file = files[record] = open_files.enter_context(DirectFile(path))
            paths.append(path)
            file.write(encode_head(Kind.HELLO, hello.header()))
            for entry in theirs:
                file.write(encode_head(Kind.LOG, failed_call(entry.log.header, NOT_WRITTEN)))
            file.flush()
        for record, theirs in entries_of.items():
            for entry in theirs:
                _write_call(files[record], entry)
            files[record].flush()
    return [path.rename(path.with_name(unclaimed_name(path.name))) for path in paths]


def _write_call(file: DirectFile, entry: Entry) -> None:
    header = {name: value for name, value in entry.log.header.items() if name != "at"}
    payload = entry.payload
    assert not isinstance(payload, SpilledPayload)
    file.write(encode_head(Kind.LOG, header, payload.nbytes if payload is not None else 0))
    if payload is not None:
        file.write(payload)
