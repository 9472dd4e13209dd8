"""The options of an image that say how it is converted and stored, checked one by one.

Each check returns what goes over the wire; ``None`` means "not given" everywhere and puts nothing there, so that
the daemon's configuration decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pixlog.errors import InputError, InputTypeError
from pixlog.model.plain import Plain, as_number, is_finite_number, plain
from pixlog.pixels.layout import LAYOUTS

FILE_TYPES: Final = ("png", "jpg", "jpeg", "bmp", "webp", "gif", "tiff", "avif")
WANDB_FILE_TYPES: Final = ("png", "jpg", "jpeg", "bmp")
CONTRACTS: Final = ("pixlog", "wandb")
NORMALIZE_RULES: Final = ("auto", "none", "minmax", "wandb")
COLOR_ORDERS: Final = ("RGB", "RGBA", "BGR", "BGRA")
LEVELS: Final = ("fast", "small", "pillow")
DEPTHS: Final = ("keep",)
MODES: Final = (
    *(
        "1",
        "L",
        "P",
        "RGB",
        "RGBA",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I",
        "F",
        "LA",
        "PA",
        "RGBX",
        "RGBa",
        "La",
    ),
    *("I;16", "I;16L", "I;16B", "I;16N"),
)
OPTION_NAMES: Final = frozenset(
    {
        *(
            "mode",
            "caption",
            "grouping",
            "classes",
            "boxes",
            "masks",
            "file_type",
            "normalize",
            "value_range",
        ),
        *("layout", "color", "quality", "lossless", "level", "meta", "depth", "background", "grid", "dedup"),
        *("polygons", "keypoints", "contract"),
    }
)
"""Every argument of ``Image`` but the data."""


def one_of(name: str, value: object, known: Sequence[str]) -> str:
    """Return ``value`` if it is among ``known``; else an error that names the nearest one."""
    if isinstance(value, str) and value in known:
        return str(value)
    message = f"{name}={value!r} is unknown, expected one of {', '.join(map(repr, known))}"
    if not isinstance(value, str):
        raise InputTypeError(message)
    near = [choice for choice in known if choice.lower() == value.strip().lstrip(".").lower()]
    if not near:
        import difflib

        near = difflib.get_close_matches(value, known, n=1)
    raise InputError(f"{message}; did you mean {near[0]!r}?" if near else message)


def check_normalize(value: object) -> str:
    """Accept a rule's name; True and False stand for "auto" and "none", as wandb.Image 0.20.1 had them."""
    if isinstance(value, bool):
        return "auto" if value else "none"
    return one_of("normalize", value, NORMALIZE_RULES)


def check_value_range(value: object) -> list[float]:
    """Accept (low, high), two finite numbers with low < high."""
    pair = plain(value, "value_range")
    if not isinstance(pair, list):
        raise InputTypeError(f"value_range={value!r}, expected a pair of numbers (low, high)")
    if len(pair) != 2 or not all(is_finite_number(end) for end in pair) or not pair[0] < pair[1]:
        raise InputError(f"value_range={value!r}, expected (low, high): two finite numbers, low < high")
    return pair


def check_quality(value: object) -> int:
    """Accept a whole number from 1 to 100."""
    number = as_number(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise InputTypeError(f"quality={value!r}, expected a whole number from 1 to 100")
    if not 1 <= number <= 100:
        raise InputError(f"quality={number}, expected 1 to 100")
    return number


def check_grid(value: object) -> bool | int:
    """Accept a bool, or the number of columns, 1 or more."""
    number = as_number(value)
    if isinstance(number, float) or number is None:
        raise InputTypeError(f"grid={value!r}, expected True, False or a number of columns")
    if not isinstance(number, bool) and number < 1:
        raise InputError(f"grid={number}, expected at least 1 column")
    return number


def check_flag(name: str, value: object) -> bool:
    """Accept True or False, not merely something truthy."""
    number = as_number(value)
    if not isinstance(number, bool):
        raise InputTypeError(f"{name}={value!r}, expected True or False")
    return number


def check_background(value: object) -> list[int]:
    """Accept (red, green, blue) from 0 to 255, or "#rrggbb"."""
    expected = 'three whole numbers from 0 to 255, or "#rrggbb"'
    if isinstance(value, str):
        try:
            digits = bytes.fromhex(value.removeprefix("#"))
        except ValueError:
            digits = b""
        if not value.startswith("#") or len(digits) != 3:
            raise InputError(f"background={value!r}, expected {expected}")
        return list(digits)
    triple = plain(value, "background")
    if not isinstance(triple, list) or not all(type(part) is int for part in triple):
        raise InputTypeError(f"background={value!r}, expected {expected}")
    if len(triple) != 3 or not all(0 <= part <= 255 for part in triple):
        raise InputError(f"background={value!r}, expected {expected}")
    return triple


def check_meta(value: object) -> dict[Any, Plain]:
    """Accept a JSON-able mapping; returns a private copy of it."""
    if not isinstance(value, Mapping):
        raise InputTypeError(f"meta is of type {type(value).__name__}, expected a dict that JSON can hold")
    copied: dict[Any, Plain] = plain(value, "meta")
    return copied


def check_layout(value: object) -> str:
    """Accept one of the five layouts, in any case."""
    return one_of("layout", value.upper() if isinstance(value, str) else value, LAYOUTS)


def check_options(
    *,
    mode: object = None,
    file_type: object = None,
    normalize: object = None,
    value_range: object = None,
    layout: object = None,
    color: object = None,
    quality: object = None,
    lossless: object = None,
    level: object = None,
    meta: object = None,
    depth: object = None,
    background: object = None,
    grid: object = None,
    dedup: object = None,
    contract: object = None,
) -> dict[str, Plain]:
    """Check every option that is not None; return the given ones under their names on the wire.

    Raises ``InputError`` or ``InputTypeError``, naming the option, what it was and what it may be.
    """
    given: dict[str, Plain] = {}
    if contract is not None:
        given["contract"] = one_of("contract", contract, CONTRACTS)
    if mode is not None:
        given["mode"] = one_of("mode", mode, MODES)
    if file_type is not None:
        known = WANDB_FILE_TYPES if contract == "wandb" else FILE_TYPES
        given["file_type"] = one_of("file_type", file_type, known)
    if normalize is not None:
        given["normalize"] = check_normalize(normalize)
    if value_range is not None:
        given["value_range"] = check_value_range(value_range)
    if value_range is not None and given.get("normalize", "auto") != "auto":
        raise InputError(f"got normalize={normalize!r} together with value_range=, expected one of them")
    if layout is not None:
        given["layout"] = check_layout(layout)
    if color is not None:
        given["color"] = one_of("color", color.upper() if isinstance(color, str) else color, COLOR_ORDERS)
    if quality is not None:
        given["quality"] = check_quality(quality)
    if lossless is not None:
        given["lossless"] = check_flag("lossless", lossless)
    if level is not None:
        given["level"] = one_of("level", level, LEVELS)
    if meta is not None:
        given["meta"] = check_meta(meta)
    if depth is not None:
        given["depth"] = one_of("depth", depth, DEPTHS)
    if background is not None:
        given["background"] = check_background(background)
    if grid is not None:
        given["grid"] = check_grid(grid)
    if dedup is not None:
        given["dedup"] = check_flag("dedup", dedup)
    return given
