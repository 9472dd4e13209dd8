"""Exceptions that the program's own signal handlers raise while one of our calls happens to run.

Time limits are often built so: ``signal.alarm`` and a handler that raises ``TimeoutError``.  Such an exception can
come out of any line of ours and looks like an error of the socket or of the user's data; but it is meant for the
program, and whoever handles errors here passes it on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import CodeType


def pass_on(exc: BaseException) -> None:
    """Raise what a signal handler raised, if ``exc`` is that or was made of it; else return."""
    if threading.current_thread() is not threading.main_thread():
        return  # signal handlers run on the main thread only
    handlers = _handler_codes()
    for link in _chain(exc):
        traceback = link.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code in handlers:
                raise link
            traceback = traceback.tb_next


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it came from."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _handler_codes() -> set[CodeType]:
    """Return the code of every signal handler that is installed and written in Python."""
    codes: set[CodeType] = set()
    for number in signal.valid_signals():
        handler: object = signal.getsignal(number)
        while (inner := getattr(handler, "func", None) or getattr(handler, "__func__", None)) is not None:
            handler = inner  # a functools.partial, a method
        for function in (handler, getattr(type(handler), "__call__", None)):  # noqa: B004 - its code is wanted
            code = getattr(function, "__code__", None)
            if isinstance(code, CodeType):
                codes.add(code)
    return codes
