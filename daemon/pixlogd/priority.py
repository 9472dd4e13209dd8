"""How far the daemon steps back for training, and that it no longer does once it is told to end."""

from __future__ import annotations

import contextlib
import os
import sys


def step_forward(pid: int | None = None) -> None:
    """Be as important as anybody: whoever tells the daemon to end may kill it in a moment, with what is unsaved.

    Leaving the batch policy is anybody's right; a better priority takes that of the system's administrator, and
    without it the daemon is as fast as it goes.  ``pid`` is a process of the daemon's other than this one.
    """
    if sys.platform != "linux":
        return
    try:
        threads = [int(name) for name in os.listdir(f"/proc/{pid or 'self'}/task")]
    except OSError:  # it has ended
        return
    for thread in threads:  # both are a thread's own there
        with contextlib.suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, 0)
