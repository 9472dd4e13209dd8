"""Pillow images of every mode, taken apart with their own methods."""

from __future__ import annotations

from typing import Any

from pixlog.capture.source import PilSource
from pixlog.errors import InputError


def from_pil(image: Any) -> PilSource:
    """Take the pixels, palette and colour profile of a Pillow image.

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
    )


def _palette(image: Any) -> tuple[str, bytes] | None:
    palette = image.palette
    if palette is None:
        return None
    mode = "RGBA" if palette.mode == "RGBA" else "RGB"
    return mode, bytes(image.getpalette(mode))
