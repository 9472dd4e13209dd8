"""A lock that Ctrl-C does not leave taken, for what the main thread changes together with other threads.

Theory of operation
    An exception of a signal handler comes out of the main thread where the interpreter looks for signals: behind a
    call, at the beginning of a Python function, at a jump back.  ``with lock:`` was safe from it up to Python 3.13.  In
    3.14 it takes the lock by an ordinary call, behind which handlers run before anything protects the block, so
    that the lock may stay taken for ever (python/cpython, issue 148874).  So it is taken inside of a ``try``::

        try:
            lock.acquire()
            ...
        finally:
            if lock.owned:
                lock.release()

    Between ``try`` and the taking, which is in C, nothing looks for signals.  Behind it, what a handler raises meets
    the ``finally``, and so does what it raises while the lock is waited for; :attr:`SectionLock.owned` tells these
    apart.  It is read as an attribute, and by C, because a call would look for signals before the lock is released.

    A thread that owns the lock never waits for it: a handler or a destructor that takes it in the middle of a section
    of the same thread always gets it, and releases no more than that.  A plain lock could not tell whose it is.

    ``Condition.wait`` releases and takes again the lock of such a section.  Cut short, it may come back without it.
"""

from __future__ import annotations

import _thread
from typing import TYPE_CHECKING, NoReturn


class SectionLock(_thread.RLock):  # type: ignore[misc]  # the interpreter lets it be derived from
    """A re-entrant lock that is taken in a ``try``, and refuses ``with``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def owned(self) -> bool:
            """Whether this thread has the lock."""

    else:
        owned = property(_thread.RLock._is_owned, doc="Whether this thread has the lock.")

    def __enter__(self) -> NoReturn:  # type: ignore[override]
        raise TypeError("a SectionLock is taken in a try, not by with: see pixlog.section_lock")
