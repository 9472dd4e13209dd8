"""Alpha from a transparent colour: the gray level, RGB colour or palette entries that stand for "nothing"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pixlog.errors import InputError
from pixlogd.convert.pillow import from_pil, to_pil
from pixlogd.rendering.picture import Picture

_WITH_ALPHA: Final = {"1": "LA", "L": "LA", "RGB": "RGBA"}


def add_alpha(picture: Picture, transparency: int | Sequence[int], notes: list[str]) -> Picture:
    """Return the picture with alpha: mode "P" with a palette of four channels, "1" and "L" as "LA", "RGB" as "RGBA".

    ``transparency`` is a level, three of them, a palette index, or the alphas of the first palette entries.  Gray of
    16 bits, for which Pillow has no alpha that keeps its levels, stays as it is, with a note.  Raises InputError for
    what does not fit the mode.
    """
    told = [transparency] if isinstance(transparency, int) else list(transparency)
    if picture.mode == "I;16":
        notes.append(f"the transparent level {transparency!r:.60} was not kept: gray of 16 bits has no alpha")
        return picture
    is_palette = picture.mode == "P"
    most = 65_535 if picture.mode == "RGB" else 255  # RGB of 16 bits, which Pillow reads as 8
    fits = len(told) <= 256 if is_palette else len(told) == {"1": 1, "L": 1, "RGB": 3}.get(picture.mode)
    if not fits or not all(0 <= level <= most for level in told):
        raise InputError(
            f"got transparency={transparency!r:.60} for a PIL image of mode {picture.mode!r}, expected a level, "
            "three for RGB, or the alphas of at most 256 palette entries"
        )
    if is_palette:
        return _with_palette_alphas(picture, transparency)
    image = to_pil(picture)
    image.info["transparency"] = told[0] if len(told) == 1 else tuple(told)
    converted = from_pil(image.convert(_WITH_ALPHA[picture.mode]))
    return replace(picture, pixels=converted.pixels, mode=converted.mode)


def _with_palette_alphas(picture: Picture, transparency: int | Sequence[int]) -> Picture:
    alphas = np.array(transparency, np.uint8) if not isinstance(transparency, int) else np.zeros(1, np.uint8)
    first = transparency if isinstance(transparency, int) else 0
    channel_count = len(picture.palette_mode)
    told = np.frombuffer(picture.palette or b"", np.uint8).reshape(-1, channel_count)
    entries = np.zeros((max(len(told), first + len(alphas)), 4), np.uint8)
    entries[:, 3] = 255
    entries[: len(told), :channel_count] = told
    entries[first : first + len(alphas), 3] = alphas
    return replace(picture, palette=entries.tobytes(), palette_mode="RGBA")
