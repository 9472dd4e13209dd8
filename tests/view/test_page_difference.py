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


_RAMP = np.linspace(0.2, 0.7, 1200, dtype=np.float32).reshape(30, 40)


def _with_left(value: float, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return ``pixels`` with one value on the left half."""
    return np.hstack([np.full_like(pixels[:, :20], value), pixels[:, 20:]])


FLOAT_PAIRS: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
    "unit-range": (_RAMP, _with_left(0.75, _RAMP)),
    "wide-range": (_RAMP * 100, _with_left(2.5, _RAMP * 100)),
    "nan-on-one-side": (_RAMP, _with_left(np.nan, _RAMP + np.float32(0.25))),
    "infinite-on-one-side": (_RAMP - 1, _with_left(-np.inf, _RAMP - np.float32(1.25))),
    "nan-on-both-sides": (_with_left(np.nan, _RAMP), _with_left(np.nan, _RAMP)),
    "nothing-finite": (_RAMP * np.float32(np.nan), _RAMP),
    "one-bit": (_RAMP > 0.4, _RAMP > 0.5),
    "int32": ((_RAMP * 1e4).astype(np.int32), (_with_left(-3, _RAMP) * 1e4).astype(np.int32)),
}


UNLIKE_PAIRS: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
    "bool and uint8": (_RAMP > 0.4, (_RAMP * 255).astype(np.uint8)),
    "uint8 and uint16": ((_RAMP * 255).astype(np.uint8), (_RAMP * 65535).astype(np.uint16)),
    "uint8 and float32": ((_RAMP * 255).astype(np.uint8), _RAMP),
}


@pytest.fixture(scope="module")
def pairs_run(tmp_path_factory: pytest.TempPathFactory) -> WrittenRun:
    """Return a run with both images of each pair, under keys of their own."""
    run = WrittenRun(tmp_path_factory.mktemp("pairs") / "run")
    for name, pair in (PAIRS | FLOAT_PAIRS | UNLIKE_PAIRS).items():
        for side, pixels in zip("ab", pair, strict=True):
            run.image(f"{name}/{side}", 1, pixels, file_type="png" if name in PAIRS else "tiff")
    for side, pixels in zip("ab", FLOAT_PAIRS["one-bit"], strict=True):
        run.image(f"one-bit-png/{side}", 1, pixels)
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


@pytest.mark.parametrize("name", [*FLOAT_PAIRS, "one-bit-png"])
def test_difference_of_floats_in_the_page_is_that_of_diff(
    pairs_page: Page, pairs_run: WrittenRun, name: str
) -> None:
    """Maximum and PSNR have the range of values of ``pixlog diff``, and differ where one side alone is not finite."""
    (told,) = pixlog.diff(pairs_run.path, key=f"{name}/a", key_b=f"{name}/b")
    assert told.max_abs is not None
    most = "Infinity" if told.max_abs == np.inf else f"{told.max_abs:.5g}"
    psnr = {None: "–", np.inf: "∞"}.get(told.psnr_db) or f"{told.psnr_db:.2f} dB"
    _show_difference(pairs_page, name)
    facts = pairs_page.locator("#difference-facts")
    expect(facts).to_contain_text(f"max {most} ")
    expect(facts).to_contain_text(f"PSNR {psnr} ")
    assert ("max 0 " in facts.inner_text()) == (told.state == "same")


@pytest.mark.parametrize("name", list(UNLIKE_PAIRS))
def test_images_of_unlike_dtypes_are_not_compared(pairs_page: Page, pairs_run: WrittenRun, name: str) -> None:
    """Levels of two scales have no difference: the page says what they are, as ``pixlog diff`` does."""
    (told,) = pixlog.diff(pairs_run.path, key=f"{name}/a", key_b=f"{name}/b")
    assert told.state == "dtype"
    _show_difference(pairs_page, name)
    expect(pairs_page.locator("#difference-facts")).to_have_text(f"kinds of values differ: {name}")


@pytest.mark.parametrize("name", ["one-bit", "one-bit-png"])
def test_difference_of_one_bit_images_is_white(pairs_page: Page, name: str) -> None:
    """False and true are as far apart as can be: white at any gain, and black where they are the same."""
    _show_difference(pairs_page, name)
    scale = stage_scale(pairs_page)
    wait_until(lambda: color_at(pairs_page, 20, 15, scale=scale, canvas=COMPARED) == [255, 255, 255])
    assert color_at(pairs_page, 5, 1, scale=scale, canvas=COMPARED) == [0, 0, 0]


def test_difference_in_alpha_is_seen_in_all_colors(pairs_page: Page) -> None:
    """Alpha that is 20 apart is gray of 80 at a gain of 4, and black where it is the same."""
    _show_difference(pairs_page, "gray-alpha")
    scale = stage_scale(pairs_page)
    wait_until(lambda: color_at(pairs_page, 5, 5, scale=scale, canvas=COMPARED) == [80, 80, 80])
    assert color_at(pairs_page, 30, 5, scale=scale, canvas=COMPARED) == [0, 0, 0]
