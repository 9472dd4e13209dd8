"""The pixlog daemons that a test started, found by the runtime directory that they were started with, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import leaks
import processes
from pixlog.control import request
from pixlog.protocol import Header
from pixlog.rendezvous import socket_for
from waiting import scaled_s, wait_until

_END_S = 15.0


def daemons_of(runtime_dir: Path) -> list[processes.Process]:
    """Return the daemons whose environment names this runtime directory."""
    return [process for process in started_in(runtime_dir) if process.is_daemon]


def started_in(runtime_dir: Path) -> list[processes.Process]:
    """Return every process of the test, daemon or worker, that outlived it or still runs."""
    helpers = leaks.multiprocessing_helper_pids()
    started = processes.started_with("PIXLOG_RUNTIME_DIR", str(runtime_dir))
    return [process for process in started if process.pid not in helpers]


def end_daemons_of(runtime_dir: Path) -> None:
    """End the daemons of this runtime directory; fail if one needs SIGKILL, or if another process is left."""
    for daemon in daemons_of(runtime_dir):
        _send(daemon, signal.SIGCONT)  # a stopped one could not hear the next
        _send(daemon, signal.SIGTERM)

    def all_gone() -> bool:
        return not started_in(runtime_dir)

    try:
        wait_until(all_gone, timeout_s=_END_S)
    except AssertionError:
        left = started_in(runtime_dir)
        for process in left:
            _send(process, signal.SIGKILL)
        raise AssertionError(
            f"still running {_END_S:g} s after the test and SIGTERM to its daemons: "
            + "; ".join(map(str, left))
        ) from None


def status_of(run_dir: Path) -> Header:
    """Return what the daemon of a run says of itself."""
    return request(socket_for(run_dir), "status", timeout_s=scaled_s(5))


def _send(process: processes.Process, signal_number: int) -> None:
    if process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal_number)


def serving_in(runtime_dir: Path) -> list[processes.Process]:
    """Return the daemons of this runtime directory; the short-lived processes that start them are none."""
    return [process for process in daemons_of(runtime_dir) if not _leads_session(process.pid)]


def the_daemon_of(runtime_dir: Path) -> processes.Process:
    """Return the only daemon of this runtime directory; wait for the end of one that is just leaving."""
    found: list[processes.Process] = []

    def is_alone() -> bool:
        found[:] = serving_in(runtime_dir)
        return len(found) == 1

    try:
        wait_until(is_alone)
    except AssertionError:
        raise AssertionError(f"{len(found)} daemons: {'; '.join(map(str, found))}") from None
    return found[0]


@contextlib.contextmanager
def stopped(daemon: processes.Process) -> Iterator[None]:
    """Keep a daemon stopped while the block lasts: certainly before it begins, and to its end."""
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not processes.may_run(daemon.pid), what="the daemon to stand still")
        yield
    finally:
        _send(daemon, signal.SIGCONT)


def kill(daemon: processes.Process) -> None:
    """SIGKILL a daemon, which may just be leaving by itself, and wait until it is gone."""
    _send(daemon, signal.SIGKILL)
    wait_until(lambda: not daemon.is_alive(), what="the end of the daemon")


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return True


def gone(runtime_dir: Path) -> bool:
    """Whether no daemon of this runtime directory is left."""
    return not daemons_of(runtime_dir)


def wait_for_end(runtime_dir: Path, *, timeout_s: float = 60.0) -> None:
    """Wait until the daemons have ended by themselves, which they do when all that they took is written."""
    wait_until(lambda: gone(runtime_dir), timeout_s=timeout_s, what="the end of the daemon")
