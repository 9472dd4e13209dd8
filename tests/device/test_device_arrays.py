"""Arrays on a device look to those who describe them as NumPy's do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from host_device import host_device
from pixlog.errors import InputTypeError
from pixlog.model.describe import dense_axes, describe


@pytest.mark.parametrize("shape", [(4, 5), (1, 5), (3, 4, 5), (3, 1, 5), (2, 3, 4, 5), (0, 3)])
def test_device_array_looks_like_its_numpy_array(shape: tuple[int, ...]) -> None:
    """Shape, strides, density and views along axes are NumPy's, for every order of axes; so are the values."""
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    with host_device() as device:
        for axes in itertools.permutations(range(len(shape))):
            expected: Any = array.transpose(axes)
            seen: Any = device.take(expected)
            assert (seen.shape, seen.ndim, seen.dtype) == (expected.shape, expected.ndim, expected.dtype)
            assert seen.nbytes == expected.nbytes
            assert seen.flags.c_contiguous == expected.flags.c_contiguous
            assert dense_axes(seen) is not None
            for one, two in zip(seen, expected, strict=True):
                assert np.array_equal(one.to_host(), two)
            last = (slice(None),) * (len(shape) - 1)
            if expected.shape[-1] > 1:
                assert np.array_equal(seen[(*last, 1)].to_host(), expected[(*last, 1)])


def test_device_array_refuses_what_it_cannot_view() -> None:
    """Slices and places beyond the end are errors, and its values cannot be read by mistake."""
    with host_device() as device:
        seen = device.take(np.zeros((4, 5), np.uint8))
        with pytest.raises(IndexError, match="cannot be indexed"):
            seen[slice(1, 2), slice(None)]
        with pytest.raises(IndexError, match="index 4 of an axis of 4"):
            seen[4, 0]
        with pytest.raises(TypeError):
            np.asarray(seen)


def test_device_array_of_no_image_is_refused() -> None:
    """Shapes that are no image are refused at the call, as for NumPy arrays."""
    with host_device() as device, pytest.raises(Exception, match="shape") as caught:
        describe(device.take(np.zeros((4, 5, 6, 7, 8), np.uint8)))
    with pytest.raises(type(caught.value)):
        describe(np.zeros((4, 5, 6, 7, 8), np.uint8))
    assert not isinstance(caught.value, InputTypeError)
