"""A thread for work that can wait, less important than the threads that log.

Theory of operation
    A thread as important as the one that logs has its turn, some milliseconds, in the middle of a call where both
    are on one processor.  So this one gives way to all others.  Its jobs hold no lock and take the GIL rarely:
    while it waits for a processor, nobody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeAlias

Job: TypeAlias = Callable[[], None]
"""What is to be done; it raises nothing, and ends soon once the thread is ``stopping``."""

_JOIN_S: Final = 1.0
_LESS_IMPORTANT: Final = 10


class PatientThread:
    """Does one job after another, started with the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()  # put() may interrupt put()
        self._thread: threading.Thread | None = None
        self.stopping = False

    @property
    def started(self) -> bool:
        """Whether there is a thread, to which any thread may give jobs."""
        return self._thread is not None

    def is_own_thread(self) -> bool:
        """Whether the caller is the thread."""
        return self._thread is threading.current_thread()

    def start(self) -> bool:
        """On the link's thread: start it unless it runs; return whether it does, or whether there can be none."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                return False
            self._thread = thread
        return True

    def put(self, job: Job) -> None:
        """Have ``job`` done after those before it."""
        self._jobs.put(job)

    def stop(self) -> None:
        """End the thread after the job that it is at."""
        self.stopping = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        _give_way()
        while True:
            job = self._jobs.get()
            if self.stopping or job is None:
                return
            job()


def _give_way() -> None:
    """Make this thread less important than the others; elsewhere than on Linux, only processes have a priority."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, nice + _LESS_IMPORTANT)
