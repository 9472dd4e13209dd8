"""The raw sample values of an array, in memory order, whatever their dtype and byte order.

Range rules do not care where a pixel lies, so they run over the flat buffer as it arrived and the result is put
into rows and channels afterwards, when a sample is one byte.  Work goes in chunks that stay in the second-level
cache together with their scratch: no full-size temporary exists in any dtype.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pixlog.errors import InputError, InputTypeError

CHUNK_SAMPLE_COUNT: Final = 131_072  # 512 KiB of float32: measured best of 16 Ki … 128 Ki with a 2 MiB cache

_PLAIN: Final = ("b1", "u1", "i1")
_ORDERED: Final = ("u2", "u4", "u8", "i2", "i4", "i8", "f2", "f4", "f8", "f16", "c8", "c16", "c32")
DTYPE_CODES: Final = frozenset(
    {"bfloat16", *("|" + code for code in _PLAIN), *(order + code for order in "<>" for code in _ORDERED)}
)


@dataclass(frozen=True, slots=True)
class Samples:
    """A flat array of samples.  For bfloat16, ``flat`` holds the 2-byte words and ``name`` says what they are."""

    flat: npt.NDArray[Any]
    name: str
    kind: str

    @property
    def loaded(self) -> np.dtype[Any]:
        """The native dtype that `chunks` yields: float16 and bfloat16 come as float32, long double as float64."""
        if self.kind == "f":
            return np.dtype(np.float32 if self.flat.dtype.itemsize <= 4 else np.float64)
        return self.flat.dtype.newbyteorder("=")

    def chunks(self) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Yield (start, stop, values) over all samples; the values are read-only to the caller."""
        flat = self.flat
        loaded = self.loaded
        count = flat.size
        if self.name == "bfloat16":
            for start in range(0, count, CHUNK_SAMPLE_COUNT):
                words = flat[start : start + CHUNK_SAMPLE_COUNT]
                yield start, start + words.size, widen_bfloat16(words)
            return
        direct = flat.dtype == loaded and flat.dtype.isnative
        for start in range(0, count, CHUNK_SAMPLE_COUNT):
            values = flat[start : start + CHUNK_SAMPLE_COUNT]
            yield start, start + values.size, values if direct else values.astype(loaded)

    def segments(self, count: int) -> list[Samples]:
        """Cut into ``count`` equal parts, such as the images of a batch that lie one after the other."""
        if count == 1:
            return [self]
        step = self.flat.size // count
        return [Samples(self.flat[i * step : (i + 1) * step], self.name, self.kind) for i in range(count)]


def read_samples(buffer: memoryview | bytes, dtype: str, count: int) -> Samples:
    """Look at ``buffer`` as ``count`` samples of the wire's ``dtype`` without copying it.

    Raises InputTypeError for a dtype that is not one of `DTYPE_CODES` (or unknown to this machine), InputError
    when the byte count does not fit.
    """
    if dtype not in DTYPE_CODES:
        raise InputTypeError(f"got pixels of dtype {dtype!r}, expected bool, integers, floats or bfloat16")
    numpy_dtype, name, kind = _known_dtype(dtype)
    nbytes = len(buffer) if isinstance(buffer, bytes) else buffer.nbytes
    if nbytes != count * numpy_dtype.itemsize:
        raise InputError(
            f"got {nbytes} bytes for {count} samples of {dtype}, expected {count * numpy_dtype.itemsize}"
        )
    flat = np.frombuffer(buffer, dtype=numpy_dtype)
    if dtype == "bfloat16":
        return Samples(flat, "bfloat16", "f")
    if numpy_dtype.kind == "b":
        # The bytes of a bool array may hold anything when they were made by a reinterpreting view.
        flat = np.not_equal(flat.view(np.uint8), 0)
    return Samples(flat, name, kind)


@lru_cache(maxsize=len(DTYPE_CODES))
def _known_dtype(dtype: str) -> tuple[np.dtype[Any], str, str]:
    """Return the dtype that one of `DTYPE_CODES` names, its name and its kind, which NumPy derives anew each time."""
    try:
        numpy_dtype = np.dtype("<u2" if dtype == "bfloat16" else dtype)
    except TypeError as exc:
        raise InputTypeError(f"got pixels of dtype {dtype!r}, which this machine does not have") from exc
    return numpy_dtype, numpy_dtype.name, numpy_dtype.kind


def real_part(samples: Samples) -> Samples:
    """Return the real parts of complex samples."""
    real = np.ascontiguousarray(samples.flat.real)
    return Samples(real, real.dtype.name, "f")


def widen_bfloat16(words: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Turn the 2-byte words of bfloat16 into the same numbers as float32."""
    wide = words.astype(np.uint32)
    np.left_shift(wide, 16, out=wide)
    return wide.view(np.float32)


def round_to_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Round finite float32 numbers to the nearest bfloat16, ties to even, kept as float32."""
    words = values.view(np.uint32)
    odd = (words >> np.uint32(16)) & np.uint32(1)
    return ((words + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)
