"""Which filter and which window suit a picture, found from a few of its rows.

Strips of rows, spread over the picture and about 1/50 of it, are looked at in two steps:

1. Where few bytes equal the byte above them, the picture is a photograph or noise.  The usual guess, the smaller
   sum of absolute differences, then tells average from Paeth, and the two are mixed row by row if the sampled
   rows disagree, which is 1 % of a photograph's size.
2. Otherwise that guess is wrong: on graphics, masks and digits it can cost half as many bytes again.  The strips
   are filtered and deflated in each way, and the smallest wins.

Pictures of a few kilobytes get step 1 alone, in its cheapest form: a second try would double their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pixlogd.encode.deflate import FAR, NEAR, fast_deflate
from pixlogd.encode.filters import AVERAGE, MIXED, NONE, PAETH, SUB, UP, Bytes, Rows, filter_rows, row_costs
from pixlogd.encode.raster import Raster

_STRIP_ROWS: Final = 8  # of which the first only serves as the row above the others
_SAMPLE_SHARE: Final = 48
_MIN_STRIPS: Final = 3
_TINY_NBYTES: Final = 4 << 10

# Share of bytes equal to the byte above: photographs 0.07 to 0.35, digits 0.46, plots and masks 0.85 to 1.
_PHOTO_BELOW: Final = 0.4
_LONG_MATCHES_ABOVE: Final = 0.6
_SMALL_FLAT_ABOVE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Plan:
    """One of the filter kinds, and log2 of the deflate window in bytes."""

    filter_kind: int
    window_bits: int


FLAT: Final = Plan(NONE, FAR)


def small_plan_of(raster: Raster) -> Plan:
    """A plan for a few kilobytes, found in a few microseconds."""
    if raster.height == 1:
        return Plan(UP, NEAR)
    flat, row_nbytes = raster.flat, raster.row_nbytes
    equal_share = 1 - np.count_nonzero(flat[row_nbytes:] != flat[:-row_nbytes]) / (flat.size - row_nbytes)
    if equal_share > _SMALL_FLAT_ABOVE:
        return Plan(NONE, NEAR)
    # UP is 1 to 5 % larger than MIXED, and 60 microseconds less.
    is_tiny = raster.nbytes <= _TINY_NBYTES or equal_share > _PHOTO_BELOW
    return Plan(UP if is_tiny else MIXED, NEAR)


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
        return Plan(_average_or_paeth(average, paeth), NEAR)
    filtered = {kind: _filtered(rows, strip_rows, kind) for kind in (NONE, SUB, UP, AVERAGE, PAETH)}
    sizes = {(kind, NEAR): len(fast_deflate(out, NEAR)) for kind, out in filtered.items()}
    if equal_share > _LONG_MATCHES_ABOVE:
        sizes |= {(kind, FAR): len(fast_deflate(filtered[kind], FAR)) for kind in (NONE, UP, PAETH)}
    kind, window_bits = min(sizes, key=sizes.__getitem__)
    if window_bits == NEAR and kind in {AVERAGE, PAETH}:
        kind = _average_or_paeth(filtered[AVERAGE], filtered[PAETH])
    return Plan(kind, window_bits)


def looks_like_photo(raster: Raster) -> bool:
    """Whether few of the sampled bytes equal the byte above them."""
    return raster.height > 1 and _equal_share(_sample(raster, min(_STRIP_ROWS, raster.height))) < _PHOTO_BELOW


def _equal_share(strips: Bytes) -> float:
    return 1 - np.count_nonzero(strips[:, 1:] != strips[:, :-1]) / strips[:, 1:].size


def _average_or_paeth(average: Bytes, paeth: Bytes) -> int:
    """AVERAGE or PAETH if nearly all rows agree, MIXED if not."""
    is_paeth = row_costs(paeth[:, 1:]) < row_costs(average[:, 1:])
    share = np.count_nonzero(is_paeth) / is_paeth.size
    return AVERAGE if share < 0.05 else PAETH if share > 0.95 else MIXED


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
    strips = np.empty((count, strip_rows, row_nbytes), np.uint8)
    step = raster.height / count
    for i in range(count):
        first = min(int((i + 0.5) * step), raster.height - strip_rows)
        rows = raster.rows(first, first + strip_rows)
        strips[i] = rows.flat[rows.first * row_nbytes : rows.last * row_nbytes].reshape(
            strip_rows, row_nbytes
        )
    return strips
