"""The gallery, a live run, and hostile texts in a real browser; keyboard, names and contrast of the page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pixlog
import viewers
from viewed_runs import HOSTILE, STEPS, flat, write_hostile, write_large
from waiting import scaled_s, wait_until
from written_runs import WrittenRun, encode

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

OpenPage = Callable[..., Any]
LARGE_ROWS = 20_000


@pytest.fixture(scope="module")
def large_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the link of a viewer on a run of many rows."""
    root = tmp_path_factory.mktemp("large")
    write_large(root / "run", LARGE_ROWS)
    with viewers.viewer_process(root / "run", cache=root / "cache") as url:
        yield url


def visible_places(page: Page) -> list[str]:
    """Return what the tiles on the screen say of their place, from left to right and top to bottom."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".tile[data-drawn]:not([hidden])")]
          .map((tile) => [tile.getBoundingClientRect(), tile.querySelector(".where")?.textContent])
          .sort(([a], [b]) => a.top - b.top || a.left - b.left).map(([, text]) => text)"""
    )
    return found


def test_gallery_holds_only_the_tiles_on_the_screen(open_page: OpenPage, large_url: str) -> None:
    """Two thousand rows of a key are as high as their tiles, of which some dozens exist; any place is reached."""
    page = open_page(f"{large_url}#view=gallery&galleryKey=train/key3")
    expect(page.locator("#gallery-count")).to_have_text("2,000 rows")
    scroller = page.locator(".scroller")
    for part in (0.25, 0.5, 1.0):
        scroller.evaluate("(element, part) => { element.scrollTop = element.scrollHeight * part; }", part)
        wait_until(lambda: page.locator(".tile.waiting:visible").count() == 0)
    wait_until(lambda: "1999" in visible_places(page))
    assert page.locator(".tile").count() < 150
    assert scroller.evaluate("(element) => element.scrollHeight") > 20_000


def test_gallery_sorts_and_filters_by_caption_and_meta(open_page: OpenPage, large_url: str) -> None:
    """Descending begins with the newest, a meta axis sorts by its value, the caption field keeps what contains it."""
    page = open_page(f"{large_url}#view=gallery&galleryKey=train/key3")
    page.locator("#direction").click()
    wait_until(lambda: visible_places(page)[:2] == ["1999", "1998"])
    page.locator("#direction").click()
    page.locator("#caption").fill("E 1000")
    expect(page.locator("#gallery-count")).to_have_text("1 row")
    page.locator("#caption").fill("")
    page.locator("#where").fill("meta.score >= 0.99")
    expect(page.locator("#gallery-count")).to_have_text("20 rows")
    page.locator("#where").fill("")
    page.select_option("#sort", "caption")
    wait_until(lambda: visible_places(page)[:3] == ["1000", "1001", "1002"])  # image 10003, image 10013, ...


def test_gallery_opens_the_row_and_goes_on_in_its_order(page: Page) -> None:
    """A key's name opens its gallery, sorted as asked for; a tile opens large, and the arrows follow that order."""
    page.locator('article.card[data-key="val/input"] .title').click()
    expect(page.locator("#gallery-count")).to_have_text(f"{2 * STEPS} rows")
    page.locator("#direction").click()
    wait_until(lambda: visible_places(page)[:2] == ["11 · r1", "11 · r0"])
    page.select_option("#sort", "rank")
    wait_until(lambda: visible_places(page)[:2] == ["11 · r1", "10 · r1"])
    page.select_option("#sort", "axis")
    wait_until(lambda: visible_places(page)[:2] == ["11 · r1", "11 · r0"])
    page.get_by_role("button", name="step 11, rank 1").click()
    expect(page.locator("#lightbox-where")).to_contain_text(f"1 / {2 * STEPS}")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lightbox-where")).to_contain_text(f"2 / {2 * STEPS}")
    page.keyboard.press("Escape")
    page.locator("body").press("g")
    expect(page.locator(".board")).to_be_visible()


