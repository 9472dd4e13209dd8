"""How things are compared: side by side in rounds, so that a busy machine slows all of them.

A ratio is taken within each round; what is reported is the median over the rounds, with the lowest and the highest of
them.  Absolute times are reported too, but no goal hangs on one that a ratio could have told.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some numbers, and how far they reach."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Summarise one number for each round."""
        return cls(statistics.median(numbers), min(numbers), max(numbers), len(numbers))

    def json(self) -> Json:
        """Return it with four digits each, which is more than such numbers are good for."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached, what was, and whether that is enough; ``met`` is None where it was not measured."""

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass(slots=True)
class Report:
    """One benchmark's outcome: figures for the JSON, goals, and tables for the page."""

    name: str
    title: str
    figures: Json = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[tuple[list[str], list[list[str]]]] = field(default_factory=list)
    seconds: float = 0.0
    date: str = ""
    load: float = 0.0

    def json(self) -> Json:
        """Return everything, JSON-able."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Form:
    """How much of a benchmark is run: the short form is there to see that it runs."""

    short: bool

    def pick(self, short: Any, full: Any) -> Any:
        """Return the value for this form."""
        return short if self.short else full


def rounds(contestants: Mapping[str, Callable[[], Json]], count: int) -> dict[str, list[Json]]:
    """Run every contestant once in each round, each time in another order."""
    results: dict[str, list[Json]] = {name: [] for name in contestants}
    order = list(contestants)
    shuffle = random.Random(0).shuffle
    for _ in range(count):
        shuffle(order)
        for name in order:
            results[name].append(contestants[name]())
    return results


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Summarise the ratios within each round."""
    return Spread.of([a / b for a, b in zip(of, to, strict=True)])


def percentile(numbers: Sequence[float], share: float) -> float:
    """Return the number that ``share`` of them do not exceed."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> Json:
    """Describe what the figures depend on, without names and paths."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version()}
        | {name: found for name in _PACKAGES if (found := _version(name))},
    }


_PACKAGES = ("pixlog", "numpy", "pillow", "isal", "uvloop", "msgpack")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def rounded(value: Any) -> Any:
    """Round every float in a JSON-able value to four digits."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return _rounded(value)


def write_json(path: Path, value: Json) -> None:
    """Write a result, small and in a form that diffs well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(value), indent=1, ensure_ascii=False) + "\n")
