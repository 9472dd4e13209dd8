"""The page of a run in the browser, while training writes the run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

import pixlog

_END_S = 10.0


@contextlib.contextmanager
def page_of(run_dir: Path, console: Console) -> Iterator[None]:
    """Open the page of the run; after the training, leave it open until Ctrl-C."""
    # Connecting makes the run directory, so that the page has something to wait for.
    pixlog.connect(run_dir).close()
    command = [sys.executable, "-m", "pixlog", "view", str(run_dir), "--open"]
    viewer = subprocess.Popen(command)
    try:
        yield
        console.print("\nThe page stays until Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            viewer.wait()
    finally:
        viewer.terminate()
        try:
            viewer.wait(_END_S)
        except subprocess.TimeoutExpired:
            viewer.kill()
            viewer.wait()
