"""What every fault test shares: a seed that it reruns from, how often it tries, and the figures that it leaves.

``PIXLOG_TEST_SEED`` repeats a run with the seed that a failed one printed.  ``PIXLOG_FAULT_REPEATS`` is "suite" (the
default: a few of each), "full" (as often as the guarantees say) or a number that takes the place of both.
``PIXLOG_FAULT_FIGURES`` names a file that gets one JSON line for each figure.
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import asdict, dataclass
from typing import Final

PIXLOG_TEST_SEED: Final = "PIXLOG_TEST_SEED"
PIXLOG_FAULT_REPEATS: Final = "PIXLOG_FAULT_REPEATS"
PIXLOG_FAULT_FIGURES: Final = "PIXLOG_FAULT_FIGURES"

# Read here, because the suite cleans the environment before its first test.
_REPEATS: Final = os.environ.get(PIXLOG_FAULT_REPEATS) or "suite"
_FIGURES: Final = os.environ.get(PIXLOG_FAULT_FIGURES)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the guarantees: what was tried, how often, on how many images, and how many were lost."""

    area: str
    tried: str
    times: int
    images: int
    lost: int
    measured: str
    test: str
    seed: int
    date: str


class FaultPlan:
    """The plan of one test: its randomness, its repetitions and its figures."""

    def __init__(self, test: str) -> None:
        self.test = test
        self.seed = int(os.environ.get(PIXLOG_TEST_SEED) or random.SystemRandom().randrange(1 << 32))
        self.random = random.Random(f"{self.seed} {test}")
        print(f"seed {self.seed}: rerun with  {PIXLOG_TEST_SEED}={self.seed} pytest {test!r}")

    def repeats(self, *, suite: int, full: int) -> int:
        """Return how often to try."""
        if _REPEATS in ("suite", "full"):
            return suite if _REPEATS == "suite" else full
        return int(_REPEATS)

    def record(
        self, area: str, tried: str, *, times: int, images: int = 0, lost: int = 0, measured: str = ""
    ) -> None:
        """Leave one figure; ``tried`` is a sentence without its full stop, ``measured`` what else was seen."""
        date = time.strftime("%Y-%m-%d", time.gmtime())
        figure = Figure(area, tried, times, images, lost, measured, self.test, self.seed, date)
        print(f"{tried}: {times} times, {images} images, {lost} lost {measured}")
        if _FIGURES:
            with open(_FIGURES, "a") as lines:
                lines.write(json.dumps(asdict(figure), ensure_ascii=False) + "\n")
