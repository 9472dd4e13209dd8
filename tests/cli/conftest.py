"""Fixtures of the command's tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pixlog.cli.app import run_command
from written_runs import WrittenRun


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout, blanks within them as one."""
        return [" ".join(line.split()) for line in self.out.splitlines()]


Command = Callable[..., Outcome]


@pytest.fixture
def written(tmp_path: Path) -> WrittenRun:
    """An empty run directory to write rows into."""
    return WrittenRun(tmp_path / "run")


@pytest.fixture
def pixlog_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run one ``pixlog`` command line in this process, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "500")  # temporary directories may have long names
    monkeypatch.setenv("TERM", "dumb")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run