def test_image_logged_now_is_shown_within_two_seconds(
    open_page: OpenPage, tmp_path: Path, runtime_dir: Path
) -> None:
    """Through the real daemon: on the page within 2 s, with the daemon's counters, and the place is kept."""
    client = pixlog.connect(tmp_path / "run")
    client.log_image("val/pred", np.full((20, 30, 3), 10, np.uint8), step=0)
    client.flush(timeout_s=scaled_s(20))
    environment = {"PIXLOG_RUNTIME_DIR": str(runtime_dir)}
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache", environment=environment) as url:
        page = open_page(url)
        expect(page.locator("#counters .state")).to_have_text("live")
        delays_s = []
        for step in range(1, 4):
            client.log_image("val/pred", np.full((20, 30, 3), 10 + step, np.uint8), step=step)
            logged = time.monotonic()
            expect(page.locator("article.card .cell")).to_have_attribute(
                "aria-label", f"val/pred, step {step}, rank 0", timeout=scaled_s(10) * 1000
            )
            delays_s.append(time.monotonic() - logged)
        assert min(delays_s) < scaled_s(2), delays_s  # the least: others may want the processors, too
        page.locator("body").press("Home")
        expect(page.locator("#position")).to_have_value("0")
        client.log_image("val/other", np.full((20, 30, 3), 200, np.uint8), step=9)
        expect(page.locator("article.card")).to_have_count(2)
        expect(page.locator("#position")).to_have_value("0")
        expect(page.locator("#stop-count")).to_have_text("1 / 5")
        WrittenRun(tmp_path / "run").row("val/bad", 9, state="failed", reason="no image", value=None)
        expect(page.locator("#counters .failed")).to_have_text("1 failed")
        client.close(timeout_s=scaled_s(20))


def test_live_rows_keep_the_place_in_a_descending_gallery(open_page: OpenPage, tmp_path: Path) -> None:
    """New rows that sort before what one looks at do not move it, however they come."""
    run = WrittenRun(tmp_path / "run")
    for step in range(200):
        run.image("k", step, flat(step))
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(f"{url}#view=gallery&galleryKey=k&descending")
        page.locator(".scroller").evaluate("(element) => { element.scrollTop = 1500; }")
        wait_until(
            lambda: page.locator(".tile.waiting:visible").count() == 0 and len(visible_places(page)) > 8
        )
        row, top = page.evaluate(_MIDDLE_TILE)
        for first, end in ((200, 203), (203, 207), (207, 260)):  # lines of tiles are full only at the end
            for step in range(first, end):
                run.image("k", step, flat(step % 250))
            expect(page.locator("#gallery-count")).to_have_text(f"{end} rows")
        tile = page.locator(f'.tile[data-row="{row}"]:visible')
        expect(tile).to_be_visible()
        assert abs(tile.evaluate("(element) => element.getBoundingClientRect().top") - top) <= 1


def test_filter_and_axis_stay_with_their_rows_while_training_logs(
    open_page: OpenPage, tmp_path: Path
) -> None:
    """Rows that are logged between two answers of the viewer get their own place on a meta axis and their own match."""
    run = WrittenRun(tmp_path / "run")
    steps = iter(range(100))

    def log(count: int) -> None:
        for _ in range(count):
            step = next(steps)
            run.image("k", step, flat(2 * step), meta={"tenfold": 10 * step, "odd": step % 2})

    log(3)
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(f"{url}#axis=meta:tenfold&where=meta.odd==1")
        expect(page.locator("#matching")).to_have_text("1 of 3 rows")
        logged_between: list[str] = []

        def log_before_it_is_answered(route: Route) -> None:
            if len(logged_between) < 12:
                logged_between.append(route.request.url)
                log(1)
            route.continue_()

        for name in ("matches", "meta"):
            page.route(re.compile(rf"/api/runs/0/{name}\?"), log_before_it_is_answered)
        log(2)
        cell = page.locator("article.card .cell")
        wait_until(lambda: page.wait_for_timeout(50) is None and len(logged_between) == 12, timeout_s=30)
        expect(page.locator("#matching")).to_have_text("8 of 17 rows")
        expect(cell).to_have_attribute("aria-label", "k, tenfold 150, rank 0")
        assert cell.get_attribute("data-row") == "15"
        expect(page.locator("#stop-count")).to_have_text("8 / 8")
        page.locator("#position").fill("90")
        page.locator("#position").press("Enter")
        expect(cell).to_have_attribute("data-row", "9")


