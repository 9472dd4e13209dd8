"""System calls of a running process: made to fail, or counted, by strace."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waiting import scaled_s, wait_until

_CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed)")


@contextmanager
def traced(pid: int, arguments: list[str], output: Path) -> Iterator[None]:
    """Attach strace to a process and all its threads while the block lasts; skip the test where that cannot be."""
    if shutil.which("strace") is None or os.getuid():
        pytest.skip("needs strace and root")
    said = output.with_suffix(".said")
    with said.open("w") as stderr:
        command = ["strace", "-f", "-o", str(output), "-p", str(pid), *arguments]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
    try:
        wait_until(lambda: "attached" in said.read_text() or tracer.poll() is not None)
        if tracer.poll() is not None:
            pytest.skip(f"strace cannot attach here: {said.read_text().strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(scaled_s(10))


def call_counts(output: Path) -> Counter[str]:
    """Return how often which system call was made, by strace's output."""
    lines = output.read_text().splitlines()
    calls = [match[1] for line in lines if "unfinished" not in line and (match := _CALL.match(line))]
    return Counter(calls)
