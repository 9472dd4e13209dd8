"""The outcome of a range rule: levels, the rule's name and what the values were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.pixels.stats import Stats


@dataclass(frozen=True, slots=True)
class Ranged:
    """Flat 8-bit levels in the order of the samples (possibly the samples themselves), rule, statistics, note."""

    levels: npt.NDArray[np.uint8]
    rule: str
    stats: Stats
    note: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return the JSON-able part of a row's ``input`` that records the rule and the statistics."""
        stats = self.stats
        record: dict[str, Any] = {"min": stats.min, "max": stats.max}
        if isinstance(stats.min, float) or not stats.finite:
            record["nan"] = stats.nan
            record["posinf"] = stats.posinf
            record["neginf"] = stats.neginf
        record["rule"] = self.rule
        return record
