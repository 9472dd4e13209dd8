"""Pillow images, taken apart by the client: the pixels are finished, no range rule applies.

The exceptions are modes that no common file holds.  Mode "I" (32-bit integers) is clipped to 16 bits, as Pillow's
PNG writer does.  Mode "F" (floats) follows the range rules of the default contract like a float32 array, or is
kept in a TIFF with ``depth="keep"``; the contract "wandb" passes it on, and no file type of 0.18.0 takes it.

A transparent colour becomes alpha, as Pillow's ``convert`` makes it; wandb.Image 0.18.0 saves without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlog.pixels.arrange import densify
from pixlogd.convert.array import convert_array
from pixlogd.convert.converted import Converted
from pixlogd.convert.modes import CHANNEL_COUNTS, reorder
from pixlogd.convert.pillow import convert_mode
from pixlogd.convert.transparency import add_alpha
from pixlogd.rendering.picture import Picture

_DEEP: Final = {"I": "<i4", "I;16": "<u2", "I;16L": "<u2", "I;16N": "=u2", "I;16B": ">u2", "F": "<f4"}


def convert_pil(item: Mapping[str, Any], buffers: Sequence[memoryview], contract: str) -> Converted:
    """Convert an item of kind "pil"; see `convert`."""
    data = item["data"]
    mode = data["mode"]
    width, height = data["size"]
    if not (width and height):
        raise InputError(f"got a PIL image of size {width}×{height}, expected at least one pixel")
    if mode == "F" and contract != "wandb":
        return _as_float_array(item, buffers, contract)
    raw = buffers[data["buffer"]]
    notes: list[str] = []
    pixels = _pixels(raw, mode, width, height, notes)
    if item.get("color") in ("BGR", "BGRA"):
        pixels = densify(reorder(pixels, item["color"]))
    palette, palette_mode = None, "RGB"
    if "palette" in data:
        palette = bytes(buffers[data["palette"]["buffer"]])
        palette_mode = data["palette"]["mode"]
        if palette_mode not in ("RGB", "RGBA") or len(palette) % len(palette_mode):
            raise InputError(
                f"got a palette of {len(palette)} bytes in {palette_mode!r}, expected RGB or RGBA"
            )
        palette = palette or b"\0\0\0\xff"[: len(palette_mode)]  # Pillow's new ones: what it has not is black
    icc = bytes(buffers[data["icc"]]) if data.get("icc") is not None else None
    picture = Picture(
        pixels, "I;16" if mode == "I" or mode[:4] == "I;16" else mode, palette, palette_mode, icc
    )
    if data.get("transparency") is not None and contract != "wandb":
        told = data["transparency"]
        is_reversed = item.get("color") == "BGR" and isinstance(told, list)
        picture = add_alpha(picture, told[::-1] if is_reversed else told, notes)
    wanted = item.get("mode")
    if wanted is not None and contract != "wandb":
        picture = convert_mode(picture, wanted)
    record: dict[str, Any] = {
        "kind": "pil",
        "mode": mode,
        "shape": list(pixels.shape),
        "dtype": pixels.dtype.name,
        "origin": data.get("origin", "pil"),
        "rule": "as_is",
    }
    return Converted(picture, None, record, notes, from_array=False)


def _pixels(raw: memoryview, mode: str, width: int, height: int, notes: list[str]) -> npt.NDArray[Any]:
    if mode == "1":
        row_nbytes = (width + 7) // 8
        rows = _reshape(raw, np.dtype(np.uint8), (height, row_nbytes), mode)
        return np.ascontiguousarray(np.unpackbits(rows, axis=1)[:, :width]).view(np.bool_)
    if mode in _DEEP:
        values = _reshape(raw, np.dtype(_DEEP[mode]), (height, width), mode)
        if mode == "I":
            low, high = int(values.min()), int(values.max())
            if low < 0 or high > 65535:
                notes.append(f"values of mode 'I' from {low} to {high} were clipped to 0…65535")
            clipped: npt.NDArray[Any] = np.clip(values, 0, 65535).astype(np.uint16)
            return clipped
        native: npt.NDArray[Any] = values.astype(values.dtype.newbyteorder("="), copy=False)
        return native
    channels = CHANNEL_COUNTS.get(mode)
    if channels is None and mode not in ("L", "P"):
        raise InputError(
            f"got a PIL image of mode {mode!r}, expected one of 1, L, P, I, F, I;16, "
            f"{', '.join(CHANNEL_COUNTS)}"
        )
    shape = (height, width) if channels is None else (height, width, channels)
    return _reshape(raw, np.dtype(np.uint8), shape, mode)


def _reshape(raw: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], mode: str) -> npt.NDArray[Any]:
    expected = int(np.prod(shape)) * dtype.itemsize
    if raw.nbytes != expected:
        raise InputError(f"got {raw.nbytes} bytes for a PIL image of mode {mode!r}, expected {expected}")
    return np.frombuffer(raw, dtype=dtype).reshape(shape)


def _as_float_array(item: Mapping[str, Any], buffers: Sequence[memoryview], contract: str) -> Converted:
    data = item["data"]
    width, height = data["size"]
    array = {
        "kind": "array",
        "buffer": data["buffer"],
        "dtype": "<f4",
        "shape": [height, width],
        "layout": "HW",
        "origin": "pil",
    }
    converted = convert_array({**item, "data": array}, buffers, contract)
    record = {**converted.input, "kind": "pil", "mode": "F"}
    del record["layout"]
    return Converted(converted.picture, converted.preview, record, converted.notes, from_array=False)
