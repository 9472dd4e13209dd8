"""Which sequence numbers of a client are known: a watermark, and the few above it that came out of order.

A client that comes back leaves out what was acknowledged by an earlier daemon, so some gaps are never filled.
When very many numbers stand above the watermark, the lower half of the gaps is closed: whatever was to come in them
is not said again any more.
"""

from __future__ import annotations

_MOST_ABOVE = 65_536


class SeqSet:
    """A set of whole numbers that stays small while they come roughly in order."""

    __slots__ = ("_above", "below")

    def __init__(self, below: int = 0) -> None:
        self.below = below
        self._above: set[int] = set()

    def add(self, seq: int) -> bool:
        """Add a number; return False when it was known."""
        if seq < self.below or seq in self._above:
            return False
        if seq != self.below:
            self._above.add(seq)
            if len(self._above) > _MOST_ABOVE:
                above = sorted(self._above)
                self.below = above[len(above) // 2]
                self._above.difference_update(above[: len(above) // 2])
                self._absorb()
            return True
        self.below += 1
        self._absorb()
        return True

    def _absorb(self) -> None:
        while self.below in self._above:
            self._above.remove(self.below)
            self.below += 1

    def __contains__(self, seq: int) -> bool:
        """Whether the number is known."""
        return seq < self.below or seq in self._above

    def __len__(self) -> int:
        """How many numbers above the watermark are held."""
        return len(self._above)
