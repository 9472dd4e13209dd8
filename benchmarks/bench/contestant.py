"""A contestant's process, from the outside."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bench.harness import Json

_ANSWER_S = 300.0
_DRIVER = Path(__file__).with_name("driver.py")


class ContestantError(Exception):
    """A contestant cannot do what it was told."""


class Contestant:
    """One driver process: ``tell`` it something, or ``ask`` and wait for the answer."""

    def __init__(
        self,
        name: str,
        *,
        python: str | Path = sys.executable,
        environ: Mapping[str, str] | None = None,
        cpus: set[int] | None = None,
    ) -> None:
        self.name = name
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in end)
        command = [str(python), str(_DRIVER), name]
        if cpus is not None:
            command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cpus))), *command]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **(environ or {})},
        )

    def tell(self, do: str, **arguments: Any) -> None:
        """Give a command, and do not wait."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._error("it ended") from None

    def hear(self) -> Json:
        """Wait for the answer to the last command; raises ContestantError."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _ANSWER_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise self._error("it ended" if ready else f"no answer in {_ANSWER_S:g} s")
        answer: Json = json.loads(line)
        if "error" in answer:
            raise self._error(answer["error"])
        return answer

    def ask(self, do: str, **arguments: Any) -> Json:
        """Give a command and wait for the answer."""
        self.tell(do, **arguments)
        return self.hear()

    def open(self, directory: Path, images: Path, **options: Any) -> None:
        """Begin a run."""
        self.ask("open", directory=str(directory), images=str(images), options=options)

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def _error(self, what: str) -> ContestantError:
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        return ContestantError(f"{self.name}: {what}" + (f" ({said[-1][:200]})" if said else ""))
