"""Fuzz tests have a plan, as fault tests do: a seed to rerun from, and how often to try."""

from __future__ import annotations

import pytest

from fault_plan import FaultPlan


@pytest.fixture
def plan(request: pytest.FixtureRequest) -> FaultPlan:
    """Return the test's plan; its seed is printed where pytest shows it when the test fails."""
    return FaultPlan(request.node.nodeid)
