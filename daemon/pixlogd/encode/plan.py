"""Which filter and which window suit a picture, found from a few of its rows.

Strips of rows, spread over the picture and about 1/50 of it, are looked at in two steps:

1. Where few bytes equal the byte above them, the picture is a photograph or noise.  The usual guess, the smaller
   sum of absolute differences, then tells average from Paeth.  If the sampled rows disagree, the two are mixed,
   which is 1 % of a photograph's size: each group of 16 rows gets the one that suits one or two of its rows.  (To
   choose row by row takes both filters of all rows, 2.5 times the time for 0.1 to 0.2 % of the bytes.)
2. Otherwise that guess is wrong: on graphics, masks and digits it can cost half as many bytes again.  The strips
   are filtered and deflated in each way, and the smallest wins; runs alone, which take half the time, are tried on
   what is not flat, and win unless another is 2 % smaller.

Pictures of a few kilobytes get step 1 alone, in its cheapest form: a second try would double their time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pixlogd.encode import compiled
from pixlogd.encode.deflate import FAR, NEAR, RUNS, fast_deflate
from pixlogd.encode.filters import (
    AVERAGE,
    MIXED,
    NONE,
    PAETH,
    SUB,
    UP,
    Bytes,
    Rows,
    filter_rows,
    residuals,
    row_costs,
)
from pixlogd.encode.raster import Raster

_STRIP_ROWS: Final = 8  # of which the first only serves as the row above the others
_SAMPLE_SHARE: Final = 48
_MIN_STRIPS: Final = 3
_TINY_NBYTES: Final = 4 << 10

GROUP_ROWS: Final = 16
_MANY_NBYTES: Final = 1 << 20  # from here on, one row of each group is sample enough
_PAETH_BELOW: Final = 0.98  # of the cost of AVERAGE, which takes less than half the time

# Share of bytes equal to the byte above: photographs 0.07 to 0.35, digits 0.46, plots and masks 0.85 to 1.
_PHOTO_BELOW: Final = 0.4
_LONG_MATCHES_ABOVE: Final = 0.6
_SMALL_FLAT_ABOVE: Final = 0.7

_RUNS_WORTH: Final = 0.98  # half the time is worth two percent of the bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """One of the filter kinds, or one for each group of rows, and log2 of the deflate window in bytes."""

    filter_kind: int
    window_bits: int
    group_kinds: tuple[int, ...] = ()

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Rows ``start`` to ``stop`` (exclusive) as runs of one filter: (first row, last row (exclusive), kind)."""
        if not self.group_kinds:
            yield start, stop, self.filter_kind
            return
        while start < stop:
            group = start // GROUP_ROWS
            kind = self.group_kinds[group]
            while (last := (group + 1) * GROUP_ROWS) < stop and self.group_kinds[group + 1] == kind:
                group += 1
            yield start, min(last, stop), kind
            start = last


FLAT: Final = Plan(NONE, FAR)


def small_plan_of(raster: Raster) -> Plan:
    """A plan for a few kilobytes, found in a few microseconds.  Compiled code has its own, in ``photograph.c``."""
    if raster.height == 1:
        return Plan(UP, NEAR)
    flat, row_nbytes = raster.flat, raster.row_nbytes
    equal_share = 1 - np.count_nonzero(flat[row_nbytes:] != flat[:-row_nbytes]) / (flat.size - row_nbytes)
    if equal_share > _SMALL_FLAT_ABOVE:
        return Plan(NONE, NEAR)
    # UP is 1 to 5 % larger than MIXED, and 60 microseconds less.
    is_tiny = raster.nbytes <= _TINY_NBYTES or equal_share > _PHOTO_BELOW
    return Plan(UP, NEAR) if is_tiny else Plan(MIXED, RUNS)


