"""Memory that is given back finds its next use without the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from pixlogd.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
def work():
    pieces = [bytes(70_000) for _ in range(50)]
    return len(b"".join(pieces))
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told to")
def test_kept_memory_is_not_cleared_again() -> None:
    """Blocks of some megabytes, freed and taken again, come without page faults, which they do not by themselves."""
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", PROGRAM, how], text=True))
        for how in ("keep", "as it comes")
    }
    if faults["as it comes"] < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert faults["keep"] < 200
