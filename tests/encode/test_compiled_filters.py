"""The compiled filters give the bytes that the NumPy ones give, and a photograph's rows come back from its stream."""

from __future__ import annotations

import ctypes
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixlogd.encode import compiled, filters, photograph
from pixlogd.encode.filters import AVERAGE, MIXED, NONE, PAETH, SUB, UP
from pixlogd.encode.raster import Raster, raster_of

if compiled.library is None:
    pytest.skip("the package was built without a C compiler", allow_module_level=True)

Bytes = npt.NDArray[np.uint8]
LIBRARY = compiled.library

_DTYPES = ["uint8", "<u2", ">u2"]


def _pixels(seed: int, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """Noise, gradients or few values, so that each kind of neighbourhood occurs."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    if seed % 3 == 0:
        return rng.integers(0, top + 1, shape).astype(dtype)
    if seed % 3 == 1:
        return (rng.integers(0, 2, shape) * top).astype(dtype)
    return (np.cumsum(rng.integers(-3, 4, shape), axis=0) + top // 2).astype(dtype)


def _by_numpy(raster: Raster, first: int, last: int, kind: int) -> Bytes:
    out = np.full((last - first, 1 + raster.row_nbytes), 99, np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "library", None)
        filters.filter_rows(raster.rows(first, last), kind, out)
    return out


def _streamed(raster: Raster, kind: int) -> Bytes:
    stream = b"".join(bytes(piece) for piece in photograph.pieces(LIBRARY, raster, kind))
    return np.frombuffer(zlib.decompress(stream), np.uint8).reshape(raster.height, -1)


@settings(max_examples=400, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 90),
    channel_count=st.integers(1, 4),
    dtype=st.sampled_from(_DTYPES),
    kind=st.sampled_from([NONE, SUB, UP, AVERAGE, PAETH]),
    seed=st.integers(0, 2**16),
    cut=st.integers(0, 39),
)
def test_compiled_filters_equal_numpy(
    height: int, width: int, channel_count: int, dtype: str, kind: int, seed: int, cut: int
) -> None:
    """Every filter of every small shape and sample size, from any row on, gives byte for byte what NumPy gives."""
    raster = raster_of(_pixels(seed, (height, width, channel_count), dtype))
    expected = _by_numpy(raster, 0, height, kind)
    np.testing.assert_array_equal(_streamed(raster, kind), expected)
    first = min(cut, height - 1)
    out = np.full((height - first, 1 + raster.row_nbytes), 99, np.uint8)
    filters.filter_rows(raster.rows(first, height), kind, out)
    np.testing.assert_array_equal(out, expected[first:])


def test_compiled_paeth_is_right_for_every_neighbourhood() -> None:
    """All 16.7 million triples of left, above and above left give the residual that NumPy gives."""
    left, above = np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8)
    columns = np.empty((256, 256, 2), np.uint8)  # of pairs: above left and left, then above and the pixel
    for upper_left in range(256):
        rows = np.empty((2, 256 * 256 * 2), np.uint8)
        columns[..., 0], columns[..., 1] = upper_left, above
        rows[0] = columns.reshape(-1)
        columns[..., 0], columns[..., 1] = left[:, None], 0
        rows[1] = columns.reshape(-1)
        raster = Raster(2, rows.shape[1], 1, rows.reshape(-1))
        out = np.empty((2, 1 + rows.shape[1]), np.uint8)
        filters.filter_rows(raster.rows(0, 2), PAETH, out)
        assert np.array_equal(out, _by_numpy(raster, 0, 2, PAETH)), upper_left


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(2, 40),
    width=st.integers(1, 700),
    channel_count=st.integers(1, 4),
    dtype=st.sampled_from(_DTYPES),
    seed=st.integers(0, 2**16),
)
def test_mixed_rows_are_average_or_paeth(
    height: int, width: int, channel_count: int, dtype: str, seed: int
) -> None:
    """Each row below the first has one of the two filters, and the bytes of that filter."""
    raster = raster_of(_pixels(seed, (height, width, channel_count), dtype))
    mixed = _streamed(raster, MIXED)
    of_kind = {kind: _by_numpy(raster, 0, height, kind) for kind in (AVERAGE, PAETH)}
    for y in range(1, height):
        np.testing.assert_array_equal(mixed[y], of_kind[int(mixed[y, 0])][y])
    np.testing.assert_array_equal(mixed[0], of_kind[AVERAGE][0])


@pytest.mark.parametrize("shape", [(300, 5000, 3), (3, 1_000_000), (200_000, 7, 2), (1, 3_000_000)])
@pytest.mark.parametrize("dtype", _DTYPES)
def test_photograph_of_several_calls_is_one_stream(shape: tuple[int, ...], dtype: str) -> None:
    """Pictures of more than two megabytes, of wide rows and of narrow ones, come back from one stream."""
    raster = raster_of(_pixels(2, shape, dtype))
    assert len(list(photograph.pieces(LIBRARY, raster, AVERAGE))) > 1 or shape[0] == 1
    np.testing.assert_array_equal(_streamed(raster, AVERAGE), _by_numpy(raster, 0, shape[0], AVERAGE))


def test_photograph_with_too_little_room_writes_nothing() -> None:
    """One byte less than may be needed, or rows that are not there, are refused before anything is written."""
    pixels = np.zeros((10, 30), np.uint8)
    room = LIBRARY.pixlog_photograph_room(10, 30)
    out = np.full(room, 7, np.uint8)
    for last, nbytes in ((10, room - 1), (11, room), (0, room)):
        checksum = ctypes.c_uint32(1)
        arguments = (pixels.ctypes.data, 10, 30, 1, 0, AVERAGE, 0, last, checksum, out.ctypes.data, nbytes)
        assert LIBRARY.pixlog_photograph(*arguments) == 0
        assert (out == 7).all()


def test_drawing_is_no_photograph() -> None:
    """What repeats from row to row is left to a search for matches, whether it has few rows or many; noise is not."""
    rng = np.random.default_rng(0)
    for side in (80, 500, 900):
        noise = rng.integers(0, 256, (side, side, 3), np.uint8)
        drawing = np.repeat(noise[:1], side, 0)
        assert photograph.pieces(LIBRARY, raster_of(noise), photograph.UNKNOWN)
        assert not photograph.pieces(LIBRARY, raster_of(drawing), photograph.UNKNOWN)


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 60),
    channel_count=st.integers(1, 4),
    dtype=st.sampled_from(_DTYPES),
    seed=st.integers(0, 2**16),
)
def test_small_picture_is_a_stream_or_filtered_rows(
    height: int, width: int, channel_count: int, dtype: str, seed: int
) -> None:
    """A small picture comes as a photograph's stream, or as its rows by NONE or UP, of the same samples either way."""
    raster = raster_of(_pixels(seed, (height, width, channel_count), dtype))
    data, is_stream = photograph.small_piece(LIBRARY, raster)
    raw = zlib.decompress(data) if is_stream else bytes(data)
    rows = np.frombuffer(raw, np.uint8).reshape(height, -1)
    assert set(rows[1:, 0].tolist()) <= ({AVERAGE, PAETH} if is_stream else {NONE, UP})
    for y in range(height):
        expected = _by_numpy(raster, 0, height, int(rows[y, 0]))
        np.testing.assert_array_equal(rows[y], expected[y])


def test_filter_refuses_rows_that_do_not_fit() -> None:
    """Too few pixels, or a result of another shape, is an error instead of memory that is not ours."""
    rows = Raster(4, 10, 1, np.zeros(40, np.uint8)).rows(0, 4)
    for out in (
        np.zeros((4, 10), np.uint8),
        np.zeros((3, 11), np.uint8),
        np.zeros((4, 22), np.uint8)[:, ::2],
    ):
        with pytest.raises(ValueError, match="cannot be filtered"):
            filters.filter_rows(rows, UP, out)
    with pytest.raises(ValueError, match="cannot be filtered"):
        filters.filter_rows(rows._replace(last=5), UP, np.zeros((5, 11), np.uint8))
