"""Disks that are soon full, for real: a tiny tmpfs, and the process's own limit on the size of a file."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def tiny_disk(*, nbytes: int) -> Iterator[Path]:
    """Mount a tmpfs of ``nbytes`` while the block lasts; skip the test where that is not allowed.

    It does not lie below pytest's own directories: other sessions clean those up, and a mount would be in their way.
    """
    path = Path(tempfile.mkdtemp(prefix="pxm"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={nbytes},mode=0700", "pixlog-test", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        path.rmdir()
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        if subprocess.run(["umount", str(path)], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "--lazy", str(path)], check=True)  # a test that failed left it in use
        path.rmdir()


@contextmanager
def file_size_limit(nbytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``nbytes`` while the block lasts: writing then fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
