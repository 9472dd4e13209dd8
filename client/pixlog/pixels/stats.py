"""What an array holds: smallest and largest finite value, and how many samples are not finite.

One pass over memory: both reductions run on a chunk while it is in cache.  NaN and infinities show up in a plain
minimum or maximum, so they are only counted, in a second look at the chunk, where they are present.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.pixels.samples import Samples


@dataclass(frozen=True, slots=True)
class Stats:
    """Finite extremes (None when no sample is finite) and the counts of NaN, +inf and −inf."""

    min: int | float | None
    max: int | float | None
    nan: int = 0
    posinf: int = 0
    neginf: int = 0

    @property
    def finite(self) -> bool:
        """Whether every sample is finite."""
        return not (self.nan or self.posinf or self.neginf)


def measure(samples: Samples) -> Stats:
    """Measure all samples of a real dtype (bool counts as 0 and 1)."""
    flat = samples.flat
    if samples.kind == "b":
        return Stats(int(flat.all()), int(flat.any()))
    if samples.kind in "ui":
        if flat.dtype.itemsize == 1:
            # The methods min and max go through Python; for a digit that doubles the time.
            return Stats(int(np.minimum.reduce(flat)), int(np.maximum.reduce(flat)))
        return merge([Stats(int(values.min()), int(values.max())) for _, _, values in samples.chunks()])
    with np.errstate(all="ignore"):
        return merge([_measure_floats(values) for _, _, values in samples.chunks()])


def merge(parts: list[Stats]) -> Stats:
    """Combine the statistics of parts, such as the images of a batch."""
    if len(parts) == 1:
        return parts[0]
    lows = [part.min for part in parts if part.min is not None]
    highs = [part.max for part in parts if part.max is not None]
    return Stats(
        min(lows) if lows else None,
        max(highs) if highs else None,
        sum(part.nan for part in parts),
        sum(part.posinf for part in parts),
        sum(part.neginf for part in parts),
    )


def _measure_floats(values: npt.NDArray[Any]) -> Stats:
    low = float(values.min())
    high = float(values.max())
    if math.isfinite(low) and math.isfinite(high):
        return Stats(low, high)
    nan = int(np.count_nonzero(np.isnan(values)))
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if math.isfinite(low) and math.isfinite(high):
        return Stats(low, high, nan)
    finite = np.isfinite(values)
    posinf = int(np.count_nonzero(values == np.inf))
    neginf = values.size - int(np.count_nonzero(finite)) - nan - posinf
    kept = values[finite]
    if not kept.size:
        return Stats(None, None, nan, posinf, neginf)
    return Stats(float(kept.min()), float(kept.max()), nan, posinf, neginf)
