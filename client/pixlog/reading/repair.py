"""Tidy a run directory up after writers that died, without touching what a row names or somebody may be writing.

Theory of operation
    A daemon that is killed leaves at most four kinds of things: media files that got no row (*orphans*), files under
    temporary names, an empty probe of whether the directory can be written, and claims on spill files.  Each of the
    last three carries the mark of its process, so it can be seen here whether that still runs; of other hosts it
    cannot, and their things are left unless the caller knows better.

    An orphan is most often the file of a call that was said again and saved otherwise.  Where trainer and daemon were
    both killed, it may be all that is left of an image.  Whoever wants to see them has them *adopted*: they get rows,
    under the key "orphan", in a segment of their own; never while a daemon serves the run or soon after they were
    written, for then their rows may be on their way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixlog.environment import PIXLOG_HOST
from pixlog.errors import RunError
from pixlog.reading.decoding import decode_image
from pixlog.spill_names import claimant, unclaimed_name
from pixlog.writer_mark import is_abandoned, safe_host

ORPHAN_KEY = "orphan"
_TEMPORARY_PREFIX = ".writing-"
_PROBE_PREFIX = ".probe-"
_OLD_ENOUGH_S = 60.0


@dataclass(slots=True)
class Repaired:
    """What was done; every path is relative to the run directory.

    ``left`` are things that may belong to somebody who is alive, with the reason.
    """

    removed: list[str] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def repair(
    run_dir: str | os.PathLike[str],
    *,
    adopt: Sequence[str] = (),
    is_served: bool = False,
    of_other_hosts: bool = False,
    old_enough_s: float = _OLD_ENOUGH_S,
) -> Repaired:
    """Remove temporary files of dead writers, free the spill files that they had claimed, adopt orphans.

    Args:
        run_dir: The run directory.
        adopt: Media files to give rows to: those that no row names, as
            :func:`pixlog.reading.verify.verify` reports them.
        is_served: Whether a daemon serves the run at the moment: orphans are then left alone.
        of_other_hosts: Also what writers of other hosts left; only when none of them runs any more.
        old_enough_s: How long ago an orphan must have been written.
    """
    run = Path(os.path.realpath(run_dir))
    host = safe_host(os.environ.get(PIXLOG_HOST) or socket.gethostname())
    done = Repaired()
    for path, mark in _marked(run):
        name = path.relative_to(run).as_posix()
        abandoned = is_abandoned(mark, host)
        if abandoned is None and not of_other_hosts:
            done.left[name] = f"of {mark}, of which cannot be seen from here whether it still runs"
        elif abandoned is False:
            done.left[name] = f"of {mark}, which still runs"
        elif claimant(path.name) is not None:
            path.rename(path.with_name(unclaimed_name(path.name)))
            done.unclaimed.append(name)
        else:
            _remove(path)
            done.removed.append(name)
    _adopt(run, host, adopt, done, is_served=is_served, old_enough_s=old_enough_s)
    return done


def _marked(run: Path) -> Iterator[tuple[Path, str]]:
    """Yield what carries the mark of its writer, with the mark."""
    for path in sorted(run.iterdir()):
        for prefix in (_TEMPORARY_PREFIX, _PROBE_PREFIX):
            if path.name.startswith(prefix):
                yield path, path.name.removeprefix(prefix)
    spill = run / "spill"
    for path in sorted(spill.iterdir()) if spill.is_dir() else ():
        mark = claimant(path.name)
        if mark is not None:
            yield path, mark


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _adopt(
    run: Path, host: str, orphans: Sequence[str], done: Repaired, *, is_served: bool, old_enough_s: float
) -> None:
    lines: list[str] = []
    client = os.urandom(8).hex()
    for name in orphans:
        if is_served:
            done.left[name] = "its row may be on its way: a daemon serves the run"
            continue
        if not _is_utf8(name):
            done.left[name] = "its name is not UTF-8, and a row could not name it: rename it first"
            continue
        try:
            info = (run / name).stat()
            if time.time() - info.st_mtime < old_enough_s:
                done.left[name] = f"was written less than {old_enough_s:g} s ago, its row may be on its way"
                continue
            row = _row_of(run, name, host, client, len(lines), info.st_mtime)
        except OSError as exc:
            done.left[name] = f"cannot be read: {exc.strerror}"
        except RunError as exc:
            done.left[name] = f"is no image: {exc}"
        else:
            lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            done.adopted.append(name)
    if lines:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        segment = run / "manifest" / f"{moment}-{host}-{os.getpid()}-repair.jsonl"
        with segment.open("x", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())


def _is_utf8(name: str) -> bool:
    """Whether a file's name is text; other bytes stand in it as half surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row_of(run: Path, name: str, host: str, client: str, seq: int, written: float) -> dict[str, Any]:
    """Return the row of an adopted file: what can be told from the file alone."""
    data = (run / name).read_bytes()
    picture = decode_image(data, name=name)
    digest = hashlib.sha256(data).hexdigest()
    suffix = Path(name).suffix[1:]
    width, height = picture.size
    value = {
        "_type": "image-file",
        "format": suffix,
        "height": height,
        "path": name,
        "sha256": digest,
        "size": len(data),
        "width": width,
    }
    return {
        "v": 1,
        "key": ORPHAN_KEY,
        "step": seq,
        "rank": 0,
        "client": client,
        "seq": seq,
        "state": "saved",
        "time": written,
        "value": value,
        "input": {"kind": "adopted"},
        "files": [{"path": name, "sha256": digest, "size": len(data), "role": "image", "index": 0}],
        "host": host,
        "pid": os.getpid(),
        "notes": ["adopted: no row named this file"],
    }
