"""The board in a real browser: the one slider, keys, filters, runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import viewers
from viewed_runs import STEPS, flat, write_list_with_polygons
from waiting import wait_until
from written_runs import WrittenRun

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

_PIXEL = """(canvas, [x, y]) => {
  const context = canvas.getContext("2d");
  return [...context.getImageData(Math.floor(canvas.width * x), Math.floor(canvas.height * y), 1, 1).data];
}"""

_REDS = """(card) => [...card.querySelectorAll(".cell:not([hidden]) canvas:not([hidden])")].map((canvas) =>
  canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data[0])"""


# What the button for playing says, noted in the page itself: it may be over before anybody else can look.
_NOTE_THE_BUTTON = """() => {
  const label = () => document.querySelector("#play").getAttribute("aria-label");
  let last = label();
  window.said = [];
  new MutationObserver(() => { if (label() !== last) window.said.push((last = label())); })
    .observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def pixel(cell: Locator, x: float, y: float) -> list[int]:
    """Return the RGBA of a cell's canvas at a place given in fractions."""
    found: list[int] = cell.locator("canvas").evaluate(_PIXEL, [x, y])
    return found


def card(page: Page, key: str) -> Locator:
    """Return the card of a key."""
    return page.locator(f'article.card[data-key="{key}"]')


def settle(page: Page) -> None:
    """Wait until every cell that is seen has drawn what it should show."""
    page.wait_for_function("() => !document.querySelector('.cell.waiting:not([hidden])')")


def expect_reds(page: Page, key: str, expected: list[int]) -> None:
    """Wait until the cells of a card have these red levels in their middle: 10 × step + rank."""
    levels: list[int] = []

    def shown() -> bool:
        levels[:] = card(page, key).evaluate(_REDS)
        return levels == expected

    try:
        wait_until(shown, timeout_s=8, poll_s=0.05)
    except AssertionError:
        assert levels == expected


def test_slider_moves_every_key_to_the_nearest_earlier_image(page: Page) -> None:
    """One position for all: a key without an image there shows the one before, and says from where."""
    page.locator("#position").fill("7")
    page.locator("#position").press("Enter")
    expect(card(page, "val/input").locator(".where").first).to_have_text("7")
    expect_reds(page, "val/input", [70, 71])
    expect_reds(page, "val/rare", [60])
    expect(card(page, "val/rare").locator("header .where")).to_have_text("6")
    expect(card(page, "val/rare").locator("header .where")).to_have_class("where tabular earlier")


def test_slider_has_a_stop_for_every_step(page: Page) -> None:
    """No step is sampled away: as many stops as distinct steps, and arrow keys reach each."""
    expect(page.locator("#stop-count")).to_have_text(f"{STEPS} / {STEPS}")
    page.locator("body").press("Home")
    seen = []
    for _ in range(STEPS):
        seen.append(page.locator("#position").input_value())
        page.locator("body").press("ArrowRight")
    assert seen == [str(step) for step in range(STEPS)]


def test_slider_follows_a_drag(page: Page) -> None:
    """Dragging the thumb to the middle of the track shows the middle step."""
    box = page.locator("#slider").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 7, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y, steps=5)
    page.mouse.up()
    assert page.locator("#position").input_value() in ("5", "6")
    step = int(page.locator("#position").input_value())
    expect(card(page, "val/input").locator("header .where")).to_have_text(str(step))
    expect_reds(page, "val/input", [10 * step, 10 * step + 1])


def test_slider_moves_along_meta_and_time(page: Page) -> None:
    """Any numeric meta is an axis: epoch 1 shows the images of its four steps; time has a stop for each row."""
    page.select_option("#axis", "meta:epoch")
    expect(page.locator("#stop-count")).to_have_text("3 / 3")
    page.locator("#position").fill("1")
    page.locator("#position").press("Enter")
    expect(card(page, "val/input").locator("header .where")).to_have_text("1")
    expect_reds(page, "val/input", [40, 50, 60, 70, 41, 51, 61, 71])
    page.select_option("#axis", "time")
    expect(page.locator("#stop-count")).not_to_have_text("3 / 3")


def test_play_goes_through_the_stops_and_ends(page: Page) -> None:
    """Space plays from the first stop to the last and stops there."""
    page.select_option("#speed", label="17/s")
    page.locator("#speed").blur()
    page.evaluate(_NOTE_THE_BUTTON)
    page.locator("body").press("Space")
    wait_until(lambda: page.evaluate("() => window.said") == ["Pause (Space)", "Play (Space)"])
    assert page.locator("#position").input_value() == str(STEPS - 1)


