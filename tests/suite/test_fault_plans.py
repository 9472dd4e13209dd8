"""A fault test reruns from the seed that it prints."""

from __future__ import annotations

import pytest

from fault_plan import PIXLOG_TEST_SEED, FaultPlan


def test_plan_prints_a_seed_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed command names the test, and with its seed the same random moments come again; without, others."""
    monkeypatch.delenv(PIXLOG_TEST_SEED, raising=False)
    plan = FaultPlan("tests/faults/test_x.py::test_y")
    moments = [plan.random.random() for _ in range(5)]
    printed = capsys.readouterr().out
    assert f"{PIXLOG_TEST_SEED}={plan.seed} pytest 'tests/faults/test_x.py::test_y'" in printed
    other = FaultPlan("tests/faults/test_x.py::test_y")
    assert [other.random.random() for _ in range(5)] != moments
    monkeypatch.setenv(PIXLOG_TEST_SEED, str(plan.seed))
    again = FaultPlan("tests/faults/test_x.py::test_y")
    assert [again.random.random() for _ in range(5)] == moments
