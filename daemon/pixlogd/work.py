"""What a worker thread does with a batch: convert, encode, store, and write down what became of each call.

With a lane to a worker process it has that convert and encode what it can, and does the rest itself, as it does
everything when the process is gone.  A call that crashed the process is the exception: it would crash the daemon.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pixlog.errors import InputError, PixlogError
from pixlog.protocol import Header
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.settings import Settings
from pixlogd.malformed import malformation_of
from pixlogd.payload import ReadMemory, SpillGone, buffers_of
from pixlogd.rendering.exchange import LARGEST_NBYTES
from pixlogd.rendering.media_file import EarlierFile, MediaFile
from pixlogd.rendering.render import Rendered, render
from pixlogd.rendering.worker_process import Lane, WorkerGone
from pixlogd.rundir.library import NotThereYet, StillToCome
from pixlogd.rundir.manifest import FORMAT_VERSION, encode_row
from pixlogd.rundir.open_run import Ack, Entry
from pixlogd.rundir.recall import recall_one
from pixlogd.rundir.store import Placement

log = logging.getLogger("pixlogd")

_OURS_TO_FAIL = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENOTDIR})
"""Errors that trying again will not cure: the image fails.  Every other error of writing is waited out."""
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of opening a file that say nothing of the file: this process, or the machine, is short of something."""
MOST_READS: Final = 10
"""How often a call is tried whose pixels, or the earlier image that it points at, cannot be read."""
_MOST_CRASHES = 2
_MOST_ENDS = 4  # of processes with a suspect, when the last was ended from outside
_read_memory: Final = ReadMemory()


@dataclass(slots=True)
class Finished:
    """A call that came to its end: its row, and the word for its client."""

    entry: Entry
    line: bytes
    ack: Ack
    nbytes: int = 0
    encode_s: float = 0.0
    write_s: float | None = None
    """How long converting, encoding and writing took; None for a call of which no file was written."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    To be tried again are those that wait for an earlier image, which is on its way to the manifest (``early``) or has
    not been given to this daemon yet (``unsaid``), those that could not be read (``unread``), those that the disk would
    not take (``stalled``), and those that crashed a worker process (``suspects``), these in another one and alone.
    ``gone`` says what ended the worker process, where it did.
    """

    finished: list[Finished]
    early: list[Entry]
    stalled: list[Entry]
    trouble: OSError | None = None
    suspects: list[Entry] = field(default_factory=list)
    gone: WorkerGone | None = None
    unread: list[Entry] = field(default_factory=list)
    unsaid: list[Entry] = field(default_factory=list)


