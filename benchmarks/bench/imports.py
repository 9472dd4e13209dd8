"""What ``import pixlog`` adds to ``import numpy``, in processor time of fresh interpreters in turn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.harness import Form, Goal, Json, Report, Spread, rounds

_MOST_MS = 15
_PROGRAM = (
    "import time; import numpy; start = time.process_time(); {statement}; print(time.process_time() - start)"
)


def run(form: Form, directory: Path) -> Report:
    """Import it many times."""
    del directory
    statements = ("import pixlog", "from pixlog import Image, connect", "import json, logging, socket")
    for each in statements:
        _import(each)
    found = rounds({each: _bound(each) for each in statements}, form.pick(3, 31))
    spreads = {each: Spread.of([entry["ms"] for entry in entries]) for each, entries in found.items()}
    added = spreads["import pixlog"]
    used = spreads["from pixlog import Image, connect"]
    report = Report("imports", "import pixlog, after import numpy")
    report.figures = {each: spread.json() for each, spread in spreads.items()}
    report.tables.append(
        (
            ["after `import numpy`", "ms, median", "at best"],
            [[f"`{each}`", f"{spread.median:.1f}", f"{spread.low:.1f}"] for each, spread in spreads.items()],
        )
    )
    report.goals.append(
        Goal(
            "`import pixlog` over `import numpy`",
            f"≤ {_MOST_MS} ms",
            f"{added.median:.1f} ms; the names load when they are first used, in {used.median:.1f} ms",
            added.median <= _MOST_MS,
        )
    )
    return report


def _bound(statement: str) -> Callable[[], Json]:
    return lambda: _import(statement)


def _import(statement: str) -> Json:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement=statement)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {"ms": float(done.stdout) * 1e3}
