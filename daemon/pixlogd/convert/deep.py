"""``depth="keep"``: samples that an 8-bit file cannot hold are stored bit for bit, beside an 8-bit preview.

uint16 becomes a 16-bit PNG.  float32 becomes a TIFF; float16 and bfloat16 are widened to float32, which loses
nothing.  The preview follows the default contract for floats in a range that it knows (or ``value_range=`` and
``normalize=`` where given); anything else, uint16 included, is stretched from minimum to maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError
from pixlog.pixels.ranged import Ranged
from pixlog.pixels.ranges import RangeChoice, check_range_choice, to_uint8
from pixlog.pixels.samples import Samples
from pixlogd.convert.modes import natural_picture
from pixlogd.rendering.picture import Picture

_STRETCH = RangeChoice("minmax")


def keep_depth(
    item: Mapping[str, Any],
    samples: Samples,
    is_tensor: bool,
    arrange: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> tuple[Picture, Picture, dict[str, Any]] | None:
    """Return (picture, preview, facts for the input record), or None for samples that 8 bits hold anyway.

    Raises InputError for dtypes and channel counts that no file format here keeps bit-exact.
    """
    if samples.name in ("bool", "uint8"):
        return None
    if item.get("mode") is not None:
        raise InputError(f"got depth='keep' together with mode={item['mode']!r}, expected one of them")
    if samples.name == "uint16":
        pixels = arrange(samples.flat.astype(np.uint16, copy=False))
        picture = Picture(pixels, "I;16") if pixels.ndim == 2 else natural_picture(pixels)
    elif samples.kind == "f" and samples.flat.dtype.itemsize <= 4:
        native = samples.name == "float32" and samples.flat.dtype.isnative
        pixels = arrange(
            samples.flat if native else np.concatenate([values for _, _, values in samples.chunks()])
        )
        if pixels.ndim != 2:
            raise InputError(
                f"got depth='keep' for {samples.name} pixels with {pixels.shape[2]} channels, expected one channel"
            )
        picture = Picture(pixels, "F")
    else:
        raise InputError(
            f"got depth='keep' for {samples.name}, expected uint16, float32, float16 or bfloat16"
        )
    preview = _preview(item, samples, is_tensor)
    facts = preview.describe()
    facts["preview_rule"] = facts["rule"]
    facts["rule"] = "keep"
    return picture, natural_picture(arrange(preview.levels)), facts


def _preview(item: Mapping[str, Any], samples: Samples, is_tensor: bool) -> Ranged:
    choice = check_range_choice(item.get("normalize"), item.get("value_range"))
    given = item.get("normalize") is not None or choice.value_range is not None
    if samples.kind == "u" and not given:
        return to_uint8(samples, _STRETCH)
    ranged = to_uint8(samples, choice, is_tensor=is_tensor)
    return to_uint8(samples, _STRETCH) if ranged.rule == "clip_round" and not given else ranged
