"""Images of two sides pair by step, rank, call, order and place in their row."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixlog.compare.pairing import ImagePair, pair_images
from pixlog.reading.run import Run
from written_runs import WrittenRun, gray

OTHER = "b" * 16


@pytest.fixture
def both(tmp_path: Path) -> tuple[WrittenRun, WrittenRun]:
    """Two empty run directories to write rows into."""
    return WrittenRun(tmp_path / "a"), WrittenRun(tmp_path / "b")


def pairs_of(a: WrittenRun, b: WrittenRun, key_a: str = "k", key_b: str = "k") -> list[ImagePair]:
    """Return the pairs of a key."""
    return list(pair_images(Run(a.path).rows(key_a), Run(b.path).rows(key_b)))


def places(pairs: list[ImagePair]) -> list[tuple[int, int, int, int, str]]:
    """Return where each pair is and which sides it has."""
    return [
        (pair.step, pair.rank, pair.turn, pair.index, "a" * bool(pair.a) + "b" * bool(pair.b))
        for pair in pairs
    ]


def test_images_pair_by_step_and_rank(both: tuple[WrittenRun, WrittenRun]) -> None:
    """Each step and rank of either run is there once, ascending, whichever order it was logged in."""
    a, b = both
    for step, rank in [(3, 0), (1, 1), (1, 0), (-2, 0)]:
        a.image("k", step, gray(1), rank=rank)
    for step, rank in [(1, 0), (4, 0), (3, 0), (3, 1)]:
        b.image("k", step, rank=rank)
    assert places(pairs_of(a, b)) == [
        (-2, 0, 0, 0, "a"),
        (1, 0, 0, 0, "ab"),
        (1, 1, 0, 0, "a"),
        (3, 0, 0, 0, "ab"),
        (3, 1, 0, 0, "b"),
        (4, 0, 0, 0, "b"),
    ]


def test_rows_of_one_step_pair_in_their_order(both: tuple[WrittenRun, WrittenRun]) -> None:
    """What was logged several times at a step pairs first with first; the rest is on one side only."""
    a, b = both
    for level in (1, 2, 3):
        a.image("k", 0, gray(level))
    for level in (11, 12):
        b.image("k", 0, gray(level))
    pairs = pairs_of(a, b)
    assert places(pairs) == [(0, 0, 0, 0, "ab"), (0, 0, 1, 0, "ab"), (0, 0, 2, 0, "a")]
    assert [pair.b.array()[0, 0] - pair.a.array()[0, 0] for pair in pairs if pair.a and pair.b] == [10, 10]
    assert pairs[2].absent == "absent in B"


def test_two_keys_of_a_run_pair_by_their_call(both: tuple[WrittenRun, WrittenRun]) -> None:
    """Rows of one client.log call belong together even where others lie between."""
    a, _ = both
    a.image("in", 0, gray(0), call="c-0")
    a.image("in", 0, gray(1), call="c-1")
    a.image("out", 0, gray(101), call="c-1")
    a.image("out", 0, gray(100))
    pairs = pairs_of(a, a, "in", "out")
    assert [(p.a.array()[0, 0], p.b.array()[0, 0]) for p in pairs if p.a and p.b] == [(0, 100), (1, 101)]


def test_images_of_a_list_pair_by_their_place(both: tuple[WrittenRun, WrittenRun]) -> None:
    """A list of three and a list of two make two pairs and one that says how many there are."""
    a, b = both
    a.images("k", 5, [gray(1), gray(2), gray(3)])
    b.images("k", 5, [gray(1), gray(2)])
    pairs = pairs_of(a, b)
    assert places(pairs) == [(5, 0, 0, 0, "ab"), (5, 0, 0, 1, "ab"), (5, 0, 0, 2, "a")]
    assert pairs[2].absent == "B has 2 images in this row"


def test_rows_that_were_not_saved_say_why(both: tuple[WrittenRun, WrittenRun]) -> None:
    """A failed or dropped row is a pair of its own that tells the state and the reason."""
    a, b = both
    a.image("k", 0)
    b.row("k", 0, state="failed", reason="7 channels")
    a.row("k", 1, state="dropped", reason="no room")
    b.row("k", 1, state="failed", reason="7 channels", client=OTHER)
    assert [(pair.step, pair.absent) for pair in pairs_of(a, b)] == [
        (0, "failed in B: 7 channels"),
        (1, "dropped in A: no room; failed in B: 7 channels"),
    ]
