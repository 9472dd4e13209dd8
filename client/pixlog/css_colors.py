"""Colours as CSS writes them, or as three numbers: read when a class is given one, and when it is shown.

Text of CSS is a name, ``#f80``, ``#ff8800``, ``rgb(255 136 0)`` or ``hsl(32, 100%, 50%)``; alpha is left out.  Numbers
are from 0 to 255, or from 0 to 1 if none is larger.
"""

from __future__ import annotations

import colorsys
import functools
import math
import re
from typing import Any, Final

Color = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

_CHANNELS: Final = 3
_MOST: Final = 255
_DIGITS: Final = re.compile("#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_FUNCTION: Final = re.compile(r"(rgb|hsl)a?\(([^()]*)\)")
_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%|[a-z]*)")
_TURNS: Final = {"": 1 / 360, "deg": 1 / 360, "grad": 1 / 400, "rad": 0.5 / math.pi, "turn": 1.0}

_NAMES: Final = """
aliceblue f0f8ff  antiquewhite faebd7  aqua 00ffff  aquamarine 7fffd4  azure f0ffff  beige f5f5dc  bisque
ffe4c4  black 000000  blanchedalmond ffebcd  blue 0000ff  blueviolet 8a2be2  brown a52a2a  burlywood deb887
cadetblue 5f9ea0  chartreuse 7fff00  chocolate d2691e  coral ff7f50  cornflowerblue 6495ed  cornsilk fff8dc
crimson dc143c  cyan 00ffff  darkblue 00008b  darkcyan 008b8b  darkgoldenrod b8860b  darkgray a9a9a9
darkgreen 006400  darkgrey a9a9a9  darkkhaki bdb76b  darkmagenta 8b008b  darkolivegreen 556b2f  darkorange
ff8c00  darkorchid 9932cc  darkred 8b0000  darksalmon e9967a  darkseagreen 8fbc8f  darkslateblue 483d8b
darkslategray 2f4f4f  darkslategrey 2f4f4f  darkturquoise 00ced1  darkviolet 9400d3  deeppink ff1493
deepskyblue 00bfff  dimgray 696969  dimgrey 696969  dodgerblue 1e90ff  firebrick b22222  floralwhite fffaf0
forestgreen 228b22  fuchsia ff00ff  gainsboro dcdcdc  ghostwhite f8f8ff  gold ffd700  goldenrod daa520  gray
808080  green 008000  greenyellow adff2f  grey 808080  honeydew f0fff0  hotpink ff69b4  indianred cd5c5c
indigo 4b0082  ivory fffff0  khaki f0e68c  lavender e6e6fa  lavenderblush fff0f5  lawngreen 7cfc00
lemonchiffon fffacd  lightblue add8e6  lightcoral f08080  lightcyan e0ffff  lightgoldenrodyellow fafad2
lightgray d3d3d3  lightgreen 90ee90  lightgrey d3d3d3  lightpink ffb6c1  lightsalmon ffa07a  lightseagreen
20b2aa  lightskyblue 87cefa  lightslategray 778899  lightslategrey 778899  lightsteelblue b0c4de  lightyellow
ffffe0  lime 00ff00  limegreen 32cd32  linen faf0e6  magenta ff00ff  maroon 800000  mediumaquamarine 66cdaa
mediumblue 0000cd  mediumorchid ba55d3  mediumpurple 9370db  mediumseagreen 3cb371  mediumslateblue 7b68ee
mediumspringgreen 00fa9a  mediumturquoise 48d1cc  mediumvioletred c71585  midnightblue 191970  mintcream
f5fffa  mistyrose ffe4e1  moccasin ffe4b5  navajowhite ffdead  navy 000080  oldlace fdf5e6  olive 808000
olivedrab 6b8e23  orange ffa500  orangered ff4500  orchid da70d6  palegoldenrod eee8aa  palegreen 98fb98
paleturquoise afeeee  palevioletred db7093  papayawhip ffefd5  peachpuff ffdab9  peru cd853f  pink ffc0cb
plum dda0dd  powderblue b0e0e6  purple 800080  rebeccapurple 663399  red ff0000  rosybrown bc8f8f  royalblue
4169e1  saddlebrown 8b4513  salmon fa8072  sandybrown f4a460  seagreen 2e8b57  seashell fff5ee  sienna a0522d
silver c0c0c0  skyblue 87ceeb  slateblue 6a5acd  slategray 708090  slategrey 708090  snow fffafa  springgreen
00ff7f  steelblue 4682b4  tan d2b48c  teal 008080  thistle d8bfd8  tomato ff6347  turquoise 40e0d0  violet
ee82ee  wheat f5deb3  white ffffff  whitesmoke f5f5f5  yellow ffff00  yellowgreen 9acd32
"""
"""The named colours of CSS Color Level 4, https://www.w3.org/TR/css-color-4/#named-colors."""


def color_levels(value: Any) -> Color | None:
    """Return the red, green and blue of a colour as it was logged; None for what is none."""
    if isinstance(value, str):
        return _css_levels(value.strip().lower())
    if not isinstance(value, list | tuple) or len(value) != _CHANNELS:
        return None
    if not all(type(part) in (int, float) and 0 <= part <= _MOST for part in value):
        return None
    whole = 1 if max(value) <= 1 else _MOST
    red, green, blue = (_level(part / whole) for part in value)
    return red, green, blue


@functools.lru_cache(1024)  # each call with classes asks again
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
    number = _named().get(text)
    return None if number is None else (number >> 16, number >> 8 & 255, number & 255)


@functools.cache
def _named() -> dict[str, int]:
    words = _NAMES.split()
    return {name: int(digits, 16) for name, digits in zip(words[::2], words[1::2], strict=True)}


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
