"""Processes as ``/proc`` shows them: their parents, what they were started with, which of them are daemons.

On systems without ``/proc`` every listing is empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process at the moment it was looked at; ``started`` tells a reused pid from the one seen first."""

    pid: int
    parent_pid: int
    state: str
    started: int
    command: str

    @property
    def is_daemon(self) -> bool:
        """Whether this is a pixlog daemon, started by a client or by hand."""
        return "pixlogd" in self.command and not self.is_worker

    @property
    def is_worker(self) -> bool:
        """Whether this is a worker process of a daemon."""
        return "pixlogd.rendering.worker" in self.command

    def is_alive(self) -> bool:
        """Whether the same process still runs; a zombie does not."""
        now = look_at(self.pid)
        return now is not None and now.started == self.started and now.state != "Z"

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command or 'no command line'})"


def look_at(pid: int) -> Process | None:
    """Return the process with this pid, or None when there is none."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
        command = (
            (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return None
    rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return Process(pid, int(rest[1]), rest[0], int(rest[19]), command)


def may_run(pid: int) -> bool:
    """Whether a thread of the process runs or could run; none does when all are stopped or it has ended."""
    try:
        stats = [
            (PROC / str(pid) / "task" / task / "stat").read_text()
            for task in os.listdir(PROC / str(pid) / "task")
        ]
    except OSError:  # a thread, or all of it, ended meanwhile
        return look_at(pid) is not None
    return any(stat.rpartition(")")[2].split()[0] not in "TtZX" for stat in stats)


def all_processes() -> Iterator[Process]:
    """Every process that can be seen."""
    try:
        names = os.listdir(PROC)
    except OSError:
        return
    for name in names:
        if name.isdigit() and (process := look_at(int(name))) is not None:
            yield process


def children() -> list[Process]:
    """Return this process's own children, zombies included."""
    own = str(os.getpid())
    try:
        lists = [
            (PROC / own / "task" / task / "children").read_text() for task in os.listdir(PROC / own / "task")
        ]
    except OSError:  # a kernel without that file
        return [process for process in all_processes() if process.parent_pid == os.getpid()]
    found = (look_at(int(pid)) for text in lists for pid in text.split())
    return [process for process in found if process is not None]


def started_with(variable: str, path: str) -> list[Process]:
    """Return the processes, except this one, that were started with ``variable`` holding ``path`` or one below it."""
    wanted = f"{variable}={path}".encode()
    found = []
    for process in all_processes():
        if process.pid != os.getpid() and process.state != "Z":
            try:
                environment = (PROC / str(process.pid) / "environ").read_bytes()
            except OSError:  # somebody else's, or just gone
                continue
            if any(entry == wanted or entry.startswith(wanted + b"/") for entry in environment.split(b"\0")):
                found.append(process)
    return found