_MIDDLE_TILE = """() => [...document.querySelectorAll(".tile[data-drawn]:not([hidden])")]
  .map((tile) => [tile.dataset.row, tile.getBoundingClientRect().top]).find(([, top]) => top > 300)"""


def test_empty_key_is_a_key_like_any_other(open_page: OpenPage, tmp_path: Path) -> None:
    """Rows under the empty key have a card, a gallery and an image that its address opens again."""
    run = WrittenRun(tmp_path / "run")
    entry = run.media("image", 0, encode(flat(70)), "png", role="image")
    for step in range(3):
        value = {"_type": "image-file", "path": entry["path"], "format": "png", "width": 40, "height": 30}
        run.row("", step, value=value, files=[entry])
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(url)
        page.locator("body").press("g")
        expect(page.locator("#gallery-count")).to_have_text("3 rows")
        expect(page.locator("#stop-count")).to_have_text("3 / 3")
        page.locator(".tile:visible").first.click()
        expect(page.locator("dialog.lightbox[data-shown]")).to_be_visible()
        again = open_page(page.url)
        expect(again.locator("dialog.lightbox[data-shown]")).to_be_visible()
        again.keyboard.press("Escape")
        expect(again.locator("#gallery-count")).to_have_text("3 rows")


def test_hostile_texts_are_shown_as_text(open_page: OpenPage, tmp_path: Path) -> None:
    """Markup in keys, captions, class names, groups, meta, reasons and notes is text everywhere it is shown."""
    write_hostile(tmp_path / "run")
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(url)
        expect(page.locator("article.card")).to_have_count(4)
        expect(page.locator(".cell.failed .note")).to_have_text(f"failed: {HOSTILE}")
        card = page.locator("article.card").filter(has=page.locator("h2", has_text="img src"))
        card.locator(".cell").first.click()
        expect(page.locator(".panel .caption")).to_have_text(HOSTILE)
        expect(page.locator(".overlay-panel .classes .name").first).to_have_text(HOSTILE)
        expect(page.locator(".details")).to_contain_text(HOSTILE)
        page.locator("canvas.stage").hover()
        expect(page.locator("#readout .class")).to_contain_text("onerror=")
        page.keyboard.press("c")
        page.keyboard.press("Escape")
        expect(page.locator(".tray li span").first).to_have_text(f"x/{HOSTILE}")
        page.locator("body").press("g")
        expect(page.locator(".tile:visible").first).to_be_visible()
        assert page.evaluate("() => window.pwned") is None
        assert page.locator("img, script:not([src]), iframe").count() == 0


_UNNAMED = """() => [...document.querySelectorAll("button, input, select, a[href], [role=slider], [tabindex='0']")]
  .filter((element) => element.checkVisibility())
  .filter((element) => !(element.getAttribute("aria-label") || element.textContent.trim() || element.labels?.length))
  .map((element) => element.outerHTML.slice(0, 200))"""

_CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
      if (a > 0.9) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest(":disabled, option")) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) low.push([ratio.toFixed(2), element.className, walker.currentNode.data.slice(0, 40)]);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_controls_have_names_and_texts_have_contrast(
    open_page: OpenPage, training_url: str, scheme: str
) -> None:
    """Every control has an accessible name and every text a contrast of 4.5, on the board and with an image open."""
    page = open_page(training_url, scheme=scheme)
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_CONTRAST) == []
    page.locator('article.card[data-key="val/truth"] .cell').first.click()
    expect(page.locator("canvas.histogram")).to_be_visible()
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_CONTRAST) == []
    page.keyboard.press("x")
    expect(page.locator("dialog.compare[data-shown]")).to_be_visible()
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_CONTRAST) == []


