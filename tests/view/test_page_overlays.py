"""Overlays on the stage of a real browser, by the pixels of its canvas: odd points, colours given in every way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import viewers
from browsing import color_at, expect_color, open_image, scale_of
from pixlog.reading.class_colors import CLASS_COLORS
from viewed_runs import flat
from waiting import wait_until
from written_runs import WrittenRun, encode

if reason := viewers.missing_browser():
    pytest.skip(reason, allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def overlays_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the link of a viewer on a run with an image for each test."""
    root = tmp_path_factory.mktemp("overlays")
    run = WrittenRun(root / "run")
    _write_keypoints(run)
    _write_colors(run)
    with viewers.viewer_process(run.path, cache=root / "cache") as link:
        yield link


@pytest.fixture
def overlays_page(open_page: Callable[..., Any], overlays_url: str) -> Page:
    """Return a fresh page on the run."""
    page: Page = open_page(overlays_url)
    return page


def _write_keypoints(run: WrittenRun) -> None:
    points = [[None, None], [5.5, 25.5], [35.5, 25.5], [35.5, 5.5]]
    group = {
        "keypoint_data": [{"points": points, "domain": "pixel", "class_id": 1}],
        "skeleton": [[0, 1], [1, 2]],
    }
    entry = run.media("keypoints", 0, encode(flat(9)), "png", role="image")
    data = json.dumps(group).encode()
    shapes = run.media("keypoints", 0, data, "json", role="keypoints", group="body")
    run.row("keypoints", 0, value=_value(entry), files=[entry, shapes])


GIVEN_COLORS: list[Any] = ["red", "#f80", "hsl(120 100% 50%)", (0, 128, 255), (0.0, 0.5, 1.0), "no colour"]


def _write_colors(run: WrittenRun) -> None:
    """Write an image with a mask of a band of two columns for each class from 1 to 20; the first six have colours."""
    ids = np.repeat(np.arange(1, 21, dtype=np.uint8), 2)[None].repeat(30, axis=0)
    classes = [{"id": number, "name": "a", "color": color} for number, color in enumerate(GIVEN_COLORS, 1)]
    run.image("colors", 0, flat(9), masks={"parts": ids}, input={"classes": classes})


def _value(entry: dict[str, Any]) -> dict[str, Any]:
    return {"_type": "image-file", "path": entry["path"], "format": "png", "width": 40, "height": 30}


def test_bones_end_at_their_own_points_where_one_has_no_place(overlays_page: Page) -> None:
    """A point without coordinates takes its bones along; the others join the points that the skeleton names."""
    open_image(overlays_page, "keypoints")
    scale = scale_of(overlays_page)
    # Halfway along 1-2, and along 2-3, which is no bone.
    wait_until(lambda: color_at(overlays_page, 20, 25, scale=scale) != [9, 0, 0])
    assert color_at(overlays_page, 35, 15, scale=scale) == [9, 0, 0]


def test_colors_of_classes_are_those_that_were_logged(overlays_page: Page) -> None:
    """A class is drawn in its colour, whichever way that was given, and else in the one that sheets have for it."""
    dialog = open_image(overlays_page, "colors")
    scale = scale_of(overlays_page)
    dialog.locator('input[data-name="opacity"]').press("End")
    given = [[255, 0, 0], [255, 136, 0], [0, 255, 0], [0, 128, 255], [0, 128, 255]]
    ours = [list(CLASS_COLORS[number % len(CLASS_COLORS)]) for number in range(len(given) + 1, 21)]
    for band, expected in enumerate(given + ours):
        expect_color(overlays_page, 2 * band, 20, expected, scale=scale)
