"""Colours of classes, in every way that they are logged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ImageColor

from pixlog.css_colors import color_levels
from pixlog.reading.class_colors import CLASS_COLORS, class_color, given_colors
from pixlog.reading.run import Run
from pixlog.sheet.thumbnail import thumbnail_of
from written_runs import WrittenRun


@pytest.mark.parametrize(
    ("color", "levels"),
    [
        ("red", (255, 0, 0)),
        (" RebeccaPurple ", (102, 51, 153)),
        ("#f80", (255, 136, 0)),
        ("#F80c", (255, 136, 0)),
        ("#ff8800", (255, 136, 0)),
        ("#FF880080", (255, 136, 0)),
        ("rgb(255, 136, 0)", (255, 136, 0)),
        ("rgba(255,136,0,.5)", (255, 136, 0)),
        ("rgb(255 136 0 / 50%)", (255, 136, 0)),
        ("rgb(100%, 50%, 0%)", (255, 128, 0)),
        ("rgb(300 -5 1e3)", (255, 0, 255)),
        ("hsl(120, 100%, 50%)", (0, 255, 0)),
        ("hsl(-0.5turn 100% 50%)", (0, 255, 255)),
        ("hsla(200grad, 100%, 25%, 0.2)", (0, 128, 128)),
        ([255, 136, 0], (255, 136, 0)),
        ([255.0, 127.5, 0.4], (255, 128, 0)),
        ([0.0, 0.5, 1.0], (0, 128, 255)),
        ([0, 0, 1], (0, 0, 255)),
        ([0, 0, 0], (0, 0, 0)),
    ],
)
def test_color_is_read_in_every_form(color: Any, levels: tuple[int, int, int]) -> None:
    """Names and functions of CSS in both of its spellings, digits, and numbers up to 255 or up to 1."""
    assert color_levels(color) == levels


@pytest.mark.parametrize(
    "color",
    [
        *(None, True, 7, {}, "", "gren", "ff8800", "#12", "#1234567", "#ggg", "rgb()", "rgb(1, 2)"),
        *("rgb(1, 2, 3, 4, 5)", "rgb(a b c)", "rgb(1deg 2 3)", "hsl(1px 2% 3%)", "hsl(1e999 2% 3%)"),
        *("url(x)", "var(--x)", [], [1, 2], [1, 2, 3, 4], [1, 2, 300], [-1, 2, 3], [1, 2, float("nan")]),
        *([1, 2, None], [1, 2, "3"], [True, 2, 3], [10**400, 0, 0]),
    ],
)
def test_what_is_no_color_counts_as_not_given(color: Any) -> None:
    """Runs keep what was logged; readers take what they cannot read as a colour for none."""
    assert color_levels(color) is None


def test_every_name_of_css_is_a_color() -> None:
    """The 148 names of CSS Color Level 4 have the levels that Pillow has for them."""
    assert len(ImageColor.colormap) == 148
    for name in ImageColor.colormap:
        assert color_levels(name) == ImageColor.getrgb(name)


def test_colors_of_odd_classes_are_left_out(written: WrittenRun) -> None:
    """Entries that are no classes, ids that nothing can have and classes without a colour are passed over."""
    entries = [7, None, {"color": "red"}, {"id": [1], "color": "red"}, {"id": 2, "color": "red"}, {"id": 3}]
    written.image(
        "k", 0, input={"classes": [*entries, {"id": 2, "color": "blue"}, {"id": 4.0, "color": [0, 0, 9]}]}
    )
    written.image("k", 1, input={"classes": 5})
    odd, none = Run(written.path).images("k")
    assert given_colors(odd) == {2: (255, 0, 0), 4: (0, 0, 9)}
    assert given_colors(none) == {}
    assert none.classes == []
    assert class_color(2, given_colors(odd)) == (255, 0, 0)
    assert class_color(23, given_colors(odd)) == CLASS_COLORS[3]


def test_thumbnail_has_the_colors_of_classes(written: WrittenRun) -> None:
    """Masks are tinted, and boxes outlined, in the colours that were logged with their classes."""
    mask = np.zeros((50, 50), np.uint8)
    mask[:10, :10], mask[:10, 40:] = 44, 2
    box = {"position": {"minX": 0.5, "maxX": 0.9, "minY": 0.5, "maxY": 0.9}, "class_id": 1}
    classes = [{"id": 1, "name": "a", "color": "navy"}, {"id": 2, "name": "b", "color": [0, 1.0, 0]}]
    black = np.zeros((50, 50), np.uint8)
    written.image(
        "k", 0, black, masks={"m": mask}, boxes={"b": {"box_data": [box]}}, input={"classes": classes}
    )
    (image,) = Run(written.path).images("k")
    pixels = np.asarray(thumbnail_of(image, 50))
    assert pixels[5, 5].tolist() == [int(0.45 * level) for level in class_color(44)]
    assert pixels[5, 45].tolist() == [0, int(0.45 * 255), 0]
    assert pixels[25, 30].tolist() == [0, 0, 128]
    assert pixels[20, 20].tolist() == [0, 0, 0]


def test_label_of_a_dark_class_is_white(written: WrittenRun) -> None:
    """The name on a box's plate is light on a dark colour and dark on a light one."""
    box = {
        "position": {"minX": 0.1, "maxX": 0.9, "minY": 0.5, "maxY": 0.9},
        "class_id": 1,
        "box_caption": "MMMM",
    }
    for step, color in enumerate(("navy", "yellow")):
        written.image(
            "k",
            step,
            np.full((80, 80), 100, np.uint8),
            boxes={"b": {"box_data": [box]}},
            input={"classes": [{"id": 1, "name": "a", "color": color}]},
        )
    dark, light = (
        np.asarray(thumbnail_of(image, 80)).reshape(-1, 3) for image in Run(written.path).images("k")
    )
    assert dark.min(axis=1).max() > 150
    assert light.min(axis=1).max() == 100  # nothing whiter than the picture
    assert light.max(axis=1).min() < 60
