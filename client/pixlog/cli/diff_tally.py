"""What ``pixlog diff`` keeps of the pairs that pass through it: a few numbers of all, and those that it will show.

A pair holds two rows of a manifest, of kilobytes each, with their captions and ``meta``.  With ``--json`` or
``--worst`` memory does not grow with the pairs; a table of all of them keeps its lines, without the rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import Final

from pixlog.compare.difference import ImageDiff, State
from pixlog.compare.run_diff import badness, counts_text

_SPARE: Final = 32
"""So many more pairs than will be shown are collected before all but the worst of them are dropped."""
_COUNTERS: Final = ("rank", "turn", "index")


class Tally:
    """Counts, the mean of the numbers, where it is worst, and what makes two sides the same."""

    def __init__(self) -> None:
        self.picture_count = 0
        self.counters: list[str] = []
        """Those of rank, turn and index that some pair has beyond 0, and that a table needs a column for."""
        self._counts: Counter[State] = Counter()
        self._least_db = math.inf
        self._lowest_step: int | None = None
        self._has_unmeasured = False
        self._ssim_sum, self._ssim_count = 0.0, 0

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return self._counts.total()

    def add(self, pair: ImageDiff, *, has_picture: bool) -> None:
        """Count one pair."""
        self._counts[pair.state] += 1
        self.picture_count += has_picture
        if len(self.counters) < len(_COUNTERS):
            self.counters = [name for name in _COUNTERS if name in self.counters or getattr(pair, name)]
        if pair.ssim is not None:
            self._ssim_sum += pair.ssim
            self._ssim_count += 1
        if pair.state == "same":
            return
        if pair.psnr_db is None or math.isnan(pair.psnr_db):
            self._has_unmeasured = True
        elif pair.psnr_db < self._least_db or self._lowest_step is None:
            self._least_db, self._lowest_step = pair.psnr_db, pair.step

    def is_same(self, least_db: float) -> bool:
        """Whether every pair is the same, or of at least ``least_db``."""
        return self._counts["same"] == self.count or (not self._has_unmeasured and self._least_db >= least_db)

    def text(self) -> str:
        """Return one line about all pairs."""
        parts = [counts_text(self._counts)]
        if self._lowest_step is not None:
            parts.append(f"lowest PSNR {self._least_db:.2f} dB at step {self._lowest_step}")
        if self._ssim_count:
            parts.append(f"mean SSIM {self._ssim_sum / self._ssim_count:.4f}")
        return "; ".join(parts)


class ShownPairs:
    """The pairs that are printed in the end, each with its picture: the ``worst`` of all, or all where that is None."""

    def __init__(self, worst: int | None) -> None:
        self._worst = worst
        self._kept: list[tuple[ImageDiff, Path | None]] = []

    def add(self, pair: ImageDiff, picture: Path | None) -> None:
        """Keep a pair as long as it may be shown."""
        if self._worst is None:
            self._kept.append((dataclasses.replace(pair, a=None, b=None), picture))
            return
        self._kept.append((pair, picture))
        if len(self._kept) >= 2 * self._worst + _SPARE:
            self._kept = self.in_order()

    def in_order(self) -> list[tuple[ImageDiff, Path | None]]:
        """Return them in the order in which they came, or from the worst on."""
        if self._worst is None:
            return self._kept
        return sorted(self._kept, key=lambda kept: badness(kept[0]))[: self._worst]
