"""Whose is this temporary thing?  Its name ends with the host, the pid and the start of the process that made it.

Pids come again, in containers even the same one at each start; with the moment a process began they do not.
"""

from __future__ import annotations

import os
import re

from pixlog.process_identity import is_alive, started_ticks

_MARK = re.compile(r"(?P<host>[^-]+)-(?P<pid>\d+)-(?P<started>\d+)")


def safe_host(host: str) -> str:
    """Return a host name as it goes into the names of files."""
    return "".join(char if char.isalnum() or char in "._" else "_" for char in host)[:64] or "host"


def mark_of(host: str, pid: int, started: int | None) -> str:
    """Return the mark of a process of which these are known."""
    return f"{safe_host(host)}-{pid}-{started or 0}"


def own_mark(writer: str) -> str:
    """Return the mark of this process, which calls itself ``writer``: its host and pid."""
    return f"{writer}-{started_ticks(os.getpid()) or 0}"


def is_abandoned(mark: str, host: str) -> bool | None:
    """Whether the process behind a mark is gone; None when that cannot be seen from ``host``."""
    parts = _MARK.fullmatch(mark)
    if parts is None or parts["host"] != host:
        return None
    return not is_alive(int(parts["pid"]), int(parts["started"]) or None)
