"""Reasons are counted under names that are few and short."""

from __future__ import annotations

from pixlog.reasons import count_reason


def test_reasons_are_counted_under_few_short_names() -> None:
    """The part before the first colon counts, cut at 80 characters; beyond 64 names all others are one."""
    reasons: dict[str, int] = {}
    for _ in range(2):
        count_reason(reasons, "no space: 3 bytes")
        count_reason(reasons, "x" * 5000)
        count_reason(reasons, None)
    assert reasons == {"no space": 2, "x" * 79 + "…": 2, "unknown": 2}
    for number in range(100):
        count_reason(reasons, f"reason {number}")
    assert len(reasons) == 65
    assert reasons["other"] == 39
