"""``daemon.log`` in a run directory: rotated, and always the file in which the last words of a crash are found.

A crash below Python (SIGSEGV, SIGBUS, SIGABRT, ...) leaves its traceback by a descriptor that was opened beforehand,
so that one goes along whenever the file is another: after a rotation, by this daemon or by one of another host that
writes the same run, and after somebody removed it.  A directory that is gone is not made again for the log's sake.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import logging.handlers
import os
from pathlib import Path
from typing import BinaryIO

_NBYTES = 4 * 1024 * 1024
_BACKUPS = 3


class RunLog(logging.handlers.RotatingFileHandler):
    """The handler of one run's log; raises OSError when the file cannot be opened."""

    def __init__(self, path: Path, *, nbytes: int = _NBYTES, backups: int = _BACKUPS) -> None:
        super().__init__(path, maxBytes=nbytes, backupCount=backups, encoding="utf-8")
        self._for_crashes: BinaryIO | None = None
        self._catch_crashes()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the file that has the name now."""
        if not self._is_current():
            with contextlib.suppress(OSError):
                self._begin_again()
        super().emit(record)

    def doRollover(self) -> None:
        """Rename the files and begin a new one."""
        super().doRollover()
        self._catch_crashes()

    def close(self) -> None:
        """Close the file; from here on a crash says nothing."""
        if self._for_crashes is not None:
            faulthandler.disable()
            self._for_crashes.close()
            self._for_crashes = None
        super().close()

    def _is_current(self) -> bool:
        """Whether the file that is written to is the one with the name."""
        try:
            return self.stream is not None and os.path.samestat(
                os.stat(self.baseFilename), os.fstat(self.stream.fileno())
            )
        except OSError:
            return False

    def _begin_again(self) -> None:
        before, self.stream = self.stream, self._open()
        if before is not None:
            before.close()
        self._catch_crashes()

    def _catch_crashes(self) -> None:
        """Have faulthandler write to the current file; it takes a descriptor, and does not keep the file open."""
        before = self._for_crashes
        self._for_crashes = open(self.baseFilename, "ab", buffering=0)  # noqa: SIM115
        faulthandler.enable(self._for_crashes)
        if before is not None:
            before.close()
