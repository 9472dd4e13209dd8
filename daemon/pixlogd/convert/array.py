"""Arrays and tensors: range rule, axes, colour order, grid, mode."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlog.pixels import wandb_rules
from pixlog.pixels.arrange import densify, stored_shape, to_image
from pixlog.pixels.grid import MAX_COLUMN_COUNT, make_grid
from pixlog.pixels.layout import kept_axes
from pixlog.pixels.ranged import Ranged
from pixlog.pixels.ranges import check_range_choice, to_uint8
from pixlog.pixels.samples import Samples, read_samples
from pixlogd.convert.converted import Converted
from pixlogd.convert.deep import keep_depth
from pixlogd.convert.modes import natural_picture, reorder
from pixlogd.convert.pillow import convert_mode
from pixlogd.rendering.picture import Picture

_PLAIN_MODES: Final = {("HW", 2, 0): "L", ("HWC", 3, 2): "LA", ("HWC", 3, 3): "RGB", ("HWC", 3, 4): "RGBA"}
_PLAIN_FIELD_COUNT: Final = 6  # kind, buffer, dtype, shape, layout, origin
_FINISHED_ORIGINS: Final = ("matplotlib", "pil")  # rendered pixels: no range rule under the contract "wandb"


def convert_array(item: Mapping[str, Any], buffers: Sequence[memoryview], contract: str) -> Converted:
    """Convert an item of kind "array"; see `convert`."""
    data = item["data"]
    if len(item) == 1 and contract == "pixlog" and (plain := _convert_plain(data, buffers)) is not None:
        return plain
    shape, dtype, origin = data["shape"], data["dtype"], data.get("origin", "numpy")
    axes, layout = data.get("axes"), data["layout"]
    samples = read_samples(buffers[data["buffer"]], dtype, math.prod(shape))
    is_tensor = origin == "torch"
    record: dict[str, Any] = {
        "kind": "array",
        "dtype": samples.name,
        "shape": list(shape),
        "layout": layout,
        "origin": origin,
    }
    if data.get("masked"):
        record["masked"] = True
    if layout[0] == "N":
        samples, axes = _images_in_order(samples, shape, axes, layout)
        grid_columns = _grid_columns(item, shape, layout, whole=is_tensor and contract == "wandb")
    else:
        grid_columns = 0

    def arrange(flat: npt.NDArray[Any]) -> npt.NDArray[Any]:
        image = to_image(flat, shape, axes, layout)
        if grid_columns:
            image = make_grid(image, grid_columns)
        return densify(reorder(image, item.get("color")))

    if item.get("depth") == "keep":
        kept = keep_depth(item, samples, is_tensor, arrange)
        if kept is not None:
            picture, preview, facts = kept
            return Converted(picture, preview, record | facts)
    image_count = shape[kept_axes(shape, layout)[0]] if layout[0] == "N" else 1
    ranged = _apply_rule(item, samples, contract, origin, image_count)
    pixels = arrange(ranged.levels)
    if contract == "wandb":
        pixels = _wandb_channels(pixels, is_tensor, item.get("mode"), shape)
    picture = natural_picture(pixels)
    mode = item.get("mode")
    if mode is not None and mode != picture.mode and not (is_tensor and contract == "wandb"):
        picture = convert_mode(picture, mode)
    record |= ranged.describe()
    return Converted(picture, None, record, [] if ranged.note is None else [ranged.note])


def _convert_plain(data: Mapping[str, Any], buffers: Sequence[memoryview]) -> Converted | None:
    """Convert rows of uint8 pixels that no option asks anything of, as the rules below would, at half of their cost.

    Returns None for whatever else it is.
    """
    shape, layout = data["shape"], data["layout"]
    mode = _PLAIN_MODES.get((layout, len(shape), shape[-1] if layout == "HWC" else 0))
    origin = data.get("origin")
    if mode is None or origin is None or len(data) != _PLAIN_FIELD_COUNT or data["dtype"] != "|u1":
        return None
    buffer = buffers[data["buffer"]]
    if not buffer.nbytes or buffer.nbytes != math.prod(shape):
        return None
    flat = np.frombuffer(buffer, np.uint8)
    record = {
        "kind": "array",
        "dtype": "uint8",
        "shape": list(shape),
        "layout": layout,
        "origin": origin,
        "min": int(np.minimum.reduce(flat)),
        "max": int(np.maximum.reduce(flat)),
        "rule": "as_is",
    }
    return Converted(Picture(flat.reshape(shape), mode), None, record, [])


def _apply_rule(
    item: Mapping[str, Any], samples: Samples, contract: str, origin: str, image_count: int
) -> Ranged:
    normalize, value_range = item.get("normalize"), item.get("value_range")
    is_tensor = origin == "torch"
    if contract == "wandb" and normalize is None and value_range is None and origin not in _FINISHED_ORIGINS:
        return wandb_rules.tensor_to_uint8(samples) if is_tensor else wandb_rules.array_to_uint8(samples)
    choice = check_range_choice(normalize, value_range)
    return to_uint8(samples, choice, is_tensor=is_tensor, image_count=image_count)


def _images_in_order(
    samples: Samples, shape: Sequence[int], axes: Sequence[int] | None, layout: str
) -> tuple[Samples, Sequence[int] | None]:
    """Make the images of a batch lie one after the other, which they nearly always do already."""
    batch_axis = kept_axes(shape, layout)[0]
    outermost = None if axes is None else next((axis for axis in axes if shape[axis] != 1), batch_axis)
    if axes is None or outermost == batch_axis or shape[batch_axis] == 1:
        return samples, axes
    logical = samples.flat.reshape(stored_shape(shape, axes)).transpose(np.argsort(axes))
    return Samples(np.ascontiguousarray(logical).reshape(-1), samples.name, samples.kind), None


def _grid_columns(item: Mapping[str, Any], shape: Sequence[int], layout: str, *, whole: bool) -> int:
    """Return how many columns the grid of a batch has; ``whole`` batches always make one."""
    grid = item.get("grid", False)
    count = shape[kept_axes(shape, layout)[0]]
    if not grid and not whole and count != 1:
        raise InputError(
            f"got a batch of {count} images as one image (shape {tuple(shape)}), expected one image or grid=True"
        )
    return MAX_COLUMN_COUNT if grid is True or not grid else int(grid)


def _wandb_channels(
    pixels: npt.NDArray[Any], is_tensor: bool, mode: str | None, shape: Sequence[int]
) -> npt.NDArray[Any]:
    """Apply what 0.18.0 makes of channel counts: gray tensors become RGB, two channels need mode="LA"."""
    if is_tensor:
        return np.repeat(pixels[:, :, np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels
    if pixels.ndim == 3 and pixels.shape[2] == 2 and mode != "LA":
        raise InputError(
            f"got an array of shape {tuple(shape)} with 2 channels, expected 1, 3 or 4, or mode='LA'"
            " (contract 'wandb')"
        )
    return pixels
