"""The demo, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from waiting import scaled_s

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Demo:
    """A demo that has ended."""

    run_dir: Path
    picture: Path
    ended: subprocess.CompletedProcess[str]


def run_demo(run_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "train_digits.py"), "--run-dir", str(run_dir), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled_s(120),
        env={**os.environ, "COLUMNS": "200"},
    )
