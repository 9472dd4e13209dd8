"""The numbers that a daemon knows of a client: right as a set, small as a watermark."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pixlogd.seq_set import SeqSet

MOST = 65_536


@given(below=st.integers(0, 20), seqs=st.lists(st.integers(0, 60), max_size=120))
def test_seq_set_agrees_with_a_set(below: int, seqs: list[int]) -> None:
    """In any order, a number is new exactly once, and known from then on; those below the start always are."""
    known, model = SeqSet(below), set(range(below))
    for seq in seqs:
        assert known.add(seq) == (seq not in model)
        model.add(seq)
        assert all((number in known) == (number in model) for number in range(62))


def test_seq_set_in_order_holds_nothing() -> None:
    """Numbers by the hundred thousand in order leave a watermark and nothing else."""
    known = SeqSet()
    for seq in range(200_000):
        known.add(seq)
    assert len(known) == 0
    assert known.below == 200_000


def test_seq_set_settles_after_disorder() -> None:
    """Once the gaps are filled, nothing is held for them any more."""
    numbers = list(range(3000))
    random.Random(7).shuffle(numbers)
    known = SeqSet()
    assert all(known.add(seq) for seq in numbers)
    assert (len(known), known.below) == (0, 3000)


def test_seq_set_stays_small_behind_a_gap_that_is_never_filled() -> None:
    """Numbers that never come, such as those acknowledged by an earlier daemon, cost nothing in the long run."""
    known = SeqSet(3)
    known.add(3)
    for seq in range(1000, 200_000):
        assert known.add(seq)
        assert not known.add(seq)
        assert len(known) <= MOST
    assert len(known) == 0
    assert not known.add(199_999)
    assert known.add(200_000)


def test_seq_set_stays_small_when_every_second_number_is_left_out() -> None:
    """A client that leaves gaps on purpose cannot make the daemon remember them all."""
    known = SeqSet()
    for seq in range(0, 400_000, 2):
        assert known.add(seq)
        assert seq in known
        assert len(known) <= MOST


def test_seq_set_waits_long_for_a_number_that_is_late() -> None:
    """A number that tens of thousands overtook is still new when it comes."""
    known = SeqSet()
    for seq in range(1, 60_000):
        known.add(seq)
    assert known.add(0)
    assert len(known) == 0
