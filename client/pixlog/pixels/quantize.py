"""Map a value interval onto 0…255 and round: the arithmetic that every range rule shares.

Rounding is to the nearest level, ties to even, so that ``level / 255`` in float16, float32 or float64 comes back
as exactly ``level``.  Integers are computed in float64 (float32 up to 16 bits), floats in their own precision but
at least float32.  NaN becomes 0, the infinities the ends.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.pixels.samples import CHUNK_SAMPLE_COUNT, Samples
from pixlog.pixels.stats import Stats

_WIDE_SPAN = 1e37  # near float32's largest number a difference may overflow


def quantize(
    samples: Samples, out: npt.NDArray[np.uint8], low: float, high: float, stats: Stats, *, clip: bool
) -> None:
    """Write round(255 · (value − low) / (high − low)) into ``out``.

    ``clip`` says that values outside the interval exist; infinities are clipped in any case.  ``low == high``
    gives 0 throughout.
    """
    if low == high:
        out[:] = 0
        return
    work = _work_dtype(samples, low, high)
    prescale = 1.0
    if not math.isfinite(float(high) - float(low)):
        prescale = 0.25
    low, span = low * prescale, high * prescale - low * prescale
    scratch = np.empty(min(samples.flat.size, CHUNK_SAMPLE_COUNT), dtype=work)
    finite = stats.finite
    with np.errstate(all="ignore"):
        for start, stop, values in samples.chunks():
            part = scratch[: stop - start]
            near = values if prescale == 1.0 else np.multiply(values, prescale, dtype=work)
            _scale(near, part, low, span)
            if clip or not finite:
                np.clip(part, 0, 255, out=part)
            if stats.nan:
                np.copyto(part, 0, where=np.isnan(part))
            np.rint(part, out=part)
            np.copyto(out[start:stop], part, casting="unsafe")


def _scale(values: npt.NDArray[Any], part: npt.NDArray[Any], low: float, span: float) -> None:
    if low == 0 and span == 255:
        np.copyto(part, values, casting="same_kind")
    elif low == 0 and span == 1:
        np.multiply(values, 255, out=part, dtype=part.dtype)
    elif low == -1 and span == 2:
        np.multiply(values, 127.5, out=part, dtype=part.dtype)
        np.add(part, 127.5, out=part)
    else:
        np.subtract(values, low, out=part, dtype=part.dtype)
        np.divide(part, span, out=part)
        np.multiply(part, 255, out=part)


def _work_dtype(samples: Samples, low: float, high: float) -> np.dtype[Any]:
    if samples.kind == "f":
        if max(abs(low), abs(high)) > _WIDE_SPAN:
            return np.dtype(np.float64)
        return samples.loaded
    return np.dtype(np.float32 if samples.flat.dtype.itemsize <= 2 else np.float64)


def clip_integers(samples: Samples, out: npt.NDArray[np.uint8], stats: Stats) -> None:
    """Write integers into ``out``, values below 0 as 0 and above 255 as 255."""
    assert stats.min is not None
    assert stats.max is not None
    if stats.min >= 0 and stats.max <= 255:
        np.copyto(out, samples.flat, casting="unsafe")
        return
    for start, stop, values in samples.chunks():
        part = np.maximum(values, 0) if stats.min < 0 else values
        if stats.max > 255:
            part = np.minimum(part, 255)
        np.copyto(out[start:stop], part, casting="unsafe")
