"""Masks as the run lengths of COCO, and as the text that its tools read them from.

Theory of operation.  A mask is read column by column.  Its counts say how many pixels are outside, then inside, then
outside again, and so on, beginning with 0 where the first pixel is inside.  In the text each count from the fourth on
is the difference to the last but one, which is mostly small; five bits of a number go into one character from ``0`` on,
the lowest first, with a sixth bit set where more follow, and the last one's top bit is the sign.

Source of the form: ``common/maskApi.c`` of the COCO API (rleEncode, rleToString).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


def class_regions(ids: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield every id of a mask (H, W) of whole numbers, ascending, with the counts of its pixels."""
    starts, values = _runs(ids)
    ends = np.append(starts[1:], ids.size)
    order = np.argsort(values, kind="stable")
    values = values[order]
    firsts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    for first, last in itertools.pairwise(firsts):
        of_class = order[first:last]
        yield int(values[first]), _counts(starts[of_class], ends[of_class], ids.size)


def mask_counts(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the counts of a mask (H, W) of one object."""
    for is_inside, counts in class_regions(mask):
        if is_inside:
            return counts
    return np.array([mask.size], np.int64)


def counts_text(counts: npt.NDArray[np.int64]) -> str:
    """Return counts as text."""
    numbers = counts.astype(np.int64)
    numbers[3:] -= counts[1:-2]
    magnitudes = numbers ^ (numbers >> 63)  # what is left of the number beside its sign
    most = max(1, -(-(int(magnitudes.max(initial=0)).bit_length() + 1) // 5))
    places = np.arange(most)
    needed = np.searchsorted(16 << (5 * places[:-1]), magnitudes, side="right")[:, None]
    characters = (numbers[:, None] >> (5 * places)) & 0x1F
    characters += 48 + ((places < needed) << 5)
    return characters[places <= needed].astype(np.uint8).tobytes().decode("ascii")


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


def _runs(ids: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Return where runs of one id begin when a mask (H, W) is read column by column, and their ids.

    Changes from row to row are looked for in the mask as it lies: to turn it into columns takes far longer.
    """
    height, width = ids.shape
    rows, columns = np.divmod(np.flatnonzero(ids[1:] != ids[:-1]), width)
    tops = np.flatnonzero(ids[0, 1:] != ids[-1, :-1]) + 1
    starts = np.concatenate([[0], columns * height + rows + 1, tops * height])
    starts.sort()
    return starts, ids[starts % height, starts // height]


def _counts(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[0] = starts[0]
    counts[1::2] = ends - starts
    counts[2:-1:2] = starts[1:] - ends[:-1]
    counts[-1] = size - ends[-1]
    return counts if counts[-1] else counts[:-1]
