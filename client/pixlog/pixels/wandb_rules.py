"""The contract "wandb": the pixel rules of ``wandb.Image`` 0.18.0, decision for decision.

Arrays (its ``to_uint8``), decided on the values of the whole array:

1. with any value below 0, (a − min) / (max − min), so that the extremes become 0 and 1;
2. if the largest value is now at most 1, × 255;
3. truncate, clip to 0…255.

Floats are computed in their own precision, float16 too, because truncation shows the last bit.  Torch tensors are
always stretched: (x − min) / max(max − min, 1e-5) over the whole batch, × 255, truncated; bfloat16 and float16 round
after each step as torch does.

Where 0.18.0 depends on the machine or breaks, this module does not follow: NaN, +inf and −inf become 0, 255 and 0
and take no part in a decision, and small integer dtypes are widened instead of overflowing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputTypeError
from pixlog.pixels.ranged import Ranged
from pixlog.pixels.samples import Samples, real_part, round_to_bfloat16
from pixlog.pixels.stats import Stats, measure

_SMALLEST_SPAN = 1e-5
_Step = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def array_to_uint8(samples: Samples) -> Ranged:
    """Apply the array rule.  Complex samples count with their real part.  uint8 above 1 comes back uncopied."""
    if samples.kind == "c":
        samples = real_part(samples)
    stats = measure(samples)
    low = 0 if stats.min is None else stats.min
    high = 0 if stats.max is None else stats.max
    if low < 0:
        if samples.kind == "f":
            return Ranged(_run(samples, stats, _stretch_floats(samples, low, high)), "wandb_stretch", stats)
        return Ranged(_run(samples, stats, _stretch_integers(low, high)), "wandb_stretch", stats)
    if high <= 1:
        if samples.kind in "bui":
            return Ranged(np.multiply(samples.flat != 0, 255, dtype=np.uint8), "wandb_unit", stats)
        dtype = _own_precision(samples)
        return Ranged(_run(samples, stats, lambda a: np.multiply(a, 255, dtype=dtype)), "wandb_unit", stats)
    if samples.name == "uint8":
        return Ranged(samples.flat, "wandb_as_is", stats)
    rule = "wandb_as_is" if high <= 255 else "wandb_clip"
    return Ranged(_run(samples, stats, lambda a: a), rule, stats)


def tensor_to_uint8(samples: Samples) -> Ranged:
    """Apply the torch rule to the whole tensor.

    Raises InputTypeError for bool and for integers other than uint8, which 0.18.0 cannot log either.
    """
    if samples.kind != "f" and samples.name != "uint8":
        raise InputTypeError(
            f"got a torch tensor of {samples.name}, expected uint8 or a floating-point dtype (contract 'wandb')"
        )
    stats = measure(samples)
    low = float(stats.min or 0)
    high = float(stats.max or 0)
    span = max(high - low, _SMALLEST_SPAN)
    settle = _settle(samples)

    def stretch(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        work = values.astype(np.float64) if samples.kind == "u" else values
        return settle(settle(settle(work - low) / span) * 255)

    return Ranged(_run(samples, stats, stretch), "wandb_minmax", stats)


def _run(samples: Samples, stats: Stats, step: _Step) -> npt.NDArray[np.uint8]:
    """Apply ``step`` chunk by chunk, then clip and truncate."""
    out = np.empty(samples.flat.size, dtype=np.uint8)
    with np.errstate(all="ignore"):
        for start, stop, values in samples.chunks():
            scaled = step(values)
            if not stats.finite:
                scaled = np.where(np.isnan(values), 0, scaled)
                scaled = np.where(np.isinf(values), np.where(values > 0, 255, 0), scaled)
            if scaled.dtype.kind != "u" or (stats.max or 0) > 255:
                top = 255 if scaled.dtype.itemsize > 1 else np.iinfo(scaled.dtype).max
                scaled = np.clip(scaled, 0, top)
            np.copyto(out[start:stop], scaled, casting="unsafe")
    return out


def _own_precision(samples: Samples) -> np.dtype[Any]:
    """float16 where the array is float16; otherwise what `Samples.chunks` yields."""
    return np.dtype(np.float16) if samples.name == "float16" else samples.loaded


def _stretch_floats(samples: Samples, low: float, high: float) -> _Step:
    dtype = _own_precision(samples).type
    bottom = dtype(low)
    with np.errstate(over="ignore"):  # farther apart than the type can say: infinite, as it is there
        span = dtype(high) - bottom

    def stretch(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if span == 0:
            return np.zeros(values.shape)
        scaled: npt.NDArray[Any] = (values.astype(dtype, copy=False) - bottom) / span
        scaled *= dtype(255)
        return scaled

    return stretch


def _stretch_integers(low: int | float, high: int | float) -> _Step:
    span = int(high) - int(low)
    exact = abs(int(low)) < 2**62 and abs(int(high)) < 2**62

    def stretch(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if span == 0:
            return np.zeros(values.shape)
        shifted = values.astype(np.int64 if exact else np.float64) - low
        return np.asarray(shifted / span * 255)

    return stretch


def _settle(samples: Samples) -> _Step:
    """Return the rounding that torch applies to a stored intermediate of this dtype."""
    if samples.name == "bfloat16":
        return round_to_bfloat16
    if samples.name == "float16":
        return lambda values: values.astype(np.float16).astype(np.float32)
    return lambda values: values
