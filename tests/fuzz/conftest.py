"""Fuzz tests have a plan, as fault tests do: a seed to rerun from, and how often to try."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_plan import FaultPlan


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> FaultPlan:
    """Return the test's plan; its seed is printed where pytest shows it when the test fails."""
    return FaultPlan(request.node.nodeid)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory for a daemon's socket, with a short name."""
    directory = Path(tempfile.mkdtemp(prefix="pxf", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)
