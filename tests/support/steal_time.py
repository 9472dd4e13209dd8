"""How long something took, and how much of that the host of a virtual machine gave its processor to others.

A virtual machine whose host is busy stands still for milliseconds at any instruction, and counts that as steal time.
What a thread's clock went on by is what it worked (its processor time, of which the kernel leaves steal out), what it
waited for a processor of this machine, what it was blocked, and, as the rest, what was stolen.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_RUN_QUEUE = "/proc/thread-self/schedstat"


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds by the clock, and those of them in which the host had the processor."""

    ms: float
    stolen_ms: float


class _Moment(NamedTuple):
    clock_ns: int
    worked_ns: int
    queued_ns: int
    blocked_count: int


def timed(work: Callable[[], object]) -> Took:
    """Do ``work`` on this thread; nothing counts as stolen where that cannot be told, as of a thread that blocked."""
    before = _now()
    work()
    after = _now()
    took_ns = after.clock_ns - before.clock_ns
    if sys.platform != "linux" or after.blocked_count > before.blocked_count:
        return Took(took_ns / 1e6, 0.0)
    own_ns = after.worked_ns - before.worked_ns + after.queued_ns - before.queued_ns
    return Took(took_ns / 1e6, max(0, took_ns - own_ns) / 1e6)


def _now() -> _Moment:
    queued_ns = blocked_count = 0
    if sys.platform == "linux":
        blocked_count = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        with open(_RUN_QUEUE) as counts:
            queued_ns = int(counts.read().split()[1])
    return _Moment(time.perf_counter_ns(), time.thread_time_ns(), queued_ns, blocked_count)
