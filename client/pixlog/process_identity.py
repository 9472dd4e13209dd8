"""Is the process that wrote this still the one with that pid?  Pids are reused; start times within a boot are not."""

from __future__ import annotations

import os
from pathlib import Path


def started_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None where the system does not tell."""
    fields = _stat_fields(pid)
    try:
        return int(fields[19])
    except (ValueError, IndexError):
        return None


def _stat_fields(pid: int) -> list[bytes]:
    """Return what ``/proc/<pid>/stat`` says after the command's name, which may hold anything; empty without one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    return stat[stat.rfind(b")") + 2 :].split()


def is_alive(pid: int, started: int | None = None) -> bool:
    """Whether a process with this pid runs and, where ``started`` is known, is the one that began then.

    One that has ended and that its parent has not taken notice of yet (a zombie) runs no more.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    if _stat_fields(pid)[:1] in ([b"Z"], [b"X"]):
        return False
    return started is None or started_ticks(pid) in (None, started)
