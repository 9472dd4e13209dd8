"""Modes that a file type does not know: what each contract makes of them.

The default contract converts to the nearest mode that the format holds and says so; alpha is left to the encoder,
which flattens it on the background colour.  The contract "wandb" takes and refuses what ``wandb.Image`` 0.18.0
with Pillow takes and refuses; only an RGBA array in a jpg loses its alpha instead of failing, as W&B does now.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pixlog.errors import InputError
from pixlogd.convert.pillow import convert_mode, to_pil
from pixlogd.rendering.picture import Picture

_NEAREST: Final = {
    "HSV": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "CMYK": "RGB", "LAB": "RGB",
    "RGBa": "RGBA", "PA": "RGBA", "La": "LA",
}  # fmt: skip
_AS_THEY_ARE: Final = {
    "jpg": ("CMYK", "YCbCr"),
    "jpeg": ("CMYK", "YCbCr"),
    "tiff": ("CMYK", "YCbCr", "LAB"),
}
_SIXTEEN_BIT_TYPES: Final = ("png", "tiff")
_WANDB_MODES: Final = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "jpg": ("1", "L", "RGB", "CMYK", "YCbCr", "RGBX"),
    "jpeg": ("1", "L", "RGB", "CMYK", "YCbCr", "RGBX"),
    "bmp": ("1", "L", "P", "RGB", "RGBA"),
}


def fit(picture: Picture, file_type: str) -> tuple[Picture, list[str]]:
    """Return the picture in a mode that ``file_type`` can save, and the notes that the change deserves."""
    mode = picture.mode
    if mode == "I;16" and file_type not in _SIXTEEN_BIT_TYPES:
        levels = ((picture.pixels.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)
        return Picture(levels, "L"), [f"{file_type} holds 8 bits: 0…65535 was scaled to 0…255"]
    if mode not in _NEAREST or mode in _AS_THEY_ARE.get(file_type, ()):
        return picture, []
    nearest = _NEAREST[mode]
    converted = _lab_to_rgb(picture) if mode == "LAB" else convert_mode(picture, nearest)
    return (
        Picture(converted.pixels, nearest),
        [f"{file_type} does not hold mode {mode!r}: converted to {nearest}"],
    )


def fit_wandb(
    picture: Picture, file_type: str, *, from_array: bool, mode_given: bool
) -> tuple[Picture, list[str]]:
    """Do the same under the contract "wandb"; raises InputError where 0.18.0 raises OSError."""
    mode = picture.mode
    if mode == "RGBA" and file_type == "bmp":
        return Picture(np.ascontiguousarray(picture.pixels[:, :, :3]), "RGB"), []
    if mode == "RGBA" and file_type in ("jpg", "jpeg") and from_array and not mode_given:
        opaque = Picture(np.ascontiguousarray(picture.pixels[:, :, :3]), "RGB")
        return opaque, [f"{file_type} has no alpha: the alpha channel was dropped"]
    if mode not in _WANDB_MODES[file_type]:
        raise InputError(
            f"{file_type} cannot hold mode {mode!r}, expected one of {', '.join(_WANDB_MODES[file_type])}"
            " (contract 'wandb')"
        )
    if mode == "RGBX":
        return Picture(np.ascontiguousarray(picture.pixels[:, :, :3]), "RGB"), []
    return picture, []


def _lab_to_rgb(picture: Picture) -> Picture:
    """Convert CIELAB (D50) to sRGB, which Pillow does through colour profiles only."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(to_pil(picture), lab, srgb, outputMode="RGB")
    if image is None:
        raise InputError("mode 'LAB' could not be converted to RGB")
    return Picture(np.asarray(image), "RGB")
