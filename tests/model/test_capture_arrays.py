"""NumPy arrays of every kind reach the wire as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from described_arrays import logical_array
from pixlog.capture import ArraySource, capture
from pixlog.errors import InputError, InputTypeError
from pixlog.model.describe import describe

DTYPES = [
    *("?", "u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8"),
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", "<c16", ">c16"),
]


def _ramp(dtype: str, shape: tuple[int, ...] = (5, 6, 3)) -> npt.NDArray[Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_keeps_dtype_and_byte_order(dtype: str) -> None:
    """Every numeric dtype goes over the wire under its own typestring, big-endian ones too."""
    array = _ramp(dtype)
    described = describe(array)
    assert described.items[0]["data"]["dtype"] == array.dtype.str
    np.testing.assert_array_equal(logical_array(described), array)


def test_longdouble_narrows_to_float64() -> None:
    """The platform's long double, which no other machine may know, becomes float64; complex ones alike."""
    array = np.linspace(0, 1, 12, dtype=np.longdouble).reshape(3, 4)
    source = capture(array, copy=False)
    assert isinstance(source, ArraySource)
    assert source.dtype == "<f8"
    np.testing.assert_array_equal(source.array, array.astype(np.float64))
    assert capture(array.astype(np.clongdouble), copy=False).dtype == "<c16"  # type: ignore[union-attr]


@st.composite
def _strided(draw: st.DrawFn) -> npt.NDArray[Any]:
    sides = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=5, max_side=9))
    shape = (*sides, draw(st.sampled_from([1, 3])))
    array: npt.NDArray[Any] = np.arange(
        np.prod(shape), dtype=draw(st.sampled_from(["u1", "<f4", ">i2"]))
    ).reshape(shape)
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    if draw(st.booleans()):
        array = array.transpose(1, 0, 2)
    steps = [draw(st.sampled_from([1, -1, 2])) for _ in range(2)]
    return array[:: steps[0], :: steps[1]]


@given(array=_strided(), copy=st.booleans())
def test_array_of_any_strides_round_trips(array: npt.NDArray[Any], copy: bool) -> None:
    """Fortran order, transposed, reversed and stepped views come back value for value, copied or not."""
    source = capture(array, copy=copy)
    np.testing.assert_array_equal(logical_array(describe([source], layout="HWC")), array)


def test_dense_array_is_handed_over_without_copy() -> None:
    """A Fortran array or a channel-first view is described by its axes; its buffer is the same memory."""
    base = _ramp("u1", (3, 8, 9))
    view = base.transpose(1, 2, 0)
    described = describe(view)
    assert described.items[0]["data"]["axes"] == [2, 0, 1]
    buffer = described.buffers[0]
    assert isinstance(buffer, np.ndarray)
    assert np.shares_memory(buffer, base)
    assert buffer.flags.c_contiguous
    np.testing.assert_array_equal(logical_array(described), view)


def test_reversed_array_is_handed_over_as_it_is() -> None:
    """An array that runs backwards is left to the one strided copy into the arena."""
    array = _ramp("u1")
    described = describe(array[::-1])
    buffer = described.buffers[0]
    assert isinstance(buffer, np.ndarray)
    assert np.shares_memory(buffer, array)
    assert "axes" not in described.items[0]["data"]
    np.testing.assert_array_equal(logical_array(described), array[::-1])


def test_read_only_array_is_accepted() -> None:
    """A read-only array is captured, and copied like any other: its base may be writable."""
    array = _ramp("u1")
    array.flags.writeable = False
    source = capture(array, copy=True)
    assert isinstance(source, ArraySource)
    assert not np.shares_memory(source.array, array)


def test_masked_array_is_noted() -> None:
    """Of a masked array the data is taken, and the item says that it was one."""
    array = np.ma.masked_array(_ramp("u1"), mask=True)
    described = describe(array)
    assert described.items[0]["data"]["masked"] is True
    np.testing.assert_array_equal(logical_array(described), array.data)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrix_and_memmap_are_plain_arrays(tmp_path: Any) -> None:
    """Subclasses of ndarray are seen as the arrays they are."""
    matrix = np.matrix([[1, 2], [3, 4]])
    np.testing.assert_array_equal(logical_array(describe(matrix)), [[1, 2], [3, 4]])
    mapped = np.memmap(tmp_path / "a.bin", dtype=np.uint8, mode="w+", shape=(2, 3))
    mapped[:] = 7
    assert (logical_array(describe(mapped)) == 7).all()


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "b"]]),
        np.array([[None, 1]], dtype=object),
        np.array([["2020-01-01"]], dtype="M8[D]"),
        np.zeros((2, 2), dtype=[("r", "u1"), ("g", "u1")]),
        np.zeros((2, 2), dtype="V4"),
    ],
    ids=["str", "object", "datetime", "structured", "void"],
)
def test_array_of_other_dtype_is_refused(array: npt.NDArray[Any]) -> None:
    """Strings, objects, dates, records and raw bytes are a type error that names the dtype."""
    with pytest.raises(InputTypeError, match="dtype") as caught:
        capture(array, copy=False)
    assert str(array.dtype) in str(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (4, 0, 3), (5, 6, 7, 8, 9), (6, 5, 9)])
def test_array_of_unusable_shape_is_refused(shape: tuple[int, ...]) -> None:
    """A shape that is no image is an error that names it, zero-dimensional and empty ones too."""
    with pytest.raises(InputError) as caught:
        describe(np.zeros(shape))
    assert str(shape) in str(caught.value)


class _Quacks:
    """An object that offers an array by one of the informal protocols."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array


class _WithNumpy(_Quacks):
    def numpy(self) -> npt.NDArray[Any]:
        return self._array


class _WithArray(_Quacks):
    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return self._array


class _WithInterface(_Quacks):
    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._array.__array_interface__


class _WithDlpack(_Quacks):
    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


@pytest.mark.parametrize("kind", [_WithNumpy, _WithArray, _WithInterface, _WithDlpack])
def test_array_protocol_is_enough(kind: type[_Quacks]) -> None:
    """Any object with .numpy(), __array__, __array_interface__ or __dlpack__ is an array."""
    array = _ramp("f4")
    source = capture(kind(array), copy=True)
    assert isinstance(source, ArraySource)
    np.testing.assert_array_equal(source.array, array)
    assert not np.shares_memory(source.array, array)


def test_array_protocol_that_raises_is_explained() -> None:
    """An object whose .numpy() fails is a type error that carries the reason."""

    class Broken:
        def numpy(self) -> None:
            raise RuntimeError("is on the moon")

    with pytest.raises(InputTypeError, match="is on the moon"):
        capture(Broken(), copy=False)
