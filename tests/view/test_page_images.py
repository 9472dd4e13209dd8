"""One image, overlays and comparing in a real browser, down to the pixels of the canvas."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import viewers
from browsing import COMPARED, color_at, expect_color, open_image, scale_of, stage_scale
from viewed_runs import flat
from waiting import wait_until
from written_runs import WrittenRun

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def test_lightbox_shows_pixels_as_logged_at_one_to_one(page: Page) -> None:
    """At 1:1 an image pixel is a screen pixel, at 0 it fits; both show the logged colours exactly."""
    open_image(page, "val/pred")
    page.keyboard.press("1")
    expect(page.locator("#zoom")).to_have_text("100 %")
    expect_color(page, 3, 3, [110, 50, 8], scale=1)
    expect_color(page, 19, 15, [110, 50, 8], scale=1)
    expect_color(page, 20, 15, [110, 50, 0], scale=1)
    page.keyboard.press("0")
    scale = scale_of(page)
    assert scale >= 8
    assert scale == int(scale)
    expect_color(page, 19, 15, [110, 50, 8], scale=scale)
    expect_color(page, 20, 15, [110, 50, 0], scale=scale)


def test_zoom_by_wheel_keeps_the_point_under_the_pointer(page: Page) -> None:
    """The wheel zooms around the pointer, plus around the middle, and nothing is blurred."""
    open_image(page, "val/pred")
    box = page.locator("canvas.stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 40
    page.mouse.move(x, y)
    expect(page.locator("#readout .place")).to_be_visible()
    place = page.locator("#readout .place").inner_text()
    before = scale_of(page)
    page.mouse.wheel(0, -300)
    wait_until(lambda: scale_of(page) > before)
    page.mouse.move(x + 0.5, y)
    expect(page.locator("#readout .place")).to_have_text(place)


def test_drag_pans_the_image(page: Page) -> None:
    """What lay under the pointer follows it."""
    open_image(page, "val/pred")
    box = page.locator("canvas.stage").bounding_box()
    assert box is not None
    half = scale_of(page) / 2  # to the middle of a pixel, away from its border
    x, y = box["x"] + box["width"] / 2 + half, box["y"] + box["height"] / 2 + half
    page.mouse.move(x, y)
    expect(page.locator("#readout .place")).to_be_visible()
    place = page.locator("#readout .place").inner_text()
    page.mouse.down()
    page.mouse.move(x + 80, y + 30, steps=4)
    page.mouse.up()
    page.mouse.move(x + 80.5, y + 30)
    expect(page.locator("#readout .place")).to_have_text(place)


def test_readout_tells_stored_values_and_classes(page: Page) -> None:
    """Under the cursor: the pixel's place, its stored values, and what the mask says."""
    open_image(page, "val/truth")
    box = page.locator("canvas.stage").bounding_box()
    assert box is not None
    scale = scale_of(page)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(middle[0] - 10.5 * scale, middle[1] + 0.5 * scale)
    expect(page.locator("#readout .place")).to_have_text("9, 15")
    expect(page.locator("#readout .values")).to_have_text("110 100 0")
    expect(page.locator("#readout .class")).to_have_text("truth: sky (1)")
    page.mouse.move(middle[0] + 10.5 * scale, middle[1] + 5.5 * scale)
    expect(page.locator("#readout .class")).to_have_text("truth: tree (2)")


def test_histogram_and_row_details_are_shown(page: Page) -> None:
    """The panel has the histogram's range, the input rule, meta, the file with its sha256, and the caption."""
    open_image(page, "val/input")
    expect(page.locator("canvas.histogram")).to_be_visible()
    expect(page.locator(".panel .facts")).to_contain_text("min 0 max 110")
    details = page.locator(".details")
    expect(page.locator(".panel .caption")).to_have_text("photo 11")
    for said in ("score", "cat 11", "sha256", "media/images/val/input_11_", "0000000000000000 #"):
        expect(details).to_contain_text(said)
    page.keyboard.press("Escape")
    open_image(page, "val/truth")
    expect(details).to_contain_text("unit_round")
    expect(details).to_contain_text("30 × 40 × 3")


