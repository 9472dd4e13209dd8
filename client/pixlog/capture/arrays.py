"""NumPy arrays of every numeric dtype, byte order, stride pattern and subclass."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pixlog.capture.source import Array, ArraySource, native_array, snapshot
from pixlog.errors import InputTypeError

EXPECTED_DTYPES = "bool, an integer, float or complex dtype, or bfloat16"


def from_numpy(array: Array, *, origin: str = "numpy", owned: bool) -> ArraySource:
    """Describe an array without looking at its values.

    ``owned`` says that nobody else can write these bytes; otherwise they are copied here, once.  Subclasses
    (``np.matrix``, ``np.memmap``) are seen as plain arrays; of a masked array the data is taken and the mask noted.
    ``longdouble`` is not portable between machines and is narrowed to float64.
    """
    ma = sys.modules.get(
        "numpy.ma"
    )  # whoever has a masked array has imported it; an import here might meet a fork
    masked = ma is not None and isinstance(array, getattr(ma, "MaskedArray", ()))
    plain: Array = np.asarray(array.data if masked else array)
    if native_array(plain):
        return ArraySource(plain if owned else snapshot(plain), plain.dtype.str, origin, masked)
    return _from_unusual(plain, origin=origin, masked=masked, owned=owned)


def _from_unusual(array: Array, *, origin: str, masked: bool, owned: bool) -> ArraySource:
    dtype = array.dtype
    if dtype.kind in "fc":
        wide: Array = array.astype(np.float64 if dtype.kind == "f" else np.complex128)
        return ArraySource(wide, wide.dtype.str, origin, masked)
    if dtype.type.__module__ == "ml_dtypes":  # registered by JAX and TensorFlow; kind "V"
        if dtype.name == "bfloat16":
            words: Array = array.view(np.uint16)
            return ArraySource(words if owned else snapshot(words), "bfloat16", origin, masked)
        narrow: Array = array.astype(np.int8 if "int" in dtype.name else np.float32)
        return ArraySource(narrow, narrow.dtype.str, origin, masked)
    raise InputTypeError(f"an array of dtype {dtype} cannot be an image: expected {EXPECTED_DTYPES}")


def from_array_interface(data: Any, *, origin: str, owned: bool) -> ArraySource:
    """Describe the result of ``np.asarray`` on an object that offers ``__array__`` or ``__array_interface__``."""
    try:
        array = np.asarray(data)
    except Exception as exc:
        raise InputTypeError(
            f"{type(data).__module__}.{type(data).__qualname__} could not be read as an array: {exc}"
        ) from exc
    return from_numpy(array, origin=origin, owned=owned)
