"""Is the process that wrote this still the one with that pid?  Pids are reused; start times within a boot are not."""

from __future__ import annotations

import os
from pathlib import Path


def started_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        # The command name, in parentheses, may hold anything; the 20th field after it is the start time.
        return int(stat[stat.rindex(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def is_alive(pid: int, started: int | None = None) -> bool:
    """Whether a process with this pid runs and, where ``started`` is known, is the one that began then."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return started is None or started_ticks(pid) in (None, started)
