"""What a run and each of its clients came to: counts, reasons, bytes, and how long the work took."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from pixlog.reasons import count_reason

_RATE_MARKS = 20
_RATE_MARK_S = 0.5
LATENCY_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class Tally:
    """Calls by their end; ``accepted_nbytes`` of pixels came, ``nbytes`` of media were written."""

    accepted: int = 0
    saved: int = 0
    failed: int = 0
    dropped: int = 0
    accepted_nbytes: int = 0
    nbytes: int = 0
    failed_reasons: dict[str, int] = field(default_factory=dict)
    dropped_reasons: dict[str, int] = field(default_factory=dict)

    def count(self, state: str, reason: str | None) -> None:
        """Count one call that came to its end."""
        if state == "saved":
            self.saved += 1
        elif state == "failed":
            self.failed += 1
            count_reason(self.failed_reasons, reason)
        else:
            self.dropped += 1
            count_reason(self.dropped_reasons, reason)


class Histogram:
    """How often something took how long: counts by upper bound, in seconds, and the sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(LATENCY_BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)


class Rates:
    """How fast a tally grew over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=_RATE_MARKS)

    def note(self, tally: Tally) -> None:
        """Remember where the tally stands; cheap, to be called whenever it grew."""
        now = time.monotonic()
        if not self._marks or now - self._marks[-1][0] >= _RATE_MARK_S:
            self._marks.append((now, tally.saved, tally.nbytes))

    def per_second(self, tally: Tally) -> tuple[float, float]:
        """Return images and bytes a second since the oldest mark that is at most some seconds old."""
        now = time.monotonic()
        recent = [mark for mark in self._marks if now - mark[0] <= _RATE_MARKS * _RATE_MARK_S]
        if not recent or now == recent[0][0]:
            return 0.0, 0.0
        since, saved, nbytes = recent[0]
        return (tally.saved - saved) / (now - since), (tally.nbytes - nbytes) / (now - since)
