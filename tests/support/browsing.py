"""Fixtures for tests that drive a real browser: the browser, and pages that must not complain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import viewers
from waiting import scaled_s, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a running Chromium; skip where there is none."""
    if reason := viewers.missing_browser():
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=scaled_s(10) * 1000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=viewers.CHROMIUM,
            args=list(viewers.BROWSER_ARGUMENTS),
            timeout=scaled_s(60) * 1000,
        )
        yield running
        running.close()


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
        page.set_default_timeout(scaled_s(15) * 1000)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if url.startswith("file:"):
            page.on("request", lambda asked: complaints.extend(_of_network([asked.url])))
        page.goto(url)
        page.wait_for_selector(".cell[data-drawn], .empty:not([hidden])")
        return page

    yield open_link
    for context in contexts:
        context.close()
    assert complaints == []


def _of_network(urls: list[str]) -> list[str]:
    return [f"a page on the disk asked for {url}" for url in urls if not url.startswith(("file:", "blob:"))]


# The colour of the image's pixel (x, y) on the stage, asked of the canvas at the middle of that pixel; the stage
# centres an image of `width` × `height` pixels and shows each as a square of `scale` device pixels.
_AT = """(canvas, [x, y, scale, width, height]) => {
  const left = Math.round(canvas.width / 2 - (width * scale) / 2);
  const top = Math.round(canvas.height / 2 - (height * scale) / 2);
  const [px, py] = [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
  return [...canvas.getContext("2d").getImageData(Math.floor(px), Math.floor(py), 1, 1).data].slice(0, 3);
}"""


def open_image(page: Page, key: str, cell: int = 0) -> Locator:
    """Click a cell of the board and return the dialog once it shows the image."""
    page.locator(f'article.card[data-key="{key}"] .cell').nth(cell).click()
    dialog = page.locator("dialog.lightbox[data-shown]")
    dialog.wait_for()
    return dialog


def scale_of(page: Page) -> float:
    """Return how many device pixels an image pixel is wide."""
    return float(page.locator("#zoom").inner_text().removesuffix("%").strip()) / 100


def color_at(page: Page, x: float, y: float, *, scale: float, canvas: str = "canvas.stage") -> list[int]:
    """Return the RGB that the stage shows for a pixel of an image of 40 × 30, while that is centred."""
    found: list[int] = page.locator(canvas).first.evaluate(_AT, [x, y, scale, 40, 30])
    return found


COMPARED = "dialog.compare canvas.stage"
"""The stages of a comparison."""


def stage_scale(page: Page) -> float:
    """Return the scale at which a comparison fits an image of 40 × 30 into its one stage."""
    found: float = page.locator(COMPARED).first.evaluate(
        "(c) => Math.floor(Math.min((c.width - 16) / 40, (c.height - 16) / 30))"
    )
    return found


def expect_color(page: Page, x: int, y: int, expected: list[int], *, scale: float) -> None:
    """Wait until the stage shows a colour, exactly."""
    seen: list[list[int]] = []

    def shown() -> bool:
        seen[:] = [color_at(page, x, y, scale=scale)]
        return seen == [expected]

    try:
        wait_until(shown, timeout_s=8, poll_s=0.03)
    except AssertionError:
        assert seen == [expected]


def go_to(page: Page, position: Any) -> None:
    """Move the page's slider to a value on its axis."""
    page.locator("#position").fill(str(position))
    page.locator("#position").press("Enter")
