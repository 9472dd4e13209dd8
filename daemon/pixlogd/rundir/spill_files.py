"""Spill files as the daemon finds them: recorded streams of calls without their client.

A file is claimed by renaming it, so that of several daemons one replays it.  One that a daemon was killed over, while
it wrote or replayed it, bears an abandoned claim.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pixlog.errors import ProtocolError
from pixlog.protocol import Kind
from pixlog.spill_frames import SpillFrame, spill_frames
from pixlog.spill_names import BY_DAEMON, DAMAGED_SUFFIX, SUFFIX, claimant, claimed_name, unclaimed_name
from pixlog.writer_mark import is_abandoned
from pixlogd.headers import Hello, InSpill, Log, parse_hello, parse_log
from pixlogd.payload import SpilledPayload
from pixlogd.rundir.open_run import ClientRecord, Entry

NOT_WRITTEN = "lost: the job was killed, or the disk was full, before this image was written to the spill"
"""Why a call fails of which an ending daemon could write no more than the name."""
_BEGINNING_S = 600.0
_ANY_NAME = "0" * 16 + "-0000" + SUFFIX


@dataclass(frozen=True, slots=True)
class SpillFile:
    """A spill file as found: who wrote into it and which calls it holds.

    ``lost`` are the calls of which an ending daemon could write the names and no more.  ``damage`` says where and why
    what stood there could not be read, if that is more than a torn last frame.
    """

    path: Path
    hello: Hello
    logs: list[Log]
    damage: str | None = None
    lost: tuple[Log, ...] = ()


def find_spill_files(spill_dir: Path, host: str, *, of_other_hosts: bool = False) -> list[Path]:
    """Return the files that wait: unclaimed, or claimed by a daemon that is dead.

    Claims of other hosts count as abandoned where ``of_other_hosts`` says so.
    """
    found: list[Path] = []
    for path in sorted(spill_dir.iterdir()) if spill_dir.is_dir() else []:
        mark = claimant(path.name)
        abandoned = False if mark is None else is_abandoned(mark, host)
        if path.name.endswith(SUFFIX) or abandoned or (abandoned is None and of_other_hosts):
            found.append(path)
    return found


def claim(path: Path, mark: str) -> Path | None:
    """Rename a file so that it is this daemon's; None when another was faster."""
    claimed = path.with_name(claimed_name(path.name, mark))
    try:
        path.rename(claimed)
    except FileNotFoundError:
        return None
    return claimed


def may_be_begun(path: Path) -> bool:
    """Whether a file in which nobody's HELLO can be read may be one of a client that lives; raises OSError.

    Of a client on another host the file's name may be seen before what it wrote.
    """
    if claimant(path.name) is not None:
        return False
    return time.time() - path.stat().st_mtime < _BEGINNING_S


def give_back(path: Path, mark: str) -> None:
    """Give a file that this daemon claimed the name that it has for everybody; raises OSError."""
    claimed = path.with_name(claimed_name(path.name, mark))
    if claimed.exists():
        claimed.rename(path.with_name(unclaimed_name(path.name)))


def set_aside(path: Path) -> Path:
    """Give a damaged file the name of one, under which nobody replays it again."""
    aside = path.with_name(unclaimed_name(path.name) + DAMAGED_SUFFIX)
    path.rename(aside)
    return aside


def read_spill_file(path: Path) -> SpillFile | None:
    """Read who wrote a file and what it holds; None when not even its first frame is whole.

    A torn tail is what a writer was killed in the middle of.  In a client's file that is a call that had not
    returned; in a daemon's, an image that is lost, as are those after it that were only announced.  Raises
    ProtocolError for a file that does not begin as a spill file does.
    """
    hello: Hello | None = None
    logs: list[Log] = []
    announced: dict[int, Log] = {}
    damage: str | None = None
    unnamed: str | None = None
    try:
        for frame in spill_frames(path):
            if hello is None:
                if frame.kind is not Kind.HELLO:
                    raise ProtocolError(f"begins with {frame.kind.name}, expected HELLO")
                hello = replace(parse_hello(frame.header), resume=0, again=True)
            elif frame.kind is Kind.LOG and frame.whole:
                try:
                    log = _log_of(frame)
                except ProtocolError as exc:
                    unnamed = unnamed or f"a call without a name: {exc}"
                    continue
                if BY_DAEMON in path.name and log.header.get("reason") == NOT_WRITTEN:
                    announced[log.seq] = log
                else:
                    logs.append(log)
                    announced.pop(log.seq, None)
    except ProtocolError as exc:
        if hello is None:
            raise
        damage = str(exc)
    return (
        None if hello is None else SpillFile(path, hello, logs, damage or unnamed, tuple(announced.values()))
    )


def entries_of(path: Path, logs: Iterable[Log], record: ClientRecord) -> Iterator[Entry]:
    """Yield calls of a file as entries of its client, those left out that the client's record knows."""
    for log in logs:
        if log.seq in record.recalled or not record.known.add(log.seq):
            continue
        place = log.place
        payload = SpilledPayload(path, place.offset, place.nbytes) if isinstance(place, InSpill) else None
        yield Entry(record, log, payload)


def _log_of(frame: SpillFrame) -> Log:
    if frame.nbytes:
        frame.header["at"] = ["spill", _ANY_NAME, frame.offset, frame.nbytes]
    return parse_log(frame.header, None)
