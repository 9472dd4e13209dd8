"""What production swallows, so that training goes on, and the suite therefore looks for after every test.

The client's thread logs an exception and reconnects; the daemon logs a traceback and goes on, or ends.  Both would
hide a mistake of ours for ever.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

_MET = "met an error"
_TRACEBACK = "Traceback (most recent call last)"
_WITHOUT_LOGS = frozenset({"media", "manifest", "spill"})
_SHOWN_CHARS = 3000


class Swallowed(logging.Handler):
    """Hears what the client of the test process swallows, and finds what others have written down."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._heard: list[str] = []
        self._expected: list[str] = []

    def expect(self, text: str) -> None:
        """Say that an error with ``text`` in it is what the test provokes."""
        self._expected.append(text)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that has an exception."""
        if record.exc_info:
            self._heard.append(logging.Formatter().format(record))

    def found(self, directory: Path | None) -> list[str]:
        """Return what was swallowed and not expected, of this process and of those that wrote into ``directory``."""
        found = [*self._heard, *(_written_in(directory) if directory is not None else ())]
        return [text for text in found if not any(expected in text for expected in self._expected)]


def daemon_logs_in(directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield every log of a daemon below a directory, with its text."""
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _WITHOUT_LOGS]
        for name in sorted(files):
            if name.startswith(("daemon.log", "pixlogd.log")):
                path = Path(parent, name)
                yield path, path.read_text(errors="replace")


def _written_in(directory: Path) -> Iterator[str]:
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _WITHOUT_LOGS]
        for name in files:
            mark = _TRACEBACK if name.startswith("daemon.log") else _MET if name.endswith(".err") else None
            if mark is not None:
                text = Path(parent, name).read_text(errors="replace")
                if mark in text:
                    yield f"{parent}/{name}:\n...{text[max(0, text.index(mark) - 300) :][:_SHOWN_CHARS]}"
