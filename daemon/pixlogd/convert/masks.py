"""Segmentation masks: a picture whose pixel values are class ids, never rescaled.

bool becomes 0 and 1.  Ids up to 255 make an 8-bit gray PNG, ids up to 65,535 a 16-bit one, under the contract "wandb"
none.  Fractions of floats are cut off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError, InputTypeError
from pixlog.pixels.arrange import densify, to_image
from pixlog.pixels.layout import kept_axes
from pixlog.pixels.samples import Samples, read_samples
from pixlog.pixels.stats import measure
from pixlogd.rendering.picture import Picture

MAX_ID = 65_535


def convert_mask(
    data: Mapping[str, Any], buffers: Sequence[memoryview], *, group: str, contract: str
) -> tuple[Picture, dict[str, Any]]:
    """Turn mask data of kind "array" into a picture and a JSON-able record of what it holds.

    Raises InputError (InputTypeError for a wrong number of axes or ids out of range), naming the group.
    """
    shape = data["shape"]
    where = f"mask {group!r}"
    if 0 in shape:
        raise InputError(f"{where}: got an empty array of shape {tuple(shape)}, expected (H, W) class ids")
    try:
        kept_axes(shape, "HW")
    except InputError as exc:
        raise InputTypeError(f"{where}: got shape {tuple(shape)}, expected (H, W) class ids") from exc
    samples = read_samples(buffers[data["buffer"]], data["dtype"], math.prod(shape))
    if samples.kind == "c":
        raise InputTypeError(f"{where}: got {samples.name}, expected integer or bool class ids")
    ids = _ids(samples, where, contract)
    pixels = densify(to_image(ids, shape, data.get("axes"), "HW"))
    record = {"dtype": samples.name, "shape": list(shape)}
    return Picture(pixels, "L" if pixels.dtype == np.uint8 else "I;16"), record


def distinct_ids(picture: Picture) -> list[int]:
    """Return the class ids that occur in a mask, ascending."""
    return [int(i) for i in np.flatnonzero(np.bincount(picture.pixels.reshape(-1), minlength=1))]


def _ids(samples: Samples, where: str, contract: str) -> npt.NDArray[Any]:
    if samples.kind == "b":
        return samples.flat.view(np.uint8)
    if samples.name == "uint8":
        return samples.flat
    if samples.kind == "f":
        return _float_ids(samples, where, contract)
    stats = measure(samples)
    limit = 255 if contract == "wandb" else MAX_ID
    low, high = int(stats.min or 0), int(stats.max or 0)
    if low < 0 or high > limit:
        raise InputTypeError(f"{where}: got class ids from {low} to {high}, expected 0 to {limit}")
    ids: npt.NDArray[Any] = samples.flat.astype(np.uint8 if high <= 255 else np.uint16)
    return ids


def _float_ids(samples: Samples, where: str, contract: str) -> npt.NDArray[Any]:
    whole = np.trunc(np.concatenate([values for _, _, values in samples.chunks()]))
    limit = 255 if contract == "wandb" else MAX_ID
    low, high = float(whole.min()), float(whole.max())
    if not (low >= 0 and high <= limit):  # NaN fails both
        raise InputTypeError(f"{where}: got class ids from {low:g} to {high:g}, expected 0 to {limit}")
    ids: npt.NDArray[Any] = whole.astype(np.uint8 if high <= 255 else np.uint16)
    return ids
