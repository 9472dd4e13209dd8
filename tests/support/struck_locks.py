"""Ctrl-C at the taking of a lock: it arrives in the very call, in C, that takes it.

Its handler then runs where the interpreter next looks for signals, which is as soon as that call is over.
"""

from __future__ import annotations

import _thread
import operator
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from pixlog.section_lock import SectionLock

_spared: int | None = None
"""How many times the locks may yet be taken before they are struck; None for ever."""


def struck(function: Callable[[], object]) -> Callable[[], object]:
    """Return what, once, does ``function`` and has Ctrl-C arrive, with no moment in between for a handler to run."""
    return partial(list, map(operator.call, (function, _thread.interrupt_main)))


class StruckLock(SectionLock):  # type: ignore[misc]  # as there
    """Is struck when the main thread takes it, after so many times that it was taken by it: see :func:`spare`."""

    @property
    def acquire(self) -> Any:
        acquire = super().acquire
        if _spared is None or threading.current_thread() is not threading.main_thread():
            return acquire
        spare(_spared - 1 if _spared else None)
        return acquire if _spared is not None else struck(acquire)


def spare(count: int | None) -> None:
    """Have Ctrl-C strike once, when a lock is taken after ``count`` others; None for never."""
    global _spared
    _spared = count


@contextmanager
def locks_that_can_be_struck(*modules: str) -> Iterator[None]:
    """Have Ctrl-C raise, and what is made by these modules of pixlog have locks that can be struck."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(f"pixlog.{module}.SectionLock", StruckLock)
        try:
            yield
        finally:
            spare(None)
            signal.signal(signal.SIGINT, before)


def strikes_of(work: Callable[[], object]) -> Iterator[int]:
    """Do ``work`` again and again, struck at its first lock, at its second and so on; yield the number of each."""
    number, was_struck = 0, True
    while was_struck:
        spare(number)
        try:
            work()
        except KeyboardInterrupt:
            assert _spared is None
            yield number
            number += 1
        else:
            was_struck = _spared is None
            assert not was_struck, "an interrupt was swallowed"
    spare(None)
