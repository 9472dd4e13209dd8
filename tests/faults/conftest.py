"""Fixtures of the fault tests: a plan with a seed, trainers to be killed, and a look at the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fault_plan import FaultPlan
from nursery import Nursery


@pytest.fixture(autouse=True)
def plan(request: pytest.FixtureRequest) -> FaultPlan:
    """Return the test's plan; its seed is printed where pytest shows it when the test fails."""
    return FaultPlan(request.node.nodeid)


@pytest.fixture(scope="session")
def _nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(_nursery: Nursery) -> Iterator[Nursery]:
    """Return where trainers are forked from; those that are left are killed after the test."""
    yield _nursery
    _nursery.end_trainers()
