"""Fixtures of the viewer's tests: runs, a viewer on them, a browser, and pages that must not complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import viewers
from viewed_runs import write_training

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a running Chromium; skip where there is none."""
    if reason := viewers.missing_browser():
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=viewers.CHROMIUM, args=list(viewers.BROWSER_ARGUMENTS)
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def training_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the link of a viewer on a small training."""
    root = tmp_path_factory.mktemp("view")
    write_training(root / "run")
    with viewers.viewer_process(root / "run", cache=root / "cache") as url:
        yield url


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Return a function that opens a link; afterwards no page may have said or met an error."""
    contexts = []
    complaints: list[str] = []

    def note(said: ConsoleMessage) -> None:
        # The browser's advice on reading canvases back is for us who do: the page never does.
        # Nor is it the page's fault that a test ends its viewer first.
        of_tests = "readback" in said.text or "ERR_CONNECTION_REFUSED" in said.text
        if said.type in ("error", "warning") and not of_tests:
            complaints.append(said.text)

    def open_link(url: str, *, width: int = 1280, height: int = 800, scheme: str = "dark") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="light" if scheme == "light" else "dark",
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.wait_for_selector(".cell[data-drawn], .empty:not([hidden])")
        return page

    yield open_link
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: OpenPage, training_url: str) -> Page:
    """Return a fresh page on the small training, with its board drawn."""
    return open_page(training_url)


@pytest.fixture
def training_dir(tmp_path: Path) -> Path:
    """Return the small training's directory, for tests without a browser."""
    return write_training(tmp_path / "run").path