class _Unread(Exception):
    """What a call consists of could not be read."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause)
        self.errno = cause.errno
        self.reason = f"what it consists of cannot be read: {cause.strerror or cause}"


def process(batch: Sequence[Entry], settings: Settings, lane: Lane | None = None) -> Outcome:
    """Bring every call of ``batch`` to its end, in a worker thread; raises nothing."""
    outcome = Outcome([], [], [])
    work = (
        _render_over(lane, batch, settings, outcome)
        if lane is not None
        else [(entry, None) for entry in batch]
    )
    for index, (entry, ready) in enumerate(work):
        try:
            if ready is None and entry.crashes and (lane is None or len(entry.crashes) >= _MOST_CRASHES):
                how = ", then ".join(entry.crashes)
                other = ", and no other could be started" if lane is None else ""
                raise InputError(f"rendering it ended a worker process: {how}{other}")
            outcome.finished.append(_process_one(entry, settings, ready))
        except OSError as exc:
            if exc.errno in _OURS_TO_FAIL:
                outcome.finished.append(_failed(entry, f"{type(exc).__name__}: {exc.strerror}"))
            else:
                outcome.stalled = [entry for entry, _ in work[index:]]
                outcome.trouble = exc
                break
        except _Unread as exc:
            # While the disk refuses to be written too, it is not this call's file that is at fault.
            entry.unread_count += entry.client.run.trouble is None
            if exc.errno in _OURS_TO_FAIL or entry.unread_count >= MOST_READS:
                outcome.finished.append(_ended_elsewhere(entry) or _failed(entry, exc.reason))
            else:
                log.log(
                    logging.DEBUG if entry.unread_count > 1 else logging.ERROR,
                    "! %r step %d: %s; trying again later",
                    entry.log.key,
                    entry.log.step,
                    exc.reason,
                )
                outcome.unread.append(entry)
        except StillToCome as exc:
            if entry.client.run.may_wait_for(entry, exc.client):
                outcome.unsaid.append(entry)
            else:
                outcome.finished.append(_failed(entry, str(exc)))
        except NotThereYet:
            if entry.last_try:
                outcome.finished.append(
                    _failed(entry, "the earlier call whose image it shows waits for this one")
                )
            else:
                outcome.early.append(entry)
        except SpillGone as exc:
            outcome.finished.append(_ended_elsewhere(entry) or _failed(entry, str(exc)))
        except PixlogError as exc:
            outcome.finished.append(_failed(entry, str(exc)))
        except Exception as exc:
            malformation = malformation_of(entry.log.header)
            if malformation is not None:
                outcome.finished.append(_failed(entry, f"malformed call: {malformation}"))
                continue
            log.exception("! %r step %d: internal error", entry.log.key, entry.log.step)
            outcome.finished.append(_failed(entry, f"internal error: {type(exc).__name__}: {exc}"))
    return outcome


_Ready: TypeAlias = tuple[Rendered, float]
"""A rendering and the seconds that it took."""


def _render_over(
    lane: Lane, batch: Sequence[Entry], settings: Settings, outcome: Outcome
) -> list[tuple[Entry, _Ready | None]]:
    """Return the calls of a batch with their renderings, None for those that are to be rendered here."""
    try:
        ready = lane.render([_handed_over(entry, settings) for entry in batch])
        return list(zip(batch, ready, strict=True))
    except WorkerGone as exc:
        gone = exc
    except Exception:  # the answer may still come: nobody may take it for that to the next batch
        log.exception("! worker process %d: internal error", lane.process.pid)
        lane.process.kill()
        gone = WorkerGone("the daemon, which could not read its answer", None)
    outcome.gone = gone
    if gone.number is not None or batch[0].crashes:  # a suspect is alone, and may have brought on what it was
        batch[gone.number or 0].crashes += (gone.how,)
    most = _MOST_ENDS if gone.number is None else _MOST_CRASHES
    outcome.suspects = [entry for entry in batch if 0 < len(entry.crashes) < most]
    return [(entry, None) for entry in batch if entry not in outcome.suspects]


def _handed_over(
    entry: Entry, settings: Settings
) -> tuple[Header, Sequence[memoryview], EncodeDefaults] | None:
    """Return what a worker process needs of a call, None for one that it has no use for or cannot do."""
    header = entry.log.header
    if header.get("state") is not None or not 0 < entry.nbytes <= LARGEST_NBYTES:
        return None
    defaults = settings.for_key(entry.log.key)
    for item in header["items"]:
        wants_run = defaults.dedup if item.get("dedup") is None else item["dedup"]
        if wants_run or item["data"].get("kind") not in ("array", "pil"):
            return None
    try:
        return header, buffers_of(header, entry.payload), defaults
    except Exception:  # met again, and told, where the call is rendered
        return None


def _process_one(entry: Entry, settings: Settings, ready: _Ready | None) -> Finished:
    header = entry.log.header
    state = header.get("state")
    if state in ("failed", "dropped"):
        return _ended(entry, state, str(header.get("reason", "unknown")))
    run = entry.client.run
    if ready is None:
        began = time.perf_counter()
        defaults = settings.for_key(entry.log.key)
        try:
            rendered = render(header, buffers_of(header, entry.payload, _read_memory), defaults, run.library)
        except OSError as exc:
            if exc.errno in _SHORTAGES and exc.filename is not None:
                raise
            raise _Unread(exc) from exc
        encoded = time.perf_counter()
        encode_s = encoded - began
    else:
        rendered, encode_s = ready
        encoded = time.perf_counter()
    new_files = rendered.new_files
    placements = run.store.write(new_files)
    written = time.perf_counter()
    run.library.on_stored(new_files, placements)
    row = _row(entry, "saved")
    row["value"] = rendered.value
    row["input"] = rendered.input
    row["files"] = _records(rendered.files, placements)
    _add_origin(row, entry, rendered.notes)
    return Finished(
        entry,
        encode_row(row),
        (entry.log.seq, "saved", None, _image_paths(rendered), rendered.notes),
        sum(media.size for media in new_files),
        encode_s,
        written - encoded,
    )


def _failed(entry: Entry, reason: str) -> Finished:
    return _ended(entry, "failed", reason)


def _ended_elsewhere(entry: Entry) -> Finished | None:
    """Return how a call ended in another daemon, which removed its spill file, if one did; it has its row there."""
    client = entry.client
    try:
        ack = recall_one(client.run.run_dir, client.hello.client, entry.log.seq)
    except OSError:
        return None
    return None if ack is None else Finished(entry, b"", ack)


def _ended(entry: Entry, state: str, reason: str) -> Finished:
    row = _row(entry, state)
    row["value"] = None
    row["reason"] = reason
    _add_origin(row, entry, ())
    try:
        line = encode_row(row)
    except InputError:  # only meta can hold what JSON cannot say
        del row["meta"]
        line = encode_row(row)
    return Finished(entry, line, (entry.log.seq, state, reason, [], []))


def _row(entry: Entry, state: str) -> dict[str, Any]:
    """Begin a row: the fields that an index needs come first, in this order."""
    hello = entry.client.hello
    return {
        "v": FORMAT_VERSION,
        "key": entry.log.key,
        "step": entry.log.step,
        "rank": hello.rank,
        "client": hello.client,
        "seq": entry.log.seq,
        "state": state,
        "time": entry.log.header.get("time"),
    }


def _add_origin(row: dict[str, Any], entry: Entry, notes: Sequence[str]) -> None:
    header, hello = entry.log.header, entry.client.hello
    if header.get("call") is not None:
        row["call"] = header["call"]
    meta = _meta(header)
    if meta is not None:
        row["meta"] = meta
    if hello.local_rank is not None:
        row["local_rank"] = hello.local_rank
    if hello.world_size is not None:
        row["world_size"] = hello.world_size
    row["host"] = hello.host
    row["pid"] = hello.pid
    if notes:
        row["notes"] = list(notes)


def _meta(header: Mapping[str, Any]) -> Any:
    """Return the row's ``meta``: the call's, else that of its only image, else a list of its images' own."""
    if header.get("meta") is not None:
        return header["meta"]
    metas = [item.get("meta") for item in header["items"] if isinstance(item, dict)]
    if not any(meta is not None for meta in metas):
        return None
    return metas if header.get("list") else metas[0]


def _records(
    files: Sequence[MediaFile | EarlierFile], placements: Sequence[Placement | None]
) -> list[dict[str, Any]]:
    """Return the row's ``files``; ``placements`` say where each new one of them lies."""
    records = []
    places = iter(placements)
    for media in files:
        record = media.record()
        if isinstance(media, MediaFile) and (place := next(places)) is not None:
            record.update(place)
        records.append(record)
    return records


def _image_paths(rendered: Rendered) -> list[str]:
    return [media.path for media in rendered.files if media.role == "image"]
