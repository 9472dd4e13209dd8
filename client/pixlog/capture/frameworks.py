"""JAX, TensorFlow, CuPy and anything else that speaks DLPack, ``.numpy()`` or ``__array__``."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, Final

import numpy as np

from pixlog.capture.arrays import from_array_interface, from_numpy
from pixlog.capture.source import ArraySource
from pixlog.capture.tensors import from_torch
from pixlog.errors import InputTypeError

_KDL_CPU: Final = 1


def from_jax(data: Any, *, owned: bool) -> ArraySource:
    """Describe a JAX array; its memory is immutable, so nothing is copied on the CPU."""
    del owned
    if "Tracer" in type(data).__name__:
        raise InputTypeError(
            f"a {type(data).__name__} has no values while JAX traces: log outside jit, or from jax.debug.callback"
        )
    return from_array_interface(data, origin="jax", owned=True)


def from_tensorflow(data: Any, *, owned: bool) -> ArraySource:
    """Describe an eager TensorFlow tensor or variable."""
    return _from_numpy_method(data, origin="tensorflow", owned=owned)


def from_cupy(data: Any, *, owned: bool) -> ArraySource:
    """Describe a CuPy array by its copy in host memory."""
    del owned
    return from_numpy(data.get(), origin="cupy", owned=True)


def from_protocol(data: Any, *, owned: bool) -> ArraySource | None:
    """Describe an unknown object by ``.numpy()``, ``__array__`` or ``__dlpack__``; None if it offers none of them."""
    kind = type(data)
    if callable(getattr(kind, "numpy", None)):
        return _from_numpy_method(data, origin="numpy", owned=owned)
    if hasattr(kind, "__array__") or hasattr(kind, "__array_interface__"):
        return from_array_interface(data, origin="numpy", owned=owned)
    if hasattr(kind, "__dlpack__"):
        return _from_dlpack(data, owned=owned)
    return None


def _from_numpy_method(data: Any, *, origin: str, owned: bool) -> ArraySource:
    try:
        array = data.numpy()
    except Exception as exc:
        raise InputTypeError(f"{_name(data)}.numpy() raised {type(exc).__name__}: {exc}") from exc
    if not isinstance(array, (np.ndarray, np.generic)):
        raise InputTypeError(f"{_name(data)}.numpy() returned {_name(array)}, expected a numpy array")
    return from_numpy(np.asanyarray(array), origin=origin, owned=owned)


def _from_dlpack(data: Any, *, owned: bool) -> ArraySource:
    """Read host memory through NumPy; a device's through PyTorch, where that is loaded already."""
    torch = sys.modules.get("torch")
    try:
        if torch is not None and data.__dlpack_device__()[0] != _KDL_CPU:
            source = from_torch(torch.from_dlpack(data), owned=owned)
            return dataclasses.replace(source, origin="dlpack")
        array = np.from_dlpack(data)
    except Exception as exc:
        raise InputTypeError(
            f"{_name(data)} could not be read through DLPack: {exc}; expected an array in host memory"
        ) from exc
    return from_numpy(array, origin="dlpack", owned=owned)


def _name(data: object) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}"
