"""The colours in which classes are shown: those that were logged with them, and ours for all others.

One rule for the viewer, its exported pages, sheets, films and notebooks.  A colour of a class is text of CSS (a name,
``#f80``, ``#ff8800``, ``rgb(255 136 0)``, ``hsl(32, 100%, 50%)``; alpha is left out) or three numbers from 0 to 255, or
from 0 to 1 if none is larger.  What is none of these counts as not given: runs keep what was logged, whatever it is.
"""

from __future__ import annotations

import colorsys
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from pixlog.reading.saved_image import SavedImage

Color = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

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

_CHANNELS: Final = 3
_MOST: Final = 255
_DIGITS: Final = re.compile("#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_FUNCTION: Final = re.compile(r"(rgb|hsl)a?\(([^()]*)\)")
_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%|[a-z]*)")
_TURNS: Final = {"": 1 / 360, "deg": 1 / 360, "grad": 1 / 400, "rad": 0.5 / math.pi, "turn": 1.0}


def class_color(class_id: int, given: Mapping[Any, Color] | None = None) -> Color:
    """Return the colour of a class: the ``given`` one, or the same for the same id everywhere."""
    return (given or {}).get(class_id) or CLASS_COLORS[class_id % len(CLASS_COLORS)]


def given_colors(image: SavedImage) -> dict[Any, Color]:
    """Return the colours that were logged with the classes of ``image``, by class id; needs Pillow."""
    found: dict[Any, Color] = {}
    for entry in image.classes:
        color = color_levels(entry.get("color"))
        if color is not None and isinstance(entry.get("id"), int | float | str):
            found.setdefault(entry["id"], color)
    return found


def color_levels(value: Any) -> Color | None:
    """Return the red, green and blue of a colour as it was logged; None for what is none.  Needs Pillow."""
    if isinstance(value, str):
        return _css_levels(value.strip().lower())
    if not isinstance(value, list | tuple) or len(value) != _CHANNELS:
        return None
    if not all(type(part) in (int, float) and 0 <= part <= _MOST for part in value):
        return None
    whole = 1 if max(value) <= 1 else _MOST
    red, green, blue = (_level(part / whole) for part in value)
    return red, green, blue


def _css_levels(text: str) -> Color | None:
    if digits := _DIGITS.fullmatch(text):
        given = digits[1] if len(digits[1]) > _CHANNELS + 1 else "".join(digit * 2 for digit in digits[1])
        return int(given[0:2], 16), int(given[2:4], 16), int(given[4:6], 16)
    if function := _FUNCTION.fullmatch(text):
        parts = [_NUMBER.fullmatch(part) for part in re.split(r"[\s,/]+", function[2].strip())]
        numbers = [(float(part[1]), part[2]) for part in parts if part is not None]
        if len(numbers) == len(parts) and len(parts) in (_CHANNELS, _CHANNELS + 1):
            levels_of = _rgb_levels if function[1] == "rgb" else _hsl_levels
            return levels_of(numbers[:_CHANNELS])
        return None
    from PIL import ImageColor

    return ImageColor.getrgb(text)[:_CHANNELS] if text in ImageColor.colormap else None


def _rgb_levels(numbers: list[tuple[float, str]]) -> Color | None:
    """Return the levels of numbers from 0 to 255, or of percentages."""
    if any(unit not in ("", "%") for _, unit in numbers):
        return None
    red, green, blue = (_level(number / (100 if unit else _MOST)) for number, unit in numbers)
    return red, green, blue


def _hsl_levels(numbers: list[tuple[float, str]]) -> Color | None:
    """Return the levels of an angle and two percentages, whose sign may be missing."""
    (hue, angle), (saturation, sign), (lightness, other_sign) = numbers
    if angle not in _TURNS or not {sign, other_sign} <= {"", "%"} or not math.isfinite(hue):
        return None
    saturation, lightness = (min(max(part / 100, 0.0), 1.0) for part in (saturation, lightness))
    red, green, blue = map(_level, colorsys.hls_to_rgb(hue * _TURNS[angle] % 1, lightness, saturation))
    return red, green, blue


def _level(share: float) -> int:
    """Return the level from 0 to 255 of a share of the whole, halves upwards as browsers have them."""
    return math.floor(round(min(max(share, 0.0), 1.0) * _MOST, 6) + 0.5)
