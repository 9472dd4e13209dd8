"""Find the daemon that serves a run: its own one, or a service that serves many."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixlog.control import HungUp, request
from pixlog.environment import PIXLOG_DAEMON
from pixlog.errors import ConnectError
from pixlog.rendezvous import dial, running_sockets, socket_for

Status = dict[str, Any]

_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that answered, and its status."""

    socket_path: Path
    status: Status

    def runs_besides(self, run_dir: Path) -> list[str]:
        """Return the other runs that it serves."""
        return [run["run_dir"] for run in self.status["runs"] if not _is_same(run["run_dir"], run_dir)]


def ask_status(socket_path: Path, timeout_s: float) -> Daemon | None:
    """Ask for the status; None if nobody listens there; ``ConnectError`` if whoever does gives no answer.

    The socket of a daemon that is killed accepts for a moment longer: who hangs up is asked again.
    """
    deadline = time.monotonic() + timeout_s
    while (probe := dial(socket_path, timeout_s)) is not None:
        probe.close()
        try:
            return Daemon(socket_path, request(socket_path, "status", timeout_s=timeout_s))
        except HungUp:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
    return None


def daemon_of(run_dir: Path, timeout_s: float) -> Daemon | None:
    """Return the daemon that serves ``run_dir``, or None if none does."""
    own = ask_status(socket_for(run_dir), timeout_s)
    if own is not None:
        return own
    for daemon in answering_daemons(timeout_s, []):
        if any(_is_same(run["run_dir"], run_dir) for run in daemon.status["runs"]):
            return daemon
    return None


def answering_daemons(timeout_s: float, silent: list[str]) -> Iterator[Daemon]:
    """Yield every daemon of this user that answers; what the others' trouble is goes into ``silent``."""
    named = os.environ.get(PIXLOG_DAEMON, "")
    service = [Path(named)] if named not in ("", "auto", "require") else []
    for socket_path in dict.fromkeys([*service, *running_sockets()]):
        try:
            daemon = ask_status(socket_path, timeout_s)
        except ConnectError as error:
            silent.append(str(error))
            continue
        if daemon is not None:
            yield daemon


def _is_same(run_dir: str, other: Path) -> bool:
    return os.path.realpath(run_dir) == os.path.realpath(other)
