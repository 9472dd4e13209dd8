"""The colours in which classes are shown: those that were logged with them, and ours for all others.

One rule for the viewer, its exported pages, sheets, films and notebooks.  What :mod:`pixlog.css_colors` cannot read
counts as not given: runs keep what was logged, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pixlog.css_colors import Color, color_levels
from pixlog.reading.saved_image import SavedImage

CLASS_COLORS: Final[tuple[Color, ...]] = (
    (255, 99, 97),
    (88, 196, 221),
    (255, 200, 87),
    (126, 217, 126),
    (190, 140, 255),
    (255, 150, 200),
    (80, 220, 180),
    (255, 160, 80),
    (140, 170, 255),
    (200, 220, 90),
    (192, 80, 77),
    (46, 147, 173),
    (201, 154, 46),
    (78, 168, 78),
    (138, 85, 208),
    (201, 95, 147),
    (31, 168, 132),
    (200, 112, 32),
    (85, 120, 216),
    (150, 170, 40),
)
"""Colours that tell neighbouring class ids apart on photographs and on dark ground; the page has the same."""


def class_color(class_id: int, given: Mapping[Any, Color] | None = None) -> Color:
    """Return the colour of a class: the ``given`` one, or the same for the same id everywhere."""
    return (given or {}).get(class_id) or CLASS_COLORS[class_id % len(CLASS_COLORS)]


def given_colors(image: SavedImage) -> dict[Any, Color]:
    """Return the colours that were logged with the classes of ``image``, by class id."""
    found: dict[Any, Color] = {}
    for entry in image.classes:
        color = color_levels(entry.get("color"))
        if color is not None and isinstance(entry.get("id"), int | float | str):
            found.setdefault(entry["id"], color)
    return found
