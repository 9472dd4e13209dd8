"""What the user is told: once for each kind of notice and key, and never while a lock is held.

A ``logging`` handler may do anything, log images even.  Notices that arise under a lock are therefore noted, and
said later by whoever holds none.
"""

from __future__ import annotations

import logging

log = logging.getLogger("pixlog")


_WITHOUT_DIGITS = str.maketrans("", "", "0123456789")
_KIND_CHARS = 60


def kind_of(message: str) -> str:
    """Return what messages of one kind have in common: their beginning, whatever numbers are in it."""
    return message.translate(_WITHOUT_DIGITS)[:_KIND_CHARS]


class Notices:
    """The notices of one client, to the logger "pixlog" as warnings.  Thread-safe."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()
        self._noted: dict[tuple[str, str], str] = {}

    def note(self, kind: str, key: str, message: str) -> None:
        """Keep a notice until :meth:`say` is called, the first of its like; ``key`` is "" where none is concerned."""
        if (kind, key) not in self._told:
            self._noted.setdefault((kind, key), message)

    def say(self) -> None:
        """Say what was noted, without any lock."""
        for name in list(self._noted):
            message = self._noted.pop(name, None)  # unless another thread took it
            if message is not None:
                self.say_now(*name, message)

    def say_now(self, kind: str, key: str, message: str) -> None:
        """Say one notice, unless its like was said for this key before."""
        if (kind, key) in self._told:
            return
        self._told.add((kind, key))
        if key:
            log.warning("pixlog: %r: %s (said once for this key)", key, message)
        else:
            log.warning("pixlog: %s (said once)", message)
