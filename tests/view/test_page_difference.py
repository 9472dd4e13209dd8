"""The difference of two images in a real browser, beside what ``pixlog diff`` says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import pixlog
import viewers
from browsing import COMPARED, color_at, stage_scale
from viewed_runs import flat
from waiting import wait_until
from written_runs import WrittenRun

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def _with_alpha(pixels: npt.NDArray[np.uint8], alpha: int) -> npt.NDArray[np.uint8]:
    """Return ``pixels`` with alpha on the left half, opaque on the right."""
    levels = np.full(pixels.shape[:2], 255, np.uint8)
    levels[:, :20] = alpha
    return np.dstack([pixels, levels])


_COLORS = flat(200, 100, 50)
_OTHERS = np.hstack([flat(200, 90, 50)[:, :20], _COLORS[:, 20:]])  # on the left half
_GRAY = _COLORS[..., 0]
PAIRS: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
    "alpha-alone": (_with_alpha(_COLORS, 255), _with_alpha(_COLORS, 155)),
    "alpha-and-color": (_with_alpha(_COLORS, 0), _with_alpha(_OTHERS, 40)),
    "opaque-and-none": (_with_alpha(_COLORS, 255), _COLORS),
    "translucent-and-none": (_COLORS, _with_alpha(_COLORS, 100)),
    "gray-alpha": (_with_alpha(_GRAY, 10), _with_alpha(_GRAY, 30)),
    "gray-alpha-and-color": (_with_alpha(_GRAY, 10), flat(200, 200, 200)),
    "gray-and-alpha": (_GRAY, _with_alpha(flat(200, 200, 200), 250)),
}


@pytest.fixture(scope="module")
def pairs_run(tmp_path_factory: pytest.TempPathFactory) -> WrittenRun:
    """Return a run with both images of each pair, under keys of their own."""
    run = WrittenRun(tmp_path_factory.mktemp("pairs") / "run")
    for name, pair in PAIRS.items():
        for side, pixels in zip("ab", pair, strict=True):
            run.image(f"{name}/{side}", 1, pixels)
    return run


@pytest.fixture(scope="module")
def pairs_url(browser: Browser, pairs_run: WrittenRun) -> Iterator[str]:
    """Return the link of a viewer on the run of pairs."""
    with viewers.viewer_process(pairs_run.path, cache=pairs_run.path.parent / "cache") as link:
        yield link


@pytest.fixture
def pairs_page(open_page: Callable[..., Any], pairs_url: str) -> Page:
    """Return a fresh page on the run of pairs."""
    page: Page = open_page(pairs_url)
    return page


def _show_difference(page: Page, name: str) -> None:
    for side in "ab":
        page.locator(f'article.card[data-key="{name}/{side}"] .cell').click(modifiers=["Shift"])
    page.locator("body").press("v")
    page.locator("dialog.compare[data-shown]").wait_for()
    page.keyboard.press("4")


@pytest.mark.parametrize("name", list(PAIRS))
def test_difference_in_the_page_is_that_of_diff(pairs_page: Page, pairs_run: WrittenRun, name: str) -> None:
    """Maximum and PSNR are those of ``pixlog diff``: alpha is a channel, and an image without it is opaque."""
    (told,) = pixlog.diff(pairs_run.path, key=f"{name}/a", key_b=f"{name}/b")
    psnr = "∞" if told.psnr_db == np.inf else f"{told.psnr_db:.2f} dB"
    _show_difference(pairs_page, name)
    facts = pairs_page.locator("#difference-facts")
    expect(facts).to_contain_text(f"max {told.max_abs:g} ")
    expect(facts).to_contain_text(f"PSNR {psnr} ")
    expect(facts).to_contain_text(f"{0 if told.state == 'same' else 50}.0 % of pixels differ")


def test_difference_in_alpha_is_seen_in_all_colors(pairs_page: Page) -> None:
    """Alpha that is 20 apart is gray of 80 at a gain of 4, and black where it is the same."""
    _show_difference(pairs_page, "gray-alpha")
    scale = stage_scale(pairs_page)
    wait_until(lambda: color_at(pairs_page, 5, 5, scale=scale, canvas=COMPARED) == [80, 80, 80])
    assert color_at(pairs_page, 30, 5, scale=scale, canvas=COMPARED) == [0, 0, 0]
