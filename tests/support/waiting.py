"""Waiting in tests: always for a condition, never for a while, and with one factor for slow machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

TIME_FACTOR: Final = float(os.environ.get("PIXLOG_TEST_TIME_FACTOR") or "1")
"""All deadlines of the suite are multiplied by this; raise it where machines are slow or shared."""


def scaled_s(timeout_s: float) -> float:
    """Return ``timeout_s`` scaled for this machine."""
    return timeout_s * TIME_FACTOR


def wait_until(
    condition: Callable[[], T], *, timeout_s: float = 10.0, what: str = "", poll_s: float = 0.005
) -> T:
    """Call ``condition`` until it returns something true and return that; ``AssertionError`` after the deadline."""
    deadline = time.monotonic() + scaled_s(timeout_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(
                f"waited {scaled_s(timeout_s):g} s for {name}, got {value!r}, expected something true"
            )
        time.sleep(poll_s)
        poll_s = min(poll_s * 1.5, 0.1)
