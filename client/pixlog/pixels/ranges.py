"""The default contract: which values become which 8-bit levels.

========================================  ==========================================================
bool                                      0 / 255
integers                                  clipped to 0…255, never rescaled
floats within [0, 1]                      × 255, rounded
floats within [−1, 1]                     (x + 1) × 127.5, rounded
floats within [0, 255]                    rounded
other floats, arrays                      clipped to 0…255 and rounded, with a note
other floats, torch tensors               stretched from each image's own minimum and maximum
========================================  ==========================================================

NaN counts for no rule and becomes 0; infinities become the ends; all are counted.  ``normalize="none"`` clips and
rounds without looking at the range, ``"minmax"`` stretches every image, ``"wandb"`` applies the rules of
``wandb.Image`` 0.18.0, and ``value_range=(low, high)`` maps that interval onto 0…255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError, InputTypeError
from pixlog.pixels import wandb_rules
from pixlog.pixels.quantize import clip_integers, quantize
from pixlog.pixels.ranged import Ranged
from pixlog.pixels.samples import Samples
from pixlog.pixels.stats import Stats, measure, merge

NORMALIZE_CHOICES: Final = ("auto", "none", "minmax", "wandb")


@dataclass(frozen=True, slots=True)
class RangeChoice:
    """A checked ``normalize=`` and ``value_range=``."""

    normalize: str = "auto"
    value_range: tuple[float, float] | None = None


AUTO: Final = RangeChoice()


def check_range_choice(normalize: object, value_range: object) -> RangeChoice:
    """Validate the user's ``normalize`` and ``value_range`` (None means not given).

    Raises InputError for an unknown rule, for an interval that is not (low, high) with low < high, and for both
    at once.
    """
    if normalize is None and value_range is None:
        return AUTO
    if normalize is not None and normalize not in NORMALIZE_CHOICES:
        raise InputError(f"got normalize={normalize!r}, expected one of {', '.join(NORMALIZE_CHOICES)}")
    if value_range is None:
        return RangeChoice(str(normalize))
    if normalize not in (None, "auto"):
        raise InputError(f"got normalize={normalize!r} together with value_range=, expected one of them")
    if not isinstance(value_range, Sequence) or isinstance(value_range, str) or len(value_range) != 2:
        raise InputTypeError(f"got value_range={value_range!r}, expected (low, high)")
    try:
        low, high = float(value_range[0]), float(value_range[1])
    except (TypeError, ValueError) as exc:
        raise InputTypeError(f"got value_range={value_range!r}, expected two numbers") from exc
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"got value_range=({low}, {high}), expected finite numbers with low < high")
    return RangeChoice("auto", (low, high))


def to_uint8(
    samples: Samples, choice: RangeChoice = AUTO, *, is_tensor: bool = False, image_count: int = 1
) -> Ranged:
    """Turn samples into 8-bit levels by the default contract's rules.

    ``is_tensor`` marks a torch tensor; ``image_count`` says how many images of equal size lie one after the
    other, for the rules that stretch each image by itself.  uint8 input under "auto" is returned as it is,
    without a copy.  Raises InputError for complex samples.
    """
    kind = samples.kind
    if kind == "c":
        raise InputError(
            f"got complex pixels ({samples.name}), expected real ones: pass the magnitude or phase"
        )
    if choice.normalize == "wandb":
        return wandb_rules.tensor_to_uint8(samples) if is_tensor else wandb_rules.array_to_uint8(samples)
    if choice.value_range is not None:
        return _map_interval(samples, *choice.value_range)
    if choice.normalize == "minmax":
        return _stretch(samples, image_count, None)
    stats = measure(samples)
    raw = choice.normalize == "none"
    if kind == "b":
        levels: npt.NDArray[Any] = samples.flat.view(np.uint8)
        return Ranged(levels, "cast", stats) if raw else Ranged(np.negative(levels), "bool", stats)
    if samples.name == "uint8":
        return Ranged(samples.flat, "cast" if raw else "as_is", stats)
    if kind in "ui":
        out = np.empty(samples.flat.size, dtype=np.uint8)
        clip_integers(samples, out, stats)
        inside = _within(stats, 0, 255)
        return Ranged(out, "cast" if raw else "as_is" if inside else "clip", stats)
    return _floats_to_uint8(samples, stats, raw=raw, is_tensor=is_tensor, image_count=image_count)


def _floats_to_uint8(
    samples: Samples, stats: Stats, *, raw: bool, is_tensor: bool, image_count: int
) -> Ranged:
    low, high, rule, note = 0.0, 255.0, "as_is_round", None
    clip = False
    if raw:
        rule, clip = "cast", not _within(stats, 0, 255)
    elif _within(stats, 0, 1):
        high, rule = 1.0, "unit_round"
    elif _within(stats, -1, 1):
        low, high, rule = -1.0, 1.0, "signed_round"
    elif not _within(stats, 0, 255):
        if is_tensor:
            return _stretch(samples, image_count, stats)
        rule, clip = "clip_round", True
        note = f"values from {stats.min:g} to {stats.max:g} were clipped to 0…255: pass value_range= or normalize="
    out = np.empty(samples.flat.size, dtype=np.uint8)
    quantize(samples, out, low, high, stats, clip=clip)
    return Ranged(out, rule, stats, note)


def _map_interval(samples: Samples, low: float, high: float) -> Ranged:
    if samples.kind == "b":
        samples = Samples(samples.flat.view(np.uint8), "bool", "u")
    stats = measure(samples)
    out = np.empty(samples.flat.size, dtype=np.uint8)
    quantize(samples, out, low, high, stats, clip=not _within(stats, low, high))
    return Ranged(out, "value_range", stats)


def _stretch(samples: Samples, image_count: int, stats: Stats | None) -> Ranged:
    if samples.kind == "b":
        samples = Samples(samples.flat.view(np.uint8), "bool", "u")
    out = np.empty(samples.flat.size, dtype=np.uint8)
    measured: list[Stats] = []
    position = 0
    for image in samples.segments(image_count):
        one = stats if stats is not None and image_count == 1 else measure(image)
        measured.append(one)
        levels = out[position : position + image.flat.size]
        position += image.flat.size
        low, high = one.min or 0, one.max or 0
        if low == high and not one.finite:
            high = low + 1  # a constant beside infinities: 0, with the infinities at the ends
        quantize(image, levels, low, high, one, clip=False)
    return Ranged(out, "minmax", merge(measured))


def _within(stats: Stats, low: float, high: float) -> bool:
    """Whether every finite value lies in [low, high]; an array without finite values lies anywhere."""
    if stats.min is None or stats.max is None:
        return True
    return low <= stats.min and stats.max <= high