def test_arrow_keys_go_through_rows_and_images(page: Page) -> None:
    """Left and right change the row, up and down the image of a list; the picture follows."""
    open_image(page, "val/input")
    scale = scale_of(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#lightbox-where")).to_contain_text("step 10")
    expect_color(page, 5, 5, [100, 50, 0], scale=scale)
    page.keyboard.press("Home")
    expect(page.locator("#lightbox-where")).to_contain_text("step 0")
    expect_color(page, 5, 5, [0, 50, 0], scale=scale)
    page.keyboard.press("Escape")
    open_image(page, "train/batch")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect_color(page, 5, 5, [20, 20, 0], scale=scale)
    expect(page.locator(".images .chip[aria-pressed=true]")).to_have_text("3")


def test_overlays_obey_class_switch_color_and_opacity(page: Page) -> None:
    """A class of a mask is tinted at the opacity asked for, in the colour logged with it, until switched off."""
    dialog = open_image(page, "val/truth")
    scale = scale_of(page)
    # Class 2 was logged with #00ff00; half of it over (110, 100, 0).
    expect_color(page, 25, 29, [55, 178, 0], scale=scale)
    opacity = dialog.locator('input[data-name="opacity"]')
    opacity.focus()
    opacity.press("End")
    expect_color(page, 25, 29, [0, 255, 0], scale=scale)
    dialog.get_by_label("tree", exact=True).first.uncheck()
    expect_color(page, 25, 29, [110, 100, 0], scale=scale)
    dialog.get_by_label("tree", exact=True).first.check()
    dialog.locator("li", has_text="tree").locator("input[type=color]").evaluate(
        "(input) => { input.value = '#0000ff'; input.dispatchEvent(new Event('input')); }"
    )
    expect_color(page, 25, 29, [0, 0, 255], scale=scale)
    page.locator("canvas.stage").focus()
    page.keyboard.press("m")
    expect_color(page, 25, 29, [110, 100, 0], scale=scale)


def test_opacity_follows_a_drag(page: Page) -> None:
    """The slider stays under the mouse while it is dragged, and the mask follows it all the way."""
    dialog = open_image(page, "val/truth")
    scale = scale_of(page)
    box = dialog.locator('input[data-name="opacity"]').bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for part in (0.6, 0.7, 0.8, 0.9, 1.0):
        page.mouse.move(box["x"] + box["width"] * part, y, steps=2)
        page.wait_for_timeout(20)  # a frame, in which the panel may be drawn anew
    page.mouse.up()
    expect_color(page, 25, 29, [0, 255, 0], scale=scale)
    page.keyboard.press("m")
    expect_color(page, 25, 29, [110, 100, 0], scale=scale)
    expect(dialog.get_by_role("button", name="Masks", exact=True)).to_have_attribute("aria-pressed", "false")


def test_score_threshold_and_class_filter_take_boxes_away(page: Page) -> None:
    """Boxes below the least score of a name are not drawn, nor those of a class that is off."""
    dialog = open_image(page, "val/truth")
    page.keyboard.press("m")
    for name in ("Labels", "Polygons", "Keypoints"):
        dialog.get_by_role("button", name=name, exact=True).click()
    page.locator("#one-to-one").click()

    def edge(x: int, y: int) -> list[int]:
        return color_at(page, x, y, scale=1)

    plain = [110, 100, 0]
    weak, strong = (30, 17), (30, 4)  # on the upper edges of the boxes of 0.2 and 0.9
    wait_until(lambda: edge(*weak) != plain and edge(*strong) != plain)
    threshold = dialog.locator("input[data-score=confidence]")
    threshold.focus()
    for _ in range(30):
        threshold.press("ArrowRight")
    wait_until(lambda: edge(*weak) == plain and edge(*strong) != plain)
    dialog.get_by_label("dog", exact=True).uncheck()
    wait_until(lambda: edge(*strong) == plain)


def test_boxes_carry_their_labels(page: Page) -> None:
    """A label in the class's colour stands on its box, and goes with the switch for labels."""
    dialog = open_image(page, "val/truth")
    for name in ("Masks", "Polygons", "Keypoints"):
        dialog.get_by_role("button", name=name, exact=True).click()
    scale = scale_of(page)
    plain = [110, 100, 0]
    # Two screen pixels right of and above the box's left upper corner (26, 4.5), in the margin around the text.
    beside = (26 + 2 / scale - 0.5, 4.5 - 4 / scale - 0.5)
    swatch = dialog.locator("li", has_text="dog").locator("input[type=color]").input_value()
    color = [int(swatch[at : at + 2], 16) for at in (1, 3, 5)]
    wait_until(lambda: color_at(page, *beside, scale=scale) == color)
    dialog.get_by_role("button", name="Labels", exact=True).click()
    wait_until(lambda: color_at(page, *beside, scale=scale) == plain)


def test_polygons_and_keypoints_are_drawn(page: Page) -> None:
    """A polygon is filled, a keypoint is a dot, an absent one is not drawn."""
    dialog = open_image(page, "val/truth")
    page.keyboard.press("m")
    page.keyboard.press("b")
    dialog.get_by_role("button", name="Labels", exact=True).click()
    scale = scale_of(page)
    plain = [110, 100, 0]
    wait_until(lambda: color_at(page, 33, 18, scale=scale) != plain)  # inside the triangle
    wait_until(lambda: color_at(page, 21.5, 2.5, scale=scale) != plain)
    assert color_at(page, 37.6, 11.6, scale=scale) == plain
    dialog.get_by_role("button", name="Polygons", exact=True).click()
    wait_until(lambda: color_at(page, 33, 18, scale=scale) == plain)


def expect_line(page: Page, at: tuple[float, float], *, scale: float) -> None:
    """Wait until something else than the image's red of 10 is drawn at a place of it."""
    wait_until(lambda: color_at(page, *at, scale=scale) != [10, 0, 0], what=f"a line at {at}")


def test_box_is_turned_clockwise_about_its_middle(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """A wide box at 90 degrees stands upright; at 30 degrees its corners lie where the rotation puts them."""
    run = WrittenRun(tmp_path / "run")
    wide = {"middle": [20.5, 15.5], "width": 16, "height": 6}
    for step, degrees in enumerate((0, 90, 30)):
        box = {"position": {**wide, "rotation_deg": degrees}, "domain": "pixel", "class_id": 1}
        run.image("k", step, flat(10), boxes={"found": {"box_data": [box]}})
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(url)
        dialog = open_image(page, "k")
        dialog.get_by_role("button", name="Labels", exact=True).click()
        turned = math.radians(30)
        ends = {}
        for step, angle in ((2, turned), (1, math.pi / 2), (0, 0.0)):
            expect(page.locator("#lightbox-where")).to_contain_text(f"step {step}")
            scale = scale_of(page)
            # The middle of the right edge, which has moved down for a positive angle, and its mirror image above.
            # Both lie in the middle of an image pixel's height, away from the grid between the pixels.
            right = (20 + 8 * math.cos(angle), 15 + 8 * math.sin(angle))
            mirrored = (right[0], 30 - right[1])
            expect_line(page, right, scale=scale)
            ends[step] = color_at(page, *mirrored, scale=scale) != [10, 0, 0]
            page.keyboard.press("ArrowLeft")
        assert ends == {0: True, 1: True, 2: False}  # a box turned by 30 degrees is no mirror image of itself


def test_reference_is_shown_as_what_it_is(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """An image that was logged as a URL is named in its cell, large and in a comparison, and never fetched."""
    url_text = "https://example.invalid/photos/1.png?<b>"
    run = WrittenRun(tmp_path / "run")
    run.row("photo", 0, value={"_type": "image-file", "path": url_text}, call="a-1")
    run.image("pred", 0, flat(10), call="a-1")
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(url)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        expect(page.locator(".cell.reference")).to_contain_text(f"stored elsewhere: {url_text}")
        page.locator(".cell.reference").click()
        expect(page.locator("dialog.lightbox .problem")).to_have_text(f"Stored elsewhere: {url_text}")
        expect(page.locator(".details")).to_contain_text(url_text)
        page.keyboard.press("x")
        expect(page.locator("dialog.compare .problem")).to_have_text(f"Stored elsewhere: {url_text}")
        expect(page.locator("dialog.compare canvas.stage")).to_have_count(1)
        assert not any("example" in link for link in asked)


def test_download_gives_the_stored_file(page: Page) -> None:
    """The download has the stored bytes and the file's own name."""
    open_image(page, "val/input")
    sha256 = page.locator(".details dd", has_text="").locator("button.copy").nth(1).inner_text().strip()
    with page.expect_download() as caught:
        page.keyboard.press("d")
    download = caught.value
    assert download.suggested_filename.startswith("input_11_")
    assert hashlib.sha256(Path(download.path()).read_bytes()).hexdigest() == sha256


def test_copy_path_puts_the_absolute_path_on_the_clipboard(page: Page, training_url: str) -> None:
    """The path that is copied is that of the file on the disk."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=training_url.rstrip("/"))
    open_image(page, "val/input")
    page.locator("#copy-path").click()
    expect(page.locator("#copy-path")).to_have_class("icon-button copied")
    path = Path(page.evaluate("() => navigator.clipboard.readText()"))
    assert path.is_file()
    assert path.name.startswith("input_11_")


def test_linked_images_of_a_call_are_compared_side_by_side(page: Page) -> None:
    """x opens input, truth and prediction of the same call with one zoom and pan for all."""
    open_image(page, "val/pred", 1)
    page.keyboard.press("x")
    captions = page.locator("dialog.compare figcaption strong")
    expect(captions).to_have_text(["val/input", "val/truth", "val/pred"])
    stages = page.locator("dialog.compare canvas.stage")
    before = [stages.nth(at).evaluate("(c) => c.toDataURL()") for at in range(3)]
    stages.first.hover()
    page.mouse.wheel(0, -400)
    wait_until(lambda: all(stages.nth(at).evaluate("(c) => c.toDataURL()") != before[at] for at in range(3)))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("dialog.compare figcaption .dim").first).to_contain_text("step 10")
    expect(page.locator("dialog.compare figcaption .dim").nth(2)).to_contain_text("step 10")


def choose_two(page: Page) -> Locator:
    """Choose input and prediction of step 11 for comparing and open the comparison."""
    for key in ("val/input", "val/pred"):
        open_image(page, key)
        page.keyboard.press("c")
        expect(page.locator("#choose")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_have_text("Compare 2")
    page.locator("#compare").click()
    dialog = page.locator("dialog.compare[data-shown]")
    expect(dialog).to_be_visible()
    return dialog


@pytest.mark.parametrize("from_image", [False, True])
def test_address_opens_the_comparison_that_was_open(
    page: Page, open_page: Callable[..., Any], from_image: bool
) -> None:
    """Its link compares the same images in the same way; once closed, it is the place again."""
    if from_image:
        open_image(page, "val/pred", 1)
        page.keyboard.press("x")
        page.locator("dialog.compare[data-shown]").wait_for()
        page.keyboard.press("ArrowLeft")
        expect(page.locator("dialog.compare figcaption .dim").first).to_contain_text("step 10")
    else:
        choose_two(page)
    page.keyboard.press("4")
    expect(page.locator("dialog.compare")).to_have_attribute("data-mode", "difference")
    other = open_page(page.evaluate("location.href"))
    compared = other.locator("dialog.compare[data-shown]")
    expect(compared).to_have_attribute("data-mode", "difference")
    shown = page.locator("dialog.compare").get_attribute("data-shown")
    assert compared.get_attribute("data-shown") == shown
    other.keyboard.press("Escape")
    expect(compared).to_have_count(0)
    assert "compare=" not in other.evaluate("location.href")


def test_swipe_shows_one_image_on_each_side_of_the_divider(page: Page) -> None:
    """Left of the divider is the first image, right of it the second; dragging moves the border."""
    choose_two(page)
    page.keyboard.press("2")
    divider = page.get_by_role("slider", name="Divider")
    expect(divider).to_be_visible()
    scale = stage_scale(page)

    def blue(x: int) -> int:
        return color_at(page, x, 10, scale=scale, canvas=COMPARED)[2]

    wait_until(lambda: blue(5) == 0)  # the input, which has no blue
    box = divider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, 300)
    page.mouse.down()
    page.mouse.move(60, 300, steps=5)
    page.mouse.up()
    wait_until(lambda: blue(15) == 8)  # the prediction's left half
    divider.focus()
    divider.press("ArrowRight")
    assert int(divider.get_attribute("aria-valuenow") or 0) > 4


def test_flicker_alternates_until_it_is_held(page: Page) -> None:
    """Both images are shown in turn; Space holds one."""
    choose_two(page)
    page.keyboard.press("3")
    stage = page.locator(COMPARED)
    for lit in ("1", "0", "1"):
        expect(stage).to_have_attribute("data-lit", lit)
    page.keyboard.press("Space")
    held = stage.get_attribute("data-lit")
    page.wait_for_timeout(700)
    assert stage.get_attribute("data-lit") == held


def test_difference_is_exact_and_multiplied_by_the_gain(page: Page) -> None:
    """|a − b| is 8 in blue on the left half, shown four times as bright, and counted."""
    choose_two(page)
    page.keyboard.press("4")
    expect(page.locator("#difference-facts")).to_contain_text("max 8")
    expect(page.locator("#difference-facts")).to_contain_text("50.0 % of pixels differ")
    scale = stage_scale(page)
    wait_until(lambda: color_at(page, 5, 5, scale=scale, canvas=COMPARED) == [0, 0, 32])
    assert color_at(page, 30, 5, scale=scale, canvas=COMPARED) == [0, 0, 0]
    gain = page.locator("#gain")
    gain.focus()
    gain.press("ArrowRight")
    gain.press("ArrowRight")
    wait_until(lambda: color_at(page, 5, 5, scale=scale, canvas=COMPARED) == [0, 0, 64])


def test_escape_closes_and_returns_the_focus(page: Page) -> None:
    """After closing, the focus is on the image that was opened."""
    cell = page.locator('article.card[data-key="val/rare"] .cell').first
    expect(cell).to_have_attribute("data-drawn", re.compile("0/.*/0"))
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.lightbox[data-shown]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(cell).to_be_focused()


def test_deep_images_show_their_stored_values(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """A float TIFF, which no browser decodes, is shown, and the cursor tells its floats, not their rendering."""
    pixels = np.linspace(-1.5, 2.5, 40 * 30, dtype=np.float32).reshape(30, 40)
    WrittenRun(tmp_path / "run").image("depth", 0, pixels, file_type="tiff")
    with viewers.viewer_process(tmp_path / "run", cache=tmp_path / "cache") as url:
        page = open_page(url)
        open_image(page, "depth")
        page.locator("canvas.stage").hover()
        place = page.locator("#readout .place")
        expect(place).to_be_visible()
        x, y = map(int, place.inner_text().split(","))
        expect(page.locator("#readout .values")).to_have_text(f"{pixels[y, x]:.5g}")
        expect(page.locator(".panel .facts")).to_contain_text("min -1.5 max 2.5")


def test_shift_click_chooses_images_without_opening_them(page: Page) -> None:
    """Two shift-clicks on the board and v compare two steps; a third takes one out again."""
    cell = page.locator('article.card[data-key="val/rare"] .cell').first
    cell.click(modifiers=["Shift"])
    page.locator("body").press("Home")
    expect(cell).to_have_attribute("aria-label", "val/rare, step 0, rank 0")
    cell.click(modifiers=["Shift"])
    expect(page.locator(".tray li")).to_have_count(2)
    page.locator("body").press("v")
    captions = page.locator("dialog.compare figcaption .dim")
    expect(captions).to_have_text(["step 9 · r0", "step 0 · r0"])
    page.keyboard.press("Escape")
    cell.click(modifiers=["Shift"])
    expect(page.locator(".tray li")).to_have_count(1)