def test_everything_is_reached_by_tab_and_shows_its_focus(page: Page) -> None:
    """Tab goes from the head over the keys to images and slider, and what has the focus is marked."""
    reached = set()
    for _ in range(140):
        page.keyboard.press("Tab")
        kind, outline = page.evaluate(
            """() => {
              const element = document.activeElement;
              const style = getComputedStyle(element);
              const place = [".toolbar", ".sidebar", "article.card", ".timeline"].find((one) => element.closest(one));
              const isField = element.matches("input[type=range], input[type=search], input[type=text]");
              const isMarked = style.outlineStyle !== "none" || isField;
              return [place ?? "", isMarked];
            }"""
        )
        reached.add(kind)
        assert outline or kind == ""
        if len(reached - {""}) == 4:
            break
    assert reached >= {".toolbar", ".sidebar", "article.card", ".timeline"}


def test_narrow_page_does_not_scroll_sideways(open_page: OpenPage, training_url: str) -> None:
    """On a phone's width everything fits, and the key list opens over the page."""
    page = open_page(training_url, width=390, height=780)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.locator(".board-frame").evaluate("(element) => element.scrollWidth <= element.clientWidth")
    expect(page.locator(".sidebar")).not_to_be_visible()
    page.locator("#sidebar-button").click()
    expect(page.locator("#search")).to_be_visible()


def test_help_lists_the_keys(page: Page) -> None:
    """A question mark opens the list of keys, Escape closes it."""
    page.locator("body").press("?")
    expect(page.locator("dialog.help")).to_contain_text("play or pause")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_large_run_is_shown_at_once(open_page: OpenPage, large_url: str) -> None:
    """The board of twenty thousand rows is drawn after one table was fetched, with a stop for each step."""
    page = open_page(large_url)
    expect(page.locator("#stop-count")).to_have_text(re.compile("2,000 / 2,000"))
    page.locator("#position").fill("777")
    page.locator("#position").press("Enter")
    expect(page.locator('article.card[data-key="train/key5"] header .where')).to_have_text("777")


def test_gallery_has_a_tile_for_every_image_of_a_list(open_page: OpenPage, tmp_path: Path) -> None:
    """Rows of several images have a tile for each, in order; the arrows still go from row to row."""
    run = WrittenRun(tmp_path / "run")
    for step, length in enumerate((3, 1, 2)):
        run.images("batch", step, [flat(40 * step + 10 * image) for image in range(length)])
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(f"{url}#view=gallery&galleryKey=batch")
        expect(page.locator("#gallery-count")).to_have_text("3 rows, 6 images")
        places = ["0", "0", "0", "1", "2", "2"]
        wait_until(lambda: visible_places(page) == places)
        names = page.locator(".tile:visible").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
        assert sorted(names)[:3] == [f"batch, step 0, rank 0, image {at} of 3" for at in (1, 2, 3)]
        page.get_by_role("button", name="step 0, rank 0, image 3 of 3").click()
        expect(page.locator(".images .chip[aria-pressed=true]")).to_have_text("3")
        expect(page.locator("#lightbox-where")).to_contain_text("1 / 3")
        page.keyboard.press("End")
        expect(page.locator("#lightbox-where")).to_contain_text("step 2")
        page.keyboard.press("Escape")
        run.images("batch", 3, [flat(1), flat(2)])
        expect(page.locator("#gallery-count")).to_have_text("4 rows, 8 images")
        page.locator("#direction").click()
        wait_until(lambda: visible_places(page) == ["3", "3", *reversed(places)])
