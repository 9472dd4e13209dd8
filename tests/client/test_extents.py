"""Free space: against a model that marks every single byte."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pixlog.sending.arena import Extents

SIZE = 60


def free_bytes_of(extents: Extents) -> set[int]:
    """Return the free bytes; the extents must be sorted, not empty, and not touching one another."""
    free: set[int] = set()
    end = -1
    for start, size in zip(extents._starts, extents._sizes, strict=True):
        assert start > end
        assert size > 0
        end = start + size
        free.update(range(start, end))
    assert extents.free_nbytes == len(free)
    return free


@settings(max_examples=300)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 25), st.integers(0, 100)), max_size=80))
def test_extents_agree_with_a_map_of_bytes(steps: list[tuple[bool, int, int]]) -> None:
    """Allocating takes the lowest hole that fits; freeing in any order gives just those bytes back."""
    extents = Extents(SIZE)
    free = set(range(SIZE))
    held: list[tuple[int, int]] = []
    for takes, nbytes, which in steps:
        if takes or not held:
            offset = extents.allocate(nbytes)
            fitting = [start for start in range(SIZE) if free.issuperset(range(start, start + nbytes))]
            assert offset == (fitting[0] if fitting else -1)
            if offset >= 0:
                held.append((offset, nbytes))
                free.difference_update(range(offset, offset + nbytes))
        else:
            offset, size = held.pop(which % len(held))
            extents.free(offset, size)
            free.update(range(offset, offset + size))
        assert free_bytes_of(extents) == free
    rebuilt = Extents.around(SIZE, held)
    assert free_bytes_of(rebuilt) == free


def test_extents_become_one_when_all_is_free() -> None:
    """After everything was freed, in any order, the whole arena is one piece again."""
    extents = Extents(64 * 1000)
    offsets = [extents.allocate(64) for _ in range(1000)]
    assert extents.allocate(1) == -1
    random.Random(5).shuffle(offsets)
    for offset in offsets:
        extents.free(offset, 64)
    assert extents.allocate(64 * 1000) == 0


def test_extents_around_nothing_and_everything() -> None:
    """Built around no extents it is all free, around one that fills it nothing is."""
    assert Extents.around(100, ()).allocate(100) == 0
    full = Extents.around(100, [(0, 100)])
    assert (full.free_nbytes, full.allocate(1)) == (0, -1)
