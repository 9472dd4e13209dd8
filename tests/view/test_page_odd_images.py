"""What the page shows of images that are no plain picture: translucent ones, references, failed calls, long keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import viewers
from browsing import expect_color, open_image
from viewed_runs import flat, write_half_surrogates
from written_runs import WrittenRun, encode

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

LONG_KEYS = [f"layer{number}/of/a/model/with/a/long/name/block{number}/activation" for number in range(3)]


@pytest.fixture(scope="module")
def odd_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the link of a viewer on a run of odd images."""
    root = tmp_path_factory.mktemp("odd")
    run = WrittenRun(root / "run")
    translucent = np.dstack([flat(200, 100, 50), np.zeros((30, 40), np.uint8)])
    translucent[:, 20:, 3] = 255
    run.image("odd/translucent", 1, translucent)
    url = {"_type": "image-file", "path": "https://example.org/a.png", "format": "png"}
    run.row("odd/reference", 1, value=url, input={"kind": "reference", "url": "https://example.org/a.png"})
    run.row("odd/failed", 1, state="failed", reason="expected at most 4 channels, got 7", value=None)
    for key in LONG_KEYS:
        run.image(key, 1, flat(90))
    with viewers.viewer_process(root / "run", cache=root / "cache") as link:
        yield link


@pytest.fixture
def odd_page(open_page: Callable[..., Any], odd_url: str) -> Page:
    """Return a fresh page on the run of odd images."""
    page: Page = open_page(odd_url)
    return page


def test_translucent_image_lies_over_gray_squares(odd_page: Page) -> None:
    """Where an image is transparent, squares of two grays show; where it is opaque, its own colour."""
    open_image(odd_page, "odd/translucent")
    odd_page.keyboard.press("1")
    expect_color(odd_page, 2, 2, [140, 140, 140], scale=1)
    expect_color(odd_page, 10, 2, [180, 180, 180], scale=1)
    expect_color(odd_page, 30, 2, [200, 100, 50], scale=1)


def test_rows_without_picture_have_no_histogram(odd_page: Page) -> None:
    """A reference names its URL quietly, a failed row its reason as a problem; neither has an empty histogram."""
    for key, text, kind in (
        ("odd/reference", "Stored elsewhere: https://example.org/a.png", "problem dim"),
        ("odd/failed", "failed: expected at most 4 channels, got 7", "problem"),
    ):
        dialog = open_image(odd_page, key)
        expect(dialog.locator(".problem")).to_have_text(text)
        expect(dialog.locator(".problem")).to_have_class(kind)
        expect(dialog.get_by_role("region", name="Histogram")).to_have_count(0)
        odd_page.keyboard.press("Escape")
    dialog = open_image(odd_page, "odd/translucent")
    expect(dialog.get_by_role("region", name="Histogram")).to_be_visible()


def test_counters_say_what_was_saved_and_what_failed(odd_page: Page) -> None:
    """The head counts saved and failed rows apart."""
    expect(odd_page.locator("#counters")).to_contain_text("5 saved")
    expect(odd_page.locator("#counters")).to_contain_text("1 failed")


def test_half_surrogates_in_texts_cost_nothing(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """A key or text that UTF-8 cannot hold is shown, with its image and mask; so are all other keys of the run."""
    run = write_half_surrogates(tmp_path / "run")
    with viewers.viewer_process(run.path, cache=tmp_path / "cache") as url:
        page = open_page(url)
        expect(page.locator("article.card")).to_have_count(3)
        expect(page.locator(".cell[data-drawn]")).to_have_count(3)
        expect(page.locator(".cell.failed")).to_have_count(1)
        page.locator("article.card").nth(1).locator(".cell").click()
        expect(page.locator("canvas.histogram")).to_be_visible()
        expect(page.locator(".overlay-panel .classes .name").first).to_be_visible()


def test_names_that_utf8_cannot_say_are_told_apart(open_page: Callable[..., Any], tmp_path: Path) -> None:
    """Gallery, axis and address find a key and a meta entry by their half surrogates, not by what looks like them."""
    run = WrittenRun(tmp_path / "run")
    for half, count in ((chr(code), count) for code, count in _COUNTS.items()):
        for step in range(2):
            files = [
                run.media("k", step, encode(flat(70)), "png", role="image", index=at) for at in range(count)
            ]
            size = {"width": 40, "height": 30, "format": "png"}
            names = [file["path"] for file in files]
            value = {"_type": "images/separated", **size, "count": count, "filenames": names}
            row = run.fields(f"k/{half}", step, value=value, files=files, meta={f"m{half}": step / 2 + count})
            run.append(json.dumps(row).encode("ascii") + b"\n")
    with viewers.viewer_process(run.path, cache=tmp_path / "cache") as url:
        page = open_page(url)
        page.locator("body").press("g")
        seen = set()
        for at in range(3):
            half = page.locator("#gallery-key").evaluate(_CHOOSE, at)
            counted = f"2 rows, {2 * _COUNTS[half]} images"
            expect(page.locator("#gallery-count")).to_have_text(counted)
            expect(open_page(page.url).locator("#gallery-count")).to_have_text(counted)
            seen.add(half)
        assert seen == set(_COUNTS)


_COUNTS = {0xD800: 2, 0xDFFF: 3, 0xFFFD: 4}
# A key, and the axis of the same name: as code units, which no process passes on as half surrogates.
_CHOOSE = """(select, at) => {
    const axis = document.querySelector("#axis");
    select.selectedIndex = at;
    const half = select.value.slice(2);
    axis.value = `meta:m${half}`;
    for (const one of [select, axis]) one.dispatchEvent(new Event("change"));
    return half.charCodeAt(0);
}"""


def test_long_keys_show_their_ends(odd_page: Page) -> None:
    """Of keys that do not fit on their cards the beginning is left out: what tells them apart is seen."""
    for key in LONG_KEYS:
        title = odd_page.locator(f'article.card[data-key="{key}"] .title')
        expect(title).to_have_text(key)
        room, end = title.bounding_box(), title.locator(".whole > :last-child").bounding_box()
        assert room is not None
        assert end is not None
        assert title.evaluate("(title) => title.scrollWidth > title.clientWidth")
        assert room["x"] - 1 <= end["x"]
        assert end["x"] + end["width"] <= room["x"] + room["width"] + 1
