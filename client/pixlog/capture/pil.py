"""Pillow images of every mode, taken apart with their own methods."""

from __future__ import annotations

from typing import Any, Final

from pixlog.capture.source import PilSource
from pixlog.errors import InputError

_MOST: Final = {"1": 255, "L": 255, "P": 255, "I;16": 65_535, "I": 65_535}


def from_pil(image: Any) -> PilSource:
    """Take the pixels, palette, transparent colour and colour profile of a Pillow image.

    An image that was opened from a file is decoded here (of an animation the current frame); a file that turns out
    to be cut off raises Pillow's own ``OSError``.
    """
    width, height = image.size
    if not width or not height:
        raise InputError(f"a PIL image of {width}×{height} pixels is empty: expected at least 1×1")
    raw = image.tobytes()
    mode = image.mode
    icc = image.info.get("icc_profile")
    return PilSource(
        mode=mode,
        width=width,
        height=height,
        raw=raw,
        palette=_palette(image) if mode in ("P", "PA") else None,
        icc=bytes(icc) if icc else None,
        transparency=_transparency(mode, image.info.get("transparency")),
    )


def _palette(image: Any) -> tuple[str, bytes] | None:
    palette = image.palette
    if palette is None:
        return None
    mode = "RGBA" if palette.mode == "RGBA" else "RGB"
    return mode, bytes(image.getpalette(mode))


def _transparency(mode: str, told: Any) -> int | tuple[int, ...] | None:
    """Return what ``info["transparency"]`` tells in a form that Pillow takes for the mode; None for anything else."""
    if mode == "P" and isinstance(told, bytes):
        return tuple(told[:256]) or None
    if mode == "RGB" and isinstance(told, (tuple, list)):
        return tuple(told) if len(told) == 3 and all(_is_level(level, 65_535) for level in told) else None
    most = _MOST.get(mode)
    return told if most is not None and _is_level(told, most) else None


def _is_level(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most