def plan_of(raster: Raster) -> Plan:
    """The plan that makes the sampled rows small."""
    if raster.height == 1:
        return Plan(UP, NEAR)
    strip_rows = min(_STRIP_ROWS, raster.height)
    strips = _sample(raster, strip_rows)
    equal_share = _equal_share(strips)
    rows = Rows(strips.reshape(-1), 0, strips.shape[0] * strip_rows, raster.row_nbytes, raster.pixel_nbytes)
    if equal_share < _PHOTO_BELOW:
        average, paeth = _filtered(rows, strip_rows, AVERAGE), _filtered(rows, strip_rows, PAETH)
        return _average_or_paeth(raster, average, paeth, RUNS)
    filtered = {kind: _filtered(rows, strip_rows, kind) for kind in (NONE, SUB, UP, AVERAGE, PAETH)}
    sizes: dict[tuple[int, int], float]
    sizes = {(kind, NEAR): len(fast_deflate(out, NEAR)) for kind, out in filtered.items()}
    if equal_share > _LONG_MATCHES_ABOVE:
        sizes |= {(kind, FAR): len(fast_deflate(filtered[kind], FAR)) for kind in (NONE, UP, PAETH)}
    elif compiled.library is not None:
        sizes |= {(kind, RUNS): len(fast_deflate(out, RUNS)) * _RUNS_WORTH for kind, out in filtered.items()}
    kind, window_bits = min(sizes, key=sizes.__getitem__)
    if window_bits != FAR and kind in {AVERAGE, PAETH}:
        return _average_or_paeth(raster, filtered[AVERAGE], filtered[PAETH], window_bits)
    return Plan(kind, window_bits)


def looks_like_photo(raster: Raster) -> bool:
    """Whether few of the sampled bytes equal the byte above them."""
    return raster.height > 1 and _equal_share(_sample(raster, min(_STRIP_ROWS, raster.height))) < _PHOTO_BELOW


def _equal_share(strips: Bytes) -> float:
    return 1 - np.count_nonzero(strips[:, 1:] != strips[:, :-1]) / strips[:, 1:].size


def _average_or_paeth(raster: Raster, average: Bytes, paeth: Bytes, window_bits: int) -> Plan:
    """AVERAGE or PAETH if nearly all sampled rows agree, and one of them for each group of rows if not."""
    if compiled.library is not None:  # which chooses row by row in little time
        return Plan(MIXED, window_bits)
    is_paeth = row_costs(paeth[:, 1:]) < row_costs(average[:, 1:])
    share = np.count_nonzero(is_paeth) / is_paeth.size
    if share < 0.05:
        return Plan(AVERAGE, window_bits)
    if share > 0.95:
        return Plan(PAETH, window_bits)
    return Plan(MIXED, window_bits, _group_kinds(raster))


def _group_kinds(raster: Raster) -> tuple[int, ...]:
    step = GROUP_ROWS if raster.nbytes >= _MANY_NBYTES else GROUP_ROWS // 2
    rows = np.arange(min(step // 2, raster.height - 1), raster.height, step)
    current, above = raster.pick(rows), raster.pick(rows - 1)
    costs = {
        kind: np.bincount(rows // GROUP_ROWS, row_costs(residuals(current, above, raster.pixel_nbytes, kind)))
        for kind in (AVERAGE, PAETH)
    }
    is_paeth = costs[PAETH] < costs[AVERAGE] * _PAETH_BELOW
    kinds = np.where(is_paeth, PAETH, AVERAGE).tolist()
    group_count = -(-raster.height // GROUP_ROWS)
    return tuple(kinds + kinds[-1:] * (group_count - len(kinds)))


def _filtered(rows: Rows, strip_rows: int, kind: int) -> Bytes:
    """The strips filtered, without the first row of each, which has a wrong row above it."""
    out = np.empty((rows.last, 1 + rows.row_nbytes), np.uint8)
    filter_rows(rows, kind, out)
    kept = np.ascontiguousarray(out.reshape(-1, strip_rows, 1 + rows.row_nbytes)[:, 1:])
    return kept.reshape(-1, 1 + rows.row_nbytes)


def _sample(raster: Raster, strip_rows: int) -> Bytes:
    """Strips of rows spread over the picture, shape (strips, strip_rows, row_nbytes)."""
    row_nbytes = raster.row_nbytes
    count = max(raster.nbytes // _SAMPLE_SHARE // (strip_rows * row_nbytes), _MIN_STRIPS)
    count = min(count, raster.height // strip_rows)
    step = raster.height / count
    firsts = ((np.arange(count) + 0.5) * step).astype(np.intp)
    np.minimum(firsts, raster.height - strip_rows, out=firsts)
    return raster.pick(firsts[:, None] + np.arange(strip_rows))
