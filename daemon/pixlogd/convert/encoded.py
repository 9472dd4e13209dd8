"""Files that are images already: looked at, decoded once to be sure, and kept byte for byte."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixlog.errors import InputError


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An encoded image: its bytes, the suffix to store it under, and what it decodes to."""

    data: memoryview
    suffix: str
    width: int
    height: int
    mode: str
    input: dict[str, Any]

    @property
    def format(self) -> str:
        """The suffix without its dot, case kept."""
        return self.suffix[1:]


def probe_encoded(
    data: Mapping[str, Any], buffers: Sequence[memoryview], what: str = "image"
) -> EncodedImage:
    """Look at data of kind "encoded".

    Raises InputError when Pillow cannot decode every pixel of it, so that a stored file is always a readable one.
    """
    from PIL import Image, UnidentifiedImageError

    raw = buffers[data["buffer"]]
    try:
        with Image.open(io.BytesIO(raw)) as image:
            image.load()
            width, height = image.size
            mode, kind = image.mode, image.format
    except Image.DecompressionBombError as exc:
        raise InputError(f"got an encoded {what} that is too large to check: {exc}") from exc
    except Exception as exc:  # Pillow's decoders raise whatever a broken file makes them raise
        reason = "cannot identify its format" if isinstance(exc, UnidentifiedImageError) else str(exc)
        raise InputError(
            f"got {raw.nbytes} bytes that are no decodable {what}: {reason or type(exc).__name__}"
        ) from exc
    record = {"kind": "encoded", "format": (kind or "").lower(), "mode": mode, "shape": [height, width]}
    return EncodedImage(raw, data.get("suffix", ""), width, height, mode, record)
