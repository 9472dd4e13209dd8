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

Where the package was built with a C compiler, ``filters.c`` does the same in one call, several times as fast.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pixlogd.encode import compiled

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


class Rows(NamedTuple):
    """Rows ``first`` to ``last`` (exclusive) of a run of rows; the one above ``first`` precedes it, if there is one."""

    flat: Bytes
    first: int
    last: int
    row_nbytes: int
    pixel_nbytes: int


def filter_rows(rows: Rows, kind: int, out: Bytes) -> None:
    """Filter ``rows`` into ``out``, shape (rows, 1 + row_nbytes); its first column gets the filter types.

    Above row 0, the top of a picture, there are zeros; for AVERAGE, PAETH and MIXED it gets the "sub" filter.
    """
    if compiled.library is not None:
        _filter_compiled(compiled.library, rows, kind, out)
    else:
        _filter(rows, kind, out)


def _filter_compiled(library: ctypes.CDLL, rows: Rows, kind: int, out: Bytes) -> None:
    if not (
        0 <= rows.first < rows.last
        and rows.last * rows.row_nbytes <= rows.flat.size
        and 0 < rows.pixel_nbytes <= rows.row_nbytes
        and out.shape == (rows.last - rows.first, 1 + rows.row_nbytes)
        and out.flags.c_contiguous
        and rows.flat.flags.c_contiguous
    ):
        raise ValueError(f"{rows[1:]} of {rows.flat.size} bytes cannot be filtered into {out.shape}")
    library.pixlog_filter_rows(rows.flat.ctypes.data, *rows[1:], kind, out.ctypes.data)


def _filter(rows: Rows, kind: int, out: Bytes) -> None:
    row_nbytes = rows.row_nbytes
    flat = rows.flat[rows.first * row_nbytes : rows.last * row_nbytes]
    if kind == NONE:
        out[:, 0] = NONE
        out[:, 1:] = flat.reshape(-1, row_nbytes)
        return
    if rows.first == 0:
        out[0, 0] = UP if kind == UP else SUB
        out[0, 1:] = flat[:row_nbytes]
        if kind != UP:
            np.subtract(
                out[0, 1 + rows.pixel_nbytes :],
                flat[: row_nbytes - rows.pixel_nbytes],
                out=out[0, 1 + rows.pixel_nbytes :],
            )
        if rows.last == 1:
            return
        rows = Rows(rows.flat, 1, rows.last, row_nbytes, rows.pixel_nbytes)
        flat = flat[row_nbytes:]
        out = out[1:]
    above = rows.flat[(rows.first - 1) * row_nbytes : (rows.last - 1) * row_nbytes].reshape(-1, row_nbytes)
    current = flat.reshape(-1, row_nbytes)
    if kind == MIXED:
        average, paeth = (residuals(current, above, rows.pixel_nbytes, each) for each in (AVERAGE, PAETH))
        is_paeth = row_costs(paeth) < row_costs(average)
        average[is_paeth] = paeth[is_paeth]
        np.add(is_paeth, np.uint8(AVERAGE), out=out[:, 0])
        out[:, 1:] = average
        return
    out[:, 0] = kind
    if kind == UP:
        np.subtract(current, above, out=out[:, 1:])
    else:
        out[:, 1:] = residuals(current, above, rows.pixel_nbytes, kind)


def residuals(current: Bytes, above: Bytes, pixel_nbytes: int, kind: int) -> Bytes:
    """Rows minus their prediction by SUB, AVERAGE or PAETH; ``above`` holds the row above each.

    Both are contiguous, of shape (rows, row_nbytes), and so is what is returned, in scratch memory.
    """
    matrix = scratch.get("paeth" if kind == PAETH else "average", current.size).reshape(current.shape)
    flat, up = current.reshape(-1), above.reshape(-1)
    left, prediction = flat[:-pixel_nbytes], matrix.reshape(-1)[pixel_nbytes:]
    if kind == SUB:
        np.subtract(flat[pixel_nbytes:], left, out=prediction)
        matrix[:, :pixel_nbytes] = current[:, :pixel_nbytes]
        return matrix
    if kind == AVERAGE:
        _predict_average(left, up[pixel_nbytes:], prediction)
    else:
        _predict_paeth(left, up[pixel_nbytes:], up[:-pixel_nbytes], prediction)
    np.subtract(flat[pixel_nbytes:], prediction, out=prediction)
    first = above[:, :pixel_nbytes]
    np.subtract(
        current[:, :pixel_nbytes], first >> 1 if kind == AVERAGE else first, out=matrix[:, :pixel_nbytes]
    )
    return matrix


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


def row_costs(residuals: Bytes) -> npt.NDArray[np.uint32]:
    """The sum of absolute values of each row of residuals: libpng's own guess at how well it compresses.

    Every 13th byte of long rows and every 5th of short ones is enough: 0.1 % more bytes for a third of the time.
    (They share no factor with any number of bytes per pixel, so all channels are looked at.)
    """
    residuals = residuals[:, :: 13 if residuals.shape[1] > 1024 else 5]
    absolute = scratch.get("half", residuals.size).reshape(residuals.shape)
    np.absolute(residuals.view(np.int8), out=absolute.view(np.int8))
    costs: npt.NDArray[np.uint32] = np.add.reduce(absolute, axis=1, dtype=np.uint32)
    return costs
