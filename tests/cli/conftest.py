"""Fixtures of the command's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from written_runs import WrittenRun


@pytest.fixture
def written(tmp_path: Path) -> WrittenRun:
    """An empty run directory to write rows into."""
    return WrittenRun(tmp_path / "run")
