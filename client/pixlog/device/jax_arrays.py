"""JAX arrays: immutable, so the snapshot is the array itself, and its copy to the host is JAX's own.

``copy_to_host_async`` is asked for in the call; the background thread takes the values when they are there.  An array
that is donated or deleted before that has no values any more: its row says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from pixlog.capture.source import native_array
from pixlog.device.copies import Part, Unlock
from pixlog.device.device_array import DeviceArray
from pixlog.sending.arena import Memory

_DELETED: Final = (
    "the JAX array was deleted or donated before its values were copied: log jax.numpy.copy(array), or use "
    "device_copy='sync'"
)


def take(array: Any) -> DeviceArray | None:
    """Ask for an array's values and return it as a snapshot; None for one that has to be read in the call.

    That is an array spread over processes, an empty one, a deleted one, or one of a dtype that is not sent as it is.
    """
    if array.is_deleted() or not array.is_fully_addressable or not array.size:
        return None
    dtype = np.dtype(array.dtype)
    if dtype.name == "bfloat16":
        dtype, dtype_name = np.dtype("<u2"), "bfloat16"
    elif native_array(np.empty(0, dtype)):
        dtype_name = dtype.str
    else:
        return None
    array.copy_to_host_async()
    shape = tuple(int(length) for length in array.shape)
    strides: list[int] = []
    stride = dtype.itemsize
    for length in reversed(shape):
        strides.append(stride)
        stride *= length
    return DeviceArray(
        JaxBlock(array), shape, tuple(reversed(strides)), dtype, dtype_name=dtype_name, origin="jax"
    )


class JaxBlock:
    """An array whose values were asked for; see :class:`pixlog.device.copies.DeviceBlock`."""

    def __init__(self, array: Any) -> None:
        self.nbytes = int(array.nbytes)
        self._array = array

    def start(self, parts: Sequence[Part], *, locked: bool) -> JaxCopy:
        """Note where the values belong."""
        del locked
        return JaxCopy(self, parts)

    def computed(self) -> bool:
        """Whether the array is computed."""
        if self._array.is_deleted():
            raise RuntimeError(_DELETED)
        return bool(self._array.is_ready())

    def read(self) -> Memory:
        """Return the values' bytes in C order, as soon as they are there."""
        if self._array.is_deleted():
            raise RuntimeError(_DELETED)
        try:
            host = np.asarray(self._array)
        except Exception as exc:
            if self._array.is_deleted():
                raise RuntimeError(_DELETED) from exc
            raise
        return np.ascontiguousarray(host).reshape(-1).view(np.uint8)

    def lock_pages(self, memory: Memory) -> Unlock | None:
        """Nothing is copied straight into our memory."""
        del memory
        return None

    def prepare_thread(self) -> None:
        """Every thread may ask JAX."""


class JaxCopy:
    """The values on their way; see :class:`pixlog.device.copies.DeviceCopy`."""

    def __init__(self, block: JaxBlock, parts: Sequence[Part]) -> None:
        self.error: str | None = None
        self._block: JaxBlock | None = block
        self._parts = parts

    def ready(self) -> bool:
        """Copy the values when they are computed; the rest of JAX's own transfer is waited for."""
        block = self._block
        if block is None:
            return True
        try:
            if not block.computed():
                return False
            flat = block.read()
            for offset, memory in self._parts:
                memory[...] = flat[offset : offset + len(memory)]
        except Exception as exc:
            self.error = str(exc) if str(exc) == _DELETED else f"{type(exc).__name__}: {exc}"
        self._block = None
        return True
