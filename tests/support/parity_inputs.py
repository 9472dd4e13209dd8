"""The images, files and odd values that parity cases describe, built by formula.

No random generator and no conversion of Pillow's takes part, so that two interpreters with different packages build
the same pixels.  Loaded by both, hence nothing but numpy and Pillow.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
Description = dict[str, Any]

RANGES: dict[str, tuple[float, float]] = {
    "binary": (0, 1),
    "bytes": (0, 255),
    "low bytes": (3, 250),
    "wide": (0, 1000),
    "signed": (-1, 1),
    "negative and large": (-300, 1000),
    "slightly negative": (-2, 90),
    "zeros": (0, 0),
    "ones": (1, 1),
    "fives": (5, 5),
    "minus fives": (-5, -5),
    "all negative": (-90, -7),
}
FLOAT_RANGES: dict[str, tuple[float, float]] = {
    "unit": (0, 1),
    "part of unit": (0.25, 0.75),
    "just over one": (0, 1.0001),
    "signed unit": (-1, 1),
    "barely negative": (-0.1, 0.5),
    "tiny": (0, 1e-6),
}


def build_array(source: Description) -> Array:
    """Build the array of a description; "bfloat16" comes as float32."""
    dtype = np.dtype("f4" if source["dtype"] == "bfloat16" else source["dtype"])
    shape = tuple(source["shape"])
    count = int(np.prod(shape)) if shape else 1
    with np.errstate(all="ignore"):
        return _spread(source["values"], count, dtype).astype(dtype).reshape(shape)


def _spread(values: str, count: int, dtype: np.dtype[Any]) -> Array:
    """Return ``count`` numbers: shuffled steps from the low to the high end of the range, both ends included."""
    order = (np.arange(count, dtype=np.int64) * 7 + 3) % max(count, 1)
    steps = order / max(count - 1, 1)
    bytes_ = np.floor(steps * 255)
    if values == "ids":
        return order % 5
    if values.startswith("constant "):
        return np.full(count, int(values.split()[1]))
    if values == "full":
        limits = np.iinfo(dtype)
        return limits.min + np.floor(steps * (int(limits.max) - int(limits.min)))
    if values == "wide fractions":
        return steps * 250.9
    special = {"nan": np.nan, "posinf": np.inf, "neginf": -np.inf}
    if values == "all three":
        steps[:3] = list(special.values())
        return steps
    name, _, rest = values.partition(" in ")
    if name in special:
        chosen: Array = bytes_ if rest == "bytes" else steps
        chosen[count // 2] = special[name]
        return chosen
    low, high = {**RANGES, **FLOAT_RANGES}[values]
    spread: Array = low + steps * (high - low)
    return np.floor(spread) if dtype.kind in "biu" or values in RANGES else spread


def build_pil(source: Description) -> Image.Image:
    """Build the PIL image of a description from raw bytes, without any conversion of Pillow's."""
    mode, (width, height) = source["mode"], source["size"]
    count = width * height
    if mode == "I":
        levels = (np.arange(count) * 2000 - 5000).astype("<i4")
        return Image.frombytes("I", (width, height), levels.tobytes())
    if mode == "I;16":
        return Image.frombytes("I;16", (width, height), (np.arange(count) * 1000).astype("<u2").tobytes())
    if mode == "F":
        return Image.frombytes("F", (width, height), (np.arange(count) / 7).astype("<f4").tobytes())
    if mode == "1":
        return Image.frombytes("1", (width, height), bytes([0b10110010, 0b10000000] * height))
    channels = {"L": 1, "P": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "HSV": 3, "LAB": 3}.get(
        mode, 4
    )
    raw = bytes(_spread("bytes", count * channels, np.dtype("u1")).astype(np.uint8))
    picture = Image.frombytes(mode, (width, height), raw)
    if mode in ("P", "PA"):
        picture.putpalette([(i * 5 + j) % 256 for i in range(256) for j in (0, 90, 180)])
    return picture


def encoded_png() -> bytes:
    """Return a small PNG."""
    return _encoded("png")


def _encoded(file_type: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(build_array(_bytes_of(6, 9, 3))).save(buffer, file_type)
    return buffer.getvalue()


def build_file(source: Description, directory: Path) -> str:
    """Write the file of a description, unless it is meant to be missing; return its name."""
    if not source["name"]:
        return ""
    path = directory / source["name"]
    content = source["content"]
    if content == "directory":
        path.mkdir(exist_ok=True)
    elif content == "empty":
        path.write_bytes(b"")
    elif content == "text":
        path.write_text("this is no image\n")
    elif content == "truncated":
        big = io.BytesIO()
        Image.fromarray(build_array(_bytes_of(64, 64, 3))).save(big, "jpeg")
        path.write_bytes(big.getvalue()[:-400])
    elif content:
        path.write_bytes(_encoded(content))
    return str(path)


def build_literal(name: str, directory: Path) -> Any:
    """Build an input that no description covers."""
    pixels = build_array(_bytes_of(5, 6, 3))
    if name == "open png file":
        path = directory / "open.png"
        path.write_bytes(encoded_png())
        return path.open("rb")
    frozen = pixels.copy()
    frozen.flags.writeable = False
    return {
        "None": None,
        "int": 5,
        "list": [[1, 2], [3, 4]],
        "bytes of a png": encoded_png(),
        "BytesIO of a png": io.BytesIO(encoded_png()),
        "masked array": np.ma.masked_greater(pixels, 100),
        "matrix": np.asmatrix(pixels[:, :, 0]),
        "Fortran order": np.asfortranarray(pixels),
        "negative strides": pixels[::-1, ::-1],
        "read-only": frozen,
        "object array": pixels.astype(object),
        "string array": np.array([["a", "b"]]),
    }[name]


def build_overlays(options: Description, directory: Path) -> Description:
    """Return the options with the arrays, files and odd values of their overlays built."""
    built: Description = _built(options, directory)
    return built


def _built(value: Any, directory: Path) -> Any:
    if isinstance(value, dict):
        if value.get("kind") == "array":
            return build_array(value)
        if value.get("kind") == "file":
            return build_file(value, directory)
        if value.get("kind") == "pil":
            return build_pil(value)
        return {key: _built(part, directory) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_built(part, directory) for part in value)
    odd = {"np.int64(3)": np.int64(3), "np.float32(0.5)": np.float32(0.5), "a set": {1, 2}}
    return odd.get(value, value) if isinstance(value, str) else value


def _bytes_of(*shape: int) -> Description:
    return {"shape": shape, "dtype": "u1", "values": "bytes"}
