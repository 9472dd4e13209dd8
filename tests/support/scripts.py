"""Training scripts as users write them: a file of a few lines, run by an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from waiting import scaled_s

_END_S = 60.0


def write_script(path: Path, text: str) -> list[str]:
    """Write a script and return the command that runs it."""
    path.write_text(textwrap.dedent(text))
    return [sys.executable, str(path)]


def run_script(path: Path, text: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script to its end and return its exit code and output; it must end in time."""
    return subprocess.run(
        [*write_script(path, text), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=scaled_s(_END_S),
        check=False,
    )
