"""Calls that are over, of which only the row is missing: packed while no daemon is there to write it.

Theory of operation
    A call that was dropped keeps its place until a daemon has written its row.  Where none can be reached for hours,
    calls are dropped by the hundred thousand, and at a kibibyte each they would take the memory that they were dropped
    for the want of.  Their frames are much alike, so a block of a thousand packs into some tens of bytes each.  Nothing
    of a row is lost: once there is a daemon again, one block after another is unpacked and said.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BLOCK_COUNT = 1024
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Block:
    """The frames of some calls, in the order of their numbers."""

    seqs: array[int]
    lengths: array[int]
    packed: bytes

    @classmethod
    def of(cls, frames: Sequence[tuple[int, bytes]]) -> Block:
        """Pack frames, each with its number."""
        seqs = array("q", [seq for seq, _ in frames])
        lengths = array("I", [len(frame) for _, frame in frames])
        return cls(seqs, lengths, zlib.compress(b"".join(frame for _, frame in frames), _LEVEL))

    def stream(self) -> bytes:
        """Return all frames, one behind the other."""
        return zlib.decompress(self.packed)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield each frame with its number."""
        stream, start = self.stream(), 0
        for seq, length in zip(self.seqs, self.lengths, strict=True):
            yield seq, stream[start : start + length]
            start += length

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, nearly."""
        return len(self.packed) + 12 * len(self.seqs)


class PackedOutcomes:
    """Blocks in the order of their numbers.  Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()

    def __iter__(self) -> Iterator[Block]:
        """Iterate over the blocks."""
        return iter(list(self._blocks))

    @property
    def count(self) -> int:
        """How many calls are in here."""
        return sum(len(block.seqs) for block in self)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that they take, nearly."""
        return sum(block.nbytes for block in self)

    @property
    def lowest_seq(self) -> int | None:
        """The lowest number of a call in here; None without any."""
        return min((block.seqs[0] for block in self), default=None)

    def add(self, block: Block) -> None:
        """Keep a block."""
        self._blocks.append(block)

    def first(self) -> Block | None:
        """Return the block that comes next; it stays."""
        return self._blocks[0] if self._blocks else None

    def remove(self, block: Block) -> None:
        """Forget a block."""
        self._blocks.remove(block)
