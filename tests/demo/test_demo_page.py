"""The demo's run in a real browser: in the viewer, and as a page exported to a folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pixlog
import viewers
from browsing import open_image
from demo_runs import Demo
from waiting import wait_until

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture(params=["viewer", "export"])
def demo_url(request: pytest.FixtureRequest, demo: Demo, tmp_path: Path) -> Iterator[str]:
    """Return the link of a page on the demo's run."""
    if request.param == "viewer":
        with viewers.viewer_process(demo.run_dir, cache=tmp_path / "cache") as url:
            yield url
    else:
        report = pixlog.export_run(demo.run_dir, "html", tmp_path / "page")
        assert report.ok
        yield (tmp_path / "page" / "index.html").as_uri()


def test_demo_is_looked_through_in_the_browser(open_page: Callable[..., Any], demo_url: str) -> None:
    """Every key has images; slider, masks, boxes, values, linked comparison and gallery work on real pictures."""
    page = open_page(demo_url, height=1200)
    expect(page.locator("article.card")).to_have_count(9)
    expect(page.locator(".cell.failed, .cell.dropped")).to_have_count(0)
    scene, loaded = (
        page.locator(f'article[data-key="{key}"] .cell[data-drawn]:not(.waiting) canvas').first
        for key in ("train/scene", "train/input")
    )
    newest = _drawn(scene, "")
    page.locator("body").press("Home")
    masked, boxed = _drawn(scene, newest), _drawn(loaded, "")
    page.locator("body").press("m")
    assert _drawn(scene, masked)
    page.locator("body").press("b")
    assert _drawn(loaded, boxed)
    page.locator("body").press("End")

    dialog = open_image(page, "val/found")
    expect(page.locator("canvas.histogram")).to_be_visible()
    page.locator("canvas.stage").hover()
    expect(page.locator("#readout .values")).not_to_have_text("…")
    expect(dialog.locator(".details")).to_contain_text("sha256")
    page.keyboard.press("x")
    compared = page.locator("dialog.compare figcaption strong")
    expect(compared.first).to_be_visible()
    assert {"val/found", "val/truth"} <= set(compared.all_inner_texts())
    for mode, shown in (("2", "Swipe"), ("3", "Flicker"), ("4", "Difference"), ("1", re.compile("^val/"))):
        page.keyboard.press(mode)
        expect(page.locator("dialog.compare canvas.stage").first).to_have_attribute("aria-label", shown)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.compare")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)

    page.locator('article[data-key="train/input"] .title').click()
    page.locator("#where").fill("rank == 1")
    wait_until(lambda: page.locator(".tile[data-drawn]:visible").count() > 2)
    _all_of_rank_one(page)


def _all_of_rank_one(page: Page) -> None:
    def names() -> list[str]:
        shown: list[str] = page.locator(".tile[data-drawn]:visible").evaluate_all(
            "(all) => all.map((one) => one.ariaLabel)"
        )
        return shown

    wait_until(lambda: bool(names()) and all("rank 1" in name for name in names()))


def _picture(canvas: Locator) -> str:
    data: str = canvas.evaluate("(canvas) => canvas.toDataURL()")
    return data


def _drawn(canvas: Locator, before: str) -> str:
    """Return what a canvas shows once that is something else than ``before`` and stays."""
    seen = ["", ""]

    def settled() -> bool:
        seen[:] = [seen[1], _picture(canvas)]
        return seen[0] == seen[1] != before

    wait_until(settled, poll_s=0.05)
    return seen[1]
