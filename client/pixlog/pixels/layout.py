"""Which axis is what: shapes become layouts, without looking at a single value.

A layout is one of "HW", "HWC", "CHW", "NHWC", "NCHW".  It names the axes that remain once *surplus* axes of
length 1 are set aside: leading ones first, then trailing ones, then the first inner one, until as many axes are
left as the layout has letters (`kept_axes`).  A colour image that is one pixel wide or high therefore keeps its
axes, while ``(1, H, W, 3)`` and ``(1, H, W)`` are single images.

Without an explicit layout the origin of the array decides: torch is channel-first, everything else is
channel-last.  The other reading is taken when the usual one is impossible, (3, 32, 32) from NumPy for example.
When both readings are possible, the origin's convention wins and the decision carries a text that says so.

The contract "wandb" reads shapes as ``wandb.Image`` 0.18.0 does: NumPy is never channel-first, batches exist for
torch only.  It differs from 0.18.0 for colour images that are one pixel wide or high, which 0.18.0 misreads.

This module is called at every ``log_image``: it needs no numpy and touches nothing but the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pixlog.errors import InputError, InputTypeError

LAYOUTS: Final = ("HW", "HWC", "CHW", "NHWC", "NCHW")
_CHANNEL_COUNTS: Final = (1, 2, 3, 4)
_FIRST_AXIS_CHANNEL_COUNTS: Final = (1, 3, 4)  # what channel-first NumPy is recognised by
_IMAGE_DTYPE_KINDS: Final = "buifcV"  # V: extension dtypes such as bfloat16
_EXPECTED: Final = "(H, W), (H, W, C), (C, H, W), (N, H, W, C) or (N, C, H, W) with 1 to 4 channels"
_EXPECTED_WANDB_ARRAY: Final = "(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
_EXPECTED_WANDB_TORCH: Final = "(H, W), (C, H, W) or (N, C, H, W) with 1 to 4 channels"


class LayoutDecision(NamedTuple):
    """The layout of an array, and why another one was possible (None when none was)."""

    layout: str
    ambiguous: str | None = None


_HW: Final = LayoutDecision("HW")
_HWC: Final = LayoutDecision("HWC")
_CHW: Final = LayoutDecision("CHW")
_NHWC: Final = LayoutDecision("NHWC")
_NCHW: Final = LayoutDecision("NCHW")


def infer_layout(
    shape: Sequence[int],
    *,
    origin: str,
    dtype_kind: str,
    layout: str | None = None,
    contract: str = "pixlog",
) -> LayoutDecision:
    """Decide how an array of ``shape`` is read.

    ``origin`` is the framework it came from ("numpy", "torch", "jax", "tensorflow", "dlpack", ...),
    ``dtype_kind`` numpy's kind letter ("V" for bfloat16), ``layout`` the user's own choice or None.  An
    "NCHW" or "NHWC" answer means a batch; a batch of one without an explicit layout is a single image.

    Raises InputError for a shape (or InputTypeError for a dtype) that is no image, with what was expected.
    """
    if dtype_kind not in _IMAGE_DTYPE_KINDS:
        raise InputTypeError(
            f"got an array of dtype kind {dtype_kind!r}, expected bool, integer or floating-point pixels"
        )
    if 0 in shape:
        raise InputError(f"got an empty array of shape {_text(shape)}, expected at least one pixel")
    if layout is not None:
        return _check_layout(shape, layout)
    if len(shape) == 2:
        return _HW
    if len(shape) < 2:
        raise InputError(f"got an array of shape {_text(shape)}, expected {_EXPECTED}")
    if contract == "wandb":
        return _infer_wandb_torch(shape) if origin == "torch" else _infer_wandb_array(shape)
    start = 0
    while len(shape) - start > 3 and shape[start] == 1:
        start += 1
    rest = shape[start:] if start else shape
    channel_first = origin == "torch"
    if len(rest) == 3:
        return _infer_one(shape, rest[0], rest[2], channel_first)
    if len(rest) == 4:
        if rest[3] == 1 and rest[2] in (3, 4) and rest[0] > 4 and rest[1] > 4:
            return LayoutDecision("HWC", _both(shape, "HWC with a surplus last axis", "NHWC"))
        one = _infer_one(shape, rest[1], rest[3], channel_first)
        if one.ambiguous is None:
            return _NCHW if one.layout == "CHW" else _NHWC
        return LayoutDecision("N" + one.layout, one.ambiguous)
    raise InputError(f"got an array of shape {_text(shape)}, expected {_EXPECTED}")


def kept_axes(shape: Sequence[int], layout: str) -> tuple[int, ...]:
    """Return the axes of ``shape`` that the letters of ``layout`` name, surplus axes of length 1 set aside.

    Raises InputError when the shape has too few axes, or too many that are longer than 1.
    """
    axes = list(range(len(shape)))
    while len(axes) > len(layout):
        if shape[axes[0]] == 1:
            del axes[0]
        elif shape[axes[-1]] == 1:
            del axes[-1]
        else:
            unit = next((axis for axis in axes if shape[axis] == 1), None)
            if unit is None:
                break
            axes.remove(unit)
    if len(axes) != len(layout):
        raise InputError(
            f"got an array of shape {_text(shape)} for layout {layout!r}, expected {len(layout)} axes"
        )
    return tuple(axes)


def _infer_one(shape: Sequence[int], first: int, last: int, channel_first: bool) -> LayoutDecision:
    """Read one image's outer axes: ``first`` of (first, ..., last) as channels, or ``last``."""
    if channel_first:
        if first in _CHANNEL_COUNTS:
            if last in (3, 4) or (last == 1 and first == 2):
                return LayoutDecision("CHW", _both(shape, "channel-first", "channel-last"))
            return _CHW
        if last in _FIRST_AXIS_CHANNEL_COUNTS:
            return _HWC
    else:
        if last in _CHANNEL_COUNTS:
            if first in (3, 4) or (first == 1 and last == 2):
                return LayoutDecision("HWC", _both(shape, "channel-last", "channel-first"))
            return _HWC
        if first in _FIRST_AXIS_CHANNEL_COUNTS:
            return _CHW
    hint = ""
    if len(shape) == 3:
        hint = "; a batch of gray images has the shape (N, H, W, 1)"
    raise InputError(f"got an array of shape {_text(shape)}, expected {_EXPECTED}{hint}")


