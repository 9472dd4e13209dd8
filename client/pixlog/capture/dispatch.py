"""Recognise what a user handed over, by the modules its class comes from.

A framework that made an object is loaded already, so its classes name it: every class of the object's method
resolution order is looked at (a subclass defined in a user's module is still a tensor).  The answer is kept per
class.  Only then is the object touched, by its own methods.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import IOBase
from types import ModuleType
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import numpy as np

from pixlog.capture.arrays import from_numpy
from pixlog.capture.figures import from_figure
from pixlog.capture.files import from_bytes, from_file, from_path, from_text
from pixlog.capture.frameworks import from_cupy, from_jax, from_protocol, from_tensorflow
from pixlog.capture.pil import from_pil
from pixlog.capture.source import Array, ArraySource, Source
from pixlog.capture.tensors import from_torch
from pixlog.device.device_array import DeviceArray
from pixlog.errors import InputTypeError

EXPECTED: Final = (
    "expected a NumPy array, a torch, JAX or TensorFlow tensor, a PIL image, a matplotlib figure, "
    "the path, bytes or open binary file of an image, a gs://, s3:// or http(s):// URL, or a pixlog.Image"
)

Taker = Callable[[Any, bool], Source | None]

_takers: WeakKeyDictionary[type, Taker] = WeakKeyDictionary()


def capture(data: object, *, copy: bool) -> Source:
    """Return the source that ``data`` stands for, without importing any framework.

    With ``copy`` the result shares no memory that anybody could still write; without it an array source may be a
    view of the caller's memory, to be copied before the call returns.  Arrays may have any shape and any numeric
    dtype here; what shapes mean is for layout inference.  Raises ``InputTypeError`` for what is no image, and the
    ``InputFileError`` family for files.
    """
    if isinstance(data, np.ndarray):
        return from_numpy(data, owned=not copy)
    kind = type(data)
    taker = _takers.get(kind)
    if taker is None:
        taker = _takers[kind] = _find_taker(kind)
    source = taker(data, not copy)
    if source is None:
        raise InputTypeError(_refusal(data))
    return source


def _find_taker(kind: type) -> Taker:
    if kind is DeviceArray:
        return lambda data, owned: _from_device(data)
    if issubclass(kind, str):
        return lambda data, owned: from_text(data)
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return lambda data, owned: from_bytes(data, owned=owned)
    if issubclass(kind, os.PathLike):
        return lambda data, owned: from_path(data)
    for base in kind.__mro__:
        taker = _framework_taker(base.__module__, base.__name__)
        if taker is not None:
            return taker
    if issubclass(kind, ModuleType):
        return lambda data, owned: from_figure(data) if data.__name__ == "matplotlib.pyplot" else None
    if issubclass(kind, IOBase):
        return lambda data, owned: from_file(data)
    if issubclass(kind, (bool, int, float, complex, np.generic, dict, list, tuple, set, type(None))):
        return lambda data, owned: None
    return _take_by_protocol


def _framework_taker(module: str, name: str) -> Taker | None:
    package = module.partition(".")[0]
    if package == "torch" and name == "Tensor":
        return lambda data, owned: from_torch(data, owned=owned)
    if package == "PIL" and name == "Image":
        return lambda data, owned: from_pil(data)
    if package == "matplotlib" and name in ("Artist", "FigureBase"):
        return lambda data, owned: from_figure(data)
    if package in ("jax", "jaxlib") and ("Array" in name or "Tracer" in name):
        return lambda data, owned: from_jax(data, owned=owned)
    if package == "tensorflow" and ("Tensor" in name or "Variable" in name):
        return lambda data, owned: from_tensorflow(data, owned=owned)
    if package == "cupy" and name == "ndarray":
        return lambda data, owned: from_cupy(data, owned=owned)
    return None


def _from_device(data: DeviceArray) -> ArraySource:
    """Describe a snapshot on a device: an array in all that is asked of one before its values are needed."""
    return ArraySource(cast(Array, data), data.dtype_name, data.origin)


def _take_by_protocol(data: Any, owned: bool) -> Source | None:
    source = from_protocol(data, owned=owned)
    if source is None and callable(getattr(data, "read", None)):  # tempfile's wrappers, fsspec's files
        return from_file(data)
    return source


def _refusal(data: object) -> str:
    """Say what was got, and for the usual slips what to do instead."""
    if data is None:
        got = "got None"
    elif isinstance(data, (list, tuple)):
        got = (
            f"got a {type(data).__name__} of {len(data)} elements (the first: {type(data[0]).__name__})"
            if data
            else f"got an empty {type(data).__name__}"
        )
        if data and isinstance(data[0], (int, float, list, tuple)):
            return f"{got}: turn numbers into an array first, with numpy.asarray(...); {EXPECTED}"
    elif isinstance(data, ModuleType):
        got = f"got the module {data.__name__!r}"
    elif isinstance(data, type):
        got = f"got the class {data.__module__}.{data.__qualname__} itself"
    else:
        kind = type(data)
        name = (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )
        got = f"got {name}"
        if isinstance(data, (bool, int, float, complex)):
            got += f" {data!r}, but only images are logged here"
    return f"{got}: {EXPECTED}"
