"""What a test may not leave behind: descriptors, threads and child processes of the test process.

A snapshot is taken before each test; afterwards everything that was not there before is a leak, once the short time is
over in which closing threads and ending processes may still be on their way.
"""

from __future__ import annotations

import gc
import os
import threading
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from typing import Final

import processes
from waiting import wait_until

_GRACE_S: Final = 5.0

# Opened once by the interpreter or a library and kept for the life of the process.
_KEPT_TARGETS: Final = ("/dev/urandom", "/dev/random", "/dev/null", "anon_inode:[perf_event]")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The descriptors (number → what it refers to), threads and children at one moment."""

    descriptors: dict[int, str]
    thread_ids: frozenset[int]
    child_pids: frozenset[int]


def take_snapshot() -> Snapshot:
    """Return what the test process holds now."""
    return Snapshot(
        _descriptors(),
        frozenset(id(thread) for thread in threading.enumerate()),
        frozenset(process.pid for process in processes.children()),
    )


def leaks_since(before: Snapshot) -> list[str]:
    """Return a line for each descriptor, thread and child that was not there ``before``."""
    lines = [
        f"descriptor {fd} → {target}"
        for fd, target in _descriptors().items()
        if before.descriptors.get(fd) != target and not _is_kept_descriptor(fd, target)
    ]
    lines += [
        f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if id(thread) not in before.thread_ids and thread.is_alive()
    ]
    helpers = multiprocessing_helper_pids()
    lines += [
        f"child process {process}, state {process.state}"
        for process in processes.children()
        if process.pid not in before.child_pids | helpers
    ]
    return lines


def assert_nothing_leaked(before: Snapshot) -> None:
    """Fail with the list of what was left behind, after a short grace."""
    if not leaks_since(before):
        return
    gc.collect()  # a reference cycle may hold the last reference to an open file

    def nothing_is_left() -> bool:
        return not leaks_since(before)

    try:
        wait_until(nothing_is_left, timeout_s=_GRACE_S)
    except AssertionError:
        raise AssertionError("the test left behind: " + "; ".join(leaks_since(before))) from None


def _descriptors() -> dict[int, str]:
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found = {}
    for name in os.listdir(directory):
        try:
            found[int(name)] = os.readlink(f"{directory}/{name}")
        except OSError:  # the listing's own descriptor
            continue
    return found


def _is_kept_descriptor(fd: int, target: str) -> bool:
    return target in _KEPT_TARGETS or fd in _multiprocessing_helper_descriptors()


# multiprocessing starts its resource tracker and fork server once, on first use, for the life of the process; it has no
# public way to ask for them.
def multiprocessing_helper_pids() -> frozenset[int]:
    """Return the pids of multiprocessing's own helpers of this process, which stay until it ends."""
    tracker, server = resource_tracker._resource_tracker, forkserver._forkserver
    pids = (getattr(tracker, "_pid", None), getattr(server, "_forkserver_pid", None))
    return frozenset(pid for pid in pids if pid is not None)


def _multiprocessing_helper_descriptors() -> frozenset[int]:
    tracker, server = resource_tracker._resource_tracker, forkserver._forkserver
    fds = (
        getattr(tracker, "_fd", None),
        getattr(server, "_forkserver_alive_fd", None),
        getattr(server, "_forkserver_authkey_fd", None),
    )
    return frozenset(fd for fd in fds if fd is not None)
