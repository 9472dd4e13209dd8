"""A daemon with chosen settings, of which the processor time can be read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

_START_S = 30.0
_STOP_S = 30.0


class Daemon:
    """``pixlogd serve`` on a socket of its own; it neither steps back nor is it niced unless told to."""

    def __init__(self, directory: Path, *, cpus: set[int] | None = None, **settings: object) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="d-", dir=directory))
        self.socket = self.directory / "s"
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in end)
        chosen = {"nice": 0, "drain_s": 5, **settings}
        command = [sys.executable, "-P", "-m", "pixlogd", "serve", "--socket", str(self.socket)]
        for name, value in chosen.items():
            command += ["--set", f"{name}={value}"]
        if cpus is not None:
            command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cpus))), *command]
        self._process = subprocess.Popen(command, stdout=self._said, stderr=self._said)
        deadline = time.monotonic() + _START_S
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._said.seek(0)
                raise RuntimeError(f"the daemon did not start: {self._said.read().decode()[-500:]}")
            time.sleep(0.02)

    @property
    def connect(self) -> dict[str, str]:
        """The options of ``pixlog.connect`` that reach it."""
        return {"daemon": str(self.socket)}

    def cpu_s(self) -> float:
        """Return the processor time that all threads of it and of its worker processes have used, in seconds."""
        pid = self._process.pid
        ticks = _ticks_of(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(
                OSError
            ):  # a thread that has ended, or a worker, which counts as one that has
                for worker in (task / "children").read_text().split():
                    ticks += _ticks_of(int(worker))
        return ticks / os.sysconf("SC_CLK_TCK")

    def thread_times_s(self) -> dict[str, tuple[float, float]]:
        """Return for each thread how long it ran and how long it was ready but had no processor, as Linux counts it."""
        times: dict[str, tuple[float, float]] = {}
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                ran, waited, _ = (task / "schedstat").read_text().split()
                times[task.name] = (int(ran) / 1e9, int(waited) / 1e9)
        return times

    def resident_nbytes(self) -> int:
        """Return the memory that is its own: what it shares with clients is not counted."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()


def _ticks_of(pid: int) -> int:
    """Return the processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))
