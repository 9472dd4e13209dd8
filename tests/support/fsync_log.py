"""Which files and directories are flushed to the disk, in order, seen at the system's own door."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class FsyncLog:
    """Records the paths that ``os.fsync`` is called for; the calls themselves happen."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.paths: list[Path] = []
        self._real = os.fsync
        patch.setattr(os, "fsync", self._fsync)

    def within(self, top: Path) -> list[Path]:
        """Return the paths that are ``top`` or below it."""
        return [path for path in self.paths if path.is_relative_to(top)]

    def _fsync(self, fd: int) -> None:
        self.paths.append(Path(os.readlink(f"/proc/self/fd/{fd}")))
        self._real(fd)