def test_detached_key_stays_while_the_others_move(page: Page) -> None:
    """A detached key keeps its position, has a slider of its own, and joins the others again."""
    page.locator("#position").fill("3")
    page.locator("#position").press("Enter")
    detach = card(page, "val/pred").locator(".detach")
    detach.click()
    page.locator("#position").fill("9")
    page.locator("#position").press("Enter")
    expect(card(page, "val/input").locator("header .where")).to_have_text("9")
    expect_reds(page, "val/pred", [30, 31])
    own = card(page, "val/pred").locator(".own-slider")
    own.focus()
    own.press("ArrowRight")
    expect(card(page, "val/pred").locator("header .where")).to_have_text("4")
    assert page.locator("#position").input_value() == "9"
    detach.click()
    expect(card(page, "val/pred").locator("header .where")).to_have_text("9")


def test_tree_searches_hides_and_pins(page: Page) -> None:
    """Search narrows tree and board, the eye hides a key, a pin puts it first and lasts over a reload."""
    page.locator("body").press("/")
    page.keyboard.type("val r")
    expect(page.locator("article.card")).to_have_count(3)  # val/rare, and the r of pred and truth
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Hide val/input").dispatch_event("click")
    expect(card(page, "val/input")).to_have_count(0)
    page.get_by_role("button", name="Pin val/truth").first.dispatch_event("click")
    expect(page.locator("article.card").first).to_have_attribute("data-key", "val/truth")
    page.reload()
    expect(page.locator("article.card").first).to_have_attribute("data-key", "val/truth")
    expect(card(page, "val/input")).to_have_count(0)


def test_tree_folds_folders_with_the_keyboard(page: Page) -> None:
    """A folder is a button that says whether it is open; Enter folds it."""
    folder = page.locator("button.folder", has_text="val")
    folder.focus()
    folder.press("Enter")
    expect(page.locator("button.folder", has_text="val")).to_have_attribute("aria-expanded", "false")
    expect(page.locator('button.leaf[data-key="val/input"]')).to_have_count(0)
    expect(page.locator("button.folder", has_text="val")).to_be_focused()


def test_filter_by_meta_shows_only_what_passes(page: Page) -> None:
    """An expression over meta counts and shows the rows that pass; a mistake is told with its place."""
    page.locator("body").press("f")
    page.keyboard.type("meta.score < 0.3 and rank == 1")
    page.keyboard.press("Enter")
    expect(page.locator("#matching")).to_have_text("12 of 79 rows")
    expect(card(page, "val/input").locator("header .where")).to_have_text("3")
    expect_reds(page, "val/input", [31])
    page.locator("#where").fill("")
    expect_reds(page, "train/batch", [0, 10, 20, 30, 40])
    cells = card(page, "train/batch").locator(".cell")
    tops = cells.evaluate_all("(all) => all.map((cell) => cell.getBoundingClientRect().top)")
    assert len(set(tops)) == 1  # beside each other again, after the filter left none of them
    page.locator("#where").fill("score <")
    expect(page.locator("#where-error")).to_contain_text("did you mean meta.score")
    expect(page.locator("#where")).to_have_attribute("aria-invalid", "true")


def test_rank_chips_take_ranks_off(page: Page) -> None:
    """A rank that is switched off is not shown and not a stop."""
    page.get_by_role("button", name="Rank 1", exact=True).click()
    expect(page.get_by_role("button", name="Rank 1", exact=True)).to_have_attribute("aria-pressed", "false")
    expect_reds(page, "val/input", [10 * (STEPS - 1)])


def test_failed_and_dropped_rows_are_shown_as_such(page: Page) -> None:
    """What was not saved has a card with its reason, a mark in the tree and a count in the head."""
    expect(page.locator("#counters .failed")).to_have_text("1 failed")
    expect(page.locator("#counters .dropped")).to_have_text("1 dropped")
    cell = card(page, "train/bad").locator(".cell").first
    expect(cell).to_have_class("cell dropped")
    expect(cell).to_contain_text("the buffer was full")
    page.locator("#position").fill("2")
    page.locator("#position").press("Enter")
    expect(card(page, "train/bad").locator(".cell").first).to_contain_text("at most 4 channels, got 7")
    expect(page.locator('button.leaf[data-key="train/bad"] .badge.failed')).to_have_text("1")


def test_cell_draws_masks_and_boxes_over_the_thumbnail(page: Page) -> None:
    """The mask's left half is tinted with its class's colour, and m takes it off again."""
    settle(page)
    cell = card(page, "val/truth").locator(".cell").first
    wait_until(lambda: pixel(cell, 0.1, 0.5) != [110, 100, 0, 255])
    page.locator("body").press("m")
    page.wait_for_function(
        f"""() => {{
          const cell = document.querySelector('article[data-key="val/truth"] .cell canvas');
          return ({_PIXEL})(cell, [0.1, 0.5]).join() === "110,100,0,255";
        }}"""
    )


def test_list_row_shows_each_image_with_its_caption(page: Page) -> None:
    """Several images of one row are several cells."""
    cells = card(page, "train/batch").locator(".cell:visible")
    expect(cells).to_have_count(5)
    expect(cells.nth(3).locator(".said")).to_have_text("d")
    expect_reds(page, "train/batch", [0, 10, 20, 30, 40])


