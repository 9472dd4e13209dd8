"""A real daemon process for a test, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pixlog.control import request
from pixlog.errors import ConnectError
from pixlog.protocol import Header
from waiting import scaled_s, wait_until

_AUDITED: Final = Path(__file__).parent / "audited_pixlogd.py"
_PAGE_NBYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Daemon:
    """A running ``pixlogd serve``."""

    def __init__(self, process: subprocess.Popen[bytes], socket_path: Path, directory: Path) -> None:
        self.process = process
        self.socket_path = socket_path
        self._directory = directory

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def status(self) -> Header:
        """Return what the daemon says of itself."""
        return request(self.socket_path, "status", timeout_s=scaled_s(5))

    def run_status(self, run_dir: Path) -> dict[str, Any]:
        """Return what the daemon says of one run."""
        (status,) = [run for run in self.status()["runs"] if run["run_dir"] == str(run_dir)]
        assert isinstance(status, dict)
        return status

    def resident_nbytes(self) -> int:
        """Return the memory that is its own, without what it shares with clients."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE_NBYTES

    def open_count(self) -> int:
        """Return how many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_files(self) -> Counter[str]:
        """Return what its descriptors refer to, sockets by that word alone, and how many refer to it."""
        names: Counter[str] = Counter()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                names[os.readlink(f"/proc/{self.pid}/fd/{fd}").partition(":[")[0]] += 1
        return names

    def said(self) -> str:
        """Return its log so far."""
        return (self._directory / "pixlogd.log").read_text(errors="replace")

    def changed_outside(self) -> list[str]:
        """Return what an audited daemon changed outside the directories that it may change."""
        return (self._directory / "audit").read_text().splitlines()


@contextmanager
def serving(
    directory: Path,
    *,
    run_dir: Path | None = None,
    audited: Sequence[Path] = (),
    limits: str = "",
    **settings: object,
) -> Iterator[Daemon]:
    """Run a daemon while the block lasts, then end it by SIGTERM; it must end well.

    ``directory`` holds its socket and its log.  What it changes outside of it and of ``audited``, if any, is noted;
    one that is audited may be the daemon of a single run, ``run_dir``.  ``limits`` are commands of the shell that
    starts it, such as ``ulimit -n 64``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    socket_path = directory / "d.sock"
    words = ["serve", "--socket", str(socket_path)]
    if run_dir is not None:
        assert audited
        words = ["run", str(socket_path), str(run_dir)]
    if audited:
        allowed = [str(path) for path in (directory, *audited)]
        command = [sys.executable, str(_AUDITED), str(directory / "audit"), *allowed, "--", *words]
    else:
        command = [sys.executable, "-m", "pixlogd", *words]
    environ = {**os.environ, "PIXLOG_RUNTIME_DIR": str(directory)}
    for name, value in {"nice": 0, **settings}.items():
        environ[f"PIXLOG_{name.upper()}"] = str(value)
    if limits:
        command = ["sh", "-c", f'{limits}; exec "$@"', "sh", *command]
    with (directory / "pixlogd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    daemon = Daemon(process, socket_path, directory)
    try:
        wait_until(lambda: _answers(daemon), timeout_s=30, what="the daemon to listen")
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(scaled_s(20))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the daemon did not end after SIGTERM; it said:\n{daemon.said()}") from None
    assert process.returncode == 0, daemon.said()


def _answers(daemon: Daemon) -> bool:
    if daemon.process.poll() is not None:
        raise RuntimeError(f"the daemon ended with {daemon.process.returncode}:\n{daemon.said()}")
    try:
        daemon.status()
    except ConnectError:
        return False
    return True
