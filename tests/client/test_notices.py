"""What the user is told once, however often it is noted and by whomever."""

from __future__ import annotations

import tracemalloc

import pytest

from pixlog.notices import Notices


def test_notices_are_said_once_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    """Of each kind and key the first is said, when somebody says them, and none again."""
    notices = Notices()
    notices.note("full", "", "full: 1")
    notices.note("failed", "a", "failed")
    notices.note("full", "", "full: 2")
    notices.note("failed", "b", "failed too")
    assert caplog.messages == []
    for _ in range(2):
        notices.say()
        notices.note("full", "", "full: 3")
    assert caplog.messages == [
        "pixlog: full: 1 (said once)",
        "pixlog: 'a': failed (said once for this key)",
        "pixlog: 'b': failed too (said once for this key)",
    ]


def test_notices_that_nobody_says_take_no_memory() -> None:
    """A notice of each of many calls, while nothing is said for half a minute, is kept once."""
    notices = Notices()
    tracemalloc.start()
    try:
        for number in range(20_000):
            notices.note("full", "", f"call {number} finds no room")
        used_nbytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_nbytes < 10_000