def test_pixel_overlays_of_each_image_of_a_list_lie_where_they_were_logged(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    """A polygon in pixels covers the middle of every image of a list, though thumbnails have fewer pixels."""
    run = WrittenRun(tmp_path / "run")
    write_list_with_polygons(run, "list", [(900, 600), (1200, 800), (600, 400)])
    with viewers.viewer_process(run.path, cache=tmp_path / "cache") as url:
        page = open_page(url)
        cells = card(page, "list").locator(".cell:visible")
        expect(cells).to_have_count(3)
        settle(page)
        plain = [100, 0, 0, 255]
        wait_until(lambda: all(pixel(cells.nth(place), 0.5, 0.5) != plain for place in range(3)))
        for place in range(3):
            assert [pixel(cells.nth(place), x, 0.5) for x in (0.15, 0.85)] == [plain, plain]


def test_address_brings_back_the_same_place(page: Page, open_page: Callable[..., Any]) -> None:
    """The link of a place opens that place in another window."""
    page.locator("#position").fill("5")
    page.locator("#position").press("Enter")
    page.get_by_role("button", name="Rank 0", exact=True).click()
    expect(card(page, "val/input").locator("header .where")).to_have_text("5")
    other = open_page(page.url)
    expect(other.locator("#position")).to_have_value("5")
    expect_reds(other, "val/input", [51])


@pytest.mark.parametrize(
    ("key", "cell", "pressed", "where", "place"),
    [
        ("val/pred", 1, "ArrowLeft", "step 10  ·  rank 1  ·  11 / 12", []),
        ("train/batch", 3, "ArrowUp", "step 4", ["3"]),
    ],
)
def test_address_opens_the_image_that_was_open(
    page: Page, open_page: Callable[..., Any], key: str, cell: int, pressed: str, where: str, place: list[str]
) -> None:
    """The link of an image, of a rank or within a list too, shows it large; once closed, it is the place again."""
    card(page, key).locator(".cell").nth(cell).click()
    page.locator("dialog.lightbox[data-shown]").wait_for()
    page.keyboard.press(pressed)
    expect(page.locator('.images [aria-pressed="true"]')).to_have_text(place)
    expect(page.locator("#lightbox-where")).to_contain_text(where)
    other = open_page(page.evaluate("location.href"))
    other.locator("dialog.lightbox[data-shown]").wait_for()
    expect(other.locator("dialog.lightbox h2")).to_have_text(key)
    expect(other.locator("#lightbox-where")).to_contain_text(where)
    expect(other.locator('.images [aria-pressed="true"]')).to_have_text(place)
    page.keyboard.press("Escape")
    expect(page.locator("dialog.lightbox")).to_have_count(0)
    assert "image=" not in page.evaluate("location.href")


def test_sizes_and_theme_are_kept(page: Page) -> None:
    """Plus makes images larger, t turns the theme; both last over a reload."""
    settle(page)
    before = card(page, "val/input").locator(".cell").first.bounding_box()
    page.locator("body").press("+")
    page.locator("body").press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(card(page, "val/input").locator(".cell").first).to_be_visible()
    after = card(page, "val/input").locator(".cell").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > before["width"]


def test_two_runs_show_beside_each_other_and_one_goes_off(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    """Runs have names and colours, are compared with one another, and take their images along when switched off."""
    for name, red in (("one", 40), ("two", 90)):
        WrittenRun(tmp_path / name / "run").image("val/pred", 1, flat(red))
    with viewers.viewer_process(
        tmp_path / "one" / "run", tmp_path / "two" / "run", cache=tmp_path / "cache"
    ) as url:
        page = open_page(url)
        expect_reds(page, "val/pred", [40, 90])
        for cell in card(page, "val/pred").locator(".cell").all():
            cell.click(modifiers=["Shift"])
        page.locator("body").press("v")
        places = page.locator("dialog.compare figcaption .dim")
        expect(places).to_have_text(["one/run · step 1", "two/run · step 1"])
        page.keyboard.press("4")
        expect(page.locator("#difference-facts")).to_contain_text("max 50")
        page.keyboard.press("Escape")
        chips = page.locator(".chip.run")
        assert chips.all_inner_texts() == ["one/run", "two/run"]
        chips.first.click()
        expect(chips.first).to_have_attribute("aria-pressed", "false")
        expect_reds(page, "val/pred", [90])


def test_tab_that_is_looked_at_again_asks_once(open_page: Callable[..., Any], training_url: str) -> None:
    """While an answer is waited for, a tab that becomes visible begins no second round of questions."""
    page = open_page(training_url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with page.expect_request("**/api/changes"):
        page.route("**/api/changes", hold)
    page.evaluate(
        """async () => {
            for (let time = 0; time < 3; time++) document.dispatchEvent(new Event("visibilitychange"));
            await fetch("api/state");
        }"""
    )
    assert len(held) == 1
    with page.expect_request("**/api/changes"):  # the next, once that one is answered
        page.unroute("**/api/changes")
