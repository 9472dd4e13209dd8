"""Masks as the run lengths of COCO, and as the text that its tools read them from.

Theory of operation.  A mask is read column by column.  Its counts say how many pixels are outside, then inside, then
outside again, and so on, beginning with 0 where the first pixel is inside.  In the text each count from the fourth on
is the difference to the last but one, which is mostly small; five bits of a number go into one character from ``0`` on,
the lowest first, with a sixth bit set where more follow, and the last one's top bit is the sign.

Source of the form: ``common/maskApi.c`` of the COCO API (rleEncode, rleToString).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


def class_regions(ids: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield every id of a mask (H, W) of whole numbers, ascending, with the counts of its pixels."""
    flat = np.ascontiguousarray(ids.T).ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=len(flat))
    values = flat[starts]
    for value in np.unique(values):
        of_class = values == value
        yield int(value), _counts(starts[of_class], lengths[of_class], len(flat))


def mask_counts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the counts of a mask (H, W) of one object."""
    for is_inside, counts in class_regions(mask):
        if is_inside:
            return counts
    return np.array([mask.size], np.int64)


def counts_text(counts: npt.NDArray[np.int64]) -> str:
    """Return counts as text."""
    rest = counts.astype(np.int64)
    rest[3:] -= counts[1:-2]
    more = np.ones(len(rest), bool)
    columns = []
    while more.any():
        part = rest & 0x1F
        rest = rest >> 5
        is_followed = np.where(part & 0x10, rest != -1, rest != 0)
        columns.append(np.where(more, part + 48 + (is_followed << 5), 0))
        more &= is_followed
    characters = np.stack(columns, axis=1).astype(np.uint8)
    return bytes(characters[characters != 0].tolist()).decode("ascii")


def counts_area(counts: npt.NDArray[np.int64]) -> int:
    """Return the number of pixels inside."""
    return int(counts[1::2].sum())


def counts_bounds(counts: npt.NDArray[np.int64], height: int) -> list[float]:
    """Return [x, y, width, height] of the box about the pixels inside; there has to be one."""
    ends = np.cumsum(counts)
    first, last = ends[:-1:2], ends[1::2] - 1
    left, right = int(first[0] // height), int(last[-1] // height)
    spans_columns = bool((first // height != last // height).any())  # then it reaches both edges
    top = 0 if spans_columns else int((first % height).min())
    bottom = height - 1 if spans_columns else int((last % height).max())
    return [float(left), float(top), float(right - left + 1), float(bottom - top + 1)]


def _counts(
    starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    ends = starts + lengths
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[0] = starts[0]
    counts[1::2] = lengths
    counts[2:-1:2] = starts[1:] - ends[:-1]
    counts[-1] = size - ends[-1]
    return counts if counts[-1] else counts[:-1]
