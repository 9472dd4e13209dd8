"""Which image of one side belongs to which of the other.

Theory of operation.  Both sides are rows of one key in reading order, by step and rank.  They are read side by
side, one (step, rank) at a time, so that a million rows need no more memory than those of one step.  Rows under
one step and rank pair by the ``client.log`` call they came from, where the sides share one (two keys of one run),
and else by their order.  Images of paired rows pair by their place in the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest

from pixlog.reading.rows import Row
from pixlog.reading.saved_image import SavedImage


@dataclass(frozen=True, slots=True)
class ImagePair:
    """Two images that belong together; one of them is None where only one side has it."""

    a: SavedImage | None
    b: SavedImage | None
    step: int
    rank: int
    turn: int
    """Number of the row among those of its step and rank: 0 unless a key was logged there several times."""
    index: int
    """Number of the image in its row."""
    absent: str = ""
    """Why one side has no image; empty if both have."""


def pair_images(rows_a: Iterable[Row], rows_b: Iterable[Row]) -> Iterator[ImagePair]:
    """Yield the pairs of two sides, by step, rank, turn and index; every image of either side is in one pair.

    Rows that were not saved count as rows without images; a pair of them that has no image at all is one pair, too.
    """
    for place, here, there in _side_by_side(rows_a, rows_b):
        for turn, (row_a, row_b) in enumerate(_pair_rows(here, there)):
            yield from _pairs_of_rows(place, turn, row_a, row_b)


def _side_by_side(
    rows_a: Iterable[Row], rows_b: Iterable[Row]
) -> Iterator[tuple[tuple[int, int], list[Row], list[Row]]]:
    """Yield the rows of either side under each (step, rank), ascending."""
    groups_a, groups_b = groupby(rows_a, _place), groupby(rows_b, _place)
    a, b = next(groups_a, None), next(groups_b, None)
    while a is not None or b is not None:
        here: list[Row] = []
        there: list[Row] = []
        place = min(group[0] for group in (a, b) if group is not None)
        if a is not None and a[0] == place:
            here = list(a[1])
            a = next(groups_a, None)
        if b is not None and b[0] == place:
            there = list(b[1])
            b = next(groups_b, None)
        yield place, here, there


def _place(row: Row) -> tuple[int, int]:
    return row.step, row.rank


def _pair_rows(here: list[Row], there: list[Row]) -> list[tuple[Row | None, Row | None]]:
    """Pair rows by their call first, then by order."""
    by_call = {row.call: row for row in there if row.call is not None}
    partners: dict[Row, Row] = {}
    for row in here:
        other = by_call.pop(row.call, None) if row.call is not None else None
        if other is not None:
            partners[row] = other
    taken = set(partners.values())
    rest = iter([row for row in there if row not in taken])
    pairs: list[tuple[Row | None, Row | None]] = [
        (row, partners[row] if row in partners else next(rest, None)) for row in here
    ]
    return pairs + [(None, row) for row in rest]


def _pairs_of_rows(
    place: tuple[int, int], turn: int, row_a: Row | None, row_b: Row | None
) -> Iterator[ImagePair]:
    images_a, images_b = (row.images if row is not None else [] for row in (row_a, row_b))
    missing_a, missing_b = _why_missing(row_a, "A"), _why_missing(row_b, "B")
    if not images_a and not images_b:
        yield ImagePair(None, None, *place, turn, 0, "; ".join(filter(None, (missing_a, missing_b))))
    for index, (a, b) in enumerate(zip_longest(images_a, images_b)):
        absent = missing_a if a is None else missing_b if b is None else ""
        yield ImagePair(a, b, *place, turn, index, absent)


def _why_missing(row: Row | None, side: str) -> str:
    if row is None:
        return f"absent in {side}"
    if row.state != "saved":
        return f"{row.state} in {side}: {row.reason or 'no reason given'}"
    return f"{side} has {len(row.images)} image{'' if len(row.images) == 1 else 's'} in this row"
