"""Fixtures of the viewer's tests: runs, a viewer on them, and pages of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import viewers
from browsing import OpenPage, browser, open_page
from viewed_runs import write_training

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser", "open_page"]


@pytest.fixture(scope="module")
def training_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the link of a viewer on a small training."""
    root = tmp_path_factory.mktemp("view")
    write_training(root / "run")
    with viewers.viewer_process(root / "run", cache=root / "cache") as url:
        yield url


@pytest.fixture
def page(open_page: OpenPage, training_url: str) -> Page:
    """Return a fresh page on the small training, with its board drawn."""
    return open_page(training_url)


@pytest.fixture
def training_dir(tmp_path: Path) -> Path:
    """Return the small training's directory, for tests without a browser."""
    return write_training(tmp_path / "run").path
