"""PNG row filters over bands of rows, as a handful of whole-band byte operations.

A filter stores each byte as its difference from a prediction made of the byte one pixel to the left (a), the
byte above (b) and the byte above and left (c).  NumPy does 20 GB/s on uint8 while its operands stay in the
second-level cache, so everything here works on a band of rows and on scratch memory that is kept between calls,
and stays in uint8:

* average: floor((a + b) / 2) = (a & b) + ((a ^ b) >> 1), which cannot overflow;
* Paeth: with lo, hi = min(a, b), max(a, b) and m = c clamped into [lo, hi], the nearest of a, b, c to a + b - c
  is lo if 2 (hi - m) <= m - lo, hi if 2 (m - lo) <= hi - m, and m otherwise.  The clamp settles a c outside
  [lo, hi]; ties have equal values.  15 passes instead of a 16-bit computation that costs 20 times as much.

A band is treated as one run of bytes, so the left neighbour of a row's first pixel is wrongly the end of the
row before; the first pixel column is then written again with a = c = 0.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

NONE: Final = 0
SUB: Final = 1
UP: Final = 2
AVERAGE: Final = 3
PAETH: Final = 4
MIXED: Final = 5  # per row, the better of AVERAGE and PAETH

_KEEP_NBYTES: Final = (
    4 << 20
)  # a thread keeps scratch arrays up to this size; larger ones die with their picture


class Scratch(threading.local):
    """Byte arrays that each thread reuses from band to band and from picture to picture."""

    def __init__(self) -> None:
        self._arrays: dict[str, Bytes] = {}

    def get(self, name: str, nbytes: int) -> Bytes:
        """``nbytes`` of uninitialised memory; another call with the same name may return the same memory."""
        array = self._arrays.get(name)
        if array is None or array.size < nbytes:
            array = np.empty(max(nbytes, 1 << 16), np.uint8)
            if nbytes <= _KEEP_NBYTES:
                self._arrays[name] = array
        return array[:nbytes]


scratch: Final = Scratch()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows ``first`` to ``last`` (exclusive) of a run of rows; the one above ``first`` precedes it, if there is one."""

    flat: Bytes
    first: int
    last: int
    row_nbytes: int
    pixel_nbytes: int


def filter_rows(rows: Rows, kind: int, out: Bytes) -> None:
    """Filter ``rows`` into ``out``, shape (rows, 1 + row_nbytes); its first column gets the filter types.

    Row 0 is the top of a picture, above which there is nothing: it gets "sub", or none where ``kind`` is NONE.
    """
    if rows.first == 0:
        _filter_top_row(rows.flat[: rows.row_nbytes], rows.pixel_nbytes, kind, out[0])
        if rows.last == 1:
            return
        rows = replace(rows, first=1)
        out = out[1:]
    if kind == MIXED:
        _filter_mixed(rows, out)
    else:
        _filter(rows, kind, out)


def _filter_top_row(row: Bytes, pixel_nbytes: int, kind: int, out: Bytes) -> None:
    out[0] = NONE if kind == NONE else SUB
    out[1:] = row
    if kind != NONE:
        np.subtract(row[pixel_nbytes:], row[:-pixel_nbytes], out=out[1 + pixel_nbytes :])


def _filter(rows: Rows, kind: int, out: Bytes) -> None:
    flat, row_nbytes, pixel_nbytes = rows.flat, rows.row_nbytes, rows.pixel_nbytes
    shape = (rows.last - rows.first, row_nbytes)
    start, stop = rows.first * row_nbytes, rows.last * row_nbytes
    current = flat[start:stop].reshape(shape)
    above = flat[start - row_nbytes : stop - row_nbytes].reshape(shape)
    out[:, 0] = kind
    body = out[:, 1:]
    if kind == NONE:
        body[:] = current
        return
    if kind == UP:
        np.subtract(current, above, out=body)
        return
    column = slice(0, pixel_nbytes)
    if kind == SUB:
        left = flat[start - pixel_nbytes : stop - pixel_nbytes].reshape(shape)
        np.subtract(current, left, out=body)
        body[:, column] = current[:, column]
        return
    prediction = scratch.get("prediction", stop - start)
    left = flat[start : stop - pixel_nbytes]
    up = flat[start - row_nbytes + pixel_nbytes : stop - row_nbytes]
    if kind == AVERAGE:
        _predict_average(left, up, prediction[pixel_nbytes:])
    else:
        upper_left = flat[start - row_nbytes : stop - row_nbytes - pixel_nbytes]
        _predict_paeth(left, up, upper_left, prediction[pixel_nbytes:])
    np.subtract(current, prediction.reshape(shape), out=body)
    body[:, column] = current[:, column] - (above[:, column] >> 1 if kind == AVERAGE else above[:, column])


def _filter_mixed(rows: Rows, out: Bytes) -> None:
    paeth = scratch.get("paeth", out.size).reshape(out.shape)
    _filter(rows, AVERAGE, out)
    _filter(rows, PAETH, paeth)
    better = row_costs(paeth) < row_costs(out)
    out[better] = paeth[better]


def _predict_average(left: Bytes, up: Bytes, out: Bytes) -> None:
    half = scratch.get("half", out.size)
    np.bitwise_xor(left, up, out=half)
    np.right_shift(half, 1, out=half)
    np.bitwise_and(left, up, out=out)
    np.add(out, half, out=out)


def _predict_paeth(left: Bytes, up: Bytes, upper_left: Bytes, out: Bytes) -> None:
    size = out.size
    low, high = scratch.get("low", size), scratch.get("high", size)
    half, chosen = scratch.get("half", size), scratch.get("chosen", size)
    np.minimum(left, up, out=low)
    np.maximum(left, up, out=high)
    np.minimum(upper_left, high, out=out)
    np.maximum(out, low, out=out)
    to_high, to_low = high, low
    np.subtract(high, out, out=to_high)
    np.subtract(out, low, out=to_low)
    is_chosen = chosen.view(np.bool_)
    np.right_shift(to_low, 1, out=half)
    np.less_equal(to_high, half, out=is_chosen)
    np.right_shift(to_high, 1, out=half)
    np.multiply(chosen, to_low, out=chosen)
    np.subtract(out, chosen, out=out)
    np.less_equal(to_low, half, out=is_chosen)
    np.multiply(chosen, to_high, out=chosen)
    np.add(out, chosen, out=out)


def row_costs(filtered: Bytes) -> npt.NDArray[np.uint32]:
    """The sum of absolute differences of each filtered row: libpng's own guess at how well it compresses."""
    rows, row_nbytes = filtered.shape
    absolute = scratch.get("half", rows * (row_nbytes - 1)).reshape(rows, row_nbytes - 1)
    np.absolute(filtered[:, 1:].view(np.int8), out=absolute.view(np.int8))
    costs: npt.NDArray[np.uint32] = np.add.reduce(absolute, axis=1, dtype=np.uint32)
    return costs
