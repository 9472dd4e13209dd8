"""One image item of a log call becomes a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixlog.errors import InputError
from pixlogd.convert.array import convert_array
from pixlogd.convert.converted import Converted
from pixlogd.convert.pil import convert_pil


def convert(item: Mapping[str, Any], buffers: Sequence[memoryview], *, contract: str) -> Converted:
    """Convert an item whose data are pixels: kind "array" or "pil".

    ``buffers`` are only read, and the picture may look into them.  Raises InputError, with what was got and what
    was expected, when the item is no image.
    """
    kind = item["data"].get("kind")
    if kind == "array":
        return convert_array(item, buffers, contract)
    if kind == "pil":
        return convert_pil(item, buffers, contract)
    raise InputError(f"got image data of kind {kind!r}, expected 'array' or 'pil'")
