"""Keys and directories whose names look like markup are printed as they are, on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import scaled_s
from written_runs import WrittenRun, gray

KEY = "val[/pred]"


def _on_terminal(*arguments: object) -> tuple[int, str]:
    """Run one command line with a pseudo-terminal as its stdin, stdout and stderr."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "300"}
    command = [sys.executable, "-m", "pixlog", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 1 << 16):
            said += piece
    except OSError:  # the other side has ended
        pass
    os.close(ours)
    return process.wait(scaled_s(60)), said.decode()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run with such a name and such a key, one image of which is gone."""
    written = WrittenRun(tmp_path / "run[/red]")
    written.image(KEY, 0, gray(), caption="[/caption]")
    row = written.image(KEY, 1)
    written.row(KEY, 2, state="failed", reason="bad [/reason]")
    (written.path / row["files"][0]["path"]).unlink()
    return written.path


def test_keys_like_markup_stop_no_command_on_a_terminal(run_dir: Path, tmp_path: Path) -> None:
    """Progress, tables and errors show a key such as val[/pred], where markup would be an error."""
    other = WrittenRun(tmp_path / "other")
    other.image(KEY, 0, gray())
    commands: list[tuple[int, tuple[object, ...]]] = [
        (0, ("ls", run_dir)),
        (0, ("ls", run_dir, "-k", KEY)),
        (1, ("ls", run_dir, "-k", "nope[/x]")),
        (0, ("diff", run_dir, other.path, "-k", KEY, "-s", "0")),
        (1, ("verify", run_dir)),
        (1, ("export", run_dir, "-t", "zip", "-o", tmp_path / "[/out].zip")),
        (1, ("export", run_dir, "-t", "[/form]")),
    ]
    for code, arguments in commands:
        ended, said = _on_terminal(*arguments)
        assert "Traceback" not in said, arguments
        assert ended == code, (arguments, said)
