"""Fixtures of the exports' tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pixlog
from browsing import browser, open_page
from exported_runs import COUNTS, log_everything

__all__ = ["browser", "open_page"]

_made: dict[str, Path] = {}


@pytest.fixture(params=["files", "packed"])
def logged_run(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> pixlog.Run:
    """Return a run with one of everything, logged through a real daemon once for each store; not to be changed."""
    store = request.param
    if store not in _made:
        path = tmp_path_factory.mktemp("logged") / f"run-{store}"
        monkeypatch.setenv("PIXLOG_STORE", store)
        log_everything(path)
        monkeypatch.delenv("PIXLOG_STORE")
        _made[store] = path
    run = pixlog.Run(_made[store])
    summary = run.summary()
    assert {state: getattr(summary, state) for state in COUNTS} == COUNTS
    return run


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks the Hugging Face Hub for anything."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
