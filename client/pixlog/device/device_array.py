"""An array on a device, seen as NumPy would see it: enough to describe it, nothing of its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pixlog.device.copies import DeviceBlock


class DeviceArray:
    """A view of a block, by shape and strides as of ``numpy.ndarray``; strides and offset in bytes.

    ``dtype_name`` is the wire's name of the dtype, ``origin`` the framework, whose layout rules hold.
    """

    __slots__ = ("block", "dtype", "dtype_name", "offset", "origin", "shape", "strides")

    def __init__(
        self,
        block: DeviceBlock,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        dtype_name: str,
        origin: str,
        offset: int = 0,
    ) -> None:
        self.block = block
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self.dtype_name = dtype_name
        self.origin = origin
        self.offset = offset

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def flags(self) -> DeviceArray:
        """What has ``c_contiguous``, as ``numpy.ndarray.flags`` has."""
        return self

    @property
    def c_contiguous(self) -> bool:
        """Whether the elements lie densely in C order."""
        if 0 in self.shape:
            return True
        expected = self.dtype.itemsize
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1:
                if stride != expected:
                    return False
                expected *= length
        return True

    def transpose(self, axes: Sequence[int]) -> DeviceArray:
        """View it with its axes in another order."""
        shape = tuple(self.shape[axis] for axis in axes)
        return self._view(shape, tuple(self.strides[axis] for axis in axes), self.offset)

    def __getitem__(self, index: tuple[slice | int, ...]) -> DeviceArray:
        """View part of it: of each axis all (``slice(None)``) or one place."""
        shape: list[int] = []
        strides: list[int] = []
        offset = self.offset
        for length, stride, chosen in zip(self.shape, self.strides, index, strict=True):
            if isinstance(chosen, int):
                if not 0 <= chosen < length:
                    raise IndexError(f"index {chosen} of an axis of {length}")
                offset += chosen * stride
            elif chosen == slice(None):
                shape.append(length)
                strides.append(stride)
            else:
                raise IndexError(f"a device array cannot be indexed by {chosen}")
        return self._view(tuple(shape), tuple(strides), offset)

    def __iter__(self) -> Iterator[DeviceArray]:
        """View it one by one along the first axis."""
        for place in range(self.shape[0]):
            yield self._view(self.shape[1:], self.strides[1:], self.offset + place * self.strides[0])

    def to_host(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Copy the elements to host memory, now; waits for the device."""
        return np.ndarray(self.shape, self.dtype, self.block.read().data, self.offset, self.strides)

    __array__ = None  # never silently read, element by element

    def _view(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> DeviceArray:
        return DeviceArray(
            self.block,
            shape,
            strides,
            self.dtype,
            dtype_name=self.dtype_name,
            origin=self.origin,
            offset=offset,
        )
