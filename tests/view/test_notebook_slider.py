"""A key's grid in a real browser, in the frame that a notebook shows: the slider moves the picture."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import pixlog
import viewers
from viewed_runs import write_hostile, write_training
from waiting import scaled_s

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page

OpenCell = Callable[..., "Page"]


@pytest.fixture
def open_cell(browser: Browser, tmp_path: Path) -> Iterator[OpenCell]:
    """Return a function that shows what a notebook would, in a page of its own; no page may complain."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(text: str) -> None:
        if "Blocked script execution in 'about:srcdoc'" not in text:
            complaints.append(text)

    def show(thing: object, *, scripts: bool = True, own_clock: bool = False) -> Page:
        context = browser.new_context(viewport={"width": 900, "height": 700})
        contexts.append(context)
        path = tmp_path / f"cell{len(contexts)}.html"
        cell = thing._repr_html_()  # type: ignore[attr-defined]
        cell = cell if scripts else cell.replace('sandbox="allow-scripts"', 'sandbox=""', 1)
        path.write_text(f"<!doctype html><meta charset='utf-8'><body>{cell}</body>", encoding="utf-8")
        page = context.new_page()
        page.set_default_timeout(scaled_s(15) * 1000)
        page.on("console", lambda said: note(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if "http" in asked.url[:5] else None)
        if own_clock:
            page.clock.install()
            page.clock.pause_at(time.time() + 1000)
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


def red_of(frame: FrameLocator, place: int) -> int:
    """Return the red level in the middle of a picture that is seen."""
    shot = frame.locator("section:visible img").nth(place).screenshot()
    with Image.open(io.BytesIO(shot)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 4, 0])


@pytest.fixture
def run(tmp_path: Path) -> pixlog.Run:
    """A small training of two ranks and twelve steps; red is 10 × step + rank."""
    return pixlog.Run(write_training(tmp_path / "run").path)


def test_slider_moves_the_pictures(run: pixlog.Run, open_cell: OpenCell) -> None:
    """It begins at the last step, all of which is in sight; keys show another step's pictures and say which it is."""
    frame = open_cell(run["val/input"]).frame_locator("iframe")
    slider, said = frame.get_by_role("slider"), frame.locator("output")
    expect(said).to_have_text("step 11 (12 of 12)")
    assert [red_of(frame, 0), red_of(frame, 1)] == [110, 111]
    assert frame.locator("html").evaluate("page => page.scrollHeight <= page.clientHeight + 4")
    slider.press("Home")
    expect(said).to_have_text("step 0 (1 of 12)")
    expect(frame.locator("section:visible")).to_have_count(1)
    assert [red_of(frame, 0), red_of(frame, 1)] == [0, 1]
    for _ in range(4):
        slider.press("ArrowRight")
    expect(frame.locator("section:visible")).to_have_attribute("data-step", "4")
    expect(frame.locator("section:visible figcaption").first).to_have_text("photo 4")
    assert [red_of(frame, 0), red_of(frame, 1)] == [40, 41]
    slider.fill("7")
    expect(said).to_have_text("step 7 (8 of 12)")
    assert red_of(frame, 1) == 71


def test_play_moves_on_and_stops(run: pixlog.Run, open_cell: OpenCell) -> None:
    """The button plays from the last step around to the first and on; pressed again it stays where it is."""
    page = open_cell(run["val/input"], own_clock=True)
    frame = page.frame_locator("iframe")
    said = frame.locator("output")
    frame.get_by_role("button", name="play").click()
    page.clock.run_for(3 * 250)
    expect(said).to_have_text("step 2 (3 of 12)")
    frame.get_by_role("button", name="pause").click()
    page.clock.run_for(10 * 250)
    expect(frame.get_by_role("button", name="play")).to_be_visible()
    expect(said).to_have_text("step 2 (3 of 12)")
    assert red_of(frame, 1) == 21


def test_without_scripts_every_step_is_there(run: pixlog.Run, open_cell: OpenCell) -> None:
    """Where a notebook runs no script, all steps stand below each other, named, and no dead slider is shown."""
    frame = open_cell(run["val/input"], scripts=False).frame_locator("iframe")
    expect(frame.locator("section:visible")).to_have_count(12)
    expect(frame.locator("h2:visible").nth(3)).to_have_text("step 3")
    expect(frame.locator(".bar")).to_be_hidden()


def test_hostile_text_runs_nothing(tmp_path: Path, open_cell: OpenCell) -> None:
    """Captions, keys and class names that are markup appear as they were written, inside the frame and outside."""
    run = pixlog.Run(write_hostile(tmp_path / "hostile").path)
    for key in [key for key in run if key != "x/failed"]:
        page = open_cell(run[key])
        frame = page.frame_locator("iframe")
        expect(frame.locator("header b")).to_contain_text(key[:20])
        expect(frame.locator("section:visible figcaption")).to_contain_text("<script>window.pwned=1</script>")
        assert [frame.evaluate("typeof window.pwned") for frame in page.frames] == ["undefined"] * 2
        assert frame.locator("img").count() == 1
    for thing in (run, run.rows(), run.images(), run.images()[0], run.rows()[0]):
        page = open_cell(thing)
        expect(page.get_by_text("onerror=").first).to_be_visible()
        assert page.evaluate("typeof window.pwned") == "undefined"


def test_run_table_shows_in_a_page(run: pixlog.Run, open_cell: OpenCell) -> None:
    """The table of a run has a line per key, with a picture that the browser decodes."""
    page = open_cell(run)
    expect(page.locator("tbody tr")).to_have_count(len(run.keys()))
    widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) == 5
    assert all(widths)