def _infer_wandb_array(shape: Sequence[int]) -> LayoutDecision:
    axes = len(shape)
    long_axes = [length for length in shape if length != 1]
    if axes == 3:
        if shape[2] in _CHANNEL_COUNTS and not (shape[2] == 2 and 1 in shape):
            return _HWC
        if 1 in shape:
            return _HW
    elif len(long_axes) <= 3:
        rest = [shape[axis] for axis in kept_axes(shape, "HWC")]
        return _infer_wandb_array(rest)
    raise InputError(f"got an array of shape {_text(shape)}, expected {_EXPECTED_WANDB_ARRAY}")


def _infer_wandb_torch(shape: Sequence[int]) -> LayoutDecision:
    if len(shape) == 3 and shape[0] in _CHANNEL_COUNTS:
        return _CHW
    if len(shape) == 4 and shape[1] in _CHANNEL_COUNTS:
        return _CHW if shape[0] == 1 else _NCHW
    raise InputTypeError(f"got a tensor of shape {_text(shape)}, expected {_EXPECTED_WANDB_TORCH}")


def _check_layout(shape: Sequence[int], layout: str) -> LayoutDecision:
    if not isinstance(layout, str):
        raise InputTypeError(f"got layout {layout!r}, expected one of {', '.join(LAYOUTS)}")
    name = layout.upper()
    if name not in LAYOUTS:
        raise InputError(f"got layout {layout!r}, expected one of {', '.join(LAYOUTS)}")
    axes = kept_axes(shape, name)
    if "C" in name:
        channels = shape[axes[name.index("C")]]
        if channels not in _CHANNEL_COUNTS:
            raise InputError(
                f"got {channels} channels in an array of shape {_text(shape)} read as {name}, expected 1 to 4"
            )
    return LayoutDecision(name)


def _both(shape: Sequence[int], chosen: str, other: str) -> str:
    return f"shape {_text(shape)} is read as {chosen} but could be {other}: pass layout= to settle it"


def _text(shape: Sequence[int]) -> str:
    return str(tuple(int(length) for length in shape))
