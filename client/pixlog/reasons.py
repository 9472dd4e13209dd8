"""Counting calls by the reason why they failed or were dropped, so that client and daemon say the same."""

from __future__ import annotations

_MOST_REASONS = 64
_MOST_CHARS = 80


def count_reason(reasons: dict[str, int], reason: str | None) -> None:
    """Count under the part of a reason before its first colon: the part that does not vary."""
    name = (reason or "unknown").partition(":")[0]
    if len(name) > _MOST_CHARS:
        name = name[: _MOST_CHARS - 1] + "…"
    if name not in reasons and len(reasons) >= _MOST_REASONS:
        name = "other"
    reasons[name] = reasons.get(name, 0) + 1
