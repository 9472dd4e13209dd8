"""Have a run's spill brought to its end: a daemon does it, this asks for it, waits and says what is left.

Theory of operation
    Any daemon that opens a run replays what dead clients and killed daemons left in the run's ``spill/``.  So the
    run's daemon is asked to, started if there is none, and asked for its status until nothing moves any more: it is
    done, or what is left is somebody's who lives, or cannot be read.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixlog.control import HungUp, request
from pixlog.environment import PIXLOG_HOST
from pixlog.errors import ConnectError, PixlogError, RunDirError
from pixlog.process_identity import is_alive
from pixlog.protocol import Kind
from pixlog.rendezvous import dialer, socket_for
from pixlog.served_clients import is_served
from pixlog.spill_frames import content_nbytes, spill_frames
from pixlog.spill_names import DAMAGED_SUFFIX, claimant, unclaimed_name
from pixlog.writer_mark import is_abandoned, safe_host

_POLL_S = 0.1
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Left:
    """A file that could not be brought to its end, or the run directory itself where calls are still queued."""

    path: Path
    why: str


@dataclass(slots=True)
class Recovered:
    """How many calls came to their end meanwhile, and what is left."""

    count: int = 0
    left: list[Left] = field(default_factory=list)


class _Spill:
    """The files of a run's spill and the bytes that are in them; each is looked into once for each length it has."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[tuple[str, int], int] = {}
        self.total_nbytes = sum(self.files().values())

    def files(self) -> dict[Path, int]:
        """Return the files that are there now, and what is in each, without the room that was prepared in it."""
        found: dict[Path, int] = {}
        for path in sorted(self._directory.iterdir()) if self._directory.is_dir() else []:
            try:
                found[path] = self._content_nbytes(path)
            except FileNotFoundError:  # done, or claimed, meanwhile
                continue
        return found

    def _content_nbytes(self, path: Path) -> int:
        size = path.stat().st_size
        seen = unclaimed_name(path.name), size
        if seen not in self._known:
            try:
                self._known[seen] = content_nbytes(path)
            except FileNotFoundError:
                raise
            except (OSError, PixlogError):  # somebody else's, or damaged
                self._known[seen] = size
        return self._known[seen]

    def left_nbytes(self, recovering: dict[str, Any]) -> int:
        """Return the bytes that are still to be done; of the file that is being replayed, those of the calls left."""
        share = recovering["calls"] / recovering["calls_in_all"] if recovering["calls_in_all"] else 1.0
        return sum(
            int(nbytes * share) if path.name == recovering["file"] else nbytes
            for path, nbytes in self.files().items()
        )


def recover(
    run_dir: str | os.PathLike[str],
    *,
    socket_path: Path | None = None,
    of_other_hosts: bool = False,
    timeout_s: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> Recovered:
    """Bring what lies in a run's spill to its end; returns when nothing is left or nothing moves any more.

    Args:
        run_dir: The run directory.
        socket_path: Where a daemon that serves the run listens; None starts the run's own.
        of_other_hosts: Also take what clients and daemons of other hosts left, of which nobody can see from here
            whether they still run.
        timeout_s: How long to wait without any progress, and for each answer of the daemon.
        progress: Called now and then with the bytes done and in all.

    Raises:
        RunDirError: There is no such directory.
        ConnectError: The daemon cannot be reached or started.
    """
    run = Path(os.path.realpath(run_dir))
    if not run.is_dir():
        raise RunDirError(f"{run_dir} is not a directory")
    spill = _Spill(run / "spill")
    before = 0
    if socket_path is not None:
        before = _ended_count(_status(socket_path, run, timeout_s))
        _ask(socket_path, run, timeout_s, of_other_hosts)
    elif spill.files():
        socket_path = _ask_own_daemon(run, timeout_s, of_other_hosts)
    else:
        return Recovered()
    status = _wait(socket_path, run, spill, timeout_s, progress)
    outcome = Recovered(_ended_count(status) - before, _left_in(spill, of_other_hosts))
    if status["queued"]:
        why = f"{status['queued']} calls are queued" + (f": {status['trouble']}" if status["trouble"] else "")
        outcome.left.append(Left(run, why))
    return outcome


def _ask(socket_path: Path, run: Path, timeout_s: float, of_other_hosts: bool) -> None:
    request(socket_path, "recover", timeout_s=timeout_s, run_dir=str(run), of_other_hosts=of_other_hosts)


def _ask_own_daemon(run: Path, timeout_s: float, of_other_hosts: bool) -> Path:
    """Start the run's own daemon, unless there is one, and ask it; ask the next where that was about to end."""
    deadline = time.monotonic() + timeout_s
    while True:
        dialer(str(run), "auto")(_START_S).close()
        socket_path = socket_for(run)
        try:
            _ask(socket_path, run, timeout_s, of_other_hosts)
            return socket_path
        except HungUp:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def _wait(
    socket_path: Path, run: Path, spill: _Spill, timeout_s: float, progress: Callable[[int, int], None] | None
) -> dict[str, Any]:
    """Poll until the daemon is done with the run, or nothing moved for ``timeout_s``; return its last status."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        status = _status(socket_path, run, timeout_s)
        recovering = status["recovering"]
        left = spill.left_nbytes(recovering)
        if progress is not None:
            progress(max(0, spill.total_nbytes - left), spill.total_nbytes)
        if not recovering["active"] and not status["queued"]:
            return status
        now = left, status["queued"], _ended_count(status), recovering["calls"]
        if now != last:
            deadline = time.monotonic() + timeout_s
            last = now
        elif time.monotonic() > deadline:
            return status
        time.sleep(_POLL_S)


def _status(socket_path: Path, run: Path, timeout_s: float) -> dict[str, Any]:
    for status in request(socket_path, "status", timeout_s=timeout_s)["runs"]:
        if status["run_dir"] == str(run):
            return dict(status)
    raise ConnectError(f"the daemon on {socket_path} does not serve {run}")


def _ended_count(status: dict[str, Any]) -> int:
    return int(status["saved"] + status["failed"] + status["dropped"])


def _left_in(spill: _Spill, of_other_hosts: bool) -> list[Left]:
    host = safe_host(os.environ.get(PIXLOG_HOST) or socket.gethostname())
    return [Left(path, _why(path, host, of_other_hosts)) for path in spill.files()]


def _why(path: Path, host: str, of_other_hosts: bool) -> str:
    """Say why a file is still there."""
    mark = claimant(path.name)
    if mark is not None:
        if is_abandoned(mark, host) is None and not of_other_hosts:
            return f"belongs to {mark} of another host: --other-hosts, if nothing runs there any more"
        return f"{mark} is working on it"
    if path.name.endswith(DAMAGED_SUFFIX):
        return "a part of it cannot be read; the rest was saved, see daemon.log"
    hello = _hello_of(path)
    if hello is None:
        return "does not begin as a spill file does"
    if safe_host(str(hello.get("host"))) != host and not of_other_hosts:
        return f"is of host {hello.get('host')}: --other-hosts, if the job does not run there any more"
    if is_alive(int(hello["pid"]), hello.get("started")):
        return f"belongs to process {hello['pid']}, which still runs"
    if is_served(path.parent, str(hello.get("client"))):
        return "another daemon of this host is working on its client's images"
    return "could not be replayed, see daemon.log"


def _hello_of(path: Path) -> dict[str, Any] | None:
    try:
        first = next(spill_frames(path), None)
    except (OSError, PixlogError):
        return None
    return first.header if first is not None and first.kind is Kind.HELLO else None
