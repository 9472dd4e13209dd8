"""One daemon process around one server: event loop, log, priority, and the word to whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pixlog.environment import PIXLOG_HOST
from pixlog.errors import ConfigError, PixlogError, RunDirError
from pixlogd.allocator import keep_freed_memory
from pixlogd.config.settings import Settings
from pixlogd.descriptors import raise_limit
from pixlogd.listener import AlreadyServed
from pixlogd.run_log import RunLog
from pixlogd.server import run_server

log = logging.getLogger("pixlogd")

_OBJECTS_BETWEEN_COLLECTIONS = 20_000


def serve(
    settings: Settings, *, socket_path: Path, run_dir: Path | None, ready_fd: int | None, exit_when_idle: bool
) -> int:
    """Serve until told to stop or idle; return the exit code.

    ``ready_fd`` is a pipe that gets the line "ready" once the socket is listened on, or else the reason why it
    is not; without one the reason is raised.  With ``run_dir`` the log goes into that directory.
    """
    word = _Word(ready_fd)
    try:
        if run_dir is not None:
            _log_into(run_dir, settings)
        else:
            _log_to_stderr(settings)
        _step_back(settings.nice, alone_in_session=exit_when_idle)
        keep_freed_memory()
        raise_limit()
        _run(
            run_server(
                settings,
                socket_path,
                run_dir=run_dir,
                host=os.environ.get(PIXLOG_HOST) or socket.gethostname(),
                exit_when_idle=exit_when_idle,
                on_ready=lambda: word.say("ready"),
            ),
            settings,
        )
    except PixlogError as exc:
        if ready_fd is None:
            raise
        word.say(refusal_word(exc))
        return 1
    except Exception as exc:
        log.exception("! the daemon crashed")
        word.say(f"the daemon crashed: {type(exc).__name__}: {exc}")
        return 1
    finally:
        word.close()
    return 0


def refusal_word(exc: PixlogError) -> str:
    """Return the line that makes a client raise the same: its kind, where the client knows one, and its message."""
    kinds = {RunDirError: "run-dir ", ConfigError: "config ", AlreadyServed: "served "}
    kind = next((word for error, word in kinds.items() if isinstance(exc, error)), "")
    return f"{kind}{exc}"


class _Word:
    """The pipe to the process that waits for this daemon to listen."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def say(self, word: str) -> None:
        """Say one line, once."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._fd, word.replace("\n", " ").encode() + b"\n")
        self.close()

    def close(self) -> None:
        """Close the pipe."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _step_back(nice: int, *, alone_in_session: bool) -> None:
    """Let training go first: by priority, and in the moment in which a call of it wakes the daemon.

    A task of the normal policy that wakes up may take the processor of the one that woke it, even with less
    priority: on a saturated machine calls then took milliseconds.  A batch task waits for its turn.

    Where processors are shared out among sessions first (autogroup), as most desktops have it, priority counts only
    within one: a daemon that is alone in its session lowers that too.
    """
    if not nice:
        return
    with contextlib.suppress(OSError):
        os.nice(nice)
    if sys.platform == "linux":
        if alone_in_session:
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text(f"{nice}")
        # Both are a thread's own there, and NumPy's library has started threads by now.
        for thread in map(int, os.listdir("/proc/self/task")):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0))
                os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


def _run(main: Coroutine[Any, Any, None], settings: Settings) -> None:
    factory = _loop_factory(settings)
    # What is imported stays, and calls wait by the thousand without ever making a cycle: looking at all of them after
    # every 700 new objects took 8 % of the daemon's time under a flood of digits.
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if settings.loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if settings.loop == "uvloop":
            raise
        return None
    return uvloop.new_event_loop


def _log_into(run_dir: Path, settings: Settings) -> None:
    """Log to ``daemon.log`` in the run directory, created on the first line; nowhere when it cannot be."""
    try:
        os.makedirs(run_dir, exist_ok=True)
        handler: logging.Handler = RunLog(run_dir / "daemon.log")
    except OSError:
        handler = logging.NullHandler()
    _log_with(handler, settings)


def _log_to_stderr(settings: Settings) -> None:
    _log_with(logging.StreamHandler(sys.stderr), settings)


def _log_with(handler: logging.Handler, settings: Settings) -> None:
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    log.handlers[:] = [handler]
    log.setLevel(settings.log_level.upper())
    log.propagate = False
