"""Where a run's daemon listens, and how the first client of a run comes to start it.

The socket lies in a directory that only the user can enter, under a hash of the run directory, because
``AF_UNIX`` paths end at 107 bytes and run directories do not.  Starting is elected by ``flock`` on a file beside
the socket: whoever holds it tries to connect once more, then starts the daemon and waits for its word.  The
kernel drops the lock of a process that dies, so no lock is ever stale.

No other thread forks in the moment in which the daemon's process is made: the child would have a copy of the pipe by
whose end :mod:`subprocess` learns that the program runs, and whoever starts the daemon would wait until that child
ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pixlog.environment import PIXLOG_CONFIG, PIXLOG_RUNTIME_DIR
from pixlog.errors import ConfigError, ConnectError, MissingExtra, RunDirError
from pixlog.section_lock import SectionLock

if TYPE_CHECKING:
    import subprocess

SOCKET_PATH_LIMIT_NBYTES = 107
_RETRY_S = 0.02
_FORK_PATIENCE_S = 1.0
_MOST_STARTS = 5
_REFUSALS = {"run-dir": RunDirError, "config": ConfigError}


def runtime_dir() -> Path:
    """Return the directory of the user's sockets and locks, made with mode 0700 if it is missing.

    ``PIXLOG_RUNTIME_DIR``, else ``$XDG_RUNTIME_DIR/pixlog``, else ``/tmp/pixlog-<uid>``; a directory of
    somebody else, or one that others can write, raises ConnectError.
    """
    directory = _runtime_dir_name()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = directory.lstat()
    except OSError as exc:
        raise ConnectError(
            f"cannot use {directory} for the daemon's socket: {exc.strerror}; set {PIXLOG_RUNTIME_DIR}"
        ) from exc
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise ConnectError(
            f"{directory} belongs to uid {info.st_uid}, not to uid {os.getuid()}: remove it or set "
            f"{PIXLOG_RUNTIME_DIR} to a directory of your own"
        )
    if info.st_mode & 0o077:
        directory.chmod(0o700)
    return directory


def _runtime_dir_name() -> Path:
    if configured := os.environ.get(PIXLOG_RUNTIME_DIR):
        return Path(os.path.abspath(configured))
    user = os.environ.get("XDG_RUNTIME_DIR")
    if user and os.access(user, os.W_OK | os.X_OK) and len(os.fsencode(user)) < 60:
        return Path(user) / "pixlog"
    return Path("/tmp") / f"pixlog-{os.getuid()}"


def socket_for(run_dir: str | os.PathLike[str]) -> Path:
    """Return the socket path of the run's own daemon, whether it runs or not."""
    import hashlib  # here and below: not while training imports pixlog

    digest = hashlib.sha256(os.fsencode(os.path.realpath(run_dir))).hexdigest()[:16]
    path = runtime_dir() / f"{digest}.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_NBYTES:
        raise ConnectError(
            f"the socket path {path} has {len(os.fsencode(path))} bytes, the system takes "
            f"{SOCKET_PATH_LIMIT_NBYTES}: set {PIXLOG_RUNTIME_DIR} to a shorter directory"
        )
    return path


def running_sockets() -> list[Path]:
    """Return the user's socket paths that a daemon may be listening on."""
    return sorted(runtime_dir().glob("*.sock"))


