"""Spill files as the daemon finds and writes them: recorded streams of calls without their client.

A file is claimed by renaming it, so that of several daemons one replays it.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pixlog.errors import ProtocolError
from pixlog.process_identity import is_alive
from pixlog.protocol import MAGIC, PRELUDE, Buffer, Header, Kind, encode_head, unpack
from pixlog.spill import SUFFIX
from pixlogd.open_run import ClientRecord, Entry
from pixlogd.payload import SpilledPayload
from pixlogd.session import Hello, InSpill, Log, parse_hello, parse_log

_LARGEST_HEAD_NBYTES = 64 * 1024 * 1024
_CLAIM = re.compile(r"\.claimed-(?P<host>.+)-(?P<pid>\d+)$")


@dataclass(frozen=True, slots=True)
class SpillFile:
    """A spill file as found: who wrote into it and which calls it holds whole."""

    path: Path
    hello: Hello
    logs: list[Log]


def find_spill_files(spill_dir: Path, host: str) -> list[Path]:
    """Return the files that wait: unclaimed, or claimed by a daemon of this host that is dead."""
    found: list[Path] = []
    for path in sorted(spill_dir.iterdir()) if spill_dir.is_dir() else []:
        claim = _CLAIM.search(path.name)
        abandoned = claim is not None and claim["host"] == host and not is_alive(int(claim["pid"]))
        if path.name.endswith(SUFFIX) or abandoned:
            found.append(path)
    return found


def claim(path: Path, writer: str) -> Path | None:
    """Rename a file so that it is this daemon's; None when another was faster."""
    claimed = path.with_name(_CLAIM.sub("", path.name) + f".claimed-{writer}")
    try:
        path.rename(claimed)
    except FileNotFoundError:
        return None
    return claimed


def read_spill_file(path: Path) -> SpillFile | None:
    """Read who wrote a file and what it holds; None when not even its first frame is whole.

    A torn tail is what a writer was killed in the middle of: its call had not returned.
    """
    hello: Hello | None = None
    logs: list[Log] = []
    with contextlib.suppress(ProtocolError):
        for kind, header, offset, nbytes in _frames(path):
            if hello is None:
                if kind is not Kind.HELLO:
                    return None
                hello = replace(parse_hello(header), resume=0, again=True)
            elif kind is Kind.LOG:
                if nbytes:
                    header["at"] = ["spill", "0" * 16 + "-0000" + SUFFIX, offset, nbytes]
                logs.append(parse_log(header, None))
    return None if hello is None else SpillFile(path, hello, logs)


def entries_of(file: SpillFile, record: ClientRecord) -> Iterator[Entry]:
    """Yield the calls of a file as entries of its client, those left out that the client's record knows."""
    for log in file.logs:
        if log.seq in record.recalled or not record.known.add(log.seq):
            continue
        place = log.place
        payload = (
            SpilledPayload(file.path, place.offset, place.nbytes) if isinstance(place, InSpill) else None
        )
        yield Entry(record, log, payload)


def write_raw(spill_dir: Path, writer: str, entries: Iterable[Entry]) -> int:
    """Write accepted calls as they came into spill files, one for each client; return how many.

    Calls whose payload lies in a spill file already are safe and skipped.  Raises OSError.
    """
    os.makedirs(spill_dir, exist_ok=True)
    files: dict[str, int] = {}
    count = 0
    try:
        for entry in entries:
            if isinstance(entry.payload, SpilledPayload):
                continue
            hello = entry.client.hello
            if hello.client not in files:
                path = spill_dir / f"{hello.client}-by-{writer}{SUFFIX}"
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                files[hello.client] = fd
                _write_frame(fd, encode_head(Kind.HELLO, hello.header()))
            header = {name: value for name, value in entry.log.header.items() if name != "at"}
            payload = entry.payload
            head = encode_head(Kind.LOG, header, payload.nbytes if payload is not None else 0)
            _write_frame(files[hello.client], head, *(() if payload is None else (payload,)))
            count += 1
    finally:
        for fd in files.values():
            os.close(fd)
    return count


def _write_frame(fd: int, *buffers: Buffer) -> None:
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            view = view[os.write(fd, view) :]


def _frames(path: Path) -> Iterator[tuple[Kind, Header, int, int]]:
    """Yield kind, header, and where the payload lies, of each whole frame; payloads are not read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset + PRELUDE.size <= size:
            try:
                magic, _, kind, head_nbytes, payload_nbytes = PRELUDE.unpack(file.read(PRELUDE.size))
            except struct.error:
                return
            start = offset + PRELUDE.size + head_nbytes
            if magic != MAGIC or head_nbytes > _LARGEST_HEAD_NBYTES or start + payload_nbytes > size:
                return
            head = file.read(head_nbytes)
            # The head is the body without the payload's bytes: one entry, or two of which the second is a bin 32.
            header = unpack(head[1:-5] if payload_nbytes else head[1:])
            if not isinstance(header, dict):
                return
            yield Kind(kind), header, start, payload_nbytes
            offset = start + payload_nbytes
            file.seek(offset)
