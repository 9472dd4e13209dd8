"""Which sequence numbers of a client are known: a watermark, and the few above it that came out of order."""

from __future__ import annotations


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
            return True
        self.below += 1
        while self.below in self._above:
            self._above.remove(self.below)
            self.below += 1
        return True

    def __contains__(self, seq: int) -> bool:
        """Whether the number is known."""
        return seq < self.below or seq in self._above

    def __len__(self) -> int:
        """How many numbers above the watermark are held."""
        return len(self._above)
