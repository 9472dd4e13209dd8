"""A client as a signal handler or a destructor finds it: this thread is in the middle of another call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pixlog


@contextlib.contextmanager
def middle_of_a_call(client: pixlog.Client) -> Iterator[None]:
    """Have the lock of a client, as its own calls have it."""
    lock = client._delivery._lock
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
