"""The compiled copy writes every byte where it belongs and no other, and where there is none NumPy copies."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixlog.sending import stream_copy
from pixlog.sending.gather import copy_into, lay_out
from pixlog.sending.stream_copy import FEWEST_NBYTES, FILE_NAME, WARM_NBYTES, stream_into
from waiting import scaled_s

needs_library = pytest.mark.skipif(
    not stream_copy.copies, reason="the package was built without a C compiler, or not for x86-64"
)

ROOM_NBYTES = 96 * 1024

GUARDED = """
import ctypes, itertools, mmap
import numpy as np
from pixlog.sending import stream_copy

PAGE, PAGES, NO_ACCESS = mmap.PAGESIZE, 20, 0
protect = ctypes.CDLL(None, use_errno=True).mprotect
protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

def room():  # some pages between two that nobody may read or write
    memory = np.frombuffer(mmap.mmap(-1, (PAGES + 2) * PAGE), np.uint8)
    for guard in (0, PAGES + 1):
        assert protect(memory.ctypes.data + guard * PAGE, PAGE, NO_ACCESS) == 0
    return memory[PAGE:-PAGE]

source, to = room(), room()
source[:] = np.random.default_rng(0).integers(1, 256, len(source), np.uint8)
block = 4 * 4096
lengths = {n for k in range(5) for n in range(k * block - 2, k * block + 3)} | {1, 63, 64, 65, 127, 511, 4095, 20000}
gaps = (0, 1, 16, 63, 64)  # from the guarded page
count = 0
for nbytes in sorted(n for n in lengths if n >= 0):
    for at_end, from_end, gap, other in itertools.product((False, True), (False, True), gaps, gaps):
        start = len(to) - nbytes - gap if at_end else gap
        begin = len(source) - nbytes - other if from_end else other
        for copy in stream_copy.copies:
            to[:] = 0
            copy(to.ctypes.data + start, source.ctypes.data + begin, nbytes)
            assert np.array_equal(to[start : start + nbytes], source[begin : begin + nbytes])
            assert np.count_nonzero(to) == nbytes
            count += 1
print(count)
"""
"""Copies from and to places at the very edge of memory; prints how many."""


@needs_library
@given(
    nbytes=st.integers(0, 8 * 1024) | st.integers(0, 80 * 1024),
    to=st.integers(0, 200),
    source=st.integers(0, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_stream_copy_moves_every_byte_and_no_other(nbytes: int, to: int, source: int, seed: int) -> None:
    """Any length, from any address to any address: the bytes arrive, and those around them stay as they were."""
    rng = np.random.default_rng(seed)
    given_bytes = rng.integers(0, 256, ROOM_NBYTES, dtype=np.uint8)
    for copy in stream_copy.copies:
        memory = rng.integers(0, 256, ROOM_NBYTES, dtype=np.uint8)
        expected = memory.copy()
        expected[to : to + nbytes] = given_bytes[source : source + nbytes]
        copy(memory.ctypes.data + to, given_bytes.ctypes.data + source, nbytes)
        assert np.array_equal(memory, expected)


@needs_library
def test_stream_copy_touches_nothing_outside() -> None:
    """Neither the source nor the destination is read or written beyond its ends, where the next page is protected."""
    done = subprocess.run(
        [sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False, timeout=scaled_s(60)
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1000


@needs_library
@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f8", "bool", "complex64"])
@pytest.mark.parametrize("writeable", [True, False])
def test_large_array_is_streamed_beyond_warm_memory(dtype: str, writeable: bool) -> None:
    """An array of any dtype, read-only or not, is streamed where the arena is cold, byte for byte."""
    memory = np.frombuffer(mmap.mmap(-1, WARM_NBYTES + 8 * FEWEST_NBYTES), np.uint8)
    shape = (-(-FEWEST_NBYTES // (3 * np.dtype(dtype).itemsize)), 3)
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    array.flags.writeable = writeable
    assert stream_into(memory, WARM_NBYTES + 1, array)
    assert memory[WARM_NBYTES + 1 : WARM_NBYTES + 1 + array.nbytes].tobytes() == array.tobytes()
    assert not memory[: WARM_NBYTES + 1].any()
    assert not memory[WARM_NBYTES + 1 + array.nbytes :].any()


def test_stream_leaves_to_numpy_what_is_small_or_warm_or_strided() -> None:
    """A small array, one for the beginning of an arena and one with gaps are not streamed, and nothing is written."""
    memory = np.zeros(WARM_NBYTES + 4 * FEWEST_NBYTES, np.uint8)
    small, large = np.ones(FEWEST_NBYTES - 1, np.uint8), np.ones((2, FEWEST_NBYTES), np.uint8)
    assert not stream_into(memory, WARM_NBYTES, small)
    assert not stream_into(memory, 0, large)
    assert not stream_into(memory, WARM_NBYTES, large[:, ::2])
    assert not stream_into(memory, WARM_NBYTES, large.T)
    assert not memory.any()


@needs_library
def test_stream_refuses_to_write_past_the_memory() -> None:
    """An array that would end beyond the memory, or begin before it, is refused with the numbers."""
    memory, array = np.zeros(WARM_NBYTES, np.uint8), np.ones(2 * WARM_NBYTES, np.uint8)
    with pytest.raises(
        ValueError, match=f"{array.nbytes} bytes of uint8 from 1 on, .* of {memory.nbytes} bytes"
    ):
        stream_into(memory, 1, array)
    with pytest.raises(ValueError, match="from -64 on"):
        stream_into(memory, -64, array)
    assert not memory.any()


@pytest.mark.parametrize("content", [None, b"", b"no library at all"])
def test_package_without_library_copies_with_numpy(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the library, or with a file that is none, there is nothing to stream with and the pixels arrive."""
    path = tmp_path / FILE_NAME
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(stream_copy, "copies", stream_copy.load(path))
    assert stream_copy.copies == []
    array = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
    memory = np.zeros(WARM_NBYTES + array.nbytes, np.uint8)
    extents, nbytes = lay_out([array])
    copy_into(memory, WARM_NBYTES, [array], extents)
    assert memory[WARM_NBYTES : WARM_NBYTES + nbytes].tobytes() == array.tobytes()
