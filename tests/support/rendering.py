"""Log headers as a client would send them, rendered and decoded again."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixlog.pixels.layout import infer_layout
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering.render import Rendered, StoredImages, render

Array = npt.NDArray[Any]
Item = dict[str, Any]


class Call:
    """A log call under construction: items and the buffers they refer to."""

    def __init__(self, contract: str = "pixlog", key: str = "k", step: int = 0) -> None:
        self.header: dict[str, Any] = {"key": key, "step": step, "contract": contract, "items": []}
        self.buffers: list[memoryview] = []

    def add(self, data: Mapping[str, Any], **options: Any) -> Call:
        """Append an item with ready-made data."""
        self.header["items"].append({"data": dict(data), **options})
        return self

    def add_array(
        self,
        array: Array,
        *,
        origin: str = "numpy",
        layout: str | None = None,
        axes: Sequence[int] | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> Call:
        """Append an array; ``axes`` sends it transposed, ``dtype`` names what numpy cannot."""
        return self.add(self.array_data(array, origin, layout, axes, dtype), **options)

    def add_pil(self, image: Image.Image, **options: Any) -> Call:
        """Append a Pillow image taken apart."""
        data: dict[str, Any] = {
            "kind": "pil",
            "buffer": self.buffer(image.tobytes()),
            "mode": image.mode,
            "size": list(image.size),
        }
        if image.mode in ("P", "PA") and image.palette is not None:
            mode = "RGBA" if image.palette.mode == "RGBA" else "RGB"
            data["palette"] = {"mode": mode, "buffer": self.buffer(bytes(image.getpalette(mode) or []))}
        if (told := image.info.get("transparency")) is not None:
            data["transparency"] = told if isinstance(told, int) else list(told)
        if image.info.get("icc_profile"):
            data["icc"] = self.buffer(image.info["icc_profile"])
        return self.add(data, **options)

    def add_encoded(self, content: bytes, suffix: str, **options: Any) -> Call:
        """Append the bytes of an image file."""
        return self.add({"kind": "encoded", "buffer": self.buffer(content), "suffix": suffix}, **options)

    def array_data(
        self,
        array: Array,
        origin: str = "numpy",
        layout: str | None = None,
        axes: Sequence[int] | None = None,
        dtype: str | None = None,
    ) -> Item:
        """Send an array's bytes; return the description that refers to them."""
        contract = self.header["contract"]
        kind = "f" if dtype == "bfloat16" else array.dtype.kind
        decision = infer_layout(array.shape, origin=origin, dtype_kind=kind, layout=layout, contract=contract)
        stored = array if axes is None else array.transpose(axes)
        data: Item = {
            "kind": "array",
            "buffer": self.buffer(np.ascontiguousarray(stored).tobytes()),
            "dtype": dtype or array.dtype.str,
            "shape": list(array.shape),
            "layout": decision.layout,
            "origin": origin,
        }
        if axes is not None:
            data["axes"] = list(axes)
        return data

    def buffer(self, content: bytes) -> int:
        """Send bytes; return their index."""
        self.buffers.append(memoryview(content))
        return len(self.buffers) - 1

    def as_list(self) -> Call:
        """Make the call one that logged a list."""
        self.header["list"] = True
        return self

    def render(self, defaults: EncodeDefaults | None = None, stored: StoredImages | None = None) -> Rendered:
        """Render the call."""
        return render(self.header, self.buffers, defaults or EncodeDefaults(), stored)

    def decode(self, defaults: EncodeDefaults | None = None) -> Image.Image:
        """Render the call and decode its first image."""
        return decode(self.render(defaults))


def decode(rendered: Rendered, position: int = 0) -> Image.Image:
    """Decode file number ``position`` of a rendered call."""
    image = Image.open(io.BytesIO(rendered.new_files[position].data))
    image.load()
    return image


def pixels_of(image: Image.Image) -> Array:
    """Return the samples of a decoded image."""
    return np.asarray(image)


def encoded(image: Image.Image, file_type: str) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, file_type)
    return buffer.getvalue()
