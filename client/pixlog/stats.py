"""What a client can say about what it logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """Calls by their end: ``accepted = saved + failed + dropped + pending``.

    ``nbytes`` are the bytes of pixels that were accepted, ``buffer_nbytes`` those that wait in memory now.
    ``spilled`` counts calls that went through the spill, ``reconnects`` how often the daemon had to be found
    again.  ``failed_reasons`` and ``dropped_reasons`` count calls by reason.
    """

    accepted: int
    saved: int
    failed: int
    dropped: int
    pending: int
    nbytes: int
    buffer_nbytes: int
    spilled: int
    reconnects: int
    failed_reasons: Mapping[str, int]
    dropped_reasons: Mapping[str, int]

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.accepted} accepted", f"{self.saved} saved"]
        parts += [f"{self.failed} failed{_reasons(self.failed_reasons)}"]
        parts += [f"{self.dropped} dropped{_reasons(self.dropped_reasons)}"]
        if self.pending:
            parts.append(f"{self.pending} pending")
        return ", ".join(parts)


def _reasons(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    return " (" + ", ".join(f"{name}: {count}" for name, count in reasons.items()) + ")"
