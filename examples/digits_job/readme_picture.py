"""The README's picture: some keys of the demo at its first and its last epoch."""

from __future__ import annotations

from pathlib import Path

import pixlog
from pixlog.sheet.contact_sheet import contact_sheet

_KEYS = ("train/input", "val/found", "val/error", "val/misread")
_STEPS = (1, 16)  # epochs; the inputs of training steps 1 and 16 are logged as well
_COLOURS = 192


def save_readme_picture(run: pixlog.Run, path: Path) -> None:
    """Write a contact sheet of few colours, so that it weighs little in a clone."""
    sheet = contact_sheet(run, _KEYS, step=_STEPS, max_images=4 * len(_KEYS), thumb_px=240, columns=4)
    sheet.quantize(_COLOURS).save(path, optimize=True)