def dial(path: str | os.PathLike[str], timeout_s: float) -> socket.socket | None:
    """Connect to a socket; None when nobody listens there.

    A path that belongs to somebody else raises ConnectError: what answers there is not ours.
    """
    try:
        owner = os.stat(path).st_uid
    except FileNotFoundError:
        return None
    if owner != os.getuid():
        raise ConnectError(
            f"the socket {path} belongs to uid {owner}, not to uid {os.getuid()}: set {PIXLOG_RUNTIME_DIR} to "
            f"a directory of your own"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _dialed.add(sock)
    sock.settimeout(timeout_s)
    try:
        sock.connect(os.fspath(path))
    except OSError as exc:
        sock.close()
        if exc.errno in {errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EAGAIN}:
            return None
        raise ConnectError(f"cannot connect to {path}: {exc.strerror or exc}") from exc
    return sock


def dialer(run_dir: str, daemon: str) -> Callable[[float], socket.socket]:
    """Return how to reach the daemon of ``run_dir``: "auto", "require" or the path of a socket.

    What is returned takes seconds and raises ConnectError or MissingExtra.
    """
    if daemon == "auto":
        return lambda timeout_s: _dial_or_start(run_dir, timeout_s)
    if daemon == "require":
        return lambda timeout_s: _dial_or_explain(
            socket_for(run_dir),
            timeout_s,
            f"no daemon serves {run_dir}: use daemon='auto' to have one started",
        )
    return lambda timeout_s: _dial_or_explain(
        Path(daemon),
        timeout_s,
        f"no daemon listens on {daemon}: start one with  pixlogd serve --socket {daemon}",
    )


def _dial_or_explain(path: Path, timeout_s: float, explanation: str) -> socket.socket:
    sock = dial(path, timeout_s)
    if sock is None:
        raise ConnectError(explanation)
    return sock


def _dial_or_start(run_dir: str, timeout_s: float) -> socket.socket:
    path = socket_for(run_dir)
    deadline = time.monotonic() + timeout_s
    starts = 0
    while (sock := dial(path, timeout_s)) is None:
        if starts == _MOST_STARTS:
            raise ConnectError(
                f"the daemon of {run_dir} was started {starts} times and was gone each time; see {run_dir}/daemon.log"
            )
        with start_lock(path, deadline):
            sock = dial(path, timeout_s)
            if sock is not None:
                break
            start_daemon(run_dir, path, deadline)
            starts += 1
    return sock


@contextlib.contextmanager
def start_lock(path: Path, deadline: float) -> Iterator[None]:
    """Hold the right to start the daemon of ``path``; ConnectError when ``deadline`` (monotonic) passes."""
    fd = os.open(path.with_suffix(".start"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _lock_fds.add(fd)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConnectError(
                        f"another process has been starting the daemon at {path} for too long; its lock is "
                        f"{path.with_suffix('.start')}"
                    ) from None
                time.sleep(_RETRY_S)
        yield
    finally:
        _lock_fds.discard(fd)
        # Closing is not enough: a process that another thread forked meanwhile may have a copy of the descriptor.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _let_go_of_inherited() -> None:
    """In a forked child: hold on neither to a lock nor to a connection of the parent, also one in the making.

    Else the lock would outlive a parent that is killed, and the daemon would not see that its client is gone.
    """
    global _spawning
    _spawning = SectionLock()
    while _lock_fds:
        os.close(_lock_fds.pop())
    for sock in list(_dialed):
        sock.close()


def _before_fork() -> None:
    _spawning.acquire(timeout=_FORK_PATIENCE_S)


def _after_fork_in_parent() -> None:
    if _spawning.owned:
        _spawning.release()


_lock_fds: set[int] = set()
_dialed: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_spawning = SectionLock()  # a signal handler may fork in the middle of it
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_let_go_of_inherited,
    )


def start_daemon(run_dir: str, path: Path, deadline: float) -> None:
    """Start the daemon of ``run_dir`` in a session of its own and wait until it listens, or was killed.

    The process is not a child of the caller: Ctrl-C does not reach it and the caller has nothing to reap.
    Raises MissingExtra, RunDirError, ConfigError or ConnectError with the daemon's own words when it cannot start.
    """
    if not sys.executable:
        raise ConnectError("cannot start the daemon: sys.executable is empty; start  pixlogd serve  yourself")
    try:
        _spawning.acquire()
        process, ready_fd = _spawn(run_dir, path)
    finally:
        if _spawning.owned:
            _spawning.release()
    try:
        try:
            word = _read_word(ready_fd, deadline)
        finally:
            process.wait()  # for the daemon's parent, which ends before the daemon begins
    finally:
        os.close(ready_fd)
    if word.startswith("missing "):
        _, extra, package = word.split(" ", 2)
        raise MissingExtra("the pixlog daemon", extra, package)
    kind, _, message = word.partition(" ")
    if kind in _REFUSALS:
        raise _REFUSALS[kind](message)
    # Another daemon that came first, such as one that a process asked for and then died, is as good.
    if word not in ("ready", "") and kind != "served":
        raise ConnectError(word)


def _spawn(run_dir: str, path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Make the process that becomes the daemon; return it and a descriptor that its word can be read from."""
    import subprocess

    ready_fd, write_fd = os.pipe()
    try:
        arguments = ["--run-dir", run_dir, "--socket", str(path), "--ready-fd", str(write_fd)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pixlogd.spawned", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(write_fd,),
            cwd="/",
            env=_daemon_environment(),
        )
    except BaseException:
        os.close(ready_fd)
        raise
    finally:
        os.close(write_fd)
    return process, ready_fd


def _daemon_environment() -> dict[str, str]:
    """Return the environment for a process whose working directory is another one than ours."""
    environ = dict(os.environ)
    for name in (PIXLOG_CONFIG, PIXLOG_RUNTIME_DIR):
        if environ.get(name):
            environ[name] = os.path.abspath(environ[name])
    return environ


def _read_word(fd: int, deadline: float) -> str:
    """Read what the starting daemon says, until it says a line or ends."""
    said = b""
    poller = select.poll()  # not select(), which takes no descriptor beyond 1023
    poller.register(fd, select.POLLIN)
    while not said.endswith(b"\n"):
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise ConnectError("the daemon did not start in time; raise timeout_s or look at its daemon.log")
        chunk = os.read(fd, 4096)
        if not chunk:
            break
        said += chunk
    return said.decode(errors="replace").strip()
