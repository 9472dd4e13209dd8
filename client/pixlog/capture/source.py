"""The five things a logged image can be, once its framework is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class ArraySource:
    """Raw samples in host memory, of any strides.

    ``dtype`` is the wire's name of the dtype: a NumPy typestring such as ``"<f4"``, or ``"bfloat16"``, whose array
    then holds the raw 16-bit words.  ``origin`` names the framework; layout inference goes by it.
    """

    array: Array
    dtype: str
    origin: str
    masked: bool = False

    @property
    def dtype_kind(self) -> str:
        """The NumPy kind letter of the samples: ``b``, ``u``, ``i``, ``f`` or ``c``."""
        return "f" if self.dtype == "bfloat16" else self.array.dtype.kind


@dataclass(frozen=True, slots=True)
class PilSource:
    """A Pillow image taken apart: ``raw`` is its ``tobytes()``, ``palette`` its mode and bytes.

    ``transparency`` is what its ``info`` says of pixels without an alpha channel: the level, (red, green, blue) or
    palette index that is transparent, or the alphas of the first entries of its palette, one each.
    """

    mode: str
    width: int
    height: int
    raw: bytes
    palette: tuple[str, bytes] | None = None
    icc: bytes | None = None
    origin: str = "pil"
    transparency: int | tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """An image file's bytes, to be stored as they are.

    ``suffix`` keeps the case of the user's path (``".JPG"``, ``""`` without one); for bytes it comes from the
    content.  ``size`` is (width, height) in pixels where the header tells it cheaply.
    """

    data: bytes | memoryview
    suffix: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """A URL that is recorded and never fetched."""

    url: str


@dataclass(frozen=True, slots=True)
class EarlierSource:
    """The pixels of image ``index`` of an earlier row, named by its client and sequence number."""

    client: str
    seq: int
    index: int


Source = ArraySource | PilSource | EncodedSource | ReferenceSource | EarlierSource
SOURCES: Final = (
    ArraySource,
    PilSource,
    EncodedSource,
    ReferenceSource,
    EarlierSource,
)  # isinstance is faster so


def native_array(array: Array) -> bool:
    """Whether the samples of this array can go over the wire under their own typestring."""
    dtype = array.dtype
    return dtype.kind in "buifc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8)


def snapshot(array: Array) -> Array:
    """Return a private dense copy in the array's own axis order, so that copying reads memory straight through."""
    return np.array(array, order="K", copy=True, subok=False)
