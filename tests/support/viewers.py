"""Viewers as processes, and a browser that looks at them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from waiting import scaled_s

CHROMIUM = "/usr/bin/chromium"
BROWSER_ARGUMENTS = ("--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-gpu")


def missing_browser() -> str | None:
    """Return why no browser can be driven here; None if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    if not os.access(CHROMIUM, os.X_OK):
        return f"there is no {CHROMIUM}"
    return None


@contextlib.contextmanager
def viewer_process(*run_dirs: Path, cache: Path, environment: dict[str, str] | None = None) -> Iterator[str]:
    """Run ``pixlog view`` on a free port; give its link; end it with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pixlog", "view", *map(str, run_dirs), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        link = re.search(r"http://\S+", said)
        assert link, f"pixlog view said {said!r}"
        yield link[0]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(scaled_s(15))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        shutil.rmtree(cache, ignore_errors=True)
